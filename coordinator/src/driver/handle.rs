//! How everyone else talks to the driver.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use windlass_core::{Core, Refusal};
use windlass_shared::clock;
use windlass_shared::domain::{AgentHello, AgentRecord, Credit, JobHeader, Pause, QueueRecord, ReportItem};
use windlass_shared::fault::{Fault, Kind};
use windlass_shared::ids::{AgentId, JobId, SessionId};
use windlass_shared::time::{Moment, Now};

use crate::store::{NoRoom, ReadError, Store};

/// Kibibytes of specs between admission and commit: 64 MiB, sixteen of the largest messages.
const SUBMIT_KIB_MAX: usize = 64 << 10;

/// What must never be shed.
pub(crate) enum Control {
    Cancel {
        job: JobId,
        detail: Option<Arc<str>>,
        reply: oneshot::Sender<bool>,
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
    Order {
        agent: AgentId,
        wish: Wish,
        reply: oneshot::Sender<Option<Box<AgentRecord>>>,
    },
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

/// A job was not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error("the coordinator has more submits waiting than it can record; wait and submit again")]
    Overloaded,
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("request_id {id:?} made job {job} of another spec; use a new id for a new job")]
    RequestIdTaken { id: Box<str>, job: JobId },
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    #[error(transparent)]
    Stopping(#[from] Stopping),
}

impl Fault for SubmitError {
    fn kind(&self) -> Kind {
        match self {
            Self::Overloaded => Kind::Busy,
            Self::NoRoom(why) => why.kind(),
            Self::Refused(why) => why.kind(),
            Self::RequestIdTaken { .. } => Kind::Exists,
            Self::Unreadable(why) => why.kind(),
            Self::Stopping(why) => why.kind(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Overloaded => "SUBMITS_OVERLOADED",
            Self::NoRoom(why) => why.reason(),
            Self::Refused(why) => why.reason(),
            Self::RequestIdTaken { .. } => "REQUEST_ID_TAKEN",
            Self::Unreadable(why) => why.reason(),
            Self::Stopping(why) => why.reason(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded => Some(Duration::from_millis(100)),
            Self::NoRoom(why) => why.retry_after(),
            Self::Refused(why) => why.retry_after(),
            Self::RequestIdTaken { .. } => None,
            Self::Unreadable(why) => why.retry_after(),
            Self::Stopping(why) => why.retry_after(),
        }
    }
}

/// The driver is gone: the process is stopping.
#[derive(Debug, thiserror::Error)]
#[error("the coordinator is stopping")]
pub(crate) struct Stopping;

impl Fault for Stopping {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }

    fn reason(&self) -> &'static str {
        "STOPPING"
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }
}

/// When the driver finished its latest tick. Sessions acknowledge heartbeats only while it is fresh: a coordinator that
/// decides nothing must not keep agents believing in it.
#[derive(Debug)]
pub(crate) struct Progress(AtomicU64);

impl Progress {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(clock::moment().0))
    }

    pub(crate) fn mark(&self, at: Moment) {
        self.0.store(at.0, Ordering::Relaxed);
    }

    pub(crate) fn age(&self) -> Duration {
        clock::moment().since(Moment(self.0.load(Ordering::Relaxed)))
    }
}

/// The way to the driver.
#[derive(Debug, Clone)]
pub(crate) struct DriverHandle {
    control: mpsc::Sender<Control>,
    submits: mpsc::Sender<Submit>,
    room: Arc<Semaphore>,
    store: Arc<dyn Store>,
    progress: Arc<Progress>,
}

impl DriverHandle {
    pub(super) fn new(
        control: mpsc::Sender<Control>,
        submits: mpsc::Sender<Submit>,
        store: Arc<dyn Store>,
        progress: Arc<Progress>,
    ) -> Self {
        Self { control, submits, room: Arc::new(Semaphore::new(SUBMIT_KIB_MAX)), store, progress }
    }

    /// Takes in jobs; each is on record, or refused, when this answers.
    pub(crate) async fn submit(&self, jobs: Vec<Incoming>) -> Result<Taken, SubmitError> {
        let bytes = jobs.iter().map(|job| job.spec.len()).sum::<usize>();
        self.store.room(bytes)?;
        // A job costs about this much on its way beside its spec.
        let bytes = bytes + jobs.len() * 256;
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(kib).map_err(|_| SubmitError::Overloaded)?;
        let (reply, answer) = oneshot::channel();
        match self.submits.try_send(Submit { jobs, reply, room }) {
            Ok(()) => Ok(answer.await.map_err(|_| Stopping)?),
            Err(mpsc::error::TrySendError::Full(_)) => Err(SubmitError::Overloaded),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Stopping.into()),
        }
    }

    /// Cancels a job; whether there was a live one.
    pub(crate) async fn cancel(&self, job: JobId, detail: Option<Arc<str>>) -> Result<bool, Stopping> {
        self.ask(|reply| Control::Cancel { job, detail, reply }).await
    }

    /// Asks for something, and waits for the answer.
    pub(super) async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Control) -> Result<T, Stopping> {
        let (reply, answer) = oneshot::channel();
        self.control.send(message(reply)).await.map_err(|_| Stopping)?;
        answer.await.map_err(|_| Stopping)
    }

    /// Room for one message of a session.
    pub(crate) async fn reserve(&self) -> Result<mpsc::Permit<'_, Control>, Stopping> {
        self.control.reserve().await.map_err(|_| Stopping)
    }

    /// Tells the driver something, waiting for room.
    pub(crate) async fn tell(&self, message: Control) {
        // A driver that is gone needs to be told nothing.
        let _ = self.control.send(message).await;
    }

    /// How long ago the driver finished a tick.
    pub(crate) fn progress_age(&self) -> Duration {
        self.progress.age()
    }
}
