//! The stores under test, by one set of words: memory, SQLite, and SQLite opened anew after every commit.

use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use windlass_core::Change;
use windlass_shared::domain::{AttemptRecord, JobRecord, JobView};
use windlass_shared::ids::JobId;

use crate::store::{Batch, CommitError, Filter, Opened, Page, Request, Retention, Store, StoreOptions, memory, open};

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Memory,
    Sqlite,
    /// Opened anew after every commit.
    Reopened,
}

/// A store under test.
pub(super) struct Bed {
    kind: Kind,
    options: StoreOptions,
    dir: Option<TempDir>,
    opened: Option<Opened>,
    runtime: Runtime,
}

/// Small enough for any disk that tests run on.
pub(super) fn options() -> StoreOptions {
    StoreOptions { disk_free_min: Some(0), ballast_bytes: Some(0), ..StoreOptions::default() }
}

pub(super) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

impl Bed {
    pub(super) fn new(kind: Kind) -> Self {
        Self::with(kind, options())
    }

    pub(super) fn with(kind: Kind, options: StoreOptions) -> Self {
        let dir = (kind != Kind::Memory).then(|| TempDir::new().expect("a directory"));
        let mut bed = Self { kind, options, dir, opened: None, runtime: runtime() };
        bed.opened = Some(match bed.kind {
            Kind::Memory => memory(bed.options.retention.clone(), 7),
            Kind::Sqlite | Kind::Reopened => bed.open(),
        });
        bed
    }

    pub(super) fn keeping(kind: Kind, retention: Retention) -> Self {
        Self::with(kind, StoreOptions { retention, ..options() })
    }

    pub(super) fn is_memory(&self) -> bool {
        self.kind == Kind::Memory
    }

    pub(super) fn dir(&self) -> &std::path::Path {
        self.dir.as_ref().expect("memory has no directory").path()
    }

    fn open(&self) -> Opened {
        open(self.dir(), &self.options, 7).expect("it opens")
    }

    /// Closes the store, and opens it again. Memory stays as it is: it has nothing to come back from.
    pub(super) fn reopen(&mut self) -> &Opened {
        if !self.is_memory() {
            self.opened = None;
            self.opened = Some(self.open());
        }
        self.opened()
    }

    /// Closes the store; a raw connection may look at the file.
    pub(super) fn close(&mut self) {
        self.opened = None;
    }

    pub(super) fn opened(&self) -> &Opened {
        self.opened.as_ref().expect("it is open")
    }

    pub(super) fn store(&self) -> &dyn Store {
        &*self.opened().store
    }

    pub(super) fn share(&self) -> Arc<dyn Store> {
        self.opened().store.clone()
    }

    pub(super) fn try_commit(&mut self, batch: Batch) -> Result<(), CommitError> {
        let result = self.runtime.block_on(self.opened.as_ref().expect("it is open").store.commit(batch));
        if self.kind == Kind::Reopened {
            self.reopen();
        }
        result
    }

    pub(super) fn commit(&mut self, batch: Batch) {
        self.try_commit(batch).expect("it commits");
    }

    /// Commits changes, with the spec of every job that is new.
    pub(super) fn record(&mut self, changes: Vec<Change>) {
        self.commit(batch(changes));
    }

    pub(super) fn record_request(&mut self, changes: Vec<Change>, requests: Vec<Request>) {
        self.commit(Batch { requests, ..batch(changes) });
    }

    pub(super) fn view(&self, id: JobId) -> Option<JobView> {
        self.store().job(id).expect("it reads")
    }

    pub(super) fn page(&self, filter: &Filter, before: Option<JobId>, limit: usize) -> Page {
        self.store().list(filter, before, limit).expect("it reads")
    }

    /// Every job that passes, by as many pages as it takes.
    pub(super) fn list(&self, filter: &Filter, limit: usize) -> Vec<JobView> {
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let page = self.page(filter, before, limit);
            assert!(page.jobs.len() <= limit);
            all.extend(page.jobs);
            assert!(page.next.is_none() || before.is_none() || page.next < before, "a page that leads nowhere");
            before = page.next;
            if before.is_none() {
                return all;
            }
        }
    }

    /// What is live by what the store shows, oldest first: what a restart must bring back.
    pub(super) fn live_by_views(&self) -> Vec<(JobRecord, Option<AttemptRecord>)> {
        let all = self.list(&Filter::default(), 1_000);
        let live = all.into_iter().filter(|view| !view.record.state.is_final());
        let mut live: Vec<_> = live
            .map(|view| {
                let newest = self.view(view.record.id).expect("it is listed").attempts.pop();
                (view.record, newest)
            })
            .collect();
        live.sort_by_key(|(job, _)| job.order);
        live
    }
}

/// What the specs of tests look like: told by the id, some small, some large.
pub(super) fn spec_of(id: JobId) -> Bytes {
    let byte = id.as_bytes()[15];
    let size = if byte.is_multiple_of(5) { 3_000 } else { 100 };
    vec![byte; size].into()
}

/// Changes as one batch, with the spec of every job that is new.
pub(super) fn batch(changes: Vec<Change>) -> Batch {
    let new = changes.iter().filter(|change| change.job.revision == change.job.order);
    let specs = new.map(|change| (change.job.id, spec_of(change.job.id))).collect();
    Batch { changes, specs, ..Batch::default() }
}
