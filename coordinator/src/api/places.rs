//! `UpdateJob`, `ExplainJob` and `PurgeQueue`: the place of jobs that wait.

use std::sync::Arc;

use tonic::Status;
use windlass_shared::convert;
use windlass_shared::fault::Invalid;
use windlass_shared::ids::JobId;
use windlass_shared::pb;
use windlass_shared::status::to_status;

use super::Api;
use super::error::ApiError;

type Update = (JobId, Option<i8>, Option<Arc<str>>);

fn update_request(request: &pb::UpdateJobRequest) -> Result<Update, Invalid> {
    let job = convert::job_id("job_id", &request.job_id)?;
    convert::request_id("request_id", &request.request_id)?;
    let priority = request.priority.map(|priority| convert::priority("priority", priority)).transpose()?;
    let queue = Some(&request.queue).filter(|queue| !queue.is_empty());
    let queue = queue.map(|queue| convert::required_name("queue", queue)).transpose()?;
    if priority.is_none() && queue.is_none() {
        return Err(Invalid::one("priority", "say a priority or a queue: there is nothing to change"));
    }
    Ok((job, priority, queue))
}

impl Api {
    pub(super) async fn update_place(&self, request: &pb::UpdateJobRequest) -> Result<pb::UpdateJobResponse, Status> {
        let (id, priority, queue) = update_request(request).map_err(|err| to_status(&err))?;
        let live = self.driver.update_job(id, priority, queue).await.map_err(|err| to_status(&err))?;
        let job = self.job(id).map_err(|err| to_status(&err))?;
        if !live {
            return Err(to_status(&ApiError::NotWaiting(id, job.record.state)));
        }
        Ok(pb::UpdateJobResponse { job: Some(convert::job_to_wire(job)) })
    }

    pub(super) async fn explain(&self, request: &pb::ExplainJobRequest) -> Result<pb::ExplainJobResponse, Status> {
        let id = convert::job_id("job_id", &request.job_id).map_err(|err| to_status(&err))?;
        self.job(id).map_err(|err| to_status(&err))?;
        let explained = self.driver.explain(id).await.map_err(|err| to_status(&err))?;
        Ok(convert::explanation_to_wire(explained.as_ref()))
    }

    pub(super) async fn purge(&self, request: &pb::PurgeQueueRequest) -> Result<pb::PurgeQueueResponse, Status> {
        let checked = || {
            convert::request_id("request_id", &request.request_id)?;
            Ok((convert::required_name("queue", &request.queue)?, convert::detail("reason", &request.reason)?))
        };
        let (queue, detail) = checked().map_err(|err: Invalid| to_status(&err))?;
        let (purged, more) = self.driver.purge(queue, detail).await.map_err(|err| to_status(&err))?;
        Ok(pb::PurgeQueueResponse { purged: i64::try_from(purged).unwrap_or(i64::MAX), more })
    }
}
