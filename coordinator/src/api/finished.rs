//! What is asked of finished jobs: `RequeueJob`, `RequeueJobs`, `PurgeJobs`.

use prost::Message;
use tonic::Status;
use windlass_shared::convert;
use windlass_shared::fault::Invalid;
use windlass_shared::ids::JobId;
use windlass_shared::limits::PAGE_MAX;
use windlass_shared::pb;
use windlass_shared::status::to_status;

use super::Api;
use super::error::ApiError;
use crate::driver::{RequestKey, Requeued};
use crate::records::Filter;

/// Jobs a call, where it names no number.
const JOBS_DEFAULT: usize = 100;
/// Pages looked through for them, 10,000 rows each: a call is over within a second or so, and says that there may be more.
const PAGES_MAX: usize = 10;

impl Api {
    pub(super) async fn requeue_one(&self, request: &pb::RequeueJobRequest) -> Result<pb::RequeueJobResponse, Status> {
        let id = convert::job_id("job_id", &request.job_id).map_err(|err| to_status(&err))?;
        let key = request_key(&request.request_id, "requeue job", id.as_bytes()).map_err(|err| to_status(&err))?;
        if let Requeued::Now(said) = self.driver.requeue(vec![id], key).await.map_err(|err| to_status(&err))? {
            let there = said.into_iter().next().unwrap_or(Ok(false)).map_err(|err| to_status(&err))?;
            if !there {
                return Err(to_status(&ApiError::NoSuchJob(id)));
            }
        }
        let job = self.job(id).map_err(|err| to_status(&err))?;
        Ok(pb::RequeueJobResponse { job: Some(convert::job_to_wire(job)) })
    }

    pub(super) async fn requeue_some(
        &self,
        request: &pb::RequeueJobsRequest,
    ) -> Result<pb::RequeueJobsResponse, Status> {
        let (filter, limit) = finished(request.filter.as_ref(), request.limit).map_err(|err| to_status(&err))?;
        let about = pb::RequeueJobsRequest { request_id: String::new(), ..request.clone() }.encode_to_vec();
        let key = request_key(&request.request_id, "requeue jobs", &about).map_err(|err| to_status(&err))?;
        let (jobs, more) = self.find(filter, limit).await?;
        let said = self.driver.requeue(jobs.clone(), key).await.map_err(|err| to_status(&err))?;
        // What was requeued, purged or pruned by somebody else since it was found is none of this call's.
        let (job_ids, repeated) = match said {
            Requeued::Before => (Vec::new(), true),
            Requeued::Now(said) => {
                let went = jobs.iter().zip(&said).filter(|(_, said)| matches!(said, Ok(true)));
                (went.map(|(job, _)| job.to_string()).collect(), false)
            }
        };
        Ok(pb::RequeueJobsResponse { job_ids, more, repeated })
    }

    pub(super) async fn purge_some(&self, request: &pb::PurgeJobsRequest) -> Result<pb::PurgeJobsResponse, Status> {
        let (filter, limit) = finished(request.filter.as_ref(), request.limit).map_err(|err| to_status(&err))?;
        convert::request_id("request_id", &request.request_id).map_err(|err| to_status(&err))?;
        let (jobs, more) = self.find(filter, limit).await?;
        let purged = self.driver.forget_finished(jobs).await.map_err(|err| to_status(&err))?;
        Ok(pb::PurgeJobsResponse { purged: u32::try_from(purged).unwrap_or(u32::MAX), more })
    }

    /// Up to `limit` of them, newest first, and whether there may be more.
    async fn find(&self, filter: Filter, limit: usize) -> Result<(Vec<JobId>, bool), Status> {
        let (mut jobs, mut before) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let page = self.records.list(filter.clone(), before, limit - jobs.len()).await;
            let page = page.map_err(|err| to_status(&err))?;
            jobs.extend(page.jobs.into_iter().map(|view| view.record.id));
            before = page.next;
            if before.is_none() || jobs.len() >= limit {
                break;
            }
        }
        Ok((jobs, before.is_some()))
    }
}

/// Dead letters, or finished jobs of the states that are named.
fn finished(wire: Option<&pb::FinishedFilter>, limit: u32) -> Result<(Filter, usize), Invalid> {
    let Some(wire) = wire else {
        return Err(Invalid::one("filter", "is required; an empty one means all dead letters"));
    };
    let states = convert::job_states("filter.states", &wire.states)?;
    if states.iter().any(|state| !state.is_final()) {
        return Err(Invalid::one("filter.states", "must be final: SUCCEEDED, FAILED, CANCELLED or EXPIRED"));
    }
    let filter = Filter {
        dead_lettered: states.is_empty().then_some(true),
        states,
        queue: convert::name_filter("filter.queue", &wire.queue)?,
        labels: convert::label_filters("filter.labels", &wire.labels)?,
        group: convert::name_filter("filter.group", &wire.group)?.as_deref().map(Box::from),
        handler: convert::name_filter("filter.handler", &wire.handler)?,
        created_from: convert::instant("filter.created_from", wire.created_from.as_ref())?,
        created_before: convert::instant("filter.created_before", wire.created_before.as_ref())?,
        ..Filter::default()
    };
    let limit = match usize::try_from(limit).unwrap_or(usize::MAX) {
        0 => JOBS_DEFAULT,
        limit if limit <= PAGE_MAX => limit,
        _ => return Err(Invalid::one("limit", format!("must be at most {PAGE_MAX}; call again while there are more"))),
    };
    Ok((filter, limit))
}

fn request_key(id: &str, verb: &str, about: &[u8]) -> Result<Option<RequestKey>, Invalid> {
    convert::request_id("request_id", id)?;
    let digest = *blake3::Hasher::new().update(verb.as_bytes()).update(about).finalize().as_bytes();
    Ok((!id.is_empty()).then(|| RequestKey { id: id.into(), digest }))
}
