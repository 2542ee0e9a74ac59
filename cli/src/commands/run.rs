//! `windlass run`: submits, shows what the jobs write, and answers with how they ended; `--local` brings its own cluster.

use std::pin::pin;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::interrupts::Interrupts;
use crate::local::Cluster;
use crate::output::Format;
use crate::session::Session;
use crate::spec::{ExecArgs, JobArgs, Plan};

/// Beside its grace, a cancelled job takes at most 10 s to be proven dead; the rest is for the way there and back.
const CANCEL_SLACK: Duration = Duration::from_secs(20);

/// What to run, and where.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("work").required(true).args(["argv"]))]
pub(crate) struct Args {
    /// Run on a throw-away cluster of N agents on this host, in your directory and with your environment; needs no
    /// coordinator
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "Local cluster")]
    local: Option<u16>,
    /// Jobs each local agent runs at a time [default: this host's processors]
    #[arg(long, value_name = "S", requires = "local", value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "Local cluster")]
    slots: Option<u32>,
    #[command(flatten)]
    job: JobArgs,
    #[command(flatten)]
    exec: ExecArgs,
}

/// Runs it.
pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, Failure> {
    if global.output != Format::Table {
        return Err(Failure::usage("run prints what the jobs write as it is, so -o has no say")
            .remedy("windlass submit -o id, then windlass wait -o json @last"));
    }
    // Reads standard input, perhaps for long; until here Ctrl-C just ends us.
    let plan = Plan::exec(&args.job, &args.exec)?;
    let interrupts = Interrupts::listen()?;
    match args.local {
        Some(agents) => local(plan.in_callers_place()?, agents.into(), args.slots, interrupts).await,
        None => remote(&plan, global, interrupts).await,
    }
}

async fn remote(plan: &Plan, global: &Global, mut interrupts: Interrupts) -> Result<Exit, Failure> {
    let stop = CancellationToken::new();
    let work = async {
        let client = tokio::select! {
            client = Client::connect(&global.address, global.patience) => client?,
            () = stop.cancelled() => return Ok(Exit::OK),
        };
        Session { client: &client, plan, stop: &stop, throw_away: false }.run().await
    };
    obey(work, &stop, &mut interrupts, plan.grace()).await.exit()
}

async fn local(plan: Plan, agents: usize, slots: Option<u32>, mut interrupts: Interrupts) -> Result<Exit, Failure> {
    let slots = slots.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get() as u32));
    let mut cluster = Cluster::new()?;
    let stop = CancellationToken::new();
    let work = async {
        let client = tokio::select! {
            client = cluster.start(agents, slots) => client?,
            () = stop.cancelled() => return Ok(Exit::OK),
        };
        let session = Session { client: &client, plan: &plan, stop: &stop, throw_away: true };
        tokio::select! {
            exit = session.run() => exit,
            failure = cluster.crashed() => Err(failure),
        }
    };
    let ended = obey(work, &stop, &mut interrupts, plan.grace()).await;
    match ended {
        Ended::Left(_) => cluster.abandon(),
        Ended::Done(_) | Ended::Interrupted(..) => cluster.close().await,
    }
    ended.exit()
}

/// How the work ended.
enum Ended {
    Done(Result<Exit, Failure>),
    /// By this signal; the jobs were cancelled, and this came of it.
    Interrupted(i32, Result<Exit, Failure>),
    /// By a second signal, at once; this was the first.
    Left(i32),
}

impl Ended {
    fn exit(self) -> Result<Exit, Failure> {
        match self {
            Self::Done(result) => result,
            Self::Interrupted(signal, Ok(_)) | Self::Left(signal) => Ok(Exit::signal(signal)),
            Self::Interrupted(signal, Err(failure)) => Err(Failure { exit: Exit::signal(signal), ..failure }),
        }
    }
}

// The first signal gives the word to stop and waits for the work to end by it; the second does not wait.
async fn obey(
    work: impl Future<Output = Result<Exit, Failure>>,
    stop: &CancellationToken,
    interrupts: &mut Interrupts,
    grace: Duration,
) -> Ended {
    let mut work = pin!(work);
    let signal = tokio::select! {
        result = &mut work => return Ended::Done(result),
        signal = interrupts.next() => signal,
    };
    stop.cancel();
    tokio::select! {
        result = work => Ended::Interrupted(signal, result),
        _ = interrupts.next() => Ended::Left(signal),
        () = sleep(grace.saturating_add(CANCEL_SLACK)) => {
            let what = "the jobs were asked to stop and have not";
            Ended::Interrupted(signal, Err(Failure::new(Exit::OTHER, "STILL_RUNNING", what)))
        }
    }
}
