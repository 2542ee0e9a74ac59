//! The calls of the API that the commands make, with a deadline on each that has an end.

mod finished;
mod fleet;
mod limits;
mod pools;
mod queues;

use std::time::Duration;

use tonic::{Request, Status, Streaming};
use windlass_shared::limits::WAIT_MAX;
use windlass_shared::pb;

use crate::client::Client;
use crate::failure::Failure;
use crate::spec::span;

/// No single call takes this long on a coordinator that works, even one that commits a full batch to a slow disk.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

type Answer<T> = Result<T, Status>;

fn timed<T>(message: T) -> Request<T> {
    timed_by(message, CALL_TIMEOUT)
}

fn timed_by<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

// A coordinator that leaves out what it owes is broken, and to say so beats a panic.
fn owed<T>(field: Option<T>) -> Answer<T> {
    field.ok_or_else(|| Status::internal("the coordinator's answer lacks what was asked for"))
}

impl Client {
    /// The job, and whether it was there before.
    pub(crate) async fn submit(&self, request: pb::SubmitJobRequest) -> Answer<(pb::Job, bool)> {
        let answer = self.jobs().submit_job(timed(request)).await?.into_inner();
        Ok((owed(answer.job)?, answer.existing))
    }

    pub(crate) async fn submit_batch(
        &self,
        requests: Vec<pb::SubmitJobRequest>,
    ) -> Answer<Vec<pb::BatchSubmitJobsResult>> {
        let request = pb::BatchSubmitJobsRequest { requests };
        Ok(self.jobs().batch_submit_jobs(timed(request)).await?.into_inner().results)
    }

    pub(crate) async fn get_job(&self, id: &str) -> Answer<pb::Job> {
        let request = pb::GetJobRequest { job_id: id.to_owned() };
        owed(self.jobs().get_job(timed(request)).await?.into_inner().job)
    }

    pub(crate) async fn list_jobs(&self, request: pb::ListJobsRequest) -> Answer<pb::ListJobsResponse> {
        Ok(self.jobs().list_jobs(timed(request)).await?.into_inner())
    }

    /// The job, and whether it is final, after at most `limit` (and at most [`WAIT_MAX`]).
    pub(crate) async fn wait_job(&self, id: &str, limit: Duration) -> Answer<(pb::Job, bool)> {
        let limit = limit.min(WAIT_MAX);
        let request = pb::WaitJobRequest { job_id: id.to_owned(), timeout: Some(span(limit)) };
        let answer = self.jobs().wait_job(timed_by(request, limit + CALL_TIMEOUT)).await?.into_inner();
        Ok((owed(answer.job)?, answer.done))
    }

    pub(crate) async fn cancel_job(&self, id: &str, reason: &str) -> Answer<pb::Job> {
        let reason = reason.to_owned();
        let request = pb::CancelJobRequest { job_id: id.to_owned(), reason, request_id: String::new() };
        owed(self.jobs().cancel_job(timed(request)).await?.into_inner().job)
    }

    pub(crate) async fn update_job(&self, id: &str, priority: Option<i32>, queue: &str) -> Answer<pb::Job> {
        let (job_id, queue) = (id.to_owned(), queue.to_owned());
        let request = pb::UpdateJobRequest { job_id, priority, queue, request_id: String::new() };
        owed(self.jobs().update_job(timed(request)).await?.into_inner().job)
    }

    pub(crate) async fn explain_job(&self, id: &str) -> Answer<pb::ExplainJobResponse> {
        let request = pb::ExplainJobRequest { job_id: id.to_owned() };
        Ok(self.jobs().explain_job(timed(request)).await?.into_inner())
    }

    pub(crate) async fn abandon_job(&self, id: &str, reason: &str, request: &str) -> Answer<pb::Job> {
        let (job_id, reason, request_id) = (id.to_owned(), reason.to_owned(), request.to_owned());
        let request = pb::AbandonJobRequest { job_id, reason, request_id };
        owed(self.jobs().abandon_job(timed(request)).await?.into_inner().job)
    }

    pub(crate) async fn job_result(&self, id: &str) -> Answer<pb::GetJobResultResponse> {
        let request = pb::GetJobResultRequest { job_id: id.to_owned() };
        Ok(self.jobs().get_job_result(timed(request)).await?.into_inner())
    }

    pub(crate) async fn read_logs(&self, request: pb::ReadJobLogsRequest) -> Answer<pb::ReadJobLogsResponse> {
        Ok(self.jobs().read_job_logs(timed(request)).await?.into_inner())
    }

    // No deadline on the two streams: they end when what they follow ends.
    pub(crate) async fn tail_logs(
        &self,
        request: pb::TailJobLogsRequest,
    ) -> Answer<Streaming<pb::TailJobLogsResponse>> {
        Ok(self.jobs().tail_job_logs(request).await?.into_inner())
    }

    pub(crate) async fn watch_jobs(&self, request: pb::WatchJobsRequest) -> Answer<Streaming<pb::WatchJobsResponse>> {
        Ok(self.jobs().watch_jobs(request).await?.into_inner())
    }

    /// Makes a call that is harmless to repeat, again and again while the connection is broken, as long as patience
    /// lasts.
    pub(crate) async fn patiently<T, F>(&self, doing: &str, call: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Answer<T>>,
    {
        let mut patience = self.patience();
        loop {
            match call().await {
                Ok(answer) => return Ok(answer),
                Err(status) => patience.bear(status).await.map_err(|status| self.failure(doing, &status))?,
            }
        }
    }
}
