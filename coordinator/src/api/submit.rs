//! Jobs come in: decoded once here for what the scheduler must know, and kept as the bytes that arrived.

use bytes::Bytes;
use tonic::Status;
use windlass_shared::convert;
use windlass_shared::fault::{Fault, Invalid};
use windlass_shared::ids::JobId;
use windlass_shared::limits::BATCH_ITEMS_MAX;
use windlass_shared::pb::{
    BatchSubmitJobsRequest, BatchSubmitJobsResponse, BatchSubmitJobsResult, SubmitJobRequest, SubmitJobResponse,
    batch_submit_jobs_result,
};
use windlass_shared::status::{Items, to_status};

use super::Api;
use crate::driver::{Incoming, RequestKey, SubmitError};

impl Api {
    pub(super) async fn submit(&self, request: SubmitJobRequest) -> Result<SubmitJobResponse, Status> {
        let incoming = self.admit(&request).map_err(|err| to_status(&err))?;
        let new = incoming.job;
        let mut taken = self.driver.submit(vec![incoming]).await.map_err(|err| to_status(&err))?;
        let id = taken.pop().unwrap_or(Err(SubmitError::Overloaded)).map_err(|err| to_status(&err))?;
        let view = self.job(id).map_err(|err| to_status(&err))?;
        Ok(SubmitJobResponse { existing: id != new, job: Some(convert::job_to_wire(view)) })
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
        let (mut admitted, mut refused, mut items) = (Vec::with_capacity(count), Vec::new(), Items::default());
        for (i, item) in request.requests.iter().enumerate() {
            match self.admit(item) {
                Ok(incoming) => admitted.push(incoming),
                Err(err) => refused.push((i, result(Err(&err.within(&format!("requests[{i}]"))), &mut items))),
            }
        }
        let new: Vec<JobId> = admitted.iter().map(|incoming: &Incoming| incoming.job).collect();
        let taken = match admitted.is_empty() {
            true => Vec::new(),
            false => self.driver.submit(admitted).await.map_err(|err| to_status(&err))?,
        };
        let mut answer = |(one, new): (&Result<JobId, SubmitError>, &JobId)| BatchSubmitJobsResult {
            existing: one.as_ref().is_ok_and(|id| id != new),
            ..result(one.as_ref().map(ToString::to_string), &mut items)
        };
        let mut results: Vec<_> = taken.iter().zip(&new).map(&mut answer).collect();
        // Back into the places they were asked from; in order, so that each place is there when it is filled.
        for (i, refusal) in refused {
            results.insert(i, refusal);
        }
        Ok(BatchSubmitJobsResponse { results })
    }

    fn admit(&self, request: &SubmitJobRequest) -> Result<Incoming, Invalid> {
        let header = convert::read_header(&request.spec)?;
        let request_key = request_key(request)?;
        // Copied: the wire's buffer holds the whole message, and a spec is kept far longer than that.
        let spec = Bytes::copy_from_slice(&request.spec);
        Ok(Incoming { job: self.ids.next(), header, spec, request: request_key })
    }
}

fn request_key(request: &SubmitJobRequest) -> Result<Option<RequestKey>, Invalid> {
    convert::request_id("request_id", &request.request_id)?;
    if request.request_id.is_empty() {
        return Ok(None);
    }
    // Honest retries of a protobuf map differ in bytes, so the digest is of the canonical form.
    let digest = *blake3::hash(&convert::canonical_spec(&request.spec)?).as_bytes();
    Ok(Some(RequestKey { id: request.request_id.as_str().into(), digest }))
}

fn result<E: Fault>(taken: Result<String, &E>, items: &mut Items) -> BatchSubmitJobsResult {
    let result = match taken {
        Ok(id) => batch_submit_jobs_result::Result::JobId(id),
        Err(fault) => batch_submit_jobs_result::Result::Error(items.item(fault)),
    };
    BatchSubmitJobsResult { result: Some(result), existing: false }
}
