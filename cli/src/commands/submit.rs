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
use crate::submit::{Submission, request_id, submit as submit_all, submit_one};

/// What to submit, and as what.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Id of this very submit, up to 36 printable ASCII characters: for 24 h the same id makes no second job
    /// [default: a random one]
    #[arg(long, value_name = "ID", conflicts_with = "each", help_heading = "Promises")]
    request_id: Option<String>,
    #[command(flatten)]
    work: WorkArgs,
}

/// Submits and prints the ids.
pub(crate) async fn submit(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let plan = Plan::new(&args.work)?;
    if !plan.is_each() {
        let id = args.request_id.clone().map_or_else(request_id, Ok)?;
        let job = submit_one(client, &plan, &id).await.map_err(|failure| in_doubt(failure, &id))?;
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

// Of a call that broke on its way nobody knows whether the job is on record; under the same id it is safe to ask again.
fn in_doubt(failure: Failure, id: &str) -> Failure {
    if failure.exit != Exit::UNREACHABLE {
        return failure;
    }
    failure
        .because(["the job may be on record all the same".to_owned()])
        .remedy(format!("the same command with --request-id {id}: it makes no second job"))
}

// The ids are out; what was refused is told beside them, and decides the exit code.
fn tell(plan: &Plan, submission: Submission) -> Result<Exit, Failure> {
    let refused = submission.refused(plan);
    for failure in &refused {
        interject(&failure.to_string());
    }
    if let Some(failure) = submission.broken {
        let (done, all) = (submission.results.len(), plan.len());
        let unsure = (failure.exit == Exit::UNREACHABLE).then(|| "the next ones may be on record all the same".into());
        let told = format!("{done} of {all} items were sent and answered before");
        return Err(failure.because([told]).because(unsure));
    }
    Ok(refused.first().map_or(Exit::OK, |failure| failure.exit))
}
