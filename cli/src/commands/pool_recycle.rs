//! `windlass pool recycle`: every worker of a pool is replaced by a new one.

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::print_pool;
use crate::pools::PoolArgs;
use crate::submit::request_id;

/// Which pool, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: PoolArgs,
    /// Kill the workers with what they run, instead of letting each finish its call first
    #[arg(long)]
    force: bool,
}

/// Recycles the pool and shows how it stands now.
pub(crate) async fn recycle(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let place = args.which.resolve(client).await?;
    // One id for all tries: a repeat without it would replace the new workers too.
    let request = request_id()?;
    let pool = client.patiently("recycle the pool", || client.recycle_pool(&place, args.force, &request)).await?;
    print_pool(global.output, &pool)?;
    Ok(Exit::OK)
}
