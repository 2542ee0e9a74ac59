//! `windlass submit`: puts jobs on record and leaves them to the cluster.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use windlass_shared::convert;
use windlass_shared::pb::{self, batch_submit_jobs_result::Result as ItemResult};

use super::job_result;
use super::job_wait::wait_for;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::humane::{parse_duration, show_duration};
use crate::output::{Format, Json, interject, print};
use crate::spec::{CallArgs, ExecArgs, JobArgs, Plan};
use crate::submit::{Submission, request_id, submit as submit_all, submit_one};
use crate::{explain, last};

/// What to submit, and as what.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("work").required(true).args(["argv", "handler"]))]
pub(crate) struct Args {
    /// Id of this very submit, up to 36 printable ASCII characters: for 24 h the same id makes no second job
    /// [default: a random one]
    #[arg(long, value_name = "ID", conflicts_with = "each", help_heading = "Promises")]
    request_id: Option<String>,
    #[command(flatten)]
    job: JobArgs,
    #[command(flatten)]
    call: CallArgs,
    /// Wait for the handler's answer and print it, or its error with exit code 3; a command is waited for by `run`
    #[arg(long, requires = "handler", conflicts_with = "argv", help_heading = "Call")]
    wait: bool,
    /// Longest wait; then exit with 124. The job goes on [default: no end]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "wait", help_heading = "Call")]
    wait_timeout: Option<Duration>,
    #[command(flatten)]
    exec: ExecArgs,
}

/// Submits and prints the ids, or, where it waits, the answer.
pub(crate) async fn submit(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    if args.wait && global.output != Format::Table {
        return Err(Failure::usage("submit --wait prints the answer as it is, so -o has no say")
            .remedy("windlass submit -o id, then windlass wait -o json @last"));
    }
    let plan = match &args.call.handler {
        Some(handler) => Plan::call(&args.job, handler, &args.call)?,
        None => Plan::exec(&args.job, &args.exec)?,
    };
    if plan.is_each() {
        return each(client, global, &plan).await;
    }
    let id = args.request_id.clone().map_or_else(request_id, Ok)?;
    let sent = submit_one(client, &plan, &id).await;
    let (job, existing) = sent.map_err(|failure| unquoted(in_doubt(failure, &id)))?;
    last::remember(client.address(), std::iter::once(&job.id));
    if args.wait {
        return answer(client, &plan, &job.id, args.wait_timeout).await;
    }
    print(&one(global.output, &job, existing)?)?;
    Ok(Exit::OK)
}

async fn answer(client: &Client, plan: &Plan, id: &str, limit: Option<Duration>) -> Result<Exit, Failure> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    let (job, done) = wait_for(client, id, deadline).await?;
    if !done {
        let limit = limit.map(show_duration).unwrap_or_default();
        interject(&format!("after {limit}, job {id} is not over yet; windlass job result {id} has its answer later"));
        return Ok(Exit::TIMED_OUT);
    }
    if let Some(line) = explain::failure(&job, &plan.title(0)) {
        interject(&line);
        return Ok(Exit::of_jobs([convert::job_state(job.state)]));
    }
    job_result::show(client, id, job_result::Ending::Line).await
}

async fn each(client: &Client, global: &Global, plan: &Plan) -> Result<Exit, Failure> {
    let submission = submit_all(client, plan, &CancellationToken::new()).await;
    last::remember(client.address(), submission.accepted().map(|(_, id)| id));
    print(&many(global.output, plan, &submission)?)?;
    tell(plan, submission)
}

fn one(format: Format, job: &pb::Job, existing: bool) -> Result<String, Failure> {
    match format {
        Format::Table if existing => Ok(format!("there already {}\n", job.id)),
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

// A shell takes the quotes of a JSON string for its own, which everybody meets once.
fn unquoted(failure: Failure) -> Failure {
    if !failure.why.iter().any(|line| line.starts_with("spec.call.input must be one JSON value")) {
        return failure;
    }
    failure.remedy(r#"--input '"text"' with both kinds of quotes, or --content-type text/plain"#)
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
