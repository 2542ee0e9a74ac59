//! A directory of each worker's own, empty when it starts.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::clear::remove_tree;
use crate::confine::Confined;
use crate::process::{SpawnError, Stage};

/// Names it to the worker.
pub(super) const VARIABLE: &str = "WINDLASS_SCRATCH";

/// Empties the directory, or makes it, for these processes and nobody else. What former calls left is work for a thread that
/// nobody waits for.
///
/// # Errors
/// The stage `prepare`, where it cannot be removed or made.
pub(super) async fn renew(dir: PathBuf, confined: Confined) -> Result<(), SpawnError> {
    let renewed = tokio::task::spawn_blocking(move || renew_now(&dir, &confined)).await;
    // A panic in there is the program's end anyway.
    let renewed = renewed.unwrap_or_else(|error| Err(io::Error::other(error)));
    renewed.map_err(|error| SpawnError::from_io(Stage::Prepare, &error))
}

fn renew_now(dir: &Path, confined: &Confined) -> io::Result<()> {
    remove_tree(dir)?;
    if let Some(pool) = dir.parent() {
        // Whoever the workers become has to get through to what is theirs, and to nothing else.
        DirBuilder::new().recursive(true).mode(0o711).create(pool)?;
    }
    confined.make_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_a_former_worker_left_is_gone_whatever_modes_it_has() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("pools/p/0");
        renew_now(&dir, &Confined::default()).unwrap();
        std::fs::create_dir(dir.join("locked")).unwrap();
        std::fs::write(dir.join("locked/file"), "x").unwrap();
        std::fs::set_permissions(dir.join("locked"), std::fs::Permissions::from_mode(0o500)).unwrap();
        renew_now(&dir, &Confined::default()).unwrap();
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
