//! What an agent can be told, each with its unit, its default and why, and its bounds; and the limits nobody has needed to
//! change.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use windlass_shared::limits::{self, is_name};
use windlass_shared::time::Timestamp;

use crate::confine::ConfineOptions;
use crate::containment::Choice;
use crate::logs::LogOptions;
use crate::traits::TraitOptions;
use crate::worker::{PoolOptions, check_pools};

/// A drain longer than a day is a unit mistaken.
const DRAIN_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);
/// A month out of touch is a host that was given up.
const DETACH_MAX_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Nobody forks, opens and execs in less on a busy host.
const START_TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// What hangs for longer is not going to start.
const START_TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// What has not ended by then is not going to.
const LOCK_TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// Time for TCP to connect: well above any round trip, well below the lease.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time from the hello to the welcome. The coordinator answers once it is durable, which a slow disk may delay.
pub(crate) const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence on a connection after which it is probed, also while nothing is asked: a dead peer sends no FIN.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Time for the probe's answer; with the interval this is the lease of 15 s.
pub(crate) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Reports under way without an answer: four full messages, so that none is a stop-and-wait.
pub(crate) const REPORTS_UNACKED_MAX: usize = 4 * limits::REPORT_ITEMS_MAX;
/// Reports kept without an answer. Reached only by a coordinator that assigns without ever acknowledging.
pub(crate) const OUTBOX_ITEMS_MAX: usize = 32 << 10;
/// Bytes of reports that wait for an answer, past which no new work is asked for: what is held then still adds to it. 256 of the
/// largest results.
pub(crate) const OUTBOX_BYTES_MAX: u64 = 64 << 20;
/// Attempts held beyond the slots before the coordinator is taken to have miscounted. It may be ahead of us by those it
/// gave up on (LOST, stale) and those we are killing.
pub(crate) const HELD_SPARE: usize = 1_024;
// Whatever this agent has to tell fits a hello: one that is refused for its length would never be taken again.
const _: () = assert!(
    limits::AGENT_CAPACITY_MAX as usize + HELD_SPARE + OUTBOX_ITEMS_MAX <= limits::INVENTORY_ITEMS_MAX,
    "an inventory fits a hello"
);
/// Bytes of logs under way without an answer: four full messages.
pub(crate) const LOGS_UNACKED_BYTES_MAX: usize = 4 * LOG_MESSAGE_BYTES_MAX;
/// Bytes of logs in one message; the contract's bound.
pub(crate) const LOG_MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Bytes kept of attempts that are over, as a multiple of what one attempt may keep: room for a burst of loud ones, and a
/// bound where the coordinator takes reports but no logs.
pub(crate) const LOG_BUFFERS_ENDED: u64 = 4;
/// Time for reports and logs to be acknowledged before the agent leaves. Past it reports wait on disk for the next start,
/// and logs are lost.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// The same where the agent was told to leave at once: most likely nobody is left to listen.
pub(crate) const FLUSH_TIMEOUT_FORCED: Duration = Duration::from_secs(1);
/// Time an urgent drain gives running attempts between the word to stop and the kill.
pub(crate) const URGENT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the goodbye to arrive and the stream to end.
pub(crate) const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// Time that what survives its leader has before it is killed.
pub(crate) const SURVIVORS_GRACE: Duration = Duration::from_secs(2);
/// Time from a kill to the word that it did not work.
pub(crate) const PROOF_TIMEOUT: Duration = Duration::from_secs(10);
/// Time to read what is left in the pipes of a tree that is dead. More comes only from outside the tree: a process that
/// was handed the pipe, which could hold it for ever.
pub(crate) const READ_OUT_TIMEOUT: Duration = Duration::from_secs(1);
/// Inputs that wait for the executor. It never waits for anybody, so this is a moment's worth.
pub(crate) const EXECUTOR_INBOX: usize = 1_024;

/// Threads that do the agent's own work, at most: it only waits and copies, and a host with a hundred cores has them for jobs.
pub(crate) const THREADS_MAX: usize = 4;
/// Descriptors for each slot: two pipes, two handles on processes and one on a control group.
const DESCRIPTORS_EACH: u64 = 5;
/// Descriptors for everything else: connections, the runtime, files in passing.
const DESCRIPTORS_BASE: u64 = 64;

/// What an agent is told at its start.
#[derive(Debug, Clone, Parser)]
#[command(name = "windlass-worker-agent", version, about = "Runs the jobs of one host for a windlass-coordinator")]
pub struct Options {
    /// Address of the coordinator.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7070")]
    pub coordinator: String,
    /// Directory of the agent's own, made where it is missing: its id, its lock, scratch directories of jobs.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Label for people, 1 to 128 of [a-zA-Z0-9._-], one agent each [default: the host's name].
    #[arg(long)]
    pub name: Option<String>,
    /// Attempts it runs at a time [default: the number of cores].
    #[arg(long, value_name = "N")]
    pub slots: Option<u32>,
    /// Time that running attempts have to finish after SIGTERM before they are stopped, such as 30s, 500ms, 5m, 1h.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_time)]
    pub drain_timeout: Duration,
    /// Time that jobs run on while the coordinator does not hear this agent; then they are stopped. Never shorter than the
    /// coordinator's lease. Jobs with ON_DISCONNECT_FENCE are killed when the lease runs out, whatever this says.
    // 10 min: a restart of the coordinator with all that can go wrong, and not the night in which nobody notices.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_time)]
    pub detach_max: Duration,
    /// Time for a process to get from its fork to its program; what takes longer, such as a mount that hangs under the program or the
    /// working directory, is killed, and the outcome says how far it came.
    // 10 s: what no local disk takes, and what a server that is there answers in.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    pub start_timeout: Duration,
    /// Time to wait for --data while processes of a former agent are still ending.
    // 15 s: what its warden takes to kill and to prove it, 10 s, and a little.
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = parse_time)]
    pub lock_timeout: Duration,
    /// File with these flags under their own names (`drain_timeout = "1m"`), and with pools of workers (`[[pool]]`). What is
    /// on the command line as well counts there.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// File that says what this host accepts, whoever asks: programs, users, directories, variables, maxima. Root's or the agent's own
    /// user's, and writable for nobody else. [default: everything is accepted]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// What holds a job's processes and proves them gone: control groups where they are the agent's own, or its keepers alone.
    /// `cgroup` does not start without them.
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub containment: Choice,
    /// Control group of version 2 that is the agent's own, such as /sys/fs/cgroup/windlass [default: the one it is started in].
    #[arg(long, value_name = "DIR")]
    pub cgroup_root: Option<PathBuf>,
    /// What it says of itself.
    #[command(flatten)]
    pub traits: TraitOptions,
    /// How commands are confined: only a file says it.
    #[arg(skip)]
    pub exec: ConfineOptions,
    /// How much is kept of what jobs write: only a file says it.
    #[arg(skip)]
    pub logs: LogOptions,
    /// Pools of workers, each with slots of its own: only a file has them.
    #[arg(skip)]
    pub pools: Vec<PoolOptions>,
    /// Leave at once when standard input ends.
    #[arg(long, hide = true)]
    pub lifeline: bool,
    /// Let processes have what the agent has, for an agent that was started by who asks for them.
    #[arg(long, hide = true)]
    pub unconfined: bool,
    /// Remove the data directory on leaving, and its parent where that is empty then.
    #[arg(long, hide = true)]
    pub ephemeral: bool,
}

/// An option that cannot be right, by its flag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{flag} {problem}")]
pub struct ConfigError {
    /// The flag, without its dashes.
    pub flag: &'static str,
    /// What is wrong with it, to be read after its name.
    pub problem: String,
}

impl ConfigError {
    pub(crate) fn new(flag: &'static str, problem: impl Into<String>) -> Self {
        Self { flag, problem: problem.into() }
    }

    /// Of what only a file says.
    pub(crate) fn in_file(problem: String) -> Self {
        Self::new("config", problem)
    }
}

impl Options {
    /// Looks at every bound.
    ///
    /// # Errors
    /// The first flag that cannot be right.
    pub fn check(&self) -> Result<(), ConfigError> {
        let bad = |flag, problem: String| Err(ConfigError::new(flag, problem));
        if self.slots.is_some_and(|slots| !(1..=limits::AGENT_CAPACITY_MAX).contains(&slots)) {
            return bad("slots", format!("must be 1 to {}", limits::AGENT_CAPACITY_MAX));
        }
        if self.name.as_deref().is_some_and(|name| !is_name(name)) {
            return bad("name", format!("must be 1 to {} of [a-zA-Z0-9._-]", limits::NAME_BYTES_MAX));
        }
        if self.detach_max > DETACH_MAX_MAX {
            return bad("detach-max", "must be at most 720h".into());
        }
        if !(START_TIMEOUT_MIN..=START_TIMEOUT_MAX).contains(&self.start_timeout) {
            return bad("start-timeout", "must be 100ms to 10m".into());
        }
        if self.lock_timeout > LOCK_TIMEOUT_MAX {
            return bad("lock-timeout", "must be at most 1h".into());
        }
        if self.drain_timeout > DRAIN_TIMEOUT_MAX {
            return bad("drain-timeout", "must be at most 24h".into());
        }
        self.logs.check().map_err(|problem| ConfigError::in_file(format!("[logs]: {problem}")))?;
        if self.policy.as_ref().is_some_and(|path| !path.is_absolute()) {
            return bad("policy", "must be an absolute path".into());
        }
        if self.cgroup_root.as_ref().is_some_and(|root| !root.is_absolute()) {
            return bad("cgroup-root", "must be an absolute path".into());
        }
        if self.cgroup_root.is_some() && self.containment == Choice::Keeper {
            return bad("cgroup-root", "is of no use with --containment keeper: leave one of them out".into());
        }
        self.traits.traits(Timestamp::default())?;
        self.exec.check().map_err(|problem| ConfigError::in_file(format!("[exec]: {problem}")))?;
        check_pools(&self.pools, self.slots()).map_err(ConfigError::in_file)
    }

    /// Slots that pools have, one for each worker.
    #[must_use]
    pub fn pool_slots(&self) -> u32 {
        self.pools.iter().map(|pool| pool.max).sum()
    }

    /// Whether the process may open as many files as its slots need. Known now, it is a flag to change; found out later, it
    /// is jobs that fail.
    pub(crate) fn check_descriptors(&self, limit: Option<u64>) -> Result<(), ConfigError> {
        let needed = u64::from(self.slots()) * DESCRIPTORS_EACH + DESCRIPTORS_BASE;
        match limit {
            Some(limit) if limit < needed => {
                let problem = format!(
                    "{}: needs {needed} open files, the limit is {limit}; raise it (ulimit -n, LimitNOFILE=) or use fewer",
                    self.slots()
                );
                Err(ConfigError::new("slots", problem))
            }
            _ => Ok(()),
        }
    }

    /// Attempts it runs at a time.
    #[must_use]
    pub fn slots(&self) -> u32 {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.slots.unwrap_or_else(|| u32::try_from(cores()).unwrap_or(1).min(limits::AGENT_CAPACITY_MAX))
    }
}

/// A whole number and its unit.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| "must be a number and a unit, such as 30s".to_owned())?;
    let seconds_each = match unit {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("needs a unit: ms, s, m or h".into()),
    };
    Ok(Duration::from_secs(number.saturating_mul(seconds_each)))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn options(args: &[&str]) -> Options {
        let args: Vec<OsString> = ["--data", "/d"].iter().chain(args).map(OsString::from).collect();
        Options::parse_args(&args).unwrap()
    }

    #[test]
    fn what_is_out_of_bounds_is_named_by_its_flag() {
        let flag = |args: &[&str]| options(args).check().map_err(|err| err.to_string());
        assert_eq!(flag(&[]), Ok(()));
        assert_eq!(flag(&["--slots", "0"]), Err("--slots must be 1 to 20000".into()));
        assert_eq!(flag(&["--name", "a b"]), Err("--name must be 1 to 128 of [a-zA-Z0-9._-]".into()));
        assert_eq!(flag(&["--drain-timeout", "25h"]), Err("--drain-timeout must be at most 24h".into()));
        assert_eq!(flag(&["--detach-max", "721h"]), Err("--detach-max must be at most 720h".into()));
        assert_eq!(flag(&["--start-timeout", "99ms"]), Err("--start-timeout must be 100ms to 10m".into()));
        assert_eq!(flag(&["--start-timeout", "11m"]), Err("--start-timeout must be 100ms to 10m".into()));
        assert_eq!(flag(&["--lock-timeout", "2h"]), Err("--lock-timeout must be at most 1h".into()));
        let root = ["--cgroup-root", "sys"];
        assert_eq!(flag(&root), Err("--cgroup-root must be an absolute path".into()));
        let keeper = flag(&["--cgroup-root", "/sys", "--containment", "keeper"]).unwrap_err();
        assert!(keeper.starts_with("--cgroup-root is of no use"), "{keeper}");
    }

    #[test]
    fn slots_that_the_descriptors_do_not_suffice_for_are_refused() {
        let options = options(&["--slots", "300"]);
        assert!(options.check_descriptors(Some(1024)).unwrap_err().to_string().contains("needs 1564 open files"));
        assert_eq!(options.check_descriptors(Some(1564)), Ok(()));
        assert_eq!(options.check_descriptors(None), Ok(()));
    }

    #[test]
    fn a_time_needs_its_unit() {
        assert_eq!(parse_time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        assert!(parse_time("5").is_err() && parse_time("s").is_err() && parse_time("-1s").is_err());
    }
}
