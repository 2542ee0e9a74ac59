//! What the driver is told: the two kinds of messages, one for each inbox.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use windlass_core::{Core, Refusal};
use windlass_shared::domain::{
    AgentHello, AgentRecord, Credit, JobHeader, LimitRecord, LimitSettings, Pause, QueueField, QueueRecord,
    QueueSettings, ReportItem,
};
use windlass_shared::ids::{AgentId, JobId, SessionId};
use windlass_shared::time::{Moment, Now};

use super::error::{SubmitError, WordError};
use super::finished::OfFinished;

/// What must never be shed.
pub(crate) enum Control {
    Cancel {
        job: JobId,
        detail: Option<Arc<str>>,
        reply: oneshot::Sender<bool>,
    },
    UpdateJob {
        job: JobId,
        priority: Option<i8>,
        queue: Option<Arc<str>>,
        reply: oneshot::Sender<Result<bool, Refusal>>,
    },
    Purge {
        queue: Arc<str>,
        detail: Option<Arc<str>>,
        reply: oneshot::Sender<(usize, bool)>,
    },
    /// A look at the core as it is on record; taken out when it is answered.
    Look(Option<Look>),
    Pause {
        queue: Arc<str>,
        pause: Pause,
        reply: oneshot::Sender<Result<QueueRecord, Refusal>>,
    },
    Resume {
        queue: Arc<str>,
        reply: oneshot::Sender<Result<QueueRecord, Refusal>>,
    },
    UpdateQueue {
        queue: Arc<str>,
        settings: Box<QueueSettings>,
        fields: Vec<QueueField>,
        reply: oneshot::Sender<Result<QueueRecord, Refusal>>,
    },
    Limit {
        key: Arc<str>,
        wish: LimitWish,
        reply: oneshot::Sender<Result<Box<LimitRecord>, Refusal>>,
    },
    Order {
        agent: AgentId,
        wish: Wish,
        reply: oneshot::Sender<Option<Box<AgentRecord>>>,
    },
    Word(Word),
    OfFinished(OfFinished),
    Hello {
        session: SessionId,
        hello: Box<AgentHello>,
    },
    Report {
        session: SessionId,
        sequence: u64,
        items: Vec<ReportItem>,
    },
    Credit {
        session: SessionId,
        credit: Credit,
    },
    Draining {
        session: SessionId,
    },
    Goodbye {
        session: SessionId,
    },
    /// With when it was heard last.
    Closed {
        session: SessionId,
        heard: Moment,
    },
}

/// Looks at the core and answers whoever asked.
pub(crate) type Look = Box<dyn FnOnce(&Core, Now) + Send>;

/// What an operator wants of an agent.
pub(crate) enum Wish {
    Cordon { reason: Option<Arc<str>> },
    Drain { deadline: Option<Duration>, reason: Option<Arc<str>> },
    Uncordon,
}

/// What an operator wants of a limit.
pub(crate) enum LimitWish {
    Set(LimitSettings),
    Delete,
    /// Its key cools down for so long, and why.
    Cool(Duration, Option<Arc<str>>),
    /// Its key cools down no more.
    Warm,
}

/// What an operator says where nothing can be proven.
#[derive(Debug)]
pub(crate) struct Word {
    pub(crate) about: About,
    /// Why, in the operator's words.
    pub(crate) detail: Option<Arc<str>>,
    /// What makes a repeat safe, where the caller asked for that.
    pub(crate) request: Option<RequestKey>,
    pub(crate) reply: oneshot::Sender<Result<Said, WordError>>,
}

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// This job is given up.
    Job(JobId),
    /// This agent is gone.
    Agent(AgentId),
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// It is so from now on, or was already by this very request.
    Done,
    /// There is no such live job, or no such agent.
    Unknown,
}

/// One job on its way in.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) job: JobId,
    pub(crate) header: JobHeader,
    /// Exactly as it was submitted.
    pub(crate) spec: Bytes,
    /// What makes a repeated submit safe, where the caller asked for that.
    pub(crate) request: Option<RequestKey>,
}

/// The caller's own id for a submit, and the digest of what was submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestKey {
    pub(crate) id: Box<str>,
    pub(crate) digest: [u8; 32],
}

/// What became of each job of a submit: its id, or why there is none.
pub(crate) type Taken = Vec<Result<JobId, SubmitError>>;

/// Jobs on their way in.
pub(crate) struct Submit {
    pub(crate) jobs: Vec<Incoming>,
    pub(crate) reply: oneshot::Sender<Taken>,
    /// Given back when they are on record.
    pub(crate) room: OwnedSemaphorePermit,
}
