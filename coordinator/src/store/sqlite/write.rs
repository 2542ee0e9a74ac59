//! One batch, one transaction. Every write is blind: nothing is read to be changed. A job that begins again goes from `history` and
//! comes to `live` as if it were new, whether it was pruned meanwhile or not.

use std::collections::HashMap;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Result, Transaction, TransactionBehavior, params};
use windlass_core::{Change, Mark};
use windlass_shared::domain::{AttemptRecord, CallResult, JobRecord};
use windlass_shared::ids::JobId;

use super::row;
use super::rows::Rows;
use crate::store::{ATTEMPTS_KEPT, Batch, Request, Revived, large_result, mark_key};

/// What a batch added to the sums that are kept in memory.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Added {
    pub(super) spec_bytes: usize,
    pub(super) finished: usize,
    /// Finished jobs that went, by somebody's word, and their bytes.
    pub(super) gone: usize,
    pub(super) gone_bytes: usize,
}

/// A batch could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// What we are told and what is on record do not fit together; nothing good comes of going on.
    #[error("job {0} changed, and is not among the live ones on record")]
    NotLive(JobId),
}

/// A job's changes of one batch as one row: only the last is worth writing.
#[derive(Debug)]
pub(super) struct Folded<'a> {
    job: &'a JobRecord,
    attempt: Option<&'a AttemptRecord>,
    /// The spec, where the job is new.
    spec: Option<&'a Bytes>,
}

/// Writes a batch, durable when this returns. `folded` is what its changes come to.
pub(super) fn write(
    conn: &mut Connection,
    batch: &Batch,
    folded: &[Folded<'_>],
) -> std::result::Result<Added, WriteError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (mut added, mut buffers) = (Added::default(), Buffers::default());
    for request in &batch.requests {
        write_request(&tx, request)?;
    }
    for mark in &batch.marks {
        write_mark(&tx, mark)?;
    }
    for id in &batch.purged {
        purge(&tx, *id, &mut added)?;
    }
    for revived in &batch.revived {
        revive(&tx, revived, &mut buffers, &mut added)?;
    }
    let mut rows = Rows::prepare(&tx)?;
    for folded in folded {
        write_job(&tx, &mut rows, folded, &mut buffers, &mut added)?;
    }
    drop(rows);
    for change in &batch.changes {
        write_past_attempt(&tx, change, &mut buffers)?;
    }
    if let Some(last) = batch.changes.last() {
        let events = row::seal_events(last.job.revision, batch.changes.iter().map(Change::event));
        let sql = "INSERT INTO events(last, blob) VALUES(?1, ?2)";
        tx.prepare_cached(sql)?.execute(params![last.job.revision, events])?;
    }
    tx.commit()?;
    Ok(added)
}

impl<'a> Folded<'a> {
    /// The spec of a job that is new.
    pub(super) fn new_spec(&self) -> Option<(JobId, &'a [u8])> {
        Some((self.job.id, &self.spec?[..]))
    }
}

/// What the changes of a batch come to, in the order of the jobs' first ones.
pub(super) fn fold(batch: &Batch) -> Vec<Folded<'_>> {
    // Specs of submits that the core refused are among these, and stay here.
    let mut specs: HashMap<JobId, &Bytes> = batch.specs.iter().map(|(id, spec)| (*id, spec)).collect();
    let mut places = HashMap::with_capacity(batch.changes.len());
    let mut folded: Vec<Folded<'_>> = Vec::with_capacity(batch.changes.len());
    for change in &batch.changes {
        let place = *places.entry(change.job.id).or_insert_with(|| {
            folded.push(Folded { job: &change.job, attempt: None, spec: specs.remove(&change.job.id) });
            folded.len() - 1
        });
        folded[place].job = &change.job;
        folded[place].attempt = change.attempt.as_ref().or(folded[place].attempt);
    }
    folded
}

/// One buffer for each blob of a row, for all rows of a batch.
#[derive(Debug, Default)]
struct Buffers {
    head: Vec<u8>,
    attempt: Vec<u8>,
    spec: Vec<u8>,
    result: Vec<u8>,
}

fn write_job(
    tx: &Transaction<'_>,
    rows: &mut Rows<'_>,
    folded: &Folded<'_>,
    buffers: &mut Buffers,
    added: &mut Added,
) -> std::result::Result<(), WriteError> {
    let job = folded.job;
    row::seal_head(&mut buffers.head, job);
    if let Some(attempt) = folded.attempt {
        row::seal_attempt(&mut buffers.attempt, job.id, attempt);
    }
    let (head, attempt) = (&buffers.head[..], folded.attempt.map(|_| &buffers.attempt[..]));
    let mut result_bytes = 0;
    if job.state.is_final() {
        added.finished += 1;
        if let Some(result) = folded.attempt.and_then(large_result) {
            result_bytes = result.value.len();
            write_result(tx, job.id, result, &mut buffers.result)?;
        }
    }
    added.spec_bytes += result_bytes;
    if let Some(spec) = folded.spec {
        added.spec_bytes += spec.len();
        row::seal_spec(&mut buffers.spec, job.id, spec);
        return Ok(rows.insert(job, head, attempt, (spec.len(), result_bytes), &buffers.spec)?);
    }
    let changed = if job.state.is_final() {
        rows.finish(job, head, attempt, result_bytes)?
    } else {
        rows.update(job.id, head, attempt)?
    };
    if changed == 1 { Ok(()) } else { Err(WriteError::NotLive(job.id)) }
}

/// A finished job goes, with all that is its own.
fn purge(tx: &Transaction<'_>, id: JobId, added: &mut Added) -> Result<()> {
    if drop_finished(tx, id, added)? {
        tx.prepare_cached("DELETE FROM attempts WHERE job = ?1")?.execute([id.as_bytes()])?;
    }
    Ok(())
}

/// A finished job makes room for its next life; of the one before, its attempts stay. It comes back among the new ones.
fn revive(tx: &Transaction<'_>, revived: &Revived, buffers: &mut Buffers, added: &mut Added) -> Result<()> {
    drop_finished(tx, revived.job, added)?;
    let Some(attempt) = &revived.attempt else { return Ok(()) };
    let mut attempt = attempt.clone();
    attempt.drop_result();
    keep_attempt(tx, revived.job, &attempt, buffers)
}

/// Whether there was one.
fn drop_finished(tx: &Transaction<'_>, id: JobId, added: &mut Added) -> Result<bool> {
    let sql = "DELETE FROM history WHERE id = ?1 RETURNING spec_bytes";
    let bytes: Option<usize> = tx.prepare_cached(sql)?.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
    let Some(bytes) = bytes else { return Ok(false) };
    tx.prepare_cached("DELETE FROM specs WHERE id = ?1")?.execute([id.as_bytes()])?;
    tx.prepare_cached("DELETE FROM results WHERE id = ?1")?.execute([id.as_bytes()])?;
    added.gone += 1;
    added.gone_bytes += bytes;
    Ok(true)
}

/// An attempt that ended while its job goes on will make room for the next one, so it gets a row of its own.
fn write_past_attempt(tx: &Transaction<'_>, change: &Change, buffers: &mut Buffers) -> Result<()> {
    let job = change.job.id;
    let Some(attempt) = change.attempt.as_ref().filter(|attempt| attempt.state.is_final()) else { return Ok(()) };
    if change.job.state.is_final() {
        return Ok(());
    }
    keep_attempt(tx, job, attempt, buffers)
}

fn keep_attempt(tx: &Transaction<'_>, job: JobId, attempt: &AttemptRecord, buffers: &mut Buffers) -> Result<()> {
    row::seal_attempt(&mut buffers.attempt, job, attempt);
    let sql = "INSERT OR REPLACE INTO attempts(job, number, blob) VALUES(?1, ?2, ?3)";
    tx.prepare_cached(sql)?.execute(params![job.as_bytes(), attempt.number, buffers.attempt])?;
    let oldest = i64::from(attempt.number) - i64::try_from(ATTEMPTS_KEPT).unwrap_or(i64::MAX);
    if oldest > 0 {
        let sql = "DELETE FROM attempts WHERE job = ?1 AND number <= ?2";
        tx.prepare_cached(sql)?.execute(params![job.as_bytes(), oldest])?;
    }
    Ok(())
}

fn write_result(tx: &Transaction<'_>, job: JobId, result: &CallResult, buffer: &mut Vec<u8>) -> Result<()> {
    row::seal_result(buffer, job, result);
    let buffer = &buffer[..];
    tx.prepare_cached("INSERT INTO results(id, result) VALUES(?1, ?2)")?.execute(params![job.as_bytes(), buffer])?;
    Ok(())
}

fn write_mark(tx: &Transaction<'_>, mark: &Mark) -> Result<()> {
    let key = mark_key(mark);
    match row::seal_mark(&key, mark) {
        Some(blob) => {
            tx.prepare_cached("INSERT OR REPLACE INTO marks(key, blob) VALUES(?1, ?2)")?.execute(params![key, blob])?
        }
        None => tx.prepare_cached("DELETE FROM marks WHERE key = ?1")?.execute([key])?,
    };
    Ok(())
}

fn write_request(tx: &Transaction<'_>, request: &Request) -> Result<()> {
    // A request id that is used again after its time replaces the one of before.
    let sql = "INSERT OR REPLACE INTO requests(id, blob) VALUES(?1, ?2)";
    tx.prepare_cached(sql)?.execute(params![&*request.id, row::seal_request(request)]).map(drop)
}
