//! Where jobs are on record. A tick is committed whole or not at all, and nothing of it is visible before.

#[cfg(test)]
pub(crate) mod faulty;
mod filter;
mod memory;
mod options;
mod sqlite;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use windlass_core::{Change, Mark};
use windlass_shared::domain::{AttemptRecord, CallResult, Event, JobRecord, JobView};
use windlass_shared::fault::{Fault, Kind};
use windlass_shared::ids::JobId;
use windlass_shared::time::Timestamp;

pub(crate) use filter::Filter;
pub(crate) use memory::memory;
pub use options::{Retention, StoreOptions};
pub use sqlite::OpenError;
pub(crate) use sqlite::{open, tools};

/// Attempts kept of one job; the oldest go first.
const ATTEMPTS_KEPT: usize = 100;
/// Time a request id is kept: longer than anybody retries one submit.
const REQUESTS_TTL: Duration = Duration::from_secs(24 * 3600);
/// Bytes of specs in one page, the last job's beyond it at most: two of the largest fit a message of 4 MiB.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// Largest answer of a handler that stays with its attempt. Rows stay on their page that way, and no list reads the larger ones.
const INLINE_RESULT_BYTES_MAX: usize = 512;
/// Bytes of specs looked at for one page, where a filter asks for what is in them; the last one's beyond it at most.
const SPEC_BYTES_SCANNED_MAX: usize = 16 << 20;
/// Rows looked at for one page, so that a filter nothing passes cannot hold the store.
const ROWS_SCANNED_MAX: usize = 10_000;

/// What one tick changed.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Every transition, oldest first; a job may occur several times.
    pub(crate) changes: Vec<Change>,
    /// The specs of jobs that are new.
    pub(crate) specs: Vec<(JobId, Bytes)>,
    /// The request ids of jobs that are new.
    pub(crate) requests: Vec<Request>,
    /// What operators decided, oldest first.
    pub(crate) marks: Vec<Mark>,
    /// Finished jobs that are taken in again, each with its spec among `specs` and its new life among `changes`.
    pub(crate) revived: Vec<Revived>,
    /// Finished jobs that nobody wants to keep.
    pub(crate) purged: Vec<JobId>,
}

/// A finished job that is taken in again.
#[derive(Debug)]
pub(crate) struct Revived {
    pub(crate) job: JobId,
    /// The newest of its attempts so far, which stays on record beside those to come. What its handler answered does not.
    pub(crate) attempt: Option<AttemptRecord>,
}

impl Batch {
    /// Whether there is nothing to make durable.
    pub(crate) fn is_empty(&self) -> bool {
        let nothing_new = self.changes.is_empty() && self.marks.is_empty() && self.requests.is_empty();
        nothing_new && self.purged.is_empty()
    }
}

/// A submit that may be repeated: its id, what was submitted, and the job it made. Kept for 24 h.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// The caller's own id for it.
    pub(crate) id: Box<str>,
    /// Of the spec in its canonical form: two encodings of one spec have one digest.
    pub(crate) digest: [u8; 32],
    /// The job it made.
    pub(crate) job: JobId,
    /// When.
    pub(crate) at: Timestamp,
}

/// The store could not make a tick durable. The core has no undo, so the process ends.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store failed: {0}")]
pub(crate) struct CommitError(pub(crate) String);

/// Something on record cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// It is not what was written. It is never shown.
    #[error("{what} is damaged on disk and cannot be shown; `windlass-coordinator store verify` says what else is")]
    Corrupt {
        /// What, such as `job 0193…`.
        what: String,
    },
    /// The store could not be asked.
    #[error("the store cannot be read: {0}")]
    Failed(String),
}

impl Fault for ReadError {
    fn kind(&self) -> Kind {
        match self {
            Self::Corrupt { .. } => Kind::DataLoss,
            Self::Failed(_) => Kind::Unavailable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Corrupt { .. } => "RECORD_CORRUPT",
            Self::Failed(_) => "STORE_UNREADABLE",
        }
    }
}

/// There is no room for more jobs. Results, cancels and drains go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoRoom {
    /// As many bytes of specs and results are kept as may be.
    #[error(
        "the store keeps {max} bytes of specs and results, which is its limit (spec_bytes_max); submit again when jobs have finished"
    )]
    Specs {
        /// The limit.
        max: usize,
    },
    /// The disk is nearly full.
    #[error(
        "the data directory's disk has {free} bytes free, below the floor of {floor}; submit again when space was made"
    )]
    Disk {
        /// Bytes free.
        free: u64,
        /// Bytes that must stay free.
        floor: u64,
    },
}

impl Fault for NoRoom {
    fn kind(&self) -> Kind {
        Kind::Busy
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Specs { .. } => "STORE_FULL",
            Self::Disk { .. } => "DISK_FULL",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }
}

/// A commit under way.
pub(crate) type Commit<'a> = Pin<Box<dyn Future<Output = Result<(), CommitError>> + Send + 'a>>;

/// A finished job, as far as it is needed to begin again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) record: JobRecord,
    pub(crate) spec: Bytes,
    /// The newest attempt.
    pub(crate) attempt: Option<AttemptRecord>,
}

/// A page of jobs, newest first, without their attempts.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// The jobs.
    pub(crate) jobs: Vec<JobView>,
    /// Where to go on: before this job. None: there is nothing more.
    pub(crate) next: Option<JobId>,
}

/// A store of jobs. Reads are by key or of a bounded number of rows, and quick enough for any thread.
pub(crate) trait Store: Send + Sync + fmt::Debug + 'static {
    /// Makes a tick durable, whole or not at all. Once this failed, nothing more may be committed.
    fn commit(&self, batch: Batch) -> Commit<'_>;
    /// A job, with its attempts.
    fn job(&self, id: JobId) -> Result<Option<JobView>, ReadError>;
    /// A job that is finished, to be taken in again. For the driver.
    fn finished(&self, id: JobId) -> Result<Option<Finished>, ReadError>;
    /// What was submitted as this job.
    fn spec(&self, id: JobId) -> Result<Option<Bytes>, ReadError>;
    /// What the handler answered, where the job succeeded by an answer that is kept.
    fn result(&self, id: JobId) -> Result<Option<CallResult>, ReadError>;
    /// The submit of this request id, while it is kept.
    fn request(&self, id: &str) -> Result<Option<Request>, ReadError>;
    /// Jobs before `before` (none: from the newest), at most `limit`; may be short and not the last.
    fn list(&self, filter: &Filter, before: Option<JobId>, limit: usize) -> Result<Page, ReadError>;
    /// Whether `bytes` more of specs fit, beside the specs and the results that are kept.
    fn room(&self, bytes: usize) -> Result<(), NoRoom>;
}

/// A store, and what was on record when it was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    /// Identity of the record, minted when the store was made.
    pub(crate) incarnation: u64,
    /// This start's number, greater than every one before, and durable.
    pub(crate) epoch: u64,
    /// Number of the latest change on record.
    pub(crate) revision: u64,
    /// Every job that is not final, oldest first, with its newest attempt.
    pub(crate) live: Vec<(JobRecord, Option<AttemptRecord>)>,
    /// The newest changes, oldest first.
    pub(crate) events: Vec<Event>,
    /// What operators decided, and did not take back.
    pub(crate) marks: Vec<Mark>,
}

/// What a mark is about: the key that it is kept under.
fn mark_key(mark: &Mark) -> String {
    match mark {
        Mark::Queue { name, .. } => format!("queue/{name}"),
        Mark::Agent { id, .. } => format!("agent/{id}"),
        Mark::Limit { key, .. } => format!("limit/{key}"),
        Mark::Cooldown { key, .. } => format!("cooldown/{key}"),
    }
}

/// The answer of an attempt that is too large to stay with it.
fn large_result(attempt: &AttemptRecord) -> Option<&CallResult> {
    let result = attempt.outcome.as_ref()?.result.as_ref()?;
    (result.value.len() > INLINE_RESULT_BYTES_MAX).then_some(result)
}
