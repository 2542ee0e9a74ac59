//! `windlass logs`: what jobs wrote, standard output to standard output, standard error to standard error.

use windlass_shared::pb::{self, log_chunk};

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::follow::{Lineup, Piece, Stream};
use crate::global::Global;
use crate::output::{Format, Screen};
use crate::refs::{self, RefArgs};

/// Bytes a call.
const PIECE_BYTES: u32 = 1 << 20;

/// Which jobs, and what of them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    jobs: RefArgs,
    /// Follow until the jobs are over, one after the other
    #[arg(short, long, conflicts_with_all = ["attempt", "only"])]
    follow: bool,
    /// Number of the attempt [default: the newest]
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    /// Only one of the two outputs
    #[arg(long, value_name = "STREAM")]
    only: Option<Only>,
}

/// The two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    Stdout,
    Stderr,
}

/// Shows what the jobs wrote.
pub(crate) async fn logs(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    if global.output != Format::Table {
        return Err(Failure::usage("logs prints what the jobs wrote as it is, so -o has no say"));
    }
    let ids = refs::resolve(client, &args.jobs).await?;
    let mut screen = Screen::new();
    if args.follow {
        return follow(client, &mut screen, ids).await;
    }
    for id in &ids {
        if args.only != Some(Only::Stderr) {
            read(client, &mut screen, id, args.attempt, Stream::Stdout).await?;
        }
        if args.only != Some(Only::Stdout) {
            read(client, &mut screen, id, args.attempt, Stream::Stderr).await?;
        }
    }
    Ok(Exit::OK)
}

async fn follow(client: &Client, screen: &mut Screen, ids: Vec<String>) -> Result<Exit, Failure> {
    let mut lineup = Lineup::new(client.clone(), ids);
    while let Some((_, piece)) = lineup.next().await {
        match piece {
            Piece::Output(stream, data) => pass(screen, stream, &data).await?,
            Piece::Dropped(stream, bytes) => dropped(screen, stream, bytes).await,
            Piece::Attempt(attempt) => screen.say(&format!("attempt {attempt}")).await,
            Piece::End(end) => {
                (*end)?;
            }
        }
    }
    Ok(Exit::OK)
}

// All of one stream that is there now.
async fn read(
    client: &Client,
    screen: &mut Screen,
    id: &str,
    attempt: Option<u32>,
    stream: Stream,
) -> Result<(), Failure> {
    let number = if stream == Stream::Stdout { log_chunk::Stream::Stdout } else { log_chunk::Stream::Stderr };
    let mut offset = 0;
    loop {
        let request = pb::ReadJobLogsRequest {
            job_id: id.to_owned(),
            attempt: attempt.unwrap_or(0),
            stream: number.into(),
            offset,
            max_bytes: PIECE_BYTES,
        };
        let page = client.patiently("read what the job wrote", || client.read_logs(request.clone())).await?;
        for chunk in &page.chunks {
            if chunk.offset > offset {
                dropped(screen, stream, chunk.offset - offset).await;
            }
            pass(screen, stream, &chunk.data).await?;
            offset = chunk.offset + chunk.data.len() as u64;
        }
        if page.complete || page.chunks.is_empty() {
            return Ok(());
        }
        offset = page.next_offset;
    }
}

async fn pass(screen: &mut Screen, stream: Stream, data: &[u8]) -> Result<(), Failure> {
    screen.pass(stream, data).await.map_err(|err| Failure::io("write to standard output", &err))
}

async fn dropped(screen: &mut Screen, stream: Stream, bytes: u64) {
    let name = if stream == Stream::Stdout { "standard output" } else { "standard error" };
    screen.say(&format!("{bytes} bytes of its {name} were not kept")).await;
}
