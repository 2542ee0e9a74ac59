//! `windlass queue get`: some queues, with what waits and what runs.

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::print_queues;

/// Which queues.
#[derive(Debug, clap::Args)]
pub(crate) struct QueueArgs {
    /// Names of the queues
    #[arg(required = true, value_name = "QUEUE")]
    pub(super) queues: Vec<String>,
}

/// Shows the queues.
pub(crate) async fn get(client: &Client, global: &Global, args: &QueueArgs) -> Result<Exit, Failure> {
    let mut queues = Vec::new();
    for name in &args.queues {
        queues.push(client.patiently("show the queue", || client.get_queue(name)).await?);
    }
    print_queues(global.output, &queues)?;
    Ok(Exit::OK)
}
