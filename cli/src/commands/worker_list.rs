//! `windlass worker list`: the workers of one pool.

use windlass_shared::pb;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::{Format, Json, print, print_workers};
use crate::pools::PoolArgs;

/// Lists the workers, and the empty places of those that may be started.
pub(crate) async fn list(client: &Client, global: &Global, args: &PoolArgs) -> Result<Exit, Failure> {
    let place = args.resolve(client).await?;
    let workers = client.patiently("list the workers", || client.list_workers(&place)).await?;
    match global.output {
        // Always the list here, even of one, so that its shape does not depend on what it holds.
        Format::Json => {
            let all = pb::ListWorkersResponse { workers, next_page_token: String::new() };
            print(&Json::new()?.document(&all)?)?;
        }
        format => print_workers(format, &workers)?,
    }
    Ok(Exit::OK)
}
