//! What an operator does with a store, beside a running coordinator or without one. Nothing here writes to it but `import`, which
//! needs it to itself.

mod backup;
mod export;
mod import;
mod verify;

use std::path::Path;

use rusqlite::Connection;

pub(crate) use backup::backup;
pub(crate) use export::export;
pub(crate) use import::{Imported, import};
pub(crate) use verify::verify;

use super::error::OpenError;
use super::{connect, dir, migrate};

/// A tool could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    /// There is no store that it could read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store could not be read on.
    #[error("the store cannot be read: {0}")]
    Read(String),
    /// What it was to write could not be written.
    #[error("cannot write: {0}")]
    Write(#[from] std::io::Error),
    /// The place for the copy is taken.
    #[error("{} is there already; name a directory that is not", .0.display())]
    Exists(std::path::PathBuf),
    /// The copy is not sound.
    #[error("the copy is not sound, because the store is not: {0}")]
    Unsound(String),
}

impl From<rusqlite::Error> for ToolError {
    fn from(err: rusqlite::Error) -> Self {
        Self::Read(err.to_string())
    }
}

/// A connection that reads the store of a data directory, of a version that is known.
fn look(dir: &Path) -> Result<Connection, ToolError> {
    let file = dir::store_file(dir);
    if !file.is_file() {
        return Err(OpenError::Missing { path: file }.into());
    }
    let conn = connect::reader(&file)?;
    if migrate::check(&conn, &file)? == 0 {
        return Err(OpenError::NotOurs { path: file }.into());
    }
    Ok(conn)
}
