//! `windlass pool recycle`: every worker of a pool is replaced by a new one.

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::print_pool;
use crate::pools::PoolArgs;

/// Which pool, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: PoolArgs,
    /// Kill the workers with what they run, instead of letting each finish its call first
    #[arg(long)]
    force: bool,
}

/// Recycles the pool and shows how it stands now. Asked once only: a repeat would replace the new workers too.
pub(crate) async fn recycle(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let place = args.which.resolve(client).await?;
    let asked = client.recycle_pool(&place, args.force).await;
    print_pool(global.output, &asked.map_err(|status| client.failure("recycle the pool", &status))?)?;
    Ok(Exit::OK)
}
