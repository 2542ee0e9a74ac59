//! What is on record when the store is opened.

use std::path::Path;

use rusqlite::{Connection, Result, Row};
use windlass_core::Mark;
use windlass_shared::domain::{AttemptRecord, Event, JobRecord};
use windlass_shared::ids::JobId;

use super::error::{OpenError, is_corrupt};
use super::frame::Damage;
use super::row::{self, Names};
use super::write::Added;

/// Jobs that are not final, oldest first, and the bytes of their specs.
pub(super) type Live = (Vec<(JobRecord, Option<AttemptRecord>)>, usize);

/// Every job that is not final.
pub(super) fn live(conn: &Connection, dir: &Path) -> std::result::Result<Live, OpenError> {
    let failed = |err| failed("a page of the live jobs", dir, &err);
    let count: usize = conn.query_row("SELECT count(*) FROM live", [], |row| row.get(0)).map_err(failed)?;
    let (mut live, mut bytes, mut names) = (Vec::with_capacity(count), 0, Names::default());
    let mut statement = conn.prepare("SELECT id, head, attempt, spec_bytes FROM live ORDER BY id").map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let id = JobId::from_bytes(row.get(0).map_err(failed)?);
        live.push(live_row(id, row, &mut names).map_err(failed)?.map_err(|damage| damaged(id, damage, dir))?);
        bytes += row.get::<_, usize>(3).map_err(failed)?;
    }
    live.sort_by_key(|(job, _)| job.order); // nearly sorted already: ids begin with the time of submit
    Ok((live, bytes))
}

type Read<T> = Result<std::result::Result<T, Damage>>;

fn live_row(id: JobId, row: &Row<'_>, names: &mut Names) -> Read<(JobRecord, Option<AttemptRecord>)> {
    let (head, attempt) = (row.get_ref(1)?.as_blob()?, row.get_ref(2)?.as_blob_or_null()?);
    let job = row::open_head(id, head, names).and_then(|job| {
        // Final jobs have a table of their own; one here would be brought back to life.
        if job.state.is_final() { Err(Damage::Corrupt) } else { Ok(job) }
    });
    Ok(job.and_then(|job| Ok((job, attempt.map(|blob| row::open_attempt(id, blob)).transpose()?))))
}

/// How many jobs are finished, and the bytes of their specs and results: the index alone is read.
pub(super) fn finished(conn: &Connection, dir: &Path) -> std::result::Result<Added, OpenError> {
    let sql = "SELECT count(*), ifnull(sum(spec_bytes), 0) FROM history INDEXED BY history_by_end";
    conn.query_row(sql, [], |row| Ok(Added { finished: row.get(0)?, spec_bytes: row.get(1)?, ..Added::default() }))
        .map_err(|err| failed("a page of the finished jobs", dir, &err))
}

/// What operators decided. None of it may be forgotten: a queue that is not paused runs jobs that must not run.
pub(super) fn marks(conn: &Connection, dir: &Path) -> std::result::Result<Vec<Mark>, OpenError> {
    let failed = |err| failed("a page of the pauses and cordons", dir, &err);
    let mut statement = conn.prepare("SELECT key, blob FROM marks ORDER BY key").map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let mut marks = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let key: String = row.get(0).map_err(failed)?;
        let blob = row.get_ref(1).and_then(|blob| Ok(blob.as_blob()?)).map_err(failed)?;
        marks.push(row::open_mark(&key, blob).map_err(|damage| refusal(format!("the mark {key}"), damage, dir))?);
    }
    Ok(marks)
}

/// The latest revision, and the newest changes, oldest first.
pub(super) fn events(
    conn: &Connection,
    dir: &Path,
    kept_max: usize,
) -> std::result::Result<(u64, Vec<Event>), OpenError> {
    let failed = |err| failed("a page of the changes", dir, &err);
    let newest: Option<u64> = conn.query_row("SELECT max(last) FROM events", [], |row| row.get(0)).map_err(failed)?;
    let Some(newest) = newest else { return Ok((0, Vec::new())) };
    let from = newest.saturating_sub(u64::try_from(kept_max).unwrap_or(u64::MAX));
    let mut statement = conn.prepare("SELECT last, blob FROM events WHERE last > ?1 ORDER BY last").map_err(failed)?;
    let mut rows = statement.query([from]).map_err(failed)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let last = row.get(0).map_err(failed)?;
        let blob = row.get_ref(1).and_then(|blob| Ok(blob.as_blob()?)).map_err(failed)?;
        match row::open_events(last, blob) {
            Ok(some) => events.extend(some),
            // The newest row vouches for the latest revision: without it, numbers might be given twice.
            Err(damage) if last == newest => {
                return Err(refusal(format!("the changes up to revision {last}"), damage, dir));
            }
            Err(_) => {
                // Watchers that ask for what was before are told that it is no longer kept.
                tracing::error!(
                    revision = last,
                    "changes are damaged on disk; those up to here are not shown any more"
                );
                events.clear();
            }
        }
    }
    let surplus = events.len().saturating_sub(kept_max);
    events.drain(..surplus);
    Ok((newest, events))
}

fn damaged(id: JobId, damage: Damage, dir: &Path) -> OpenError {
    refusal(format!("job {id}"), damage, dir)
}

fn refusal(what: String, damage: Damage, dir: &Path) -> OpenError {
    match damage {
        Damage::Corrupt => OpenError::Corrupt { what, dir: dir.into() },
        Damage::Newer(version) => {
            OpenError::Failed(format!("{what} was written in form {version} by a later windlass; use that one"))
        }
    }
}

fn failed(what: &str, dir: &Path, err: &rusqlite::Error) -> OpenError {
    if is_corrupt(err) {
        OpenError::Corrupt { what: what.to_owned(), dir: dir.into() }
    } else {
        OpenError::Failed(err.to_string())
    }
}
