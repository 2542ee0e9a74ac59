//! The data directory: ours alone, to read and to write.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::OpenError;

/// The file with the tables.
pub(super) fn store_file(dir: &Path) -> PathBuf {
    dir.join("store.db")
}

/// The file that a crash leaves behind, and a clean end does not.
pub(super) fn wal_file(dir: &Path) -> PathBuf {
    dir.join("store.db-wal")
}

/// The directory's lock, given back when this is dropped.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    /// By its own word, not by the last close: a child that is between fork and exec holds every open file for a moment.
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Makes the directory, where it is not there, and takes its lock.
pub(super) fn take(dir: &Path) -> Result<Lock, OpenError> {
    let failed = |source| OpenError::Dir { path: dir.into(), source };
    make(dir).map_err(failed)?;
    let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(dir.join("lock")).map_err(failed)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock(lock)),
        Err(Errno::WOULDBLOCK) => Err(OpenError::InUse { path: dir.into() }),
        Err(err) => Err(failed(err.into())),
    }
}

fn make(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // A directory whose name is not durable takes what is in it along.
    match dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => sync(parent),
        None => sync(Path::new(".")),
    }
}

/// Makes the names in a directory durable.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_given_back_is_free_though_a_child_still_holds_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let lock = take(dir.path()).unwrap();
        let held_by_a_child = lock.0.try_clone().unwrap();
        assert!(matches!(take(dir.path()), Err(OpenError::InUse { .. })));
        drop(lock);
        assert!(take(dir.path()).is_ok());
        drop(held_by_a_child);
    }
}
