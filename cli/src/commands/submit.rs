//! `windlass submit`: puts jobs on record and leaves them to the cluster.

use tokio_util::sync::CancellationToken;
use windlass_shared::pb::{self, batch_submit_jobs_result::Result as ItemResult};

use crate::cli::Global;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::last;
use crate::output::{Format, Json, interject, print};
use crate::spec::{Plan, WorkArgs};
use crate::submit::{Submission, submit as submit_all, submit_one};

/// Submits and prints the ids.
pub(crate) async fn submit(client: &Client, global: &Global, args: &WorkArgs) -> Result<Exit, Failure> {
    let plan = Plan::new(args)?;
    if !plan.is_each() {
        let job = submit_one(client, &plan).await?;
        last::remember(client.address(), std::iter::once(&job.id));
        print(&one(global.output, &job)?)?;
        return Ok(Exit::OK);
    }
    let submission = submit_all(client, &plan, &CancellationToken::new()).await;
    last::remember(client.address(), submission.accepted().map(|(_, id)| id));
    print(&many(global.output, &plan, &submission)?)?;
    tell(&plan, submission)
}

fn one(format: Format, job: &pb::Job) -> Result<String, Failure> {
    match format {
        Format::Table => Ok(format!("submitted {}\n", job.id)),
        Format::Id => Ok(format!("{}\n", job.id)),
        Format::Json => Json::new()?.document(job),
        Format::Jsonl => Json::new()?.lines([job]),
    }
}

fn many(format: Format, plan: &Plan, submission: &Submission) -> Result<String, Failure> {
    match format {
        Format::Table => {
            Ok(submission.accepted().map(|(index, id)| format!("submitted {id}  {}\n", plan.title(index))).collect())
        }
        Format::Id => Ok(submission.accepted().map(|(_, id)| format!("{id}\n")).collect()),
        Format::Json => {
            Json::new()?.document(&pb::BatchSubmitJobsResponse { results: without_details(&submission.results) })
        }
        Format::Jsonl => Json::new()?.lines(&without_details(&submission.results)),
    }
}

// Their types are not part of the contract, so JSON cannot show them; the message says the same.
fn without_details(results: &[pb::BatchSubmitJobsResult]) -> Vec<pb::BatchSubmitJobsResult> {
    let mut results = results.to_vec();
    for result in &mut results {
        if let Some(ItemResult::Error(error)) = &mut result.result {
            error.details.clear();
        }
    }
    results
}

// The ids are out; what was refused is told beside them, and decides the exit code.
fn tell(plan: &Plan, submission: Submission) -> Result<Exit, Failure> {
    let refused = submission.refused(plan);
    for failure in &refused {
        interject(&failure.to_string());
    }
    if let Some(failure) = submission.broken {
        let (done, all) = (submission.results.len(), plan.len());
        return Err(failure.because([format!("{done} of {all} items were sent and answered before")]));
    }
    Ok(refused.first().map_or(Exit::OK, |failure| failure.exit))
}
