//! `windlass queue resume`: hands out the jobs of a queue again.

use super::queue_get::QueueArgs;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::print_queues;

/// Resumes the queues and shows how each stands now.
pub(crate) async fn resume(client: &Client, global: &Global, args: &QueueArgs) -> Result<Exit, Failure> {
    let mut queues = Vec::new();
    for name in &args.queues {
        queues.push(client.patiently("resume the queue", || client.resume_queue(name)).await?);
    }
    print_queues(global.output, &queues)?;
    Ok(Exit::OK)
}
