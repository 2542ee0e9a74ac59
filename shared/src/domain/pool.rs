//! What operators may ask of a pool and its workers, and what they get.
//!
//! A pool answers from its own state, in its own task: what it says was so at one moment. What it cannot do comes back as a
//! [`PoolRefusal`], never as silence.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{ExitCounts, Mode, PoolHealth, WorkerState, WorkerStatus};
use crate::fault::{Fault, Kind};
use crate::limits;
use crate::time::Timestamp;

/// What an operator asks of one pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolAsk {
    /// How it stands. Answered with [`PoolAnswer::State`].
    State,
    /// How each of its workers stands. Answered with [`PoolAnswer::Workers`].
    Workers,
    /// Other bounds on its workers, until its configuration is read again. Answered with the state after it.
    ScaleTo {
        /// Workers that always run; at most `max`.
        min: u32,
        /// Workers that may run; 1 to what the agent has slots for.
        max: u32,
    },
    /// Replaces every worker by a new one. Answered at once, with the state in which that begins.
    Recycle {
        /// Kill them with what they run, instead of letting each finish its call first.
        force: bool,
    },
    /// Closes the breaker and ends every backoff: workers are started again now. Answered with the state after it.
    Reset,
    /// Ends one worker with the call it runs; another takes its place. Answered with [`PoolAnswer::Worker`].
    KillWorker(WorkerKill),
    /// A recycle or a kill under the caller's own id: repeated, it is answered as the first time and done no more.
    Once {
        /// The caller's id.
        request: Arc<str>,
        /// What is asked.
        ask: Box<PoolAsk>,
    },
    /// The end of what one worker wrote to standard error, or printed outside of any call. Answered with [`PoolAnswer::Logs`].
    WorkerLogs {
        /// Which.
        worker: Arc<str>,
        /// Bytes at most, up to [`limits::WORKER_LOG_TAIL_BYTES_MAX`].
        tail_bytes: u32,
    },
}

/// How one worker is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerKill {
    /// Which.
    pub worker: Arc<str>,
    /// Signal to its whole process tree, 1 to 31; SIGKILL ends it without a grace.
    pub signal: u8,
    /// Time from the signal to the kill, up to [`limits::STOP_GRACE_MAX`].
    pub grace: Duration,
}

/// What a pool says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolAnswer {
    /// How it stands.
    State(Box<PoolState>),
    /// How its workers stand, by slot.
    Workers(Vec<WorkerState>),
    /// How the one that was asked about stands.
    Worker(Box<WorkerState>),
    /// What one of them wrote.
    Logs(WorkerLogs),
}

/// What comes of asking a pool.
pub type PoolReply = Result<PoolAnswer, PoolRefusal>;

/// Why a pool does not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolRefusal {
    /// The agent has no such pool.
    #[error("no pool {0:?} on this agent: `windlass pool list` shows what there is")]
    NoPool(Arc<str>),
    /// The pool has no such worker.
    #[error("no worker {0:?} in this pool: `windlass worker list` shows what there is")]
    NoWorker(Arc<str>),
    /// What was asked for is beyond what this pool may have.
    #[error("{field} must be {limit}")]
    OutOfRange {
        /// The field of the request.
        field: &'static str,
        /// What it must be, such as `1 to 8, the slots of this agent`.
        limit: Arc<str>,
    },
    /// It does not fit how the pool or the worker stands.
    #[error("{0}")]
    NotNow(Arc<str>),
    /// The request id was given to something else.
    #[error("request_id {0:?} asked this pool for something else: use a new id for a new request")]
    RequestIdTaken(Arc<str>),
    /// This agent cannot do that.
    #[error("this agent cannot do that: {0}")]
    Unsupported(Arc<str>),
    /// More asks wait for this pool than it holds.
    #[error("{} asks wait for this pool already: ask again", limits::POOL_ASKS_MAX)]
    Busy,
}

impl Fault for PoolRefusal {
    fn kind(&self) -> Kind {
        match self {
            Self::NoPool(_) | Self::NoWorker(_) => Kind::NotFound,
            Self::OutOfRange { .. } => Kind::Invalid,
            Self::NotNow(_) => Kind::Conflict,
            Self::RequestIdTaken(_) => Kind::Exists,
            Self::Unsupported(_) => Kind::Unimplemented,
            Self::Busy => Kind::Busy,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NoPool(_) => "POOL_NOT_FOUND",
            Self::NoWorker(_) => "WORKER_NOT_FOUND",
            Self::OutOfRange { .. } => "INVALID_ARGUMENT",
            Self::NotNow(_) => "POOL_NOT_NOW",
            Self::RequestIdTaken(_) => "REQUEST_ID_TAKEN",
            Self::Unsupported(_) => "POOL_UNSUPPORTED",
            Self::Busy => "POOL_ASKS_FULL",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::Busy).then_some(Duration::from_secs(1))
    }
}

/// How a pool stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolState {
    /// Its name, one each on an agent.
    pub name: Arc<str>,
    /// How it decides how many workers run.
    pub mode: Mode,
    /// Whether it does its work.
    pub health: PoolHealth,
    /// Workers that always run.
    pub min: u32,
    /// Workers that may run.
    pub max: u32,
    /// How many of its workers stand how.
    pub workers: WorkerCounts,
    /// Handlers its workers announced.
    pub handlers: Vec<Arc<str>>,
    /// Calls it holds, those that wait for a worker included.
    pub held: u32,
    /// Of its configuration: 1 at the agent's start, one more for each recycle and each change of it.
    pub generation: u32,
    /// Whether it still starts workers.
    pub breaker: Breaker,
    /// Processes started since the agent's start.
    pub starts: u64,
    /// Processes ended since then, by reason.
    pub exits: ExitCounts,
}

/// How many workers of a pool stand how. Indexed by [`WorkerStatus`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkerCounts([u32; WorkerStatus::ALL.len()]);

impl WorkerCounts {
    /// Workers that stand so.
    #[must_use]
    pub const fn of(&self, status: WorkerStatus) -> u32 {
        self.0[status as usize]
    }

    /// So many more stand so.
    pub fn add(&mut self, status: WorkerStatus, workers: u32) {
        let count = &mut self.0[status as usize];
        *count = count.saturating_add(workers);
    }
}

impl FromIterator<WorkerStatus> for WorkerCounts {
    fn from_iter<I: IntoIterator<Item = WorkerStatus>>(all: I) -> Self {
        let mut counts = Self::default();
        all.into_iter().for_each(|status| counts.add(status, 1));
        counts
    }
}

/// Whether a pool still starts workers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Breaker {
    /// How it stands.
    pub state: BreakerState,
    /// When it opened; none while it is closed.
    pub opened_at: Option<Timestamp>,
    /// When one worker is started to see; none while it is closed, and where only an operator or another configuration helps.
    pub probe_at: Option<Timestamp>,
    /// Why it opened last, in words; none: it never did.
    pub reason: Option<Arc<str>>,
    /// The last lines of standard error of the worker that opened it, oldest first; up to [`limits::BREAKER_LINES_MAX`], each cut at
    /// [`limits::BREAKER_LINE_BYTES_MAX`].
    pub stderr_lines: Vec<Arc<str>>,
}

/// Whether a pool still starts workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BreakerState {
    /// It does.
    #[default]
    Closed,
    /// It does not, and takes no calls.
    Open,
    /// One worker tries.
    HalfOpen,
}

/// The end of what a worker wrote outside of calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkerLogs {
    /// The bytes, oldest first, as it wrote them.
    pub data: Bytes,
    /// Bytes that it wrote before these and that are not kept, or were not asked for.
    pub bytes_before: u64,
}
