//! What is no longer kept goes, in steps so small that nobody waits for one.

use std::time::Duration;

use rusqlite::{Connection, Result, params};
use windlass_shared::clock;
use windlass_shared::time::Timestamp;

use super::Shared;
use super::row;
use super::schema::INLINE_SPEC_BYTES_MAX;
use crate::store::{INLINE_RESULT_BYTES_MAX, REQUESTS_TTL};

/// Rows deleted a step: about a millisecond.
const ROWS_MAX: usize = 500;
/// Pages given back to the disk a step, where it is short: 2 MiB.
const PAGES_MAX: i64 = 512;

/// What one step did.
#[derive(Debug, Default)]
pub(super) struct Step {
    rows: usize,
    /// Finished jobs that went, and the bytes of their specs and results.
    pub(super) jobs: usize,
    pub(super) spec_bytes: usize,
    /// Pages went back to the disk, once they are folded into the file; and there are more.
    pub(super) gave_back: bool,
    pages: bool,
}

impl Step {
    /// Whether there may be more to do.
    pub(super) fn more(&self) -> bool {
        self.rows >= ROWS_MAX || self.pages
    }
}

/// Deletes some of what is no longer kept.
pub(super) fn step(conn: &mut Connection, shared: &Shared) -> Result<Step> {
    let now = clock::wall();
    let jobs = due_jobs(conn, shared, now)?;
    let requests = due_requests(conn, shared, now, ROWS_MAX - jobs.len())?;
    let events = due_events(conn, shared)?;
    let mut step = Step { rows: jobs.len() + requests.1, ..Step::default() };
    if step.rows > 0 || events.is_some() {
        // Nothing is lost where a deletion is: it is done again. The next commit's sync covers it.
        conn.pragma_update(None, "synchronous", "NORMAL")?;
        let done = delete(conn, &jobs, requests.0, events, &mut step);
        conn.pragma_update(None, "synchronous", "FULL")?;
        done?;
    }
    if shared.space.is_short() {
        let free = give_back(conn)?;
        (step.gave_back, step.pages) = (free > 0, free > PAGES_MAX);
    }
    Ok(step)
}

struct DueJob {
    id: [u8; 16],
    ended_at: i64,
    spec_bytes: usize,
}

/// The first finished jobs to finish, while they are too old, too many, or their specs too large.
fn due_jobs(conn: &Connection, shared: &Shared, now: Timestamp) -> Result<Vec<DueJob>> {
    let keep = &shared.retention;
    let cutoff = before(now, keep.finished_ttl);
    let mut too_many = shared.finished().saturating_sub(keep.finished_jobs_max);
    let mut too_large = shared.spec_bytes().saturating_sub(keep.spec_bytes_max);
    let sql = "SELECT id, ended_at, spec_bytes FROM history INDEXED BY history_by_end ORDER BY ended_at LIMIT ?1";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([ROWS_MAX])?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        let job = DueJob { id: row.get(0)?, ended_at: row.get(1)?, spec_bytes: row.get(2)? };
        if job.ended_at > cutoff && too_many == 0 && too_large == 0 {
            break;
        }
        too_many = too_many.saturating_sub(1);
        too_large = too_large.saturating_sub(job.spec_bytes);
        due.push(job);
    }
    Ok(due)
}

/// The `seq` up to which request ids are too old or too many, and how many those are.
fn due_requests(conn: &Connection, shared: &Shared, now: Timestamp, rows_max: usize) -> Result<(i64, usize)> {
    let cutoff = before(now, REQUESTS_TTL);
    // Two queries in one: SQLite answers a lone max or min from an end of the tree, and both together by reading all of it.
    let span = "SELECT ifnull((SELECT max(seq) FROM requests), 0), ifnull((SELECT min(seq) FROM requests), 1)";
    let (newest, oldest): (i64, i64) =
        conn.prepare_cached(span)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let kept = i64::try_from(shared.retention.requests_max).unwrap_or(i64::MAX);
    let mut statement =
        conn.prepare_cached("SELECT seq, id, blob FROM requests WHERE seq >= ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = statement.query(params![oldest, rows_max])?;
    let mut due = (0, 0);
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let (id, blob) = (row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_blob()?);
        // A damaged one can answer nobody: it counts as old.
        let old = row::open_request(id, blob).map_or(true, |request| request.at.0 <= cutoff);
        if !old && newest - seq < kept {
            break;
        }
        due = (seq, due.1 + 1);
    }
    Ok(due)
}

/// The revision up to which changes are no longer kept, where there is a row of them. The newest row always stays: it says
/// which revision is the latest.
fn due_events(conn: &Connection, shared: &Shared) -> Result<Option<i64>> {
    let newest: Option<i64> = conn.prepare_cached("SELECT max(last) FROM events")?.query_row([], |row| row.get(0))?;
    let Some(newest) = newest else { return Ok(None) };
    let kept = i64::try_from(shared.events_kept_max).unwrap_or(i64::MAX).max(1);
    let oldest: i64 = conn.prepare_cached("SELECT min(last) FROM events")?.query_row([], |row| row.get(0))?;
    Ok((oldest <= newest - kept).then_some(newest - kept))
}

fn delete(conn: &mut Connection, jobs: &[DueJob], requests: i64, events: Option<i64>, step: &mut Step) -> Result<()> {
    let tx = conn.transaction()?;
    for job in jobs {
        tx.prepare_cached("DELETE FROM history WHERE id = ?1")?.execute([job.id])?;
        tx.prepare_cached("DELETE FROM attempts WHERE job = ?1")?.execute([job.id])?;
        // Of both together; one that is in a table of its own is larger than this by itself.
        if job.spec_bytes > INLINE_SPEC_BYTES_MAX.min(INLINE_RESULT_BYTES_MAX) {
            tx.prepare_cached("DELETE FROM specs WHERE id = ?1")?.execute([job.id])?;
            tx.prepare_cached("DELETE FROM results WHERE id = ?1")?.execute([job.id])?;
        }
        step.spec_bytes += job.spec_bytes;
    }
    step.jobs = jobs.len();
    tx.prepare_cached("DELETE FROM requests WHERE seq <= ?1")?.execute([requests])?;
    if let Some(last) = events {
        let some = "DELETE FROM events WHERE last IN (SELECT last FROM events WHERE last <= ?1 ORDER BY last LIMIT ?2)";
        step.rows += tx.prepare_cached(some)?.execute(params![last, ROWS_MAX - step.rows.min(ROWS_MAX - 1)])?;
    }
    tx.commit()
}

/// Gives some free pages back to the disk; how many there were.
fn give_back(conn: &Connection) -> Result<i64> {
    let free = conn.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    if free > 0 {
        // Each row that comes back is a page that went.
        let mut statement = conn.prepare(&format!("PRAGMA incremental_vacuum({PAGES_MAX})"))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
    }
    Ok(free)
}

fn before(now: Timestamp, time: Duration) -> i64 {
    now.0.saturating_sub(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
}
