//! `windlass limit delete`: takes back what was set.

use super::limit_get::LimitArgs;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::print_limits;

/// Takes the limits back and shows what holds now.
pub(crate) async fn delete(client: &Client, global: &Global, args: &LimitArgs) -> Result<Exit, Failure> {
    let mut limits = Vec::new();
    for key in &args.keys {
        limits.push(client.patiently("delete the limit", || client.delete_limit(key)).await?);
    }
    print_limits(global.output, &limits)?;
    Ok(Exit::OK)
}
