//! `windlass job cancel`: asks for jobs to be stopped.

use windlass_shared::pb;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fanout;
use crate::global::Global;
use crate::output::{job_table, print_jobs};
use crate::refs::{self, RefArgs};

/// Which jobs, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    jobs: RefArgs,
    /// Why, for whoever looks at the jobs later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Cancels the jobs and shows how each stands now. One that had already ended stays as it was.
pub(crate) async fn cancel(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let ids = refs::resolve(client, &args.jobs).await?;
    let answers = fanout::each(ids, |id| {
        let (client, reason) = (client.clone(), args.reason.clone());
        async move { client.patiently("cancel the job", || client.cancel_job(&id, &reason)).await }
    });
    // Every job was asked for before the first refusal is told.
    let (jobs, refused): (Vec<_>, Vec<_>) = answers.await.into_iter().partition(Result::is_ok);
    let jobs: Vec<pb::Job> = jobs.into_iter().flatten().collect();
    if !jobs.is_empty() {
        print_jobs(global.output, &jobs, job_table)?;
    }
    refused.into_iter().find_map(Result::err).map_or(Ok(Exit::OK), Err)
}
