//! The store of tests and of `--ephemeral`: nothing survives the process, and the bounds say what is forgotten before.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use windlass_core::Change;
use windlass_shared::clock;
use windlass_shared::domain::{AttemptRecord, JobRecord, JobView};
use windlass_shared::ids::JobId;
use windlass_shared::time::Timestamp;

use super::{
    ATTEMPTS_KEPT, Batch, Commit, Filter, NoRoom, Opened, PAGE_BYTES_MAX, Page, REQUESTS_TTL, ROWS_SCANNED_MAX,
    ReadError, Request, Retention, Store,
};

/// A store in memory, empty. It cannot be opened again, so each life has an incarnation of its own.
pub(crate) fn memory(retention: Retention, incarnation: u64) -> Opened {
    let store = Arc::new(MemoryStore::new(retention));
    Opened { store, incarnation, epoch: 1, revision: 0, live: Vec::new(), events: Vec::new() }
}

/// Jobs in memory.
#[derive(Debug)]
struct MemoryStore {
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
    fn new(retention: Retention) -> Self {
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
            let id = request.id.clone();
            if self.requests.insert(id.clone(), request).is_some() {
                // Used again after its time, which is rare: it is as young as its last use.
                self.requests_by_age.retain(|other| *other != id);
            }
            self.requests_by_age.push_back(id);
        }
        let mut specs: BTreeMap<JobId, Bytes> = batch.specs.into_iter().collect();
        for change in batch.changes {
            self.apply_one(change, &mut specs);
        }
        self.prune(retention, clock::wall());
    }

    fn prune(&mut self, retention: &Retention, now: Timestamp) {
        while let Some(oldest) = self.requests_by_age.front() {
            let found = self.requests.get(oldest);
            let keep = found.is_some_and(|request| request.at.after(REQUESTS_TTL) > now);
            if keep && self.requests.len() <= retention.requests_max {
                break;
            }
            self.requests.remove(oldest);
            self.requests_by_age.pop_front();
        }
        while let Some(oldest) = self.finished.front() {
            let ended = self.jobs.get(oldest).and_then(|row| row.record.ended_at);
            let keep = ended.is_some_and(|ended| ended.after(retention.finished_ttl) > now);
            let fits =
                self.finished.len() <= retention.finished_jobs_max && self.spec_bytes <= retention.spec_bytes_max;
            if keep && fits {
                break;
            }
            self.spec_bytes -= self.jobs.remove(oldest).map_or(0, |row| row.spec.len());
            self.finished.pop_front();
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
        let (mut page, mut bytes) = (Page::default(), 0);
        let rows = tables.jobs.range((std::ops::Bound::Unbounded, end)).rev();
        for (scanned, (id, row)) in rows.enumerate() {
            if page.jobs.len() == limit || scanned == ROWS_SCANNED_MAX || bytes >= PAGE_BYTES_MAX {
                return Ok(page);
            }
            page.next = Some(*id);
            if filter.passes(&row.record) {
                let (record, spec) = (row.record.clone(), row.spec.clone());
                bytes += row.spec.len();
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
