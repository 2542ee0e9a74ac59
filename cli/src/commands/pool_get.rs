//! `windlass pool get`: one pool in full, as its agent answers.

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::print_pool;
use crate::pools::PoolArgs;

/// Shows the pool.
pub(crate) async fn get(client: &Client, global: &Global, args: &PoolArgs) -> Result<Exit, Failure> {
    let place = args.resolve(client).await?;
    let pool = client.patiently("show the pool", || client.get_pool(&place)).await?;
    print_pool(global.output, &pool)?;
    Ok(Exit::OK)
}
