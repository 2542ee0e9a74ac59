//! Every row read and checked, and SQLite's own opinion of the file.

use std::path::Path;

use rusqlite::{Connection, Result, Row};
use windlass_shared::domain::JobView;
use windlass_shared::ids::JobId;

use super::{ToolError, look};
use crate::store::sqlite::frame::Damage;
use crate::store::sqlite::row::{self, Names};
use crate::store::sqlite::{dir, migrate, read};
use crate::store::{INLINE_RESULT_BYTES_MAX, ReadError};

/// Problems listed; a file with more is beyond a list.
const PROBLEMS_MAX: usize = 1_000;

/// What a look at every row found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Jobs read, sound or not.
    pub(crate) jobs: usize,
    /// Changes read.
    pub(crate) events: usize,
    /// What is wrong, a line each; none: the store is sound.
    pub(crate) problems: Vec<String>,
}

/// Reads all that a data directory's store holds. A running coordinator goes on; the log of its changes is not folded into the
/// file while one table is being read.
///
/// # Errors
/// Where there is no store, or it cannot be opened at all.
pub(crate) fn verify(dir: &Path) -> std::result::Result<Report, ToolError> {
    let (conn, file) = (look(dir)?, dir::store_file(dir));
    let mut report = Report::default();
    for key in ["incarnation", "epoch"] {
        if let Err(err) = migrate::read_meta(&conn, key, dir) {
            report.add(err.to_string());
        }
    }
    report.scan("live jobs", |report| jobs(&conn, "live", report));
    report.scan("finished jobs", |report| jobs(&conn, "history", report));
    report.scan("attempts", |report| attempts(&conn, report));
    report.scan("changes", |report| events(&conn, report));
    report.scan("request ids", |report| requests(&conn, report));
    report.scan("specs", |report| strays(&conn, "spec", "specs", report));
    // A store that no coordinator of this version was started on yet has neither.
    if migrate::check(&conn, &file)? >= 2 {
        report.scan("results", |report| results(&conn, report));
        report.scan("results", |report| strays(&conn, "result", "results", report));
        report.scan("marks", |report| marks(&conn, report));
    }
    report.scan("file", |report| integrity(&conn, report));
    Ok(report)
}

impl Report {
    fn add(&mut self, problem: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }

    /// One table that breaks off does not keep the others from being read.
    fn scan(&mut self, what: &str, read: impl FnOnce(&mut Self) -> Result<()>) {
        if let Err(err) = read(self) {
            self.add(format!("{what}: cannot be read on: {err}"));
        }
    }

    fn note<T>(&mut self, what: impl FnOnce() -> String, read: std::result::Result<T, Damage>) -> Option<T> {
        match read {
            Ok(value) => return Some(value),
            Err(Damage::Corrupt) => self.add(format!("{} is damaged", what())),
            Err(Damage::Newer(version)) => {
                self.add(format!("{} was written in form {version} by a later windlass", what()));
            }
        }
        None
    }
}

fn jobs(conn: &Connection, table: &str, report: &mut Report) -> Result<()> {
    let is_live = table == "live";
    let ended_at = if is_live { "NULL" } else { "ended_at" };
    let sql = format!("SELECT id, head, spec_bytes, {ended_at} FROM {table} ORDER BY id");
    let mut statement = conn.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        report.jobs += 1;
        let id = JobId::from_bytes(row.get(0)?);
        job(conn, id, row, is_live, report)?;
    }
    Ok(())
}

fn job(conn: &Connection, id: JobId, row: &Row<'_>, is_live: bool, report: &mut Report) -> Result<()> {
    let head = row::open_head(id, row.get_ref(1)?.as_blob()?, &mut Names::default());
    let Some(head) = report.note(|| format!("job {id}"), head) else { return Ok(()) };
    if head.state.is_final() == is_live {
        report.add(format!("job {id} is {} and in the wrong table", head.state.name()));
    }
    if row.get::<_, Option<i64>>(3)?.is_some_and(|at| at != head.ended_at.unwrap_or(head.updated_at).0) {
        report.add(format!("job {id} is ordered by another end than its own"));
    }
    // By the same way as it is served. One that moved on or was pruned since is no problem.
    match read::job(conn, id) {
        Ok(Some(view)) if view.spec.len() + large_bytes(&view) != row.get::<_, usize>(2)? => {
            report.add(format!("spec or result of job {id} has another size than is on record"));
        }
        Ok(_) => {}
        Err(ReadError::Corrupt { what }) => report.add(format!("{what} is damaged")),
        Err(ReadError::Failed(err)) => report.add(format!("job {id}: {err}")),
    }
    Ok(())
}

/// Bytes of an answer in a row of its own.
fn large_bytes(view: &JobView) -> usize {
    let newest = view.attempts.last().map_or(0, |attempt| usize::try_from(attempt.result_bytes).unwrap_or(usize::MAX));
    if newest > INLINE_RESULT_BYTES_MAX { newest } else { 0 }
}

fn results(conn: &Connection, report: &mut Report) -> Result<()> {
    let mut statement = conn.prepare("SELECT id, result FROM results ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id = JobId::from_bytes(row.get(0)?);
        let what = || format!("result of job {id}");
        let Some(result) = report.note(what, row::open_result(id, row.get_ref(1)?.as_blob()?)) else { continue };
        // One that was pruned since is no problem.
        let said = read::job(conn, id).ok().flatten().map(|view| large_bytes(&view));
        if said.is_some_and(|said| said != result.value.len()) {
            report.add(format!("result of job {id} has another size than is on record"));
        }
    }
    missing_results(conn, report)
}

/// Jobs that say they have a large answer, and have none.
fn missing_results(conn: &Connection, report: &mut Report) -> Result<()> {
    let sql = "SELECT id, attempt FROM history WHERE attempt IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM results WHERE results.id = history.id)";
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id = JobId::from_bytes(row.get(0)?);
        // Damage is told where the jobs are read.
        let Ok(attempt) = row::open_attempt(id, row.get_ref(1)?.as_blob()?) else { continue };
        if usize::try_from(attempt.result_bytes).is_ok_and(|bytes| bytes > INLINE_RESULT_BYTES_MAX) {
            report.add(format!("result of job {id} is missing"));
        }
    }
    Ok(())
}

fn marks(conn: &Connection, report: &mut Report) -> Result<()> {
    let mut statement = conn.prepare("SELECT key, blob FROM marks ORDER BY key")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key = row.get_ref(0)?.as_str()?;
        report.note(|| format!("mark {key}"), row::open_mark(key, row.get_ref(1)?.as_blob()?));
    }
    Ok(())
}

fn attempts(conn: &Connection, report: &mut Report) -> Result<()> {
    let mut statement = conn.prepare("SELECT job, number, blob FROM attempts ORDER BY job, number")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (job, number): (_, u32) = (JobId::from_bytes(row.get(0)?), row.get(1)?);
        let what = || format!("attempt {number} of job {job}");
        report.note(what, row::open_attempt(job, row.get_ref(2)?.as_blob()?));
    }
    Ok(())
}

fn events(conn: &Connection, report: &mut Report) -> Result<()> {
    let mut statement = conn.prepare("SELECT last, blob FROM events ORDER BY last")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let last = row.get(0)?;
        let what = || format!("the changes up to revision {last}");
        let events = report.note(what, row::open_events(last, row.get_ref(1)?.as_blob()?));
        report.events += events.map_or(0, |events| events.len());
    }
    Ok(())
}

fn requests(conn: &Connection, report: &mut Report) -> Result<()> {
    let mut statement = conn.prepare("SELECT id, blob FROM requests ORDER BY seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id = row.get_ref(0)?.as_str()?;
        report.note(|| format!("request {id}"), row::open_request(id, row.get_ref(1)?.as_blob()?));
    }
    Ok(())
}

/// What belongs to no job takes room for ever, since nothing prunes it.
fn strays(conn: &Connection, what: &str, table: &str, report: &mut Report) -> Result<()> {
    let sql = format!(
        "SELECT id FROM {table} WHERE NOT EXISTS (SELECT 1 FROM live WHERE live.id = {table}.id)
         AND NOT EXISTS (SELECT 1 FROM history WHERE history.id = {table}.id)"
    );
    let mut statement = conn.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        report.add(format!("{what} of job {}, and no such job", JobId::from_bytes(row.get(0)?)));
    }
    Ok(())
}

fn integrity(conn: &Connection, report: &mut Report) -> Result<()> {
    let mut statement = conn.prepare("PRAGMA integrity_check")?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
    for line in lines {
        let line = line?;
        if line != "ok" {
            report.add(format!("file: {line}"));
        }
    }
    Ok(())
}
