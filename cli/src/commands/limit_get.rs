//! `windlass limit get`: what holds for keys, and what is in use of them.

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::print_limits;

/// Which limits.
#[derive(Debug, clap::Args)]
pub(crate) struct LimitArgs {
    /// Keys, or beginnings of keys with * at the end, in quotes
    #[arg(required = true, value_name = "KEY")]
    pub(super) keys: Vec<String>,
}

/// Shows the limits.
pub(crate) async fn get(client: &Client, global: &Global, args: &LimitArgs) -> Result<Exit, Failure> {
    let mut limits = Vec::new();
    for key in &args.keys {
        limits.push(client.patiently("show the limit", || client.get_limit(key)).await?);
    }
    print_limits(global.output, &limits)?;
    Ok(Exit::OK)
}
