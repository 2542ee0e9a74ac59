//! Jobs as JSON lines: for other tools, and to save what can be read of a damaged store.

use std::io::Write;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};
use windlass_shared::domain::{AttemptRecord, CallResult, JobView};
use windlass_shared::ids::JobId;
use windlass_shared::time::Timestamp;

use super::{ToolError, look};
use crate::store::ReadError;
use crate::store::sqlite::read;

/// What was written, and what was not.
#[derive(Debug, Default)]
pub(crate) struct Export {
    /// Jobs written.
    pub(crate) jobs: usize,
    /// What could not be, a line each.
    pub(crate) skipped: Vec<String>,
}

/// Writes every job of a data directory's store, a JSON object a line: live ones first, each by age. A running coordinator goes
/// on. What is damaged is skipped, and named in what is returned.
///
/// # Errors
/// Where there is no store, or `out` cannot be written.
pub(crate) fn export(dir: &Path, out: &mut dyn Write) -> Result<Export, ToolError> {
    let conn = look(dir)?;
    let mut done = Export::default();
    // One view of all of it: a job that finishes meanwhile is written once, as it was.
    let view = conn.unchecked_transaction()?;
    for table in ["live", "history"] {
        // A damaged page ends the walk over a table; the way back meets it from the other side.
        let (met, broken) = walk(&view, table, "ASC", None, out, &mut done)?;
        if let Some(err) = broken {
            done.skipped.push(format!("{table}: the page after job {} cannot be read: {err}", shown(met)));
            let (met, broken) = walk(&view, table, "DESC", met, out, &mut done)?;
            done.skipped.extend(broken.map(|err| format!("{table}: the page before job {}: {err}", shown(met))));
        }
    }
    out.flush()?;
    Ok(done)
}

fn shown(id: Option<JobId>) -> String {
    id.map_or_else(|| "(none)".to_owned(), |id| id.to_string())
}

type Walk = (Option<JobId>, Option<rusqlite::Error>);

/// Writes the jobs of a table in one direction, up to the job `until`; how far it came, and why no further.
fn walk(
    conn: &Connection,
    table: &str,
    direction: &str,
    until: Option<JobId>,
    out: &mut dyn Write,
    done: &mut Export,
) -> Result<Walk, ToolError> {
    let mut statement = conn.prepare(&format!("SELECT id FROM {table} ORDER BY id {direction}"))?;
    let mut rows = statement.query([])?;
    let mut met = None;
    loop {
        let id = match rows.next().and_then(|row| row.map(|row| row.get(0)).transpose()) {
            Ok(Some(bytes)) => JobId::from_bytes(bytes),
            Ok(None) => return Ok((met, None)),
            Err(err) => return Ok((met, Some(err))),
        };
        if until == Some(id) {
            return Ok((met, None));
        }
        write_job(conn, id, out, done)?;
        met = Some(id);
    }
}

fn write_job(conn: &Connection, id: JobId, out: &mut dyn Write, done: &mut Export) -> Result<(), ToolError> {
    match read::job(conn, id) {
        Ok(Some(view)) => {
            let result = result(conn, &view).unwrap_or_else(|err| {
                done.skipped.push(err.to_string());
                None
            });
            writeln!(out, "{}", job(&view, result.as_ref()))?;
            done.jobs += 1;
        }
        Ok(None) => done.skipped.push(format!("job {id} cannot be found by its id")),
        Err(err) => done.skipped.push(format!("job {id}: {err}")),
    }
    Ok(())
}

/// What the handler answered: with its attempt, or in a table that a store of an earlier version has not.
fn result(conn: &Connection, view: &JobView) -> Result<Option<CallResult>, ReadError> {
    let Some(newest) = view.attempts.last() else { return Ok(None) };
    let here = newest.outcome.as_ref().and_then(|outcome| outcome.result.clone());
    if here.is_some() || newest.result_bytes == 0 { Ok(here) } else { read::result(conn, view.record.id) }
}

fn job(view: &JobView, result: Option<&CallResult>) -> Value {
    let job = &view.record;
    json!({
        "id": job.id.to_string(),
        "state": job.state.name(),
        "queue": &*job.header.queue,
        "priority": job.header.priority,
        "created_at": instant(job.created_at),
        "updated_at": instant(job.updated_at),
        "ended_at": job.ended_at.map(instant),
        "ready_at": job.ready_at.map(instant),
        "reason": job.reason.map(windlass_shared::domain::Reason::name),
        "detail": job.detail.as_deref(),
        "revision": job.revision,
        "handler": job.header.handler.as_deref(),
        "spec_bytes": view.spec.len(),
        // Where it is text, as JSON is.
        "result": result.and_then(|result| str::from_utf8(&result.value).ok()),
        "attempts": view.attempts.iter().map(attempt).collect::<Vec<_>>(),
    })
}

fn attempt(attempt: &AttemptRecord) -> Value {
    json!({
        "number": attempt.number,
        "state": attempt.state.name(),
        "agent": attempt.agent.to_string(),
        "agent_name": &*attempt.agent_name,
        "leased_at": instant(attempt.leased_at),
        "started_at": attempt.started_at.map(instant),
        "ended_at": attempt.ended_at.map(instant),
        "result_bytes": attempt.result_bytes,
    })
}

/// An instant as RFC 3339 has it, in UTC; nanoseconds since 1970 always are one.
fn instant(at: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(at.0.into()).map_or_else(|_| at.0.to_string(), |at| at.to_string())
}
