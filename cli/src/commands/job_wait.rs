//! `windlass wait`: until jobs are over, or a time has passed.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use windlass_shared::limits::WAIT_MAX;
use windlass_shared::{convert, pb};

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fanout;
use crate::global::Global;
use crate::humane::{count, parse_duration, show_duration};
use crate::output::{interject, job_table, print_jobs};
use crate::refs::{self, RefArgs};

/// Past the time given, what an answer may need to arrive.
const ANSWER_SLACK: Duration = Duration::from_secs(2);

/// Which jobs, and how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    jobs: RefArgs,
    /// Longest wait, such as 30s or 10m; then exit with 124. The jobs go on [default: no end]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

/// Waits for all of them, and shows how they ended.
pub(crate) async fn wait(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let ids = refs::resolve(client, &args.jobs).await?;
    let deadline = args.timeout.map(|limit| Instant::now() + limit);
    let answers = fanout::each(ids, |id| {
        let client = client.clone();
        async move { wait_for(&client, &id, deadline).await }
    });
    let answers = answers.await.into_iter().collect::<Result<Vec<(pb::Job, bool)>, Failure>>()?;
    let late = answers.iter().filter(|(_, done)| !done).count();
    let jobs: Vec<pb::Job> = answers.into_iter().map(|(job, _)| job).collect();
    print_jobs(global.output, &jobs, job_table)?;
    if late > 0 {
        let limit = args.timeout.map(show_duration).unwrap_or_default();
        interject(&format!("after {limit}, {} not over yet", count(late, "job")));
        return Ok(Exit::TIMED_OUT);
    }
    Ok(Exit::of_jobs(jobs.iter().map(|job| convert::job_state(job.state))))
}

/// The job, and whether it is over.
pub(super) async fn wait_for(client: &Client, id: &str, deadline: Option<Instant>) -> Result<(pb::Job, bool), Failure> {
    loop {
        let left = deadline.map_or(WAIT_MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        let asked = client.patiently("wait for the job", || client.wait_job(id, left));
        let answer = match deadline {
            // The bound is a bound, also where the coordinator does not answer: then nobody can say how the job stands.
            Some(deadline) => match timeout_at(deadline + ANSWER_SLACK, asked).await {
                Ok(answer) => answer,
                Err(_) => {
                    let text = format!("the coordinator did not answer in time, so how job {id} stands is not known");
                    Err(Failure::new(Exit::UNREACHABLE, "WAIT_UNANSWERED", text))
                }
            },
            None => asked.await,
        };
        let (job, done) = answer?;
        if done || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok((job, done));
        }
    }
}
