//! A store that fails on cue, for tests of whoever must survive it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use windlass_shared::domain::{CallResult, JobView};
use windlass_shared::ids::JobId;

use super::{Batch, Commit, CommitError, Filter, Finished, NoRoom, Page, ReadError, Request, Store};

const LIST_HELD_MAX: Duration = Duration::from_secs(10);

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
    list_held: Mutex<Option<mpsc::Receiver<()>>>,
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
            list_held: Mutex::new(None),
        }
    }

    /// The next `n` reads of a job or a spec fail, as on a disk that does not answer.
    pub(crate) fn fail_reads(&self, n: u64) {
        self.reads_failing.store(n, Ordering::Relaxed);
    }

    /// The next list takes until it is told to go on, and fails where nobody does.
    pub(crate) fn hold_next_list(&self, until: mpsc::Receiver<()>) {
        *self.list_held.lock().unwrap() = Some(until);
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

    fn finished(&self, id: JobId) -> Result<Option<Finished>, ReadError> {
        self.read()?;
        self.inner.finished(id)
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
        let held = self.list_held.lock().unwrap().take();
        if held.is_some_and(|held| held.recv_timeout(LIST_HELD_MAX).is_err()) {
            return Err(ReadError::Failed("nobody let go of the list".into()));
        }
        self.inner.list(filter, before, limit)
    }

    fn room(&self, bytes: usize) -> Result<(), NoRoom> {
        self.inner.room(bytes)
    }
}
