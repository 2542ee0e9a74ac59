//! Everything that can happen, and everything that can be done about it, on one page.

use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::{
    AgentHello, AgentRecord, AttemptRecord, Cooldown, Credit, Event, Grant, JobHeader, JobRecord, JobState, Lease,
    LimitRecord, LimitSettings, Order, Pause, QueueField, QueueRecord, QueueSettings, ReportItem, StopOrder, Welcome,
};
use windlass_shared::fault::{Fault, Kind};
use windlass_shared::ids::{AgentId, JobId, SessionId};
use windlass_shared::time::Moment;

/// Names a caller that waits for a [`Reply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A job to take in. Its spec stays with whoever holds the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Id of the job, never used before.
    pub job: JobId,
    /// What the scheduler must know of it.
    pub header: JobHeader,
    /// Bytes of its spec.
    pub spec_bytes: u32,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A client submitted jobs.
    Submit {
        /// Who waits.
        ticket: Ticket,
        /// The jobs, in order.
        jobs: Vec<Submission>,
    },
    /// A client asked for a job to be stopped.
    Cancel {
        /// Who waits.
        ticket: Ticket,
        /// The job.
        job: JobId,
        /// Why, in the client's words.
        detail: Option<Arc<str>>,
    },
    /// A client wants a job that waits to have another place.
    Update {
        /// Who waits.
        ticket: Ticket,
        /// The job.
        job: JobId,
        /// Its priority from now on; none: as it is.
        priority: Option<i8>,
        /// Its queue from now on; none: as it is.
        queue: Option<Arc<str>>,
    },
    /// An operator wants a queue emptied of what waits in it.
    Purge {
        /// Who waits.
        ticket: Ticket,
        /// The queue.
        queue: Arc<str>,
        /// Why.
        detail: Option<Arc<str>>,
    },
    /// An operator wants nothing more handed out of a queue.
    Pause {
        /// Who waits.
        ticket: Ticket,
        /// The queue, there or not: it may be paused before its first job.
        queue: Arc<str>,
        /// Why.
        pause: Pause,
    },
    /// An operator wants a queue handed out again.
    Resume {
        /// Who waits.
        ticket: Ticket,
        /// The queue.
        queue: Arc<str>,
    },
    /// An operator sets something of a queue.
    UpdateQueue {
        /// Who waits.
        ticket: Ticket,
        /// The queue, there or not.
        queue: Arc<str>,
        /// What is to hold.
        settings: Box<QueueSettings>,
        /// Which of it; the rest stays as it is.
        fields: Vec<QueueField>,
    },
    /// An operator sets a limit, or takes it back.
    SetLimit {
        /// Who waits.
        ticket: Ticket,
        /// A key; or a beginning of keys and `*`.
        key: Arc<str>,
        /// What it allows; none: what was set is taken back.
        settings: Option<LimitSettings>,
    },
    /// An operator lets a key cool down, or ends that.
    SetCooldown {
        /// Who waits.
        ticket: Ticket,
        /// The key.
        key: Arc<str>,
        /// How long from now, and why; none: it ends.
        cooldown: Option<(Duration, Option<Arc<str>>)>,
    },
    /// An operator wants an agent to get nothing new.
    Cordon {
        /// Who waits.
        ticket: Ticket,
        /// The agent.
        agent: AgentId,
        /// Why.
        reason: Option<Arc<str>>,
    },
    /// An operator wants an agent to get nothing new, and to be rid of what it has.
    Drain {
        /// Who waits.
        ticket: Ticket,
        /// The agent.
        agent: AgentId,
        /// Time that what runs there gets; none: as long as it needs.
        deadline: Option<Duration>,
        /// Why.
        reason: Option<Arc<str>>,
    },
    /// An operator takes back a cordon or a drain.
    Uncordon {
        /// Who waits.
        ticket: Ticket,
        /// The agent.
        agent: AgentId,
    },
    /// An operator gives a job up whose agent is out of touch.
    Abandon {
        /// Who waits.
        ticket: Ticket,
        /// The job.
        job: JobId,
        /// Why, in the operator's words.
        detail: Option<Arc<str>>,
    },
    /// An operator knows that an agent out of touch is gone, with all that it ran.
    ForceLost {
        /// Who waits.
        ticket: Ticket,
        /// The agent.
        agent: AgentId,
        /// Why, in the operator's words.
        detail: Option<Arc<str>>,
    },
    /// An agent opened a stream.
    Hello {
        /// Its stream.
        session: SessionId,
        /// Who it is and what it holds.
        hello: Box<AgentHello>,
    },
    /// An agent was heard. Given before [`Input::Tick`], so that nobody is judged by an old stamp.
    Alive {
        /// Its stream.
        session: SessionId,
        /// When its heartbeat was read.
        at: Moment,
    },
    /// An agent told what became of attempts.
    Report {
        /// Its stream.
        session: SessionId,
        /// Number of the report, to be acknowledged.
        sequence: u64,
        /// The news, oldest first.
        items: Vec<ReportItem>,
    },
    /// An agent changed how much it takes.
    Credit {
        /// Its stream.
        session: SessionId,
        /// What it takes.
        credit: Credit,
    },
    /// An agent takes nothing new and will leave.
    Draining {
        /// Its stream.
        session: SessionId,
    },
    /// An agent holds nothing and leaves.
    Goodbye {
        /// Its stream.
        session: SessionId,
    },
    /// A stream ended, however it went.
    Closed {
        /// The stream.
        session: SessionId,
    },
    /// Time passed. Due at [`crate::Core::next_deadline`], and at least once a heartbeat interval.
    Tick,
}

/// Something to be done. Changes first: nothing else leaves before the changes of its tick are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make this durable.
    Record(Box<Change>),
    /// Make this durable too.
    Mark(Mark),
    /// Answer a caller.
    Reply(Ticket, Reply),
    /// Answer a hello.
    Welcome(SessionId, Welcome),
    /// Give an agent an attempt to run, with what it is lent.
    Assign(SessionId, Lease, Vec<Grant>),
    /// Tell an agent to stop an attempt.
    Stop(SessionId, StopOrder),
    /// Ask an agent for what it has not started.
    Recall(SessionId, Vec<Lease>),
    /// Tell an agent that a report is on record, and which of its leases are stale.
    Ack(SessionId, u64, Vec<Lease>),
    /// End a stream.
    Close(SessionId, Refusal),
}

/// One transition of one job: the job as it is from now on, and the attempt it concerns as it is from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The job.
    pub job: JobRecord,
    /// The attempt, where one began, moved or ended.
    pub attempt: Option<AttemptRecord>,
}

impl Change {
    /// The change as watchers see it.
    #[must_use]
    pub fn event(&self) -> Event {
        Event {
            revision: self.job.revision,
            time: self.job.updated_at,
            job: self.job.id,
            state: self.job.state,
            attempt: self.job.attempts,
            agent: self.attempt.as_ref().map(|attempt| attempt.agent),
            reason: self.job.reason,
        }
    }
}

/// What an operator decided, which holds until it is taken back, over every restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// Of a queue.
    Queue {
        /// Its name.
        name: Arc<str>,
        /// That it hands out nothing; none: it does.
        pause: Option<Pause>,
        /// What is set of it; none: nothing.
        settings: Option<Arc<QueueSettings>>,
    },
    /// Of a limit.
    Limit {
        /// A key; or a beginning of keys and `*`.
        key: Arc<str>,
        /// What it allows; none: nothing is set.
        settings: Option<LimitSettings>,
    },
    /// Of a key that cools down; also what a job's answer decided.
    Cooldown {
        /// The key.
        key: Arc<str>,
        /// Until when; none: it does not any more.
        cooldown: Option<Cooldown>,
    },
    /// Of an agent.
    Agent {
        /// Its id.
        id: AgentId,
        /// What is wanted of it; none: nothing any more.
        order: Option<Order>,
    },
}

/// What became of a job that was submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// It is on record.
    New,
    /// There is none of its id: this one has its unique key, and is what its submitter asked for then.
    Existing(JobId),
}

/// The answer to a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Each job is on record, or refused.
    Submitted(Vec<Result<Admitted, Refusal>>),
    /// The job will get no further attempt; `false`: no live job has this id.
    Cancelled(bool),
    /// The job has its new place, or why it keeps its old one; `false`: no live job has this id.
    Updated(Result<bool, Refusal>),
    /// What waited in the queue is cancelled.
    Purged {
        /// How many jobs.
        purged: usize,
        /// Whether there are more, for another call.
        more: bool,
    },
    /// The job is over, or why it is not; `false`: no live job has this id.
    Abandoned(Result<bool, Refusal>),
    /// The agent as it is from now on, or why it stays as it was; none: there is none of this id.
    ForcedLost(Result<Option<Box<AgentRecord>>, Refusal>),
    /// The queue as it is from now on, or why it stays as it was.
    Queue(Result<QueueRecord, Refusal>),
    /// The agent as it is from now on; none: there is none of this id.
    Agent(Option<Box<AgentRecord>>),
    /// The limit as it is from now on, or why it stays as it was.
    Limit(Result<Box<LimitRecord>, Refusal>),
}

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
