//! A copy of a store that a coordinator can be started on.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::Backup;

use super::{ToolError, look};
use crate::store::sqlite::{connect, dir};

/// Pages copied at a time: 4 MiB.
const PAGES: i32 = 1_024;

/// Copies the store of `from`, page by page, as it is when this begins, to a new directory `to`. A running coordinator goes on.
///
/// One view from the first page to the last: SQLite begins a copy anew whenever somebody else commits between two views, which
/// beside a busy coordinator is always. Until the copy is done, the log of changes grows instead of being folded into the file.
///
/// # Errors
/// Where `to` exists, the copy cannot be written, or it is not sound.
pub(crate) fn backup(from: &Path, to: &Path) -> Result<(), ToolError> {
    let conn = look(from)?;
    if to.exists() {
        return Err(ToolError::Exists(to.into()));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    // Under another name until it is whole: half a copy must not be taken for one.
    let unfinished = to.join("unfinished.db");
    let copied = copy(&conn, &unfinished).and_then(|()| check(&unfinished));
    if let Err(err) = copied {
        // What went wrong first is what matters.
        let _ = fs::remove_dir_all(to);
        return Err(err);
    }
    File::open(&unfinished)?.sync_all()?;
    fs::rename(&unfinished, dir::store_file(to))?;
    dir::sync(to)?;
    dir::sync(&to.canonicalize()?.join(".."))?;
    Ok(())
}

fn copy(conn: &Connection, file: &Path) -> Result<(), ToolError> {
    let view = conn.unchecked_transaction()?;
    let mut copy = Connection::open(file)?;
    Backup::new(&view, &mut copy)?.run_to_completion(PAGES, Duration::ZERO, None)?;
    Ok(())
}

fn check(file: &Path) -> Result<(), ToolError> {
    let conn = connect::reader(file)?;
    let verdict: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(ToolError::Unsound(verdict)) }
}
