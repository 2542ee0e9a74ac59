//! The job as it is on record.
//!
//! ```text
//! BLOCKED ─► DELAYED ─► QUEUED ─► LEASED ─► RUNNING ─► SUCCEEDED │ FAILED │ CANCELLED │ EXPIRED
//!               ▲          ▲        │          │  │
//!               └──────────┴────────┴──────────┘  └─► CANCELLING ─► (one of the four)
//! ```

use std::sync::Arc;

use bytes::Bytes;

use super::{AttemptRecord, JobHeader, Tried};
use crate::ids::{AgentId, JobId};
use crate::time::Timestamp;

/// Where a job stands. Terminal states are absorbing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Waits for jobs it depends on.
    Blocked,
    /// Waits for an instant.
    Delayed,
    /// Ready, waits for a slot.
    Queued,
    /// Promised to an agent, which has not reported a start.
    Leased,
    /// Its process runs.
    Running,
    /// A cancel is being carried out.
    Cancelling,
    /// Done well.
    Succeeded,
    /// Done badly, and no retry is left.
    Failed,
    /// Stopped because somebody asked.
    Cancelled,
    /// Its time passed before it ran.
    Expired,
    /// Parked behind an identical job that runs.
    Coalesced,
}

impl JobState {
    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// Its name as the contract spells it, without the prefix.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blocked => "BLOCKED",
            Self::Delayed => "DELAYED",
            Self::Queued => "QUEUED",
            Self::Leased => "LEASED",
            Self::Running => "RUNNING",
            Self::Cancelling => "CANCELLING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
            Self::Coalesced => "COALESCED",
        }
    }
}

/// Why something ended, or was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The process exited with a code other than 0.
    ExitCode,
    /// A signal that Windlass did not send ended the process.
    Signal,
    /// The run timeout passed.
    RunTimeout,
    /// The process could not be started, by the job's own doing.
    SpawnFailed,
    /// Somebody asked to cancel it.
    CancelRequested,
    /// The agent was drained.
    Drain,
    /// The agent was shut down.
    Shutdown,
    /// The agent fell silent past its lease, or came back without the attempt.
    AgentLost,
    /// The agent's own supervision failed, such as a killed warden.
    SupervisorLost,
    /// The host lacked something it owes every job.
    AgentFault,
    /// Given back before it started.
    Returned,
    /// Too many attempts were lost to hosts and supervision, or too many workers died with it.
    Poison,
    /// The process tree could not be shown to be dead, so nothing may run again.
    Unproven,
    /// The host refused the work.
    Rejected,
    /// The agent was out of touch for longer than the job allows, and stopped it.
    OutOfTouch,
    /// The handler answered an error.
    HandlerError,
    /// The worker ended while the handler ran, without an answer.
    WorkerDied,
    /// The worker broke the worker protocol while the handler ran.
    WorkerProtocol,
    /// It held more memory than its limit, and was killed for it.
    MemoryLimit,
    /// The kernel killed it for memory, by the word of its control group.
    OomKilled,
    /// The worker gave no sign of life while the handler ran.
    WorkerUnresponsive,
    /// An operator gave it up: nobody could say what became of its last attempt.
    Abandoned,
    /// No agent that is there could ever run it, for longer than its queue waits for one.
    Unschedulable,
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 23] = [
        Self::ExitCode,
        Self::Signal,
        Self::RunTimeout,
        Self::SpawnFailed,
        Self::CancelRequested,
        Self::Drain,
        Self::Shutdown,
        Self::AgentLost,
        Self::SupervisorLost,
        Self::AgentFault,
        Self::Returned,
        Self::Poison,
        Self::Unproven,
        Self::Rejected,
        Self::OutOfTouch,
        Self::HandlerError,
        Self::WorkerDied,
        Self::WorkerProtocol,
        Self::MemoryLimit,
        Self::OomKilled,
        Self::WorkerUnresponsive,
        Self::Abandoned,
        Self::Unschedulable,
    ];

    /// Whether the job took a process down with it that was there for others too, or the host's memory: three such ends are poison.
    #[must_use]
    pub const fn is_worker_death(self) -> bool {
        matches!(self, Self::WorkerDied | Self::MemoryLimit | Self::OomKilled | Self::WorkerUnresponsive)
    }

    /// Its name as people read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExitCode => "exit code",
            Self::Signal => "signal",
            Self::RunTimeout => "run timeout",
            Self::SpawnFailed => "spawn failed",
            Self::CancelRequested => "cancel requested",
            Self::Drain => "drain",
            Self::Shutdown => "shutdown",
            Self::AgentLost => "agent lost",
            Self::SupervisorLost => "supervisor lost",
            Self::AgentFault => "agent fault",
            Self::Returned => "returned",
            Self::Poison => "poison",
            Self::Unproven => "unproven",
            Self::Rejected => "rejected",
            Self::OutOfTouch => "out of touch",
            Self::HandlerError => "handler error",
            Self::WorkerDied => "worker died",
            Self::WorkerProtocol => "worker protocol",
            Self::MemoryLimit => "memory limit",
            Self::OomKilled => "out of memory",
            Self::WorkerUnresponsive => "worker unresponsive",
            Self::Abandoned => "abandoned",
            Self::Unschedulable => "unschedulable",
        }
    }
}

/// A job on record, without its spec and its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// Chosen at submit.
    pub id: JobId,
    /// Where it stands.
    pub state: JobState,
    /// 1 at submit; one more for each requeue of a finished job.
    pub generation: u32,
    /// Cluster-wide number of its latest change.
    pub revision: u64,
    /// What the scheduler must know of its spec.
    pub header: JobHeader,
    /// Revision of its submit: its place among jobs of its priority.
    pub order: u64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
    /// When it reached a final state.
    pub ended_at: Option<Timestamp>,
    /// When a DELAYED job becomes ready.
    pub ready_at: Option<Timestamp>,
    /// Why it is in its final state, or was put back last.
    pub reason: Option<Reason>,
    /// The same for people.
    pub detail: Option<Arc<str>>,
    /// Whether somebody asked to cancel it.
    pub cancel_requested: bool,
    /// Attempts that failed on their own account.
    pub failures: u32,
    /// Attempts lost to hosts, agents or supervision.
    pub infra_losses: u32,
    /// Attempts interrupted by drain or shutdown.
    pub interruptions: u32,
    /// Workers that died with it.
    pub worker_deaths: u32,
    /// Attempts so far, in all generations; the number of the newest one.
    pub attempts: u32,
    /// What it remembers of those that failed.
    pub tried: Option<Arc<Tried>>,
    /// Whether it is FAILED and kept for a person to look at and requeue.
    pub dead_lettered: bool,
    /// Bytes of its spec; 0 in records of before they were counted.
    pub spec_bytes: u32,
}

/// A job as it is shown: the record, what was submitted, and how its attempts went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// The job.
    pub record: JobRecord,
    /// The encoded `JobSpec`, exactly as it was submitted.
    pub spec: Bytes,
    /// Its newest attempts, oldest first.
    pub attempts: Vec<AttemptRecord>,
}

/// One change of one job, as watchers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Cluster-wide number of the change.
    pub revision: u64,
    /// When it was recorded.
    pub time: Timestamp,
    /// The job.
    pub job: JobId,
    /// The state it is in since.
    pub state: JobState,
    /// Number of the attempt concerned; 0: none yet.
    pub attempt: u32,
    /// Agent of that attempt.
    pub agent: Option<AgentId>,
    /// Why.
    pub reason: Option<Reason>,
}
