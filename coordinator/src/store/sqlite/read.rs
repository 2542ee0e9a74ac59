//! Reads beside the writer: by key, or of a bounded number of rows. A job moves from `live` to `history`, and back where it is
//! requeued, so whoever looks for one looks into both tables at once.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Result, Row};
use windlass_shared::domain::{AttemptRecord, CallResult, JobView};
use windlass_shared::ids::JobId;

use super::connect;
use super::error::{damaged, unreadable};
use super::frame::Damage;
use super::row::{self, Names};
use crate::store::{
    ATTEMPTS_KEPT, Filter, Finished, PAGE_BYTES_MAX, Page, ROWS_SCANNED_MAX, ReadError, Request, SPEC_BYTES_SCANNED_MAX,
};

/// Connections that read for callers: as many threads rarely read at once, and each has a page cache.
const CALLERS: usize = 4;

type Read<T> = std::result::Result<T, ReadError>;

/// The connections that read. What the driver asks for while it decides (specs and request ids, by key) has one of its own: a tick
/// must not wait behind the scans of lists, however many are made.
#[derive(Debug)]
pub(super) struct Readers {
    driver: Mutex<Connection>,
    callers: Vec<Mutex<Connection>>,
}

impl Readers {
    pub(super) fn open(file: &Path) -> Result<Self> {
        let mut callers = Vec::with_capacity(CALLERS);
        for _ in 0..CALLERS {
            callers.push(Mutex::new(connect::reader(file)?));
        }
        Ok(Self { driver: Mutex::new(connect::reader(file)?), callers })
    }

    /// A free one, or the first where all are busy.
    fn any(&self) -> MutexGuard<'_, Connection> {
        let free = self.callers.iter().find_map(|conn| conn.try_lock().ok());
        free.unwrap_or_else(|| held(&self.callers[0]))
    }

    pub(super) fn job(&self, id: JobId) -> Read<Option<JobView>> {
        job(&self.any(), id)
    }

    /// For the driver.
    pub(super) fn spec(&self, id: JobId) -> Read<Option<Bytes>> {
        let conn = held(&self.driver);
        let what = || format!("spec of job {id}");
        let blob = spec_blob(&conn, id).map_err(|err| unreadable(what, &err))?;
        blob.map(|blob| row::open_spec(id, &blob).map_err(|damage| damaged(what, damage))).transpose()
    }

    /// For the driver.
    pub(super) fn finished(&self, id: JobId) -> Read<Option<Finished>> {
        finished(&held(&self.driver), id)
    }

    pub(super) fn result(&self, id: JobId) -> Read<Option<CallResult>> {
        result(&self.any(), id)
    }

    /// For the driver.
    pub(super) fn request(&self, id: &str) -> Read<Option<Request>> {
        let conn = held(&self.driver);
        let what = || format!("request {id}");
        let blob = request_blob(&conn, id).map_err(|err| unreadable(what, &err))?;
        blob.map(|blob| row::open_request(id, &blob).map_err(|damage| damaged(what, damage))).transpose()
    }

    pub(super) fn list(&self, filter: &Filter, before: Option<JobId>, limit: usize) -> Read<Page> {
        let Some((least, greatest)) = bounds(filter, before) else { return Ok(Page::default()) };
        let conn = self.any();
        let failed = |err| unreadable(|| "a page of jobs".to_owned(), &err);
        // One view of all of it: a job must not slip from one table to the other between two looks.
        let tx = conn.unchecked_transaction().map_err(failed)?;
        let mut statement = tx.prepare_cached(list_sql(filter)).map_err(failed)?;
        let rows_max = ROWS_SCANNED_MAX + 1;
        let range = (least.as_bytes(), greatest.as_bytes(), rows_max);
        let mut rows = statement.query(range).map_err(failed)?;
        let (mut page, mut names, mut scanned) = (Page::default(), Names::default(), 0);
        let (mut bytes, mut looked_at) = (0, 0);
        while let Some(row) = rows.next().map_err(failed)? {
            let full = page.jobs.len() == limit || bytes >= PAGE_BYTES_MAX;
            if full || scanned == ROWS_SCANNED_MAX || looked_at >= SPEC_BYTES_SCANNED_MAX {
                return Ok(page);
            }
            scanned += 1;
            let (id, view) = listed(&tx, row, filter, &mut names, &mut looked_at)?;
            page.next = Some(id);
            bytes += view.as_ref().map_or(0, |view: &JobView| view.spec.len());
            page.jobs.extend(view);
        }
        page.next = None;
        Ok(page)
    }
}

// Nothing is left half done in a connection that reads.
fn held(conn: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    conn.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A job with its attempts, from either table.
pub(super) fn job(conn: &Connection, id: JobId) -> Read<Option<JobView>> {
    let what = || format!("job {id}");
    let Some((head, attempt, spec)) = blobs(conn, id).map_err(|err| unreadable(what, &err))? else { return Ok(None) };
    let record = row::open_head(id, &head, &mut Names::default()).map_err(|damage| damaged(what, damage))?;
    let spec = spec.ok_or(Damage::Corrupt).and_then(|spec| row::open_spec(id, &spec));
    let spec = spec.map_err(|damage| damaged(|| format!("spec of job {id}"), damage))?;
    let newest = attempt.map(|blob| row::open_attempt(id, &blob)).transpose();
    let newest = newest.map_err(|damage| damaged(|| format!("newest attempt of job {id}"), damage))?;
    let none_yet = newest.is_none() && record.attempts == 0;
    let attempts = if none_yet { Vec::new() } else { attempts(conn, id, newest)? };
    Ok(Some(JobView { record, spec, attempts }))
}

/// A finished job, with the newest of its attempts.
fn finished(conn: &Connection, id: JobId) -> Read<Option<Finished>> {
    let found = job(conn, id)?.filter(|view| view.record.state.is_final());
    Ok(found.map(|mut view| Finished { attempt: view.attempts.pop(), record: view.record, spec: view.spec }))
}

/// What the handler of a finished job answered: with its newest attempt, or in a row of its own.
pub(super) fn result(conn: &Connection, id: JobId) -> Read<Option<CallResult>> {
    let what = || format!("result of job {id}");
    let found = result_blobs(conn, id).map_err(|err| unreadable(what, &err))?;
    let Some((attempt, large)) = found else { return Ok(None) };
    let opened = match (attempt, large) {
        (_, Some(large)) => row::open_result(id, &large).map(Some),
        (Some(attempt), None) => row::open_attempt(id, &attempt).and_then(small_result),
        (None, None) => Ok(None),
    };
    opened.map_err(|damage| damaged(what, damage))
}

/// An answer that is said to have bytes, and is nowhere, is damage.
fn small_result(attempt: AttemptRecord) -> std::result::Result<Option<CallResult>, Damage> {
    let expected = attempt.result_bytes > 0;
    let result = attempt.outcome.and_then(|outcome| outcome.result);
    if expected && result.is_none() { Err(Damage::Corrupt) } else { Ok(result) }
}

type ResultBlobs = (Option<Vec<u8>>, Option<Vec<u8>>);

fn result_blobs(conn: &Connection, id: JobId) -> Result<Option<ResultBlobs>> {
    let sql = "SELECT attempt, (SELECT result FROM results WHERE id = ?1) FROM history WHERE id = ?1";
    conn.prepare_cached(sql)?.query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

type Blobs = (Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

fn blobs(conn: &Connection, id: JobId) -> Result<Option<Blobs>> {
    let sql = "SELECT head, attempt, ifnull(spec, (SELECT spec FROM specs WHERE id = ?1)) FROM live WHERE id = ?1
               UNION ALL
               SELECT head, attempt, ifnull(spec, (SELECT spec FROM specs WHERE id = ?1)) FROM history WHERE id = ?1";
    let get = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    conn.prepare_cached(sql)?.query_row([id.as_bytes()], get).optional()
}

fn spec_blob(conn: &Connection, id: JobId) -> Result<Option<Vec<u8>>> {
    const SQL: [&str; 3] = [
        "SELECT spec FROM live WHERE id = ?1 AND spec IS NOT NULL",
        "SELECT spec FROM history WHERE id = ?1 AND spec IS NOT NULL",
        "SELECT spec FROM specs WHERE id = ?1",
    ];
    for sql in SQL {
        let found = conn.prepare_cached(sql)?.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn request_blob(conn: &Connection, id: &str) -> Result<Option<Vec<u8>>> {
    conn.prepare_cached("SELECT blob FROM requests WHERE id = ?1")?.query_row([id], |row| row.get(0)).optional()
}

/// The attempts that are kept, oldest first. Those before the newest ended, and do not change any more.
fn attempts(conn: &Connection, id: JobId, newest: Option<AttemptRecord>) -> Read<Vec<AttemptRecord>> {
    let mut attempts = Vec::new();
    // A job that begins again has none yet in this life, and those of the ones before.
    let before = newest.as_ref().map_or(u32::MAX, |newest| newest.number);
    if before > 1 {
        let what = || format!("attempts of job {id}");
        for (number, blob) in past_attempts(conn, id, before).map_err(|err| unreadable(what, &err))? {
            let attempt = row::open_attempt(id, &blob)
                .and_then(|attempt| if attempt.number == number { Ok(attempt) } else { Err(Damage::Corrupt) });
            attempts.push(attempt.map_err(|damage| damaged(|| format!("attempt {number} of job {id}"), damage))?);
        }
        attempts.reverse();
    }
    attempts.extend(newest);
    Ok(attempts)
}

fn past_attempts(conn: &Connection, id: JobId, before: u32) -> Result<Vec<(u32, Vec<u8>)>> {
    let sql = "SELECT number, blob FROM attempts WHERE job = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map((id.as_bytes(), before, ATTEMPTS_KEPT - 1), |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// The ids to look at, both ends included; none where there are none.
fn bounds(filter: &Filter, before: Option<JobId>) -> Option<(JobId, JobId)> {
    let (least, greatest) = filter.range()?;
    let Some(before) = before else { return Some((least, greatest)) };
    let last = u128::from_be_bytes(*before.as_bytes()).checked_sub(1)?;
    let greatest = greatest.min(JobId::from_bytes(last.to_be_bytes()));
    (least <= greatest).then_some((least, greatest))
}

/// Both tables are read in the order of their keys and merged; nothing is sorted. States say which table need not be read.
fn list_sql(filter: &Filter) -> &'static str {
    match (filter.wants_live(), filter.wants_final()) {
        (true, false) => "SELECT id, head, spec FROM live WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT ?3",
        (false, true) => "SELECT id, head, spec FROM history WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT ?3",
        (true, true) | (false, false) => {
            "SELECT id, head, spec FROM live WHERE id BETWEEN ?1 AND ?2
             UNION ALL SELECT id, head, spec FROM history WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT ?3"
        }
    }
}

/// A row of the list, and the job where it passes.
fn listed(
    conn: &Connection,
    row: &Row<'_>,
    filter: &Filter,
    names: &mut Names,
    looked_at: &mut usize,
) -> Read<(JobId, Option<JobView>)> {
    let page = |err| unreadable(|| "a page of jobs".to_owned(), &err);
    let id = JobId::from_bytes(row.get(0).map_err(page)?);
    let head = row.get_ref(1).and_then(|head| Ok(head.as_blob()?)).map_err(page)?;
    let record = row::open_head(id, head, names).map_err(|damage| damaged(|| format!("job {id}"), damage))?;
    if !filter.passes(&record) {
        return Ok((id, None));
    }
    let what = || format!("spec of job {id}");
    let inline: Option<Vec<u8>> = row.get(2).map_err(page)?;
    let blob = match inline {
        Some(blob) => Some(blob),
        None => spec_blob(conn, id).map_err(|err| unreadable(what, &err))?,
    };
    let spec = blob.ok_or(Damage::Corrupt).and_then(|blob| row::open_spec(id, &blob));
    let spec = spec.map_err(|damage| damaged(what, damage))?;
    *looked_at += if filter.asks_of_specs() { spec.len() } else { 0 };
    if !filter.passes_spec(&spec) {
        return Ok((id, None));
    }
    Ok((id, Some(JobView { record, spec, attempts: Vec::new() })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{StoreOptions, open};

    #[test]
    fn the_driver_reads_while_lists_keep_every_other_connection_busy() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), &StoreOptions::default(), 7).unwrap();
        let readers = Readers::open(&dir.path().join("store.db")).unwrap();
        let lists: Vec<_> = readers.callers.iter().map(held).collect();
        // On one of theirs this would wait for ever.
        assert!(matches!(readers.spec(JobId::from_bytes([1; 16])), Ok(None)));
        assert!(matches!(readers.request("nobody's"), Ok(None)));
        drop((lists, store));
    }
}
