//! Connections: one writes, a few read.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Result};

/// Prepared statements kept a connection: more than there are.
const STATEMENTS: usize = 64;
/// Page cache of the writer. A change of state hits pages all over a table of a million jobs; what is not here comes from the
/// system's cache, one read a page.
const WRITER_CACHE_KIB: i32 = 32 << 10;
/// Page cache of each reader: point reads and short pages.
const READER_CACHE_KIB: i32 = 2 << 10;
/// Nobody else writes, so nobody waits for long; this is for a person with the `sqlite3` tool.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// The connection that writes, in the mode that syncs every commit.
pub(super) fn writer(file: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(file, flags)?;
    prepare(&conn, WRITER_CACHE_KIB)?;
    // Before the first table or never: lets pruned pages go back to the filesystem bit by bit when the disk runs short.
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    // Checkpoints are ours to time (writer.rs), not part of whichever commit crosses a line.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "foreign_keys", false)?;
    Ok(conn)
}

/// A connection that reads.
pub(super) fn reader(file: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(file, flags)?;
    prepare(&conn, READER_CACHE_KIB)?;
    keep_wal_on_close(&conn)?;
    Ok(conn)
}

/// Closing normally moves the log into the file, with a sync whose success proves nothing after one that failed.
pub(super) fn keep_wal_on_close(conn: &Connection) -> Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
}

fn prepare(conn: &Connection, cache_kib: i32) -> Result<()> {
    conn.busy_timeout(BUSY_MAX)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.pragma_update(None, "cache_size", -cache_kib)?;
    // No file beside ours: a full disk must not stop a read or a commit over a scratch file.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    // Read errors must be errors; mapped pages would make them signals.
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "trusted_schema", false)
}
