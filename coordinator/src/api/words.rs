//! Operators' words about what nobody can prove: `AbandonJob` and `ForceLostAgent`.

use tonic::Status;
use windlass_shared::convert;
use windlass_shared::domain::Reason;
use windlass_shared::fault::Invalid;
use windlass_shared::pb;
use windlass_shared::status::to_status;

use super::Api;
use super::error::ApiError;
use crate::driver::{About, RequestKey, Said};

fn request_key(id: &str, about: About) -> Result<Option<RequestKey>, Invalid> {
    convert::request_id("request_id", id)?;
    let (verb, subject) = match about {
        About::Job(job) => ("abandon job", *job.as_bytes()),
        About::Agent(agent) => ("force lost agent", *agent.as_bytes()),
    };
    let digest = *blake3::Hasher::new().update(verb.as_bytes()).update(&subject).finalize().as_bytes();
    Ok((!id.is_empty()).then(|| RequestKey { id: id.into(), digest }))
}

impl Api {
    pub(super) async fn abandon(&self, request: &pb::AbandonJobRequest) -> Result<pb::AbandonJobResponse, Status> {
        let id = convert::job_id("job_id", &request.job_id).map_err(|err| to_status(&err))?;
        let detail = convert::detail("reason", &request.reason).map_err(|err| to_status(&err))?;
        let key = request_key(&request.request_id, About::Job(id)).map_err(|err| to_status(&err))?;
        let said = self.driver.say(About::Job(id), detail, key).await.map_err(|err| to_status(&err))?;
        let job = self.job(id).map_err(|err| to_status(&err))?;
        // Not live: it has ended. By such a word, which is what was asked for, or another way.
        if said == Said::Unknown && job.record.reason != Some(Reason::Abandoned) {
            return Err(to_status(&ApiError::NotUnproven(id, job.record.state)));
        }
        Ok(pb::AbandonJobResponse { job: Some(convert::job_to_wire(job)) })
    }

    pub(super) async fn force_lost(
        &self,
        request: &pb::ForceLostAgentRequest,
    ) -> Result<pb::ForceLostAgentResponse, Status> {
        let id = convert::agent_id("agent_id", &request.agent_id).map_err(|err| to_status(&err))?;
        let detail = convert::detail("reason", &request.reason).map_err(|err| to_status(&err))?;
        let key = request_key(&request.request_id, About::Agent(id)).map_err(|err| to_status(&err))?;
        self.driver.say(About::Agent(id), detail, key).await.map_err(|err| to_status(&err))?;
        let agent = self.driver.agent(id).await.map_err(|err| to_status(&err))?;
        let agent = agent.ok_or_else(|| to_status(&ApiError::NoSuchAgent(id)))?;
        Ok(pb::ForceLostAgentResponse { agent: Some(convert::agent_to_wire(&agent)) })
    }
}
