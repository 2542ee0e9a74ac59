//! Why a store cannot be opened, and how SQLite's words become ours.

use std::path::PathBuf;

use rusqlite::ErrorCode;

use super::frame::Damage;
use crate::store::ReadError;

/// A data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be made, or used.
    #[error("the data directory {} cannot be used: {source}", path.display())]
    Dir {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another coordinator uses it.
    #[error("another coordinator uses the data directory {}; stop it first, or give this one a directory of its own", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// There is no store.
    #[error("there is no store at {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{} is not a store of Windlass", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a later Windlass.
    #[error("{} has schema version {found}, and this windlass knows up to {known}; use the version that wrote it, or a later one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Something that is needed to go on is damaged.
    #[error(
        "{what} is damaged on disk, so the coordinator does not start: `windlass-coordinator store verify {dir}` says what else \
         is, `store export {dir}` saves what can be read; restore a backup", dir = dir.display()
    )]
    Corrupt {
        /// What, such as `job 0193…`.
        what: String,
        /// The data directory.
        dir: PathBuf,
    },
    /// It was opened as often as fencing tokens can tell.
    #[error("the store was opened {0} times, which is as often as fencing tokens can tell apart")]
    EpochsUsedUp(u64),
    /// Anything else.
    #[error("the store cannot be opened: {0}")]
    Failed(String),
}

/// Reading one thing failed.
pub(super) fn unreadable(what: impl FnOnce() -> String, err: &rusqlite::Error) -> ReadError {
    if is_corrupt(err) { ReadError::Corrupt { what: what() } } else { ReadError::Failed(err.to_string()) }
}

/// One thing is not what was written.
pub(super) fn damaged(what: impl FnOnce() -> String, damage: Damage) -> ReadError {
    match damage {
        Damage::Corrupt => ReadError::Corrupt { what: what() },
        Damage::Newer(version) => ReadError::Failed(format!(
            "{} was written in form {version} by a later windlass, and this one knows up to {}",
            what(),
            super::frame::VERSION
        )),
    }
}

pub(super) fn is_corrupt(err: &rusqlite::Error) -> bool {
    matches!(err.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Whether the disk was full when it came to writing: nothing was half done, and no sync had been asked for yet.
pub(super) fn is_full(err: &rusqlite::Error) -> bool {
    err.sqlite_error_code() == Some(ErrorCode::DiskFull)
}
