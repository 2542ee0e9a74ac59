//! One try at a job, and the right to run it.
//!
//! ```text
//!  LEASED ─ process runs ─► RUNNING ──────────────┐
//!   │  │                       │                  ├─► SUCCEEDED │ FAILED │ TIMED_OUT │ CANCELLED │ INTERRUPTED
//!   │  └─── somebody cancels ──┴──► STOPPING ─────┘
//!   └─► RETURNED │ REJECTED: nothing ran
//!
//!  silent past its lease, in any of the three ─► LOST ─► RUNNING again, where its agent comes back with it in time
//! ```
//! STARTING is in the contract, and nobody says it so far.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Grant, Reason};
use crate::ids::{AgentId, JobId};
use crate::time::Timestamp;

/// The right to run one attempt. A report is compared with the whole of the one on record; any difference makes it stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// The job's generation.
    pub generation: u32,
    /// The attempt's number.
    pub attempt: u32,
    /// Identity of the coordinator's record.
    pub incarnation: u64,
    /// Coordinator start that issued it.
    pub epoch: u64,
    /// Monotone over the cluster: `epoch << 40 | counter`.
    pub fencing_token: u64,
}

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptState {
    /// Promised to an agent.
    Leased,
    /// The agent is starting the process.
    Starting,
    /// The process runs.
    Running,
    /// The process tree is being stopped.
    Stopping,
    /// Exit code 0.
    Succeeded,
    /// Any other end of its own.
    Failed,
    /// Stopped because a time limit passed.
    TimedOut,
    /// Stopped because somebody asked.
    Cancelled,
    /// Stopped by drain or shutdown.
    Interrupted,
    /// Its agent fell silent past its lease. The one end decided without the agent.
    Lost,
    /// The host refused it.
    Rejected,
    /// Given back before it started.
    Returned,
}

impl AttemptState {
    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Leased | Self::Starting | Self::Running | Self::Stopping)
    }

    /// Its name as the contract spells it, without the prefix.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leased => "LEASED",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Stopping => "STOPPING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Cancelled => "CANCELLED",
            Self::Interrupted => "INTERRUPTED",
            Self::Lost => "LOST",
            Self::Rejected => "REJECTED",
            Self::Returned => "RETURNED",
        }
    }
}

/// How sure it is that nothing of a process tree still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proof {
    /// Its control group was seen empty.
    Cgroup,
    /// The tree's keeper saw its last process end.
    Keeper,
    /// The keeper died; the agent swept up everything it left and saw it end.
    Swept,
    /// The agent's lease ran out.
    LeaseExpired,
    /// An operator said so.
    Operator,
    /// Something could not be shown to be dead.
    None,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code, 0 to 255.
    Code(u8),
    /// This signal ended it.
    Signal {
        /// Number of the signal.
        number: u8,
        /// Whether the kernel wrote a core image.
        core_dumped: bool,
    },
    /// Nobody saw: whoever was to wait for it died first.
    Unknown,
}

/// How a process ended, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// How.
    pub status: ExitStatus,
    /// Processor time in user mode.
    pub user_time: Duration,
    /// Processor time in kernel mode.
    pub system_time: Duration,
    /// Largest resident set of any single process of the tree.
    pub max_rss_bytes: u64,
    /// From the process's start to the end of its tree.
    pub wall_time: Duration,
    /// How sure it is that nothing still runs.
    pub proof: Proof,
}

/// Why a process could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpawnFailure {
    /// The step that failed, such as `exec` or `chdir`.
    pub stage: Arc<str>,
    /// The system's error number.
    pub errno: i32,
}

/// How an attempt ended, by its agent's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// SUCCEEDED, FAILED, `TIMED_OUT`, CANCELLED, INTERRUPTED or REJECTED.
    pub state: AttemptState,
    /// Why; none where the state says all.
    pub reason: Option<Reason>,
    /// The same for people.
    pub detail: Option<Arc<str>>,
    /// How the process ended; none where none was started.
    pub exit: Option<Exit>,
    /// Why none was started.
    pub spawn_failure: Option<SpawnFailure>,
    /// Bytes of standard output in all.
    pub stdout_bytes: u64,
    /// Bytes of standard error in all.
    pub stderr_bytes: u64,
    /// When the process started, where that was not reported before.
    pub started_at: Option<Timestamp>,
    /// What the handler answered, where it was a call that succeeded.
    pub result: Option<CallResult>,
    /// The error the handler answered; its message is `detail`.
    pub error: Option<HandlerError>,
}

impl Exit {
    /// One of which nothing is known but how sure it is that it was the end.
    #[must_use]
    pub const fn unknown(proof: Proof, wall_time: Duration) -> Self {
        Self {
            status: ExitStatus::Unknown,
            user_time: Duration::ZERO,
            system_time: Duration::ZERO,
            max_rss_bytes: 0,
            wall_time,
            proof,
        }
    }
}

impl Outcome {
    /// One that says no more than how it ended.
    #[must_use]
    pub const fn bare(state: AttemptState, reason: Option<Reason>) -> Self {
        Self {
            state,
            reason,
            detail: None,
            exit: None,
            spawn_failure: None,
            stdout_bytes: 0,
            stderr_bytes: 0,
            started_at: None,
            result: None,
            error: None,
        }
    }
}

/// What a handler answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallResult {
    /// The answer, up to [`crate::limits::PAYLOAD_BYTES_MAX`].
    pub value: Bytes,
    /// Its media type; none: application/json.
    pub content_type: Option<Arc<str>>,
}

/// An error that a handler answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HandlerError {
    /// The handler's own name for it.
    pub code: Option<Arc<str>>,
    /// Trying again cannot help.
    pub permanent: bool,
    /// Time to wait before the next attempt, in place of the policy's delay.
    pub retry_after: Option<Duration>,
    /// What the wait is for, such as the service that wants it.
    pub cooldown_key: Option<Arc<str>>,
}

/// One try at a job, on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRecord {
    /// 1 for the first.
    pub number: u32,
    /// Where it stands.
    pub state: AttemptState,
    /// Agent it was leased to.
    pub agent: AgentId,
    /// Name of that agent at the time.
    pub agent_name: Arc<str>,
    /// The agent's process: only the same one can say that it never got the lease.
    pub agent_instance: u64,
    /// Of the boot and the lock of that process, so that a successor is known over a restart of the coordinator too. 0: not known.
    pub agent_boot: u64,
    /// Monotone over the cluster.
    pub fencing_token: u64,
    /// When the lease was cut.
    pub leased_at: Timestamp,
    /// When the process started, by the agent's clock.
    pub started_at: Option<Timestamp>,
    /// When the end was recorded.
    pub ended_at: Option<Timestamp>,
    /// Devices that are its own, or shared, from its lease to its proven end.
    pub grants: Vec<Grant>,
    /// Bytes of what the handler answered. The answer itself is in `outcome` only on its way to the record, or where it is small.
    pub result_bytes: u64,
    /// The rule of the job that decided what followed, for people; none where there was none.
    pub retry_rule: Option<Arc<str>>,
    /// How it ended; none before the end, and where the agent never said.
    pub outcome: Option<Box<Outcome>>,
}

impl AttemptRecord {
    /// Forgets what the handler answered: it counts for nothing where the job did not succeed by it.
    pub fn drop_result(&mut self) {
        self.result_bytes = 0;
        if let Some(outcome) = &mut self.outcome {
            outcome.result = None;
        }
    }
}
