//! `windlass worker logs`: the end of what a worker wrote outside of calls.

use std::io::Write;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::{Format, Json, interject, print};
use crate::pools::WorkerArgs;

/// Whose, and how much of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: WorkerArgs,
    /// Bytes at most, up to 65536 [default: 8192]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    tail: Option<u32>,
}

/// Prints it as the worker wrote it; what a call wrote is in the log of its job.
pub(crate) async fn logs(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let place = args.which.resolve(client).await?;
    let call = || client.worker_logs(&place.agent_id, &args.which.worker, args.tail);
    let logs = client.patiently("show what the worker wrote", call).await?;
    match global.output {
        Format::Json => print(&Json::new()?.document(&logs)?)?,
        Format::Jsonl => print(&Json::new()?.lines([&logs])?)?,
        Format::Id => return Err(Failure::usage("what a worker wrote has no id")),
        Format::Table => {
            if logs.bytes_before > 0 {
                interject(&format!("--- {} bytes before this ---", logs.bytes_before));
            }
            let mut out = std::io::stdout().lock();
            let written = out.write_all(&logs.data).and_then(|()| out.flush());
            written.map_err(|err| Failure::io("write to standard output", &err))?;
        }
    }
    Ok(Exit::OK)
}
