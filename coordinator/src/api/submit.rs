//! Jobs come in: decoded once here for what the scheduler must know, and kept as the bytes that arrived.

use bytes::Bytes;
use tonic::Status;
use windlass_core::{Refusal, Submission};
use windlass_shared::convert;
use windlass_shared::fault::{Fault, Invalid};
use windlass_shared::ids::JobId;
use windlass_shared::limits::BATCH_ITEMS_MAX;
use windlass_shared::pb::{
    BatchSubmitJobsRequest, BatchSubmitJobsResponse, BatchSubmitJobsResult, SubmitJobRequest, SubmitJobResponse,
    batch_submit_jobs_result,
};
use windlass_shared::status::{to_item, to_status};

use super::Api;
use super::error::ApiError;

const NO_REQUEST_IDS: ApiError = ApiError::Unimplemented(
    "request_id: this coordinator keeps nothing over a restart, so it cannot promise that a repeated submit makes one job; \
     leave it out",
);

impl Api {
    pub(super) async fn submit(&self, request: SubmitJobRequest) -> Result<SubmitJobResponse, Status> {
        let (submission, spec) = self.admit(&request)?;
        let id = submission.job;
        let answers = self.driver.submit(vec![submission], vec![(id, spec)]).await.map_err(|err| to_status(&err))?;
        if let Some(Err(refusal)) = answers.first() {
            return Err(to_status(refusal));
        }
        let view = self.records.job(id).ok_or_else(|| to_status(&ApiError::NoSuchJob(id)))?;
        Ok(SubmitJobResponse { job: Some(convert::job_to_wire(view)) })
    }

    pub(super) async fn batch_submit(
        &self,
        request: BatchSubmitJobsRequest,
    ) -> Result<BatchSubmitJobsResponse, Status> {
        let count = request.requests.len();
        if count == 0 || count > BATCH_ITEMS_MAX {
            let wrong = format!("holds {count}, must be 1 to {BATCH_ITEMS_MAX} (BATCH_ITEMS_MAX)");
            return Err(to_status(&Invalid::one("requests", wrong)));
        }
        let (mut jobs, mut specs, mut results) = (Vec::new(), Vec::new(), Vec::with_capacity(count));
        for (i, item) in request.requests.iter().enumerate() {
            results.push(match self.admit_item(i, item) {
                Ok((submission, spec)) => {
                    specs.push((submission.job, spec));
                    jobs.push(submission);
                    accepted(specs[specs.len() - 1].0)
                }
                Err(refused) => refused,
            });
        }
        if !jobs.is_empty() {
            let answers = self.driver.submit(jobs, specs).await.map_err(|err| to_status(&err))?;
            merge(&mut results, answers);
        }
        Ok(BatchSubmitJobsResponse { results })
    }

    fn admit(&self, request: &SubmitJobRequest) -> Result<(Submission, Bytes), Status> {
        if !request.request_id.is_empty() {
            return Err(to_status(&NO_REQUEST_IDS));
        }
        let header = convert::read_header(&request.spec).map_err(|err| to_status(&err))?;
        // Copied: the wire's buffer holds the whole message, and a spec is kept far longer than that.
        Ok((Submission { job: self.ids.next(), header }, Bytes::copy_from_slice(&request.spec)))
    }

    fn admit_item(&self, i: usize, request: &SubmitJobRequest) -> Result<(Submission, Bytes), BatchSubmitJobsResult> {
        if !request.request_id.is_empty() {
            return Err(refused(&NO_REQUEST_IDS));
        }
        let header =
            convert::read_header(&request.spec).map_err(|err| refused(&err.within(&format!("requests[{i}]"))))?;
        Ok((Submission { job: self.ids.next(), header }, Bytes::copy_from_slice(&request.spec)))
    }
}

fn accepted(id: JobId) -> BatchSubmitJobsResult {
    BatchSubmitJobsResult { result: Some(batch_submit_jobs_result::Result::JobId(id.to_string())) }
}

fn refused(fault: &impl Fault) -> BatchSubmitJobsResult {
    BatchSubmitJobsResult { result: Some(batch_submit_jobs_result::Result::Error(to_item(fault))) }
}

/// Puts the driver's refusals in the places of the jobs they are about.
fn merge(results: &mut [BatchSubmitJobsResult], answers: Vec<Result<(), Refusal>>) {
    let admitted =
        |result: &&mut BatchSubmitJobsResult| matches!(result.result, Some(batch_submit_jobs_result::Result::JobId(_)));
    for (result, answer) in results.iter_mut().filter(admitted).zip(answers) {
        if let Err(refusal) = answer {
            *result = refused(&refusal);
        }
    }
}
