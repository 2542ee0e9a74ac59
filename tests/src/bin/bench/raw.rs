//! The raw limit of running programs: wardens and keepers exactly as an agent has them, with nothing above them.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use windlass_worker_agent::containment::{Choice, Containment, Setting};
use windlass_worker_agent::process::{SpawnSpec, Warden, WardenOptions};

use crate::cluster::word;

/// Hidden first argument of this bench's own executable: one process with one warden.
pub(crate) const ROLE: &str = "__raw";

/// Time to end what a raw run of the same number has left: there is none.
const LEFT_MAX: Duration = Duration::from_secs(1);

/// Spawns per second of `processes` agents' worth of wardens with `slots` attempts each, `jobs` in all, in this containment.
pub(crate) fn spawn_rate(processes: usize, slots: usize, jobs: usize, containment: Choice) -> Result<f64, OsString> {
    let own = std::env::current_exe().map_err(|err| format!("own path: {err}"))?;
    let share = (jobs / processes).to_string();
    let start = |_| {
        let mut command = Command::new(&own);
        command.args([ROLE, &slots.to_string(), &share, word(containment)]).stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().map_err(|err| OsString::from(format!("{ROLE}: {err}")))
    };
    let children: Vec<_> = (0..processes).map(start).collect::<Result<_, _>>()?;
    let mut slowest = Duration::ZERO;
    for child in children {
        let output = child.wait_with_output().map_err(|err| format!("{ROLE}: {err}"))?;
        let micros: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|_| "a raw run failed")?;
        slowest = slowest.max(Duration::from_micros(micros));
    }
    let ran = jobs / processes * processes;
    Ok(per_second(ran, slowest))
}

#[allow(clippy::cast_precision_loss)] // counts far below 2^52
pub(crate) fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// Runs `/bin/true` so many times with so many in flight, and prints the microseconds it took.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let number = |at: usize| args.get(at).and_then(|arg| OsStr::to_str(arg)?.parse::<usize>().ok());
    let (Some(slots), Some(jobs)) = (number(0), number(1)) else { return ExitCode::FAILURE };
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    let Some(containment) = args.get(2).and_then(|arg| contain(OsStr::to_str(arg)?)) else { return ExitCode::FAILURE };
    let took = runtime.block_on(spawn_all(slots, jobs, containment.clone()));
    containment.leave();
    match took {
        Some(took) => {
            println!("{}", took.as_micros());
            ExitCode::SUCCESS
        }
        None => ExitCode::FAILURE,
    }
}

/// What an agent of that name would have.
fn contain(choice: &str) -> Option<Containment> {
    let setting = Setting { choice: Choice::from_str(choice, false).ok()?, root: None };
    let (containment, _none) = Containment::start(&setting, &format!("raw-{}", std::process::id()), LEFT_MAX).ok()?;
    Some(containment)
}

async fn spawn_all(slots: usize, jobs: usize, containment: Containment) -> Option<Duration> {
    let (warden, task) = Warden::start(WardenOptions { containment, ..WardenOptions::default() }).ok()?;
    let mut workers = tokio::task::JoinSet::new();
    let mut keeping = tokio::task::JoinSet::new();
    keeping.spawn(task);
    let began = Instant::now();
    for slot in 0..slots {
        let share = jobs / slots + usize::from(slot < jobs % slots);
        workers.spawn(spawn_some(warden.clone(), share));
    }
    let mut well = true;
    while let Some(worker) = workers.join_next().await {
        well &= worker.unwrap_or(false);
    }
    let took = began.elapsed();
    warden.stop().await;
    well.then_some(took)
}

/// One slot's work: a program at a time, read to its end and proven gone, as an agent would.
async fn spawn_some(warden: Warden, jobs: usize) -> bool {
    for _ in 0..jobs {
        let spec = SpawnSpec {
            argv: vec![b"/bin/true".to_vec()],
            env: vec![(b"PATH".to_vec(), b"/usr/bin:/bin".to_vec())],
            cwd: PathBuf::from("/"),
            ..SpawnSpec::default()
        };
        let Ok(mut process) = warden.spawn(spec).await else { return false };
        process.events.leader_exit().await;
        process.events.tree_end().await;
    }
    true
}
