//! The check after an unclean stop, beside serving: a coordinator that was killed must not be down for longer than it takes to
//! read its jobs.

use std::fmt;
use std::path::Path;
use std::thread::JoinHandle;

use rusqlite::{Connection, InterruptHandle, Result};

use super::connect;

/// Table by table: a look at all of them at once would keep the log from being folded for as long as it takes.
const TABLES: [&str; 9] = ["meta", "live", "history", "specs", "results", "attempts", "events", "requests", "marks"];

/// A check under way; dropped, it ends.
pub(super) struct Check {
    interrupt: InterruptHandle,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").finish_non_exhaustive()
    }
}

impl Check {
    pub(super) fn start(file: &Path) -> std::result::Result<Self, Box<dyn std::error::Error>> {
        let conn = connect::reader(file)?;
        let interrupt = conn.get_interrupt_handle();
        let thread = std::thread::Builder::new().name("store-check".into()).spawn(move || run(&conn))?;
        Ok(Self { interrupt, thread: Some(thread) })
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        while !thread.is_finished() {
            // An interrupt between two statements interrupts nothing, so it is given until it is heeded.
            self.interrupt.interrupt();
            std::thread::yield_now();
        }
        // It only read.
        let _ = thread.join();
    }
}

fn run(conn: &Connection) {
    tracing::warn!("the coordinator did not stop cleanly; checking the store beside serving");
    for table in TABLES {
        match quick_check(conn, table) {
            Ok(problems) if problems.is_empty() => {}
            Ok(problems) => {
                let problems = problems.join("; ");
                tracing::error!(table, problems, "the store is damaged; `windlass-coordinator store verify` says more");
                return;
            }
            Err(err) if err.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => return,
            Err(err) => {
                tracing::error!(table, error = %err, "the store could not be checked");
                return;
            }
        }
    }
    tracing::info!("the store is sound");
}

/// What SQLite finds wrong with a table.
fn quick_check(conn: &Connection, table: &str) -> Result<Vec<String>> {
    let mut statement = conn.prepare(&format!("PRAGMA quick_check({table})"))?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    rows.filter(|row| row.as_ref().map_or(true, |text| text != "ok")).collect()
}
