//! `windlass job abandon`: gives jobs up whose agents are out of touch.

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::{job_table, print_jobs};
use crate::refs::{self, RefArgs};
use crate::submit::request_id;

/// Which jobs, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: RefArgs,
    /// Why, for whoever looks at the job later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Gives the jobs up and shows how each stands now.
pub(crate) async fn abandon(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let mut jobs = Vec::new();
    for id in refs::resolve(client, &args.which).await? {
        // One id for all tries: an answer that got lost is asked for again without saying the word twice.
        let request = request_id()?;
        jobs.push(client.patiently("abandon the job", || client.abandon_job(&id, &args.reason, &request)).await?);
    }
    print_jobs(global.output, &jobs, job_table)?;
    Ok(Exit::OK)
}
