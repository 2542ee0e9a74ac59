//! `windlass queue purge`: cancels what waits in queues; what runs goes on.

use super::queue_get::QueueArgs;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::print_queues;

/// Which queues, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: QueueArgs,
    /// Why, for whoever looks at the jobs later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Purges the queues, as many calls as that takes, and shows how each stands now.
pub(crate) async fn purge(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let mut queues = Vec::new();
    for name in &args.which.queues {
        while client.patiently("purge the queue", || client.purge_queue(name, &args.reason)).await?.more {}
        queues.push(client.patiently("show the queue", || client.get_queue(name)).await?);
    }
    print_queues(global.output, &queues)?;
    Ok(Exit::OK)
}
