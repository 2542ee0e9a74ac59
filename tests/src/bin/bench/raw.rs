//! The raw limit of running programs: wardens and keepers exactly as an agent has them, with nothing above them.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use windlass_worker_agent::containment::{Choice, Containment, Setting};
use windlass_worker_agent::process::{Confinement, Limit, Resource, SpawnSpec, User, Warden, WardenOptions};

use crate::cluster::word;

/// Hidden first argument of this bench's own executable: one process with one warden.
pub(crate) const ROLE: &str = "__raw";

/// Time to end what a raw run of the same number has left: there is none.
const LEFT_MAX: Duration = Duration::from_secs(1);

/// What is spawned how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw {
    pub(crate) containment: Choice,
    /// With everything that an agent can confine a command by, in place of nothing.
    pub(crate) full: bool,
    /// MiB that the process with the warden has in memory beside its own.
    pub(crate) ballast_mib: usize,
}

impl Raw {
    /// Nothing but the containment.
    pub(crate) fn bare(containment: Choice) -> Self {
        Self { containment, full: false, ballast_mib: 0 }
    }
}

/// Spawns per second of `processes` agents' worth of wardens with `slots` attempts each, `jobs` in all, in this containment.
pub(crate) fn spawn_rate(processes: usize, slots: usize, jobs: usize, raw: Raw) -> Result<f64, OsString> {
    let own = std::env::current_exe().map_err(|err| format!("own path: {err}"))?;
    let share = (jobs / processes).to_string();
    let start = |_| {
        let mut command = Command::new(&own);
        command.args([ROLE, &slots.to_string(), &share, word(raw.containment)]);
        command.args([if raw.full { "full" } else { "bare" }, &raw.ballast_mib.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
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
    let (Some(slots), Some(jobs), Some(ballast)) = (number(0), number(1), number(4)) else { return ExitCode::FAILURE };
    let confinement = if args.get(3).is_some_and(|arg| arg == "full") { full() } else { Confinement::default() };
    // Written to, so that it is there; kept to the end.
    let ballast = std::hint::black_box(vec![1_u8; ballast << 20]);
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    let Some(containment) = args.get(2).and_then(|arg| contain(OsStr::to_str(arg)?)) else { return ExitCode::FAILURE };
    let took = runtime.block_on(spawn_all(slots, jobs, containment.clone(), &confinement));
    drop(ballast);
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

/// All that an agent can confine a command by; becoming somebody else is root's.
fn full() -> Confinement {
    let nobody = User { uid: 65_534, gid: 65_534, groups: vec![65_534] };
    let limit = |resource, hard| Limit { resource, soft: Some(hard), hard: Some(hard) };
    Confinement {
        oom_score_adj: Some(500),
        nice: 5,
        limits: vec![
            limit(Resource::Core, 0),
            limit(Resource::Nofile, 4_096),
            limit(Resource::Fsize, 1 << 40),
            limit(Resource::Cpu, 3_600),
            limit(Resource::Stack, 8 << 20),
        ],
        umask: Some(0o022),
        user: rustix::process::getuid().is_root().then_some(nobody),
        no_new_privs: true,
    }
}

async fn spawn_all(slots: usize, jobs: usize, containment: Containment, confinement: &Confinement) -> Option<Duration> {
    let (warden, task) = Warden::start(WardenOptions { containment, ..WardenOptions::default() }).ok()?;
    let mut workers = tokio::task::JoinSet::new();
    let mut keeping = tokio::task::JoinSet::new();
    keeping.spawn(task);
    let began = Instant::now();
    for slot in 0..slots {
        let share = jobs / slots + usize::from(slot < jobs % slots);
        workers.spawn(spawn_some(warden.clone(), share, confinement.clone()));
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
async fn spawn_some(warden: Warden, jobs: usize, confinement: Confinement) -> bool {
    for _ in 0..jobs {
        let spec = SpawnSpec {
            argv: vec![b"/bin/true".to_vec()],
            env: vec![(b"PATH".to_vec(), b"/usr/bin:/bin".to_vec())],
            cwd: PathBuf::from("/"),
            confinement: confinement.clone(),
            ..SpawnSpec::default()
        };
        let Ok(mut process) = warden.spawn(spec).await else { return false };
        process.events.leader_exit().await;
        process.events.tree_end().await;
    }
    true
}
