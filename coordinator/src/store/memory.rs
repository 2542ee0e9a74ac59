//! The store of tests and of `--ephemeral`: nothing survives the process, and the bounds say what is forgotten before.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use windlass_core::Change;
use windlass_shared::domain::{AttemptRecord, JobRecord, JobView};
use windlass_shared::ids::JobId;

use super::{
    ATTEMPTS_KEPT, Batch, Commit, Filter, NoRoom, Opened, Page, ROWS_SCANNED_MAX, ReadError, Request, Retention, Store,
};

/// A store in memory, empty. It cannot be opened again, so each life has an incarnation of its own.
pub(crate) fn memory(retention: Retention, incarnation: u64) -> Opened {
    let store = Arc::new(MemoryStore::new(retention));
    Opened { store, incarnation, epoch: 1, revision: 0, live: Vec::new(), events: Vec::new() }
}

/// Jobs in memory.
#[derive(Debug)]
pub(crate) struct MemoryStore {
    retention: Retention,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    jobs: BTreeMap<JobId, Row>,
    finished: VecDeque<JobId>,
    spec_bytes: usize,
    requests: BTreeMap<Box<str>, Request>,
    requests_by_age: VecDeque<Box<str>>,
}

#[derive(Debug)]
struct Row {
    record: JobRecord,
    spec: Bytes,
    attempts: Vec<AttemptRecord>,
}

impl Row {
    fn view(&self) -> JobView {
        JobView { record: self.record.clone(), spec: self.spec.clone(), attempts: self.attempts.clone() }
    }
}

impl MemoryStore {
    pub(crate) fn new(retention: Retention) -> Self {
        Self { retention, tables: Mutex::default() }
    }

    // A panic elsewhere cannot have left a half-applied tick: `apply` is all there is, and it does not panic.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn apply(&mut self, batch: Batch, retention: &Retention) {
        for request in batch.requests {
            self.requests_by_age.push_back(request.id.clone());
            self.requests.insert(request.id.clone(), request);
        }
        while self.requests.len() > retention.requests_max {
            let Some(oldest) = self.requests_by_age.pop_front() else { break };
            self.requests.remove(&oldest);
        }
        let mut specs: BTreeMap<JobId, Bytes> = batch.specs.into_iter().collect();
        for change in batch.changes {
            self.apply_one(change, &mut specs);
        }
        while self.finished.len() > retention.finished_jobs_max || self.spec_bytes > retention.spec_bytes_max {
            let Some(oldest) = self.finished.pop_front() else { break };
            if let Some(row) = self.jobs.remove(&oldest) {
                self.spec_bytes -= row.spec.len();
            }
        }
    }

    fn apply_one(&mut self, change: Change, specs: &mut BTreeMap<JobId, Bytes>) {
        let id = change.job.id;
        if change.job.state.is_final() {
            self.finished.push_back(id);
        }
        let row = match self.jobs.get_mut(&id) {
            Some(row) => {
                row.record = change.job;
                row
            }
            None => {
                let spec = specs.remove(&id).unwrap_or_default();
                self.spec_bytes += spec.len();
                self.jobs.entry(id).or_insert(Row { record: change.job, spec, attempts: Vec::new() })
            }
        };
        let Some(attempt) = change.attempt else { return };
        match row.attempts.last_mut().filter(|last| last.number == attempt.number) {
            Some(last) => *last = attempt,
            None => row.attempts.push(attempt),
        }
        if row.attempts.len() > ATTEMPTS_KEPT {
            row.attempts.remove(0);
        }
    }
}

impl Store for MemoryStore {
    fn commit(&self, batch: Batch) -> Commit<'_> {
        self.tables().apply(batch, &self.retention);
        Box::pin(std::future::ready(Ok(())))
    }

    fn job(&self, id: JobId) -> Result<Option<JobView>, ReadError> {
        Ok(self.tables().jobs.get(&id).map(Row::view))
    }

    fn spec(&self, id: JobId) -> Result<Option<Bytes>, ReadError> {
        Ok(self.tables().jobs.get(&id).map(|row| row.spec.clone()))
    }

    fn request(&self, id: &str) -> Result<Option<Request>, ReadError> {
        Ok(self.tables().requests.get(id).cloned())
    }

    fn list(&self, filter: &Filter, before: Option<JobId>, limit: usize) -> Result<Page, ReadError> {
        let tables = self.tables();
        let end = before.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let mut page = Page::default();
        let rows = tables.jobs.range((std::ops::Bound::Unbounded, end)).rev();
        for (scanned, (id, row)) in rows.enumerate() {
            if page.jobs.len() == limit || scanned == ROWS_SCANNED_MAX {
                return Ok(page);
            }
            page.next = Some(*id);
            if filter.passes(&row.record) {
                let (record, spec) = (row.record.clone(), row.spec.clone());
                page.jobs.push(JobView { record, spec, attempts: Vec::new() });
            }
        }
        page.next = None;
        Ok(page)
    }

    fn room(&self, bytes: usize) -> Result<(), NoRoom> {
        let (tables, max) = (self.tables(), self.retention.spec_bytes_max);
        let fits = !tables.finished.is_empty() || tables.spec_bytes.saturating_add(bytes) <= max;
        if fits { Ok(()) } else { Err(NoRoom::Specs { max }) }
    }
}
