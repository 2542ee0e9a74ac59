//! `windlass worker get`: one worker.

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::print_workers;
use crate::pools::WorkerArgs;

/// Shows the worker.
pub(crate) async fn get(client: &Client, global: &Global, args: &WorkerArgs) -> Result<Exit, Failure> {
    let place = args.resolve(client).await?;
    let worker = client.patiently("show the worker", || client.get_worker(&place.agent_id, &args.worker)).await?;
    print_workers(global.output, &[worker])?;
    Ok(Exit::OK)
}
