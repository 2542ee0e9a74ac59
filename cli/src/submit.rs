//! Submitting a plan: one call for one job, batches for many.

use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use windlass_shared::pb::{self, batch_submit_jobs_result::Result as ItemResult};
use windlass_shared::status::told;

use crate::client::{Client, is_broken};
use crate::failure::Failure;
use crate::patience::Patience;
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
        let batch = next_batch(plan, index);
        index += batch.len();
        match submit_batch(client, plan, batch).await {
            Ok(results) => submission.results.extend(results),
            Err(failure) => {
                submission.broken = Some(failure);
                break;
            }
        }
    }
    submission
}

fn next_batch(plan: &Plan, from: usize) -> Vec<pb::SubmitJobRequest> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    for index in (from..plan.len()).take(BATCH_ITEMS_MAX) {
        let request = pb::SubmitJobRequest { spec: plan.spec(index), request_id: String::new() };
        bytes += request.encoded_len() + 8;
        // One alone goes out whatever its size: the coordinator names the limit it breaks.
        if bytes > BATCH_BYTES_MAX && !batch.is_empty() {
            break;
        }
        batch.push(request);
    }
    batch
}

async fn submit_batch(
    client: &Client,
    plan: &Plan,
    batch: Vec<pb::SubmitJobRequest>,
) -> Result<Vec<pb::BatchSubmitJobsResult>, Failure> {
    if !plan.is_each() {
        let job = submit_one(client, plan).await?;
        return Ok(vec![pb::BatchSubmitJobsResult { result: Some(ItemResult::JobId(job.id)) }]);
    }
    let sent = batch.len();
    let results = admitted(client, || client.submit_batch(batch.clone())).await?;
    if results.len() == sent {
        return Ok(results);
    }
    let status = Status::internal(format!("{sent} jobs were sent, {} results came back", results.len()));
    Err(Failure::refused("submit the jobs", &status))
}

/// Submits the one job of a plan.
pub(crate) async fn submit_one(client: &Client, plan: &Plan) -> Result<pb::Job, Failure> {
    admitted(client, || client.submit(plan.spec(0))).await
}

// Repeats only what the coordinator turned away with a time to come back: of a call that broke on its way nobody knows
// whether the job is on record.
async fn admitted<T, F>(client: &Client, call: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Status>>,
{
    let mut patience = Patience::default();
    loop {
        let status = match call().await {
            Ok(answer) => return Ok(answer),
            Err(status) => status,
        };
        let turned_away = !is_broken(&status) && told(&status).retry_after.is_some();
        let verdict = if turned_away { patience.bear(status).await } else { Err(status) };
        verdict.map_err(|status| client.failure("submit", &status))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_paths_count_within_the_whole_input() {
        let invalid = windlass_shared::fault::Invalid::one("requests[3].spec.exec.argv[1]", "holds a NUL");
        let failure = refusal(2_003, "x", &windlass_shared::status::to_status(&invalid));
        assert_eq!(failure.why, ["requests[2003].spec.exec.argv[1] holds a NUL"]);
        assert!(failure.what.starts_with("cannot submit item 2003 (x)"), "{failure}");
    }
}
