//! `windlass queue pause`: hands out nothing more from a queue; what runs goes on.

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
    /// Why, for whoever looks at the queue later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Pauses the queues and shows how each stands now.
pub(crate) async fn pause(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let mut queues = Vec::new();
    for name in &args.which.queues {
        queues.push(client.patiently("pause the queue", || client.pause_queue(name, &args.reason)).await?);
    }
    print_queues(global.output, &queues)?;
    Ok(Exit::OK)
}
