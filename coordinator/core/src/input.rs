//! Everything that can happen, and everything that can be done about it, on one page.

use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::{
    AgentHello, AgentRecord, AttemptRecord, Cooldown, Credit, Event, Grant, JobHeader, JobRecord, Lease, LimitRecord,
    LimitSettings, Order, Pause, QueueField, QueueRecord, QueueSettings, ReportItem, StopOrder, Welcome,
};
use windlass_shared::ids::{AgentId, JobId, SessionId};
use windlass_shared::time::Moment;

use crate::refusal::Refusal;

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
    /// Somebody wants finished jobs taken in again.
    Requeue {
        /// Who waits.
        ticket: Ticket,
        /// The jobs, as they are on record between this tick and the one before.
        jobs: Vec<JobRecord>,
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
    /// Each job waits again, or why it does not.
    Requeued(Vec<Result<(), Refusal>>),
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
