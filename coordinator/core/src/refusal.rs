//! Why something was not done, in words for whoever asked.

use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::JobState;
use windlass_shared::fault::{Fault, Kind};
use windlass_shared::ids::JobId;

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// As many jobs wait and run as this coordinator holds.
    #[error("the coordinator holds {limit} unfinished jobs, which is its limit (jobs_live_max); submit again later")]
    JobsFull {
        /// The limit.
        limit: usize,
    },
    /// As many combinations of what is asked of agents are in use as this coordinator tells apart.
    #[error(
        "unfinished jobs ask for {limit} different combinations of handler, resources, constraints and affinities, which is the limit \
         (shapes_max); ask for what others ask for, such as rounded amounts, or submit again later"
    )]
    ShapesFull {
        /// The limit.
        limit: usize,
    },
    /// Another live agent has the name.
    #[error("another live agent is named {name:?}; start this one with another --name, or stop the other first")]
    NameTaken {
        /// The name.
        name: Arc<str>,
    },
    /// Another live process has the agent's id.
    #[error("another live process has this agent id; give each agent a data directory of its own (--data)")]
    AgentIdInUse,
    /// As many agents are connected, hold work or have an order as this coordinator serves.
    #[error(
        "the coordinator knows {limit} agents that are live, hold work, or are cordoned or drained, which is its limit (agents_max); \
         uncordon those that will not come back"
    )]
    AgentsFull {
        /// The limit.
        limit: usize,
    },
    /// As many queues are paused as may be.
    #[error("{limit} queues are paused, which is the limit (queues_paused_max); resume some first")]
    PausesFull {
        /// The limit.
        limit: usize,
    },
    /// As many jobs wait in the queue as may.
    #[error(
        "{limit} jobs wait in queue {queue}, which is the most that may (max_depth of its settings); submit again when fewer wait"
    )]
    QueueFull {
        /// The queue.
        queue: Arc<str>,
        /// The limit.
        limit: u32,
    },
    /// As many bytes wait in the queue as may.
    #[error(
        "with this job, specs of more than {limit} bytes would wait in queue {queue} (max_bytes of its settings); submit again when \
         fewer wait"
    )]
    QueueBytesFull {
        /// The queue.
        queue: Arc<str>,
        /// The limit.
        limit: u64,
    },
    /// As many queues have settings as may.
    #[error("{limit} queues have settings, which is the limit (QUEUES_SET_MAX); take some back first")]
    QueueSettingsFull {
        /// The limit.
        limit: usize,
    },
    /// Another unfinished job has the unique key.
    #[error("job {job}, which is {}, has the unique key {key:?}; wait for its end, or submit with another on_conflict", state.name())]
    UniqueTaken {
        /// The key.
        key: Arc<str>,
        /// The other.
        job: JobId,
        /// How it stands.
        state: JobState,
    },
    /// As many limits are set as may be.
    #[error(
        "{limit} limits are set, which is the most there may be (LIMITS_MAX); delete some first, or set one for keys that begin alike"
    )]
    LimitsFull {
        /// The limit.
        limit: usize,
    },
    /// As many keys cool down as may.
    #[error("{limit} keys cool down, which is the most that may (COOLDOWNS_MAX); clear some first")]
    CooldownsFull {
        /// The limit.
        limit: usize,
    },
    /// The same agent opened a newer stream.
    #[error("a newer session of this agent took over")]
    Superseded,
    /// Somebody has seen more of this record than is here: it was rolled back, or commits were lost.
    #[error(
        "this coordinator's record ends at revision {revision}, before what was seen of it: it was restored from an older \
         copy, or its disk lost what it had acknowledged; this agent, which knows better, is not taken until that is settled \
         (`windlass-coordinator store import --accept-rollback` goes on from the copy)"
    )]
    Behind {
        /// Where the record ends.
        revision: u64,
    },
    /// The job is not finished, so there is nothing to take in again.
    #[error("job {job} is {}; only a job that is over can be requeued", state.name())]
    JobNotFinal {
        /// The job.
        job: JobId,
        /// How it stands.
        state: JobState,
    },
    /// No agent holds the job, so nothing about it is unproven.
    #[error(
        "job {job} is {}, held by no agent: there is nothing about it that only an operator can say; `windlass job cancel` ends it",
        state.name()
    )]
    JobNotHeld {
        /// The job.
        job: JobId,
        /// How it stands.
        state: JobState,
    },
    /// The job does not wait any more.
    #[error("job {job} is {}; only a job that waits can be given another priority or queue", state.name())]
    JobNotWaiting {
        /// The job.
        job: JobId,
        /// How it stands.
        state: JobState,
    },
    /// The agent that holds the job is in touch and speaks for it.
    #[error(
        "agent {agent}, which holds job {job}, is in touch and says itself what becomes of it; `windlass job cancel` stops it there"
    )]
    JobInTouch {
        /// The job.
        job: JobId,
        /// The agent's name.
        agent: Arc<str>,
    },
    /// The agent is in touch and speaks for itself.
    #[error("agent {agent} is in touch and speaks for itself; `windlass agent drain` empties it")]
    AgentInTouch {
        /// The agent's name.
        agent: Arc<str>,
    },
    /// The agent is away, and nothing of it is unproven.
    #[error("agent {agent} is away and holds nothing: there is nothing left that only an operator can say")]
    AgentHoldsNothing {
        /// The agent's name.
        agent: Arc<str>,
    },
    /// The agent was silent past its lease.
    #[error("the lease ran out; say hello again")]
    LeaseExpired,
}

impl Fault for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::JobsFull { .. }
            | Self::ShapesFull { .. }
            | Self::AgentsFull { .. }
            | Self::PausesFull { .. }
            | Self::QueueFull { .. }
            | Self::QueueBytesFull { .. }
            | Self::QueueSettingsFull { .. }
            | Self::LimitsFull { .. }
            | Self::CooldownsFull { .. } => Kind::Busy,
            Self::NameTaken { .. } | Self::AgentIdInUse | Self::UniqueTaken { .. } => Kind::Exists,
            Self::Behind { .. } => Kind::DataLoss,
            Self::Superseded
            | Self::JobNotFinal { .. }
            | Self::JobNotHeld { .. }
            | Self::JobNotWaiting { .. }
            | Self::JobInTouch { .. }
            | Self::AgentInTouch { .. }
            | Self::AgentHoldsNothing { .. } => Kind::Conflict,
            Self::LeaseExpired => Kind::Unavailable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::JobsFull { .. } => "JOBS_FULL",
            Self::ShapesFull { .. } => "SHAPES_FULL",
            Self::NameTaken { .. } => "AGENT_NAME_TAKEN",
            Self::AgentIdInUse => "AGENT_ID_IN_USE",
            Self::AgentsFull { .. } => "AGENTS_FULL",
            Self::PausesFull { .. } => "QUEUE_PAUSES_FULL",
            Self::QueueFull { .. } => "QUEUE_FULL",
            Self::QueueBytesFull { .. } => "QUEUE_BYTES_FULL",
            Self::QueueSettingsFull { .. } => "QUEUE_SETTINGS_FULL",
            Self::UniqueTaken { .. } => "UNIQUE_KEY_TAKEN",
            Self::LimitsFull { .. } => "LIMITS_FULL",
            Self::CooldownsFull { .. } => "COOLDOWNS_FULL",
            Self::Behind { .. } => "RECORD_BEHIND",
            Self::Superseded => "SESSION_SUPERSEDED",
            Self::JobNotFinal { .. } => "JOB_NOT_FINAL",
            Self::JobNotHeld { .. } | Self::AgentHoldsNothing { .. } => "NOTHING_UNPROVEN",
            Self::JobNotWaiting { .. } => "JOB_NOT_WAITING",
            Self::JobInTouch { .. } | Self::AgentInTouch { .. } => "AGENT_IN_TOUCH",
            Self::LeaseExpired => "LEASE_EXPIRED",
        }
    }

    fn quota(&self) -> Option<String> {
        match self {
            Self::JobsFull { .. } => Some("jobs".to_owned()),
            Self::QueueFull { queue, .. } | Self::QueueBytesFull { queue, .. } => Some(format!("queues/{queue}")),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self.kind(), Kind::Busy).then_some(Duration::from_secs(1))
    }
}
