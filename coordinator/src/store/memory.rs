//! The store of tests and of `--ephemeral`: nothing survives the process, and the bounds say what is forgotten before.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use windlass_core::Change;
use windlass_shared::domain::{AttemptRecord, JobRecord, JobView};
use windlass_shared::ids::JobId;

use super::{Batch, Commit, Filter, NoRoom, Page, ReadError, Request, Store};

/// Attempts shown of one job; the oldest go first.
const ATTEMPTS_KEPT: usize = 100;
/// Rows looked at for one page, so that a filter nothing passes cannot hold the store.
const ROWS_SCANNED_MAX: usize = 10_000;

/// What is kept, and how long.
#[derive(Debug, Clone)]
pub struct Retention {
    /// Finished jobs kept; the first to finish go first.
    pub finished_jobs_max: usize,
    /// Bytes of specs kept, finished jobs' included. Past it finished jobs go early, then submits are refused.
    pub spec_bytes_max: usize,
    /// Request ids kept; the oldest go first.
    pub requests_max: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self { finished_jobs_max: 100_000, spec_bytes_max: 1 << 30, requests_max: 1_000_000 }
    }
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
    /// An empty store.
    #[must_use]
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

impl Filter {
    /// Whether a job is one of those to list.
    pub(super) fn passes(&self, job: &JobRecord) -> bool {
        (self.states.is_empty() || self.states.contains(&job.state))
            && self.queue.as_ref().is_none_or(|queue| *queue == job.header.queue)
            && self.id_prefix.as_ref().is_none_or(|prefix| job.id.to_string().starts_with(&**prefix))
    }
}
