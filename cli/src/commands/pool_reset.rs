//! `windlass pool reset`: closes a pool's breaker and ends every backoff.

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::print_pool;
use crate::pools::PoolArgs;

/// Resets the pool and shows how it stands now.
pub(crate) async fn reset(client: &Client, global: &Global, args: &PoolArgs) -> Result<Exit, Failure> {
    let place = args.resolve(client).await?;
    let pool = client.patiently("reset the pool", || client.reset_pool(&place)).await?;
    print_pool(global.output, &pool)?;
    Ok(Exit::OK)
}
