//! `JobService`.

use std::time::Duration;

use tonic::{Request, Response, Status};
use windlass_shared::convert;
use windlass_shared::domain::{CallResult, JobState};
use windlass_shared::fault::Invalid;
use windlass_shared::ids::JobId;
use windlass_shared::limits::WAIT_MAX;
use windlass_shared::pb;
use windlass_shared::pb::job_service_server::JobService;
use windlass_shared::status::to_status;

use super::error::ApiError;
use super::{Answers, Api, page};
use crate::records::Filter;

const WAIT_DEFAULT: Duration = Duration::from_secs(30);
const LIST_PAGE: usize = 50;
/// Longest wait for the word of what a job waits for.
const WHY_WITHIN: Duration = Duration::from_secs(1);

impl Api {
    async fn get(&self, id: JobId) -> Result<pb::GetJobResponse, Status> {
        let view = self.job(id).map_err(|err| to_status(&err))?;
        let waits = matches!(view.record.state, JobState::Queued | JobState::Delayed);
        let mut job = convert::job_to_wire(view);
        if waits {
            // For people: a driver that is busy, or going, does not keep anybody from the job itself.
            let why = tokio::time::timeout(WHY_WITHIN, self.driver.why_waiting(id)).await;
            job.waiting_for = why.ok().and_then(Result::ok).flatten().unwrap_or_default();
        }
        Ok(pb::GetJobResponse { job: Some(job) })
    }

    fn result(&self, id: JobId) -> Result<CallResult, ApiError> {
        let record = self.job(id)?.record;
        if record.header.handler.is_none() {
            return Err(ApiError::NoResult(id));
        }
        if record.state != JobState::Succeeded {
            return Err(ApiError::NotSucceeded(id, record.state));
        }
        self.records.result(id)?.ok_or(ApiError::NoSuchResult(id))
    }

    async fn wait(&self, id: JobId, limit: Duration) -> Result<pb::WaitJobResponse, Status> {
        // What cannot be read ends the wait: asking for the job then says why.
        let ended = || {
            let runs_on = self.job(id).is_ok_and(|job| !job.record.state.is_final());
            (!runs_on).then_some(())
        };
        let done = tokio::time::timeout(limit, self.records.wait(id, ended)).await.is_ok();
        let job = self.job(id).map_err(|err| to_status(&err))?;
        Ok(pb::WaitJobResponse { job: Some(convert::job_to_wire(job)), done })
    }

    async fn list(&self, request: &pb::ListJobsRequest) -> Result<pb::ListJobsResponse, Status> {
        let (filter, limit, before) = list_request(request).map_err(|err| to_status(&err))?;
        let found = self.records.list(filter.clone(), before, limit).await.map_err(|err| to_status(&err))?;
        Ok(pb::ListJobsResponse {
            next_page_token: page::token(found.next, &filter),
            jobs: found.jobs.into_iter().map(convert::job_to_wire).collect(),
        })
    }
}

fn list_request(request: &pb::ListJobsRequest) -> Result<(Filter, usize, Option<JobId>), Invalid> {
    let filter = Filter {
        states: convert::job_states("states", &request.states)?,
        queue: convert::name_filter("queue", &request.queue)?,
        id_prefix: convert::id_prefix("id_prefix", &request.id_prefix)?,
        labels: convert::label_filters("labels", &request.labels)?,
        group: convert::name_filter("group", &request.group)?.as_deref().map(Box::from),
        created_from: convert::instant("created_from", request.created_from.as_ref())?,
        created_before: convert::instant("created_before", request.created_before.as_ref())?,
        handler: convert::name_filter("handler", &request.handler)?,
        dead_lettered: request.dead_lettered,
    };
    let limit = convert::page_size("page_size", request.page_size, LIST_PAGE)?;
    let before = page::read_token("page_token", &request.page_token, &filter)?;
    Ok((filter, limit, before))
}

fn job_id(text: &str) -> Result<JobId, Status> {
    convert::job_id("job_id", text).map_err(|err| to_status(&err))
}

#[tonic::async_trait]
impl JobService for Api {
    async fn submit_job(
        &self,
        request: Request<pb::SubmitJobRequest>,
    ) -> Result<Response<pb::SubmitJobResponse>, Status> {
        self.submit(request.into_inner()).await.map(Response::new)
    }

    async fn batch_submit_jobs(
        &self,
        request: Request<pb::BatchSubmitJobsRequest>,
    ) -> Result<Response<pb::BatchSubmitJobsResponse>, Status> {
        self.batch_submit(request.into_inner()).await.map(Response::new)
    }

    async fn get_job(&self, request: Request<pb::GetJobRequest>) -> Result<Response<pb::GetJobResponse>, Status> {
        self.get(job_id(&request.get_ref().job_id)?).await.map(Response::new)
    }

    async fn list_jobs(&self, request: Request<pb::ListJobsRequest>) -> Result<Response<pb::ListJobsResponse>, Status> {
        self.list(request.get_ref()).await.map(Response::new)
    }

    async fn wait_job(&self, request: Request<pb::WaitJobRequest>) -> Result<Response<pb::WaitJobResponse>, Status> {
        let request = request.get_ref();
        let limit = convert::duration("timeout", request.timeout.as_ref(), WAIT_DEFAULT, WAIT_MAX);
        self.wait(job_id(&request.job_id)?, limit.map_err(|err| to_status(&err))?).await.map(Response::new)
    }

    type WatchJobsStream = Answers<pb::WatchJobsResponse>;

    async fn watch_jobs(
        &self,
        request: Request<pb::WatchJobsRequest>,
    ) -> Result<Response<Self::WatchJobsStream>, Status> {
        self.watch_events(request.get_ref()).map(Response::new)
    }

    async fn list_job_events(
        &self,
        request: Request<pb::ListJobEventsRequest>,
    ) -> Result<Response<pb::ListJobEventsResponse>, Status> {
        self.list_events(request.get_ref()).map(Response::new)
    }

    async fn cancel_job(
        &self,
        request: Request<pb::CancelJobRequest>,
    ) -> Result<Response<pb::CancelJobResponse>, Status> {
        let request = request.get_ref();
        let id = job_id(&request.job_id)?;
        let detail = convert::detail("reason", &request.reason).map_err(|err| to_status(&err))?;
        convert::request_id("request_id", &request.request_id).map_err(|err| to_status(&err))?;
        // Not live: finished, and shown as it is, or unknown.
        self.driver.cancel(id, detail).await.map_err(|err| to_status(&err))?;
        let job = self.job(id).map_err(|err| to_status(&err))?;
        Ok(Response::new(pb::CancelJobResponse { job: Some(convert::job_to_wire(job)) }))
    }

    async fn abandon_job(
        &self,
        request: Request<pb::AbandonJobRequest>,
    ) -> Result<Response<pb::AbandonJobResponse>, Status> {
        self.abandon(request.get_ref()).await.map(Response::new)
    }

    async fn update_job(
        &self,
        request: Request<pb::UpdateJobRequest>,
    ) -> Result<Response<pb::UpdateJobResponse>, Status> {
        self.update_place(request.get_ref()).await.map(Response::new)
    }

    async fn explain_job(
        &self,
        request: Request<pb::ExplainJobRequest>,
    ) -> Result<Response<pb::ExplainJobResponse>, Status> {
        self.explain(request.get_ref()).await.map(Response::new)
    }

    async fn requeue_job(
        &self,
        request: Request<pb::RequeueJobRequest>,
    ) -> Result<Response<pb::RequeueJobResponse>, Status> {
        self.requeue_one(request.get_ref()).await.map(Response::new)
    }

    async fn requeue_jobs(
        &self,
        request: Request<pb::RequeueJobsRequest>,
    ) -> Result<Response<pb::RequeueJobsResponse>, Status> {
        self.requeue_some(request.get_ref()).await.map(Response::new)
    }

    async fn purge_jobs(
        &self,
        request: Request<pb::PurgeJobsRequest>,
    ) -> Result<Response<pb::PurgeJobsResponse>, Status> {
        self.purge_some(request.get_ref()).await.map(Response::new)
    }

    async fn get_job_result(
        &self,
        request: Request<pb::GetJobResultRequest>,
    ) -> Result<Response<pb::GetJobResultResponse>, Status> {
        let id = job_id(&request.get_ref().job_id)?;
        let result = self.result(id).map_err(|err| to_status(&err))?;
        Ok(Response::new(convert::result_to_wire(result)))
    }

    async fn read_job_logs(
        &self,
        request: Request<pb::ReadJobLogsRequest>,
    ) -> Result<Response<pb::ReadJobLogsResponse>, Status> {
        self.read_logs(request.get_ref()).map(Response::new)
    }

    type TailJobLogsStream = Answers<pb::TailJobLogsResponse>;

    async fn tail_job_logs(
        &self,
        request: Request<pb::TailJobLogsRequest>,
    ) -> Result<Response<Self::TailJobLogsStream>, Status> {
        self.tail_logs(request.get_ref()).map(Response::new)
    }
}
