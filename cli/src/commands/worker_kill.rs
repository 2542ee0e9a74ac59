//! `windlass worker kill`: ends one worker with the call it runs; another takes its place.

use std::time::Duration;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::humane::parse_duration;
use crate::output::print_workers;
use crate::pools::WorkerArgs;
use crate::spec::parse_signal;
use crate::submit::request_id;

/// Which worker, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: WorkerArgs,
    /// Signal to its whole process tree; KILL ends it without a grace [default: TERM]
    #[arg(long, value_name = "SIGNAL", value_parser = parse_signal)]
    signal: Option<i32>,
    /// Time from the signal to the kill, up to 1h [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    grace: Option<Duration>,
}

/// Kills the worker and shows how it stands now.
pub(crate) async fn kill(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let place = args.which.resolve(client).await?;
    let signal = args.signal.and_then(|signal| u32::try_from(signal).ok());
    // One id for all tries: a repeat without it would end whoever took the worker's place.
    let (request, who) = (request_id()?, (&*place.agent_id, &*args.which.worker));
    let kill = || client.kill_worker(who, (signal, args.grace), &request);
    print_workers(global.output, &[client.patiently("kill the worker", kill).await?])?;
    Ok(Exit::OK)
}
