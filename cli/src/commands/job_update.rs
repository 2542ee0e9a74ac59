//! `windlass job update`: gives jobs that wait another priority or queue.

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::{job_table, print_jobs};
use crate::refs::{self, RefArgs};

/// Which jobs, and what of them changes.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["priority", "queue"]))]
pub(crate) struct Args {
    #[command(flatten)]
    which: RefArgs,
    /// Their priority from now on, -100 to 100
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    priority: Option<i32>,
    /// Their queue from now on
    #[arg(long, value_name = "QUEUE", default_value = "", hide_default_value = true)]
    queue: String,
}

/// Changes the jobs and shows how each stands now.
pub(crate) async fn update(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let mut jobs = Vec::new();
    for id in refs::resolve(client, &args.which).await? {
        let change = || client.update_job(&id, args.priority, &args.queue);
        jobs.push(client.patiently("change the job", change).await?);
    }
    print_jobs(global.output, &jobs, job_table)?;
    Ok(Exit::OK)
}
