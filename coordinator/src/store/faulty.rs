//! A store that fails on cue, for tests of whoever must survive it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use windlass_shared::domain::{CallResult, JobView};
use windlass_shared::ids::JobId;

use super::{Batch, Commit, CommitError, Filter, NoRoom, Page, ReadError, Request, Store};

/// What goes wrong with one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails, and nothing of it is on record.
    Fail,
    /// It is on record, and its answer says that it failed: a sync that was done when the machine died.
    ExecuteThenFail,
    /// It takes this much longer.
    Delay(Duration),
    /// The process dies before it.
    CrashBefore,
    /// The process dies after it, and nobody heard.
    CrashAfter,
}

/// Any store, with faults.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    inner: Arc<dyn Store>,
    script: BTreeMap<u64, Fault>,
    commits: AtomicU64,
    broken: AtomicBool,
    reads: AtomicU64,
    reads_failing: AtomicU64,
}

impl FaultyStore {
    /// `script`: which commit, counted from 1, meets what.
    pub(crate) fn new(inner: Arc<dyn Store>, script: impl IntoIterator<Item = (u64, Fault)>) -> Self {
        let script = script.into_iter().collect();
        Self {
            inner,
            script,
            commits: AtomicU64::new(0),
            broken: false.into(),
            reads: AtomicU64::new(0),
            reads_failing: AtomicU64::new(0),
        }
    }

    /// The next `n` reads of a job or a spec fail, as on a disk that does not answer.
    pub(crate) fn fail_reads(&self, n: u64) {
        self.reads_failing.store(n, Ordering::Relaxed);
    }

    /// Jobs and specs read so far, in vain or not.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    fn read(&self) -> Result<(), ReadError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let failing = self.reads_failing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        failing.map_or(Ok(()), |_| Err(ReadError::Failed("a fault of the script".into())))
    }

    async fn meet(&self, fault: Option<Fault>, batch: Batch) -> Result<(), CommitError> {
        match fault {
            None => self.inner.commit(batch).await,
            Some(Fault::Fail) => Err(self.fail()),
            Some(Fault::ExecuteThenFail) => {
                self.inner.commit(batch).await?;
                Err(self.fail())
            }
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                self.inner.commit(batch).await
            }
            Some(Fault::CrashBefore) => std::process::abort(),
            Some(Fault::CrashAfter) => {
                // Whether it worked is for whoever comes next to find out.
                let _ = self.inner.commit(batch).await;
                std::process::abort()
            }
        }
    }

    fn fail(&self) -> CommitError {
        self.broken.store(true, Ordering::Relaxed);
        CommitError("a fault of the script".into())
    }
}

impl Store for FaultyStore {
    fn commit(&self, batch: Batch) -> Commit<'_> {
        let nth = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        if self.broken.load(Ordering::Relaxed) {
            return Box::pin(std::future::ready(Err(CommitError("a commit failed before".into()))));
        }
        Box::pin(self.meet(self.script.get(&nth).copied(), batch))
    }

    fn job(&self, id: JobId) -> Result<Option<JobView>, ReadError> {
        self.read()?;
        self.inner.job(id)
    }

    fn spec(&self, id: JobId) -> Result<Option<Bytes>, ReadError> {
        self.read()?;
        self.inner.spec(id)
    }

    fn result(&self, id: JobId) -> Result<Option<CallResult>, ReadError> {
        self.inner.result(id)
    }

    fn request(&self, id: &str) -> Result<Option<Request>, ReadError> {
        self.inner.request(id)
    }

    fn list(&self, filter: &Filter, before: Option<JobId>, limit: usize) -> Result<Page, ReadError> {
        self.inner.list(filter, before, limit)
    }

    fn room(&self, bytes: usize) -> Result<(), NoRoom> {
        self.inner.room(bytes)
    }
}
