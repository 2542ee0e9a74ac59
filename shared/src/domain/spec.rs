//! What a client asked for, decoded and checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{DEFAULT_QUEUE, Demand};
use crate::resilience::plan::RetryPlan;

/// What the scheduler must know of a spec; the rest stays the bytes that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobHeader {
    /// Queue the job waits in.
    pub queue: Arc<str>,
    /// Higher goes first, -100 to 100.
    pub priority: i8,
    /// When to try again.
    pub retry: RetryPolicy,
    /// What it says of that beyond a preset and a number.
    pub retry_plan: Option<Arc<RetryPlan>>,
    /// How often the work may begin.
    pub execution: Execution,
    /// What becomes of the job when its agent is lost.
    pub on_agent_lost: OnAgentLost,
    /// The handler it calls; none: it is a command.
    pub handler: Option<Arc<str>>,
    /// The command it runs: the last part of its program's path, at most 128 bytes of it. None: it is a call.
    pub program: Option<Arc<str>>,
    /// What it asks beyond a slot; none: nothing.
    pub demand: Option<Arc<Demand>>,
}

/// What an empty spec means, but for the work.
impl Default for JobHeader {
    fn default() -> Self {
        Self {
            queue: DEFAULT_QUEUE.into(),
            priority: 0,
            retry: RetryPolicy::NONE,
            retry_plan: None,
            execution: Execution::default(),
            on_agent_lost: OnAgentLost::default(),
            handler: None,
            program: None,
            demand: None,
        }
    }
}

/// How often the work may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Execution {
    /// A lost or interrupted attempt is followed by another.
    #[default]
    AtLeastOnce,
    /// An attempt whose process started, or may have, is never followed by another.
    AtMostOnce,
}

/// What the agent does with a process while it is out of touch with the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDisconnect {
    /// It runs on, up to the agent's own limit.
    #[default]
    Continue,
    /// Its tree is killed when the lease runs out.
    Fence,
}

/// What becomes of a job when its agent is silent past its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnAgentLost {
    /// Another attempt, up to 5 such losses.
    #[default]
    Retry,
    /// The job is FAILED.
    Fail,
    /// Nothing, until the agent is back or an operator decides.
    Wait,
}

/// When and how often to try again after the job's own failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Where the delays come from.
    pub preset: Preset,
    /// Attempts in all, the first included, 1 to 1000.
    pub attempts_max: u16,
}

impl RetryPolicy {
    /// One attempt.
    pub const NONE: Self = Self { preset: Preset::None, attempts_max: 1 };
}

/// A named set of delays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// One attempt.
    None,
    /// 3 attempts, 1 s doubling to 1 min.
    Default,
    /// 3 attempts, 10 s doubling to 10 min.
    Conservative,
    /// 10 attempts, 100 ms doubling to 10 s.
    Aggressive,
}

impl Preset {
    /// Attempts in all, where the job names no number of its own.
    #[must_use]
    pub const fn attempts_max(self) -> u16 {
        match self {
            Self::None => 1,
            Self::Default | Self::Conservative => 3,
            Self::Aggressive => 10,
        }
    }
}

/// The whole of a spec, for the agent that carries it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSpec {
    /// What to do.
    pub work: Work,
    /// What the scheduler must know.
    pub header: JobHeader,
    /// Longest time an attempt may run; none: no limit.
    pub run_timeout: Option<Duration>,
    /// Time between the stop signal and the kill.
    pub stop_grace: Duration,
    /// Signal that asks the process tree to stop, 1 to 31.
    pub stop_signal: u8,
    /// What the agent does with the process while it is out of touch.
    pub on_disconnect: OnDisconnect,
    /// Whose request this is part of.
    pub trace: Option<Box<Trace>>,
}

/// Where a job stands in its submitter's trace, as W3C Trace Context has it (<https://www.w3.org/TR/trace-context>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Version, trace, parent and flags.
    pub parent: String,
    /// What tracing systems add; may be empty.
    pub state: String,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Run a command.
    Exec(ExecSpec),
    /// Call a handler.
    Call(CallSpec),
}

/// A command, run without a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecSpec {
    /// Program and arguments; at least the program.
    pub argv: Vec<String>,
    /// Environment variables added to the agent's base environment, by name.
    pub env: Vec<(String, String)>,
    /// Working directory; none: a scratch directory of the attempt's own.
    pub cwd: Option<PathBuf>,
    /// Bytes for standard input; empty: `/dev/null`.
    pub stdin: Vec<u8>,
}

/// A call of a named handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSpec {
    /// Name that a pool's workers announced.
    pub handler: Arc<str>,
    /// Input for the handler. One JSON value where there is no other media type.
    pub input: Bytes,
    /// Media type of the input; none: application/json.
    pub content_type: Option<Arc<str>>,
    /// What the handler is told beside its input, by name.
    pub headers: Vec<(String, String)>,
    /// The input is to be checked, and nothing done.
    pub validate_only: bool,
}
