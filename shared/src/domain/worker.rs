//! A worker as its pool shows it, and how workers end.

use std::sync::Arc;

use super::Lease;
use crate::ids::JobId;
use crate::time::Timestamp;

/// How a pool decides how many workers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// All of them, always.
    Static,
    /// As many as there is work for, between `min` and `max`.
    #[default]
    Dynamic,
    /// None without a call.
    Ondemand,
}

/// Whether a pool does its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PoolHealth {
    /// All it should have is there, or is being started.
    #[default]
    Ok,
    /// Some of its workers failed and wait for another try, or are stuck.
    Degraded,
    /// Its breaker is open, or none of its workers can run: it takes no calls.
    Broken,
    /// It finishes what it has and takes nothing more.
    Draining,
}

/// How a worker, or its empty place, stands.
///
/// ```text
/// OFF ─► STARTING ─► IDLE ⇄ BUSY ─► RETIRING ─► STOPPING ─► OFF │ BACKOFF ─► STARTING
///            └──────── killed, or ended by itself ──┴─► STUCK: killed, and not proven gone
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkerStatus {
    /// No process: none is wanted.
    Off,
    /// Its process was started, or is about to be; its hello is due.
    Starting,
    /// It waits for a call.
    Idle,
    /// It has a call.
    Busy,
    /// It finishes its call, takes nothing more, and was told to end.
    Retiring,
    /// It was killed, and is not proven gone yet.
    Stopping,
    /// No process: the former one failed, the next is started after a delay.
    Backoff,
    /// No process: the former one said that it cannot run as configured. Ends with a reset, or with another configuration.
    Barred,
    /// It was killed and could not be proven gone; its slot stays taken.
    Stuck,
}

impl WorkerStatus {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::Off,
        Self::Starting,
        Self::Idle,
        Self::Busy,
        Self::Retiring,
        Self::Stopping,
        Self::Backoff,
        Self::Barred,
        Self::Stuck,
    ];
}

/// A worker, or its empty place, as its pool shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerState {
    /// Its name, which it finds as `WINDLASS_WORKER` in its environment: the pool's, a hyphen, and its slot.
    pub id: Arc<str>,
    /// Its place in the pool, from 0.
    pub slot: u32,
    /// How it stands.
    pub status: WorkerStatus,
    /// Since when, by the agent's clock; none where that is not known.
    pub since: Option<Timestamp>,
    /// Its process; none where there is none, or it is not known yet.
    pub pid: Option<u32>,
    /// Calls that this process finished.
    pub jobs_done: u64,
    /// Its resident set when it was last looked at, in bytes; none: not measured.
    pub rss_bytes: Option<u64>,
    /// The call it runs.
    pub current: Option<CurrentCall>,
    /// Calls that wait in its pipe behind it.
    pub waiting: u32,
    /// The pool's generation when it was started.
    pub generation: u32,
}

/// The call that a worker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrentCall {
    /// Its job.
    pub job: JobId,
    /// Number of the attempt.
    pub attempt: u32,
    /// When its handler was entered, by the agent's clock; none: not yet.
    pub started_at: Option<Timestamp>,
}

impl CurrentCall {
    /// The call under this lease.
    #[must_use]
    pub const fn of(lease: &Lease, started_at: Option<Timestamp>) -> Self {
        Self { job: lease.job, attempt: lease.attempt, started_at }
    }
}

/// Why a worker's process ended: each process counts under exactly one, so that planned ends and crashes never share a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkerExit {
    /// Nothing was left for it to do: idle for too long, or the pool got smaller.
    Idle,
    /// It had finished as many calls as one process may.
    RecycledJobs,
    /// Its resident set had grown past where it is replaced.
    RecycledRss,
    /// It had lived as long as one process may.
    RecycledAge,
    /// An operator asked, or the pool's configuration changed.
    RecycledAsked,
    /// It said goodbye, or exited with 0, while it had no call.
    ExitedIdle,
    /// It exited by itself with a call in its hands, or with another code than 0 after its hello.
    Exited,
    /// A signal that Windlass did not send ended it.
    Signalled,
    /// It held more memory than its limit, and was killed for it.
    MemoryLimit,
    /// The kernel killed it for memory, with proof.
    OomKilled,
    /// It gave no sign of life when it was asked, or neither began nor gave back a call.
    Unresponsive,
    /// It broke the worker protocol.
    Protocol,
    /// It ended before its hello.
    BootFailed,
    /// It said no hello within the start timeout.
    BootTimeout,
    /// It said that it cannot run as configured: exit code 78.
    BadConfig,
    /// Its process could not be started.
    SpawnFailed,
    /// It ended with a call that was to stop: cancel, or a time limit.
    CallStopped,
    /// An operator killed it.
    Killed,
    /// Its agent drained or was shut down.
    Shutdown,
    /// The lease ran out, and it was killed for that.
    Fenced,
    /// The supervision that watched it failed, such as a killed warden.
    SupervisorLost,
}

impl WorkerExit {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 21] = [
        Self::Idle,
        Self::RecycledJobs,
        Self::RecycledRss,
        Self::RecycledAge,
        Self::RecycledAsked,
        Self::ExitedIdle,
        Self::Exited,
        Self::Signalled,
        Self::MemoryLimit,
        Self::OomKilled,
        Self::Unresponsive,
        Self::Protocol,
        Self::BootFailed,
        Self::BootTimeout,
        Self::BadConfig,
        Self::SpawnFailed,
        Self::CallStopped,
        Self::Killed,
        Self::Shutdown,
        Self::Fenced,
        Self::SupervisorLost,
    ];

    /// Its name as a label of a counter: part of the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::RecycledJobs => "recycled_jobs",
            Self::RecycledRss => "recycled_rss",
            Self::RecycledAge => "recycled_age",
            Self::RecycledAsked => "recycled_asked",
            Self::ExitedIdle => "exited_idle",
            Self::Exited => "exited",
            Self::Signalled => "signalled",
            Self::MemoryLimit => "memory_limit",
            Self::OomKilled => "oom_killed",
            Self::Unresponsive => "unresponsive",
            Self::Protocol => "protocol",
            Self::BootFailed => "boot_failed",
            Self::BootTimeout => "boot_timeout",
            Self::BadConfig => "bad_config",
            Self::SpawnFailed => "spawn_failed",
            Self::CallStopped => "call_stopped",
            Self::Killed => "killed",
            Self::Shutdown => "shutdown",
            Self::Fenced => "fenced",
            Self::SupervisorLost => "supervisor_lost",
        }
    }

    /// Whether it was decided by Windlass or an operator, so that it says nothing against the worker.
    #[must_use]
    pub const fn is_planned(self) -> bool {
        match self {
            Self::Idle
            | Self::RecycledJobs
            | Self::RecycledRss
            | Self::RecycledAge
            | Self::RecycledAsked
            | Self::ExitedIdle
            | Self::CallStopped
            | Self::Killed
            | Self::Shutdown
            | Self::Fenced => true,
            Self::Exited
            | Self::Signalled
            | Self::MemoryLimit
            | Self::OomKilled
            | Self::Unresponsive
            | Self::Protocol
            | Self::BootFailed
            | Self::BootTimeout
            | Self::BadConfig
            | Self::SpawnFailed
            | Self::SupervisorLost => false,
        }
    }
}

/// How many processes ended for which reason. Indexed by [`WorkerExit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExitCounts([u64; WorkerExit::ALL.len()]);

impl ExitCounts {
    /// Processes that ended so.
    #[must_use]
    pub const fn of(&self, exit: WorkerExit) -> u64 {
        self.0[exit as usize]
    }

    /// So many more ended so.
    pub fn add(&mut self, exit: WorkerExit, processes: u64) {
        let count = &mut self.0[exit as usize];
        *count = count.saturating_add(processes);
    }

    /// Every reason that has a count, in the order of their declaration.
    pub fn iter(&self) -> impl Iterator<Item = (WorkerExit, u64)> {
        WorkerExit::ALL.into_iter().map(|exit| (exit, self.of(exit))).filter(|(_, processes)| *processes > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_and_status_has_a_place_of_its_own() {
        for (at, exit) in WorkerExit::ALL.into_iter().enumerate() {
            assert_eq!(exit as usize, at, "{exit:?}");
        }
        for (at, status) in WorkerStatus::ALL.into_iter().enumerate() {
            assert_eq!(status as usize, at, "{status:?}");
        }
        let names: BTreeSet<_> = WorkerExit::ALL.into_iter().map(WorkerExit::name).collect();
        assert_eq!(names.len(), WorkerExit::ALL.len());
    }

    #[test]
    fn a_recycle_and_a_crash_are_never_one_number() {
        let mut counts = ExitCounts::default();
        counts.add(WorkerExit::RecycledJobs, 2);
        counts.add(WorkerExit::Exited, 1);
        assert_eq!(counts.iter().collect::<Vec<_>>(), [(WorkerExit::RecycledJobs, 2), (WorkerExit::Exited, 1)]);
        let planned: u64 = counts.iter().filter(|(exit, _)| exit.is_planned()).map(|(_, count)| count).sum();
        assert_eq!(planned, 2);
    }
}
