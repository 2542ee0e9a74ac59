//! The store of tests and of `--ephemeral`: nothing survives the process, and the bounds say what is forgotten before.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use windlass_core::{Change, Mark};
use windlass_shared::clock;
use windlass_shared::domain::{AttemptRecord, CallResult, JobRecord, JobView};
use windlass_shared::ids::JobId;
use windlass_shared::time::Timestamp;

use super::{
    ATTEMPTS_KEPT, Batch, Commit, Filter, Finished, NoRoom, Opened, PAGE_BYTES_MAX, Page, REQUESTS_TTL,
    ROWS_SCANNED_MAX, ReadError, Request, Retention, SPEC_BYTES_SCANNED_MAX, Store, large_result, mark_key,
};

/// A store in memory, empty. It cannot be opened again, so each life has an incarnation of its own.
pub(crate) fn memory(retention: Retention, incarnation: u64) -> Opened {
    let store = Arc::new(MemoryStore::new(retention));
    Opened { store, incarnation, epoch: 1, revision: 0, live: Vec::new(), events: Vec::new(), marks: Vec::new() }
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
    /// For the tests that hold it against the disk; nothing here is ever opened again.
    marks: BTreeMap<String, Mark>,
}

#[derive(Debug)]
struct Row {
    record: JobRecord,
    spec: Bytes,
    attempts: Vec<AttemptRecord>,
    large_result: Option<CallResult>,
}

impl Row {
    fn bytes(&self) -> usize {
        self.spec.len() + self.large_result.as_ref().map_or(0, |result| result.value.len())
    }

    fn result(&self) -> Option<CallResult> {
        let small = || self.attempts.last()?.outcome.as_ref()?.result.clone();
        self.large_result.clone().or_else(small)
    }

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
        for mark in batch.marks {
            self.marks.insert(mark_key(&mark), mark);
        }
        for id in batch.purged {
            self.forget(id);
        }
        for revived in batch.revived {
            self.revive(revived.job);
        }
        let mut specs: BTreeMap<JobId, Bytes> = batch.specs.into_iter().collect();
        for change in batch.changes {
            self.apply_one(change, &mut specs);
        }
        self.prune(retention, clock::wall());
    }

    /// A finished job goes. Rare, so it may look through all that finished.
    fn forget(&mut self, id: JobId) {
        if self.jobs.get(&id).is_some_and(|row| row.record.state.is_final()) {
            self.spec_bytes -= self.jobs.remove(&id).map_or(0, |row| row.bytes());
            self.finished.retain(|other| *other != id);
        }
    }

    /// A finished job begins again: it is finished no more, and its answer is of another life.
    fn revive(&mut self, id: JobId) {
        self.finished.retain(|other| *other != id);
        let Some(row) = self.jobs.get_mut(&id) else { return };
        self.spec_bytes -= row.large_result.take().map_or(0, |result| result.value.len());
        if let Some(newest) = row.attempts.last_mut() {
            newest.drop_result();
        }
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
            self.spec_bytes -= self.jobs.remove(oldest).map_or(0, |row| row.bytes());
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
                self.jobs.entry(id).or_insert(Row {
                    record: change.job,
                    spec,
                    attempts: Vec::new(),
                    large_result: None,
                })
            }
        };
        let Some(mut attempt) = change.attempt else { return };
        if let Some(result) = large_result(&attempt).cloned() {
            self.spec_bytes += result.value.len();
            row.large_result = Some(result);
            attempt.outcome.as_mut().map(|outcome| outcome.result.take());
        }
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

    fn finished(&self, id: JobId) -> Result<Option<Finished>, ReadError> {
        let finished = |row: &Row| Finished {
            record: row.record.clone(),
            spec: row.spec.clone(),
            attempt: row.attempts.last().cloned(),
        };
        Ok(self.tables().jobs.get(&id).filter(|row| row.record.state.is_final()).map(finished))
    }

    fn spec(&self, id: JobId) -> Result<Option<Bytes>, ReadError> {
        Ok(self.tables().jobs.get(&id).map(|row| row.spec.clone()))
    }

    fn result(&self, id: JobId) -> Result<Option<CallResult>, ReadError> {
        Ok(self.tables().jobs.get(&id).and_then(Row::result))
    }

    fn request(&self, id: &str) -> Result<Option<Request>, ReadError> {
        Ok(self.tables().requests.get(id).cloned())
    }

    fn list(&self, filter: &Filter, before: Option<JobId>, limit: usize) -> Result<Page, ReadError> {
        let tables = self.tables();
        let end = before.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let Some((least, greatest)) = filter.range() else { return Ok(Page::default()) };
        let (mut page, mut bytes, mut looked_at) = (Page::default(), 0, 0);
        let rows = tables.jobs.range((std::ops::Bound::Unbounded, end)).rev();
        for (scanned, (id, row)) in rows.enumerate() {
            let full = page.jobs.len() == limit || bytes >= PAGE_BYTES_MAX;
            if full || scanned == ROWS_SCANNED_MAX || looked_at >= SPEC_BYTES_SCANNED_MAX {
                return Ok(page);
            }
            page.next = Some(*id);
            if !(least..=greatest).contains(id) || !filter.passes(&row.record) {
                continue;
            }
            looked_at += if filter.asks_of_specs() { row.spec.len() } else { 0 };
            if filter.passes_spec(&row.spec) {
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
