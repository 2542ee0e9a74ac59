//! Where jobs are on record. A tick is committed whole or not at all, and nothing of it is visible before.

mod memory;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use windlass_core::Change;
use windlass_shared::domain::{JobState, JobView};
use windlass_shared::ids::JobId;

pub(crate) use memory::MemoryStore;
pub use memory::Retention;

/// What one tick changed.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Every transition, oldest first; a job may occur several times.
    pub(crate) changes: Vec<Change>,
    /// The specs of jobs that are new.
    pub(crate) specs: Vec<(JobId, Bytes)>,
}

/// The store could not make a tick durable. The core has no undo, so the process ends.
#[derive(Debug, thiserror::Error)]
#[error("the store failed: {0}")]
pub(crate) struct CommitError(String);

/// A commit under way.
pub(crate) type Commit<'a> = Pin<Box<dyn Future<Output = Result<(), CommitError>> + Send + 'a>>;

/// Which jobs to list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Filter {
    /// In one of these states; empty: all.
    pub(crate) states: Vec<JobState>,
    /// Of this queue.
    pub(crate) queue: Option<Arc<str>>,
    /// With an id that begins so.
    pub id_prefix: Option<Box<str>>,
}

/// A page of jobs, newest first, without their attempts.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// The jobs.
    pub(crate) jobs: Vec<JobView>,
    /// Where to go on: before this job. None: there is nothing more.
    pub(crate) next: Option<JobId>,
}

/// A store of jobs.
pub(crate) trait Store: Send + Sync + fmt::Debug + 'static {
    /// Makes a tick durable.
    fn commit(&self, batch: Batch) -> Commit<'_>;
    /// A job, with its attempts.
    fn job(&self, id: JobId) -> Option<JobView>;
    /// What was submitted as this job.
    fn spec(&self, id: JobId) -> Option<Bytes>;
    /// Jobs before `before` (none: from the newest), at most `limit`; may be short and not the last.
    fn list(&self, filter: &Filter, before: Option<JobId>, limit: usize) -> Page;
    /// Whether `bytes` more of specs fit.
    fn has_room(&self, bytes: usize) -> bool;
}
