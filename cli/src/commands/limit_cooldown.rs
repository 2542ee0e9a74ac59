//! `windlass limit cooldown`: nothing that names a key is handed out for a while.

use std::time::Duration;

use super::limit_get::LimitArgs;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::humane::parse_duration;
use crate::output::print_limits;

/// Which keys, and for how long.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["time", "clear"]))]
pub(crate) struct Args {
    #[command(flatten)]
    which: LimitArgs,
    /// How long from now on, in place of the cooldown it has: 30s, 5m
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    time: Option<Duration>,
    /// End it now
    #[arg(long)]
    clear: bool,
    /// Why, for whoever looks at the limit later
    #[arg(long, value_name = "TEXT", default_value = "", conflicts_with = "clear")]
    reason: String,
}

/// Lets the keys cool down, or ends that, and shows how each stands now.
pub(crate) async fn cooldown(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let mut limits = Vec::new();
    for key in &args.which.keys {
        let limit = match args.time {
            Some(time) => client.patiently("set the cooldown", || client.set_cooldown(key, time, &args.reason)).await?,
            None => client.patiently("clear the cooldown", || client.clear_cooldown(key)).await?,
        };
        limits.push(limit);
    }
    print_limits(global.output, &limits)?;
    Ok(Exit::OK)
}
