//! Submitting a plan: one call for one job, batches for many.

use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use windlass_shared::pb::{self, batch_submit_jobs_result::Result as ItemResult};

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::spec::Plan;

/// Jobs in one call: enough that calls cost nothing beside the jobs, few enough that Ctrl-C is heard soon.
const BATCH_ITEMS_MAX: usize = 1_000;
/// Bytes in one call: three quarters of what a gRPC message may hold, so that framing never matters.
const BATCH_BYTES_MAX: usize = 3 << 20;

/// What became of a plan.
#[derive(Debug, Default)]
pub(crate) struct Submission {
    /// One for each item, in order; fewer where it broke off.
    pub(crate) results: Vec<pb::BatchSubmitJobsResult>,
    /// Why the rest was not submitted.
    pub(crate) broken: Option<Failure>,
}

impl Submission {
    /// Items and ids of the jobs on record.
    pub(crate) fn accepted(&self) -> impl Iterator<Item = (usize, &String)> {
        self.results.iter().enumerate().filter_map(|(index, result)| match &result.result {
            Some(ItemResult::JobId(id)) => Some((index, id)),
            _ => None,
        })
    }

    /// Items that were refused, and why.
    pub(crate) fn refused(&self, plan: &Plan) -> Vec<Failure> {
        let failures = self.results.iter().enumerate().filter_map(|(index, result)| match &result.result {
            Some(ItemResult::JobId(_)) => None,
            Some(ItemResult::Error(item)) => {
                let details = item.encode_to_vec().into();
                let status = Status::with_details(Code::from(item.code), &item.message, details);
                Some(refusal(index, &plan.title(index), &status))
            }
            None => Some(refusal(index, &plan.title(index), &Status::internal("no result came back"))),
        });
        failures.collect()
    }
}

// Field paths count within a call; people count within their input.
fn refusal(index: usize, title: &str, status: &Status) -> Failure {
    let mut failure = Failure::refused(format_args!("submit item {index} ({title})"), status);
    for line in &mut failure.why {
        if let Some((_, path)) = line.strip_prefix("requests[").and_then(|rest| rest.split_once(']')) {
            *line = format!("requests[{index}]{path}");
        }
    }
    failure
}

/// Submits the whole plan; between two calls `stop` breaks it off.
pub(crate) async fn submit(client: &Client, plan: &Plan, stop: &CancellationToken) -> Submission {
    let mut submission = Submission::default();
    let mut index = 0;
    while index < plan.len() && !stop.is_cancelled() {
        let sent = match next_batch(plan, index) {
            Ok(batch) => {
                index += batch.len();
                submit_batch(client, plan, batch, stop).await
            }
            Err(failure) => Err(failure),
        };
        match sent {
            Ok(results) => submission.results.extend(results),
            Err(failure) => {
                submission.broken = Some(failure);
                break;
            }
        }
    }
    submission
}

fn next_batch(plan: &Plan, from: usize) -> Result<Vec<pb::SubmitJobRequest>, Failure> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    for index in (from..plan.len()).take(BATCH_ITEMS_MAX) {
        let request = pb::SubmitJobRequest { spec: plan.spec(index), request_id: request_id()? };
        bytes += request.encoded_len() + 8;
        // One alone goes out whatever its size: the coordinator names the limit it breaks.
        if bytes > BATCH_BYTES_MAX && !batch.is_empty() {
            break;
        }
        batch.push(request);
    }
    Ok(batch)
}

async fn submit_batch(
    client: &Client,
    plan: &Plan,
    batch: Vec<pb::SubmitJobRequest>,
    stop: &CancellationToken,
) -> Result<Vec<pb::BatchSubmitJobsResult>, Failure> {
    if let (false, [request]) = (plan.is_each(), &*batch) {
        let (job, existing) = admitted(client, stop, || client.submit(request.clone())).await?;
        return Ok(vec![pb::BatchSubmitJobsResult { result: Some(ItemResult::JobId(job.id)), existing }]);
    }
    let sent = batch.len();
    let results = admitted(client, stop, || client.submit_batch(batch.clone())).await?;
    if results.len() == sent {
        return Ok(results);
    }
    let status = Status::internal(format!("{sent} jobs were sent, {} results came back", results.len()));
    Err(Failure::refused("submit the jobs", &status))
}

/// Submits the one job of a plan under this request id. The job, and whether it was there before.
pub(crate) async fn submit_one(client: &Client, plan: &Plan, id: &str) -> Result<(pb::Job, bool), Failure> {
    let request = pb::SubmitJobRequest { spec: plan.spec(0), request_id: id.to_owned() };
    admitted(client, &CancellationToken::new(), || client.submit(request.clone())).await
}

/// A fresh id for a submit.
pub(crate) fn request_id() -> Result<String, Failure> {
    let mut random = [0; 16];
    let drawn = getrandom::fill(&mut random);
    drawn.map_err(|err| Failure::new(Exit::OTHER, "IO", format!("cannot draw a request id: {err}")))?;
    Ok(uuid::Builder::from_random_bytes(random).into_uuid().to_string())
}

// Repeats what the coordinator turned away with a time to come back, and what broke on its way: nobody knows whether that
// is on record, and under the same request ids it makes no difference.
async fn admitted<T, F>(client: &Client, stop: &CancellationToken, call: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Status>>,
{
    let mut patience = client.patience();
    loop {
        let status = match call().await {
            Ok(answer) => return Ok(answer),
            Err(status) => status,
        };
        let failure = client.failure("submit", &status);
        let borne = tokio::select! {
            verdict = patience.bear(status) => verdict.is_ok(),
            () = stop.cancelled() => false,
        };
        if !borne {
            return Err(failure);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_has_an_id_of_its_own_that_the_coordinator_takes() {
        let (one, other) = (request_id().expect("random"), request_id().expect("random"));
        assert_ne!(one, other);
        assert_eq!(windlass_shared::convert::request_id("request_id", &one), Ok(()));
        assert_eq!((one.len(), one.as_bytes()[14]), (36, b'4'));
    }

    #[test]
    fn field_paths_count_within_the_whole_input() {
        let invalid = windlass_shared::fault::Invalid::one("requests[3].spec.exec.argv[1]", "holds a NUL");
        let failure = refusal(2_003, "x", &windlass_shared::status::to_status(&invalid));
        assert_eq!(failure.why, ["requests[2003].spec.exec.argv[1] holds a NUL"]);
        assert!(failure.what.starts_with("cannot submit item 2003 (x)"), "{failure}");
    }
}
