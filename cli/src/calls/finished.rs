//! Calls about finished jobs.

use windlass_shared::pb;

use super::{Answer, owed, timed};
use crate::client::Client;

impl Client {
    pub(crate) async fn requeue_job(&self, id: &str, request: &str) -> Answer<pb::Job> {
        let request = pb::RequeueJobRequest { job_id: id.to_owned(), request_id: request.to_owned() };
        owed(self.jobs().requeue_job(timed(request)).await?.into_inner().job)
    }

    pub(crate) async fn requeue_jobs(&self, request: pb::RequeueJobsRequest) -> Answer<pb::RequeueJobsResponse> {
        Ok(self.jobs().requeue_jobs(timed(request)).await?.into_inner())
    }

    pub(crate) async fn purge_jobs(&self, request: pb::PurgeJobsRequest) -> Answer<pb::PurgeJobsResponse> {
        Ok(self.jobs().purge_jobs(timed(request)).await?.into_inner())
    }
}
