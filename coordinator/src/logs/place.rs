//! Where segments are: in a directory, or in memory as files without a name, so that everything else is the same for both.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, memfd_create, statvfs};

use super::limits::DISK_PARTS;

#[derive(Debug)]
pub(super) enum Place {
    Memory,
    Dir(PathBuf),
}

/// Moves the logs of a data directory out of the way, to where nobody looks for them: those of the record that was `incarnation`.
pub(super) fn set_aside(dir: &Path, incarnation: u64) -> io::Result<()> {
    match std::fs::rename(dir.join("logs"), dir.join(format!("logs.{incarnation}"))) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

impl Place {
    /// `logs` in that directory, made where it is missing. Nobody else reads it: jobs print secrets.
    pub(super) fn in_dir(dir: &Path) -> io::Result<Self> {
        let dir = dir.join("logs");
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        Ok(Self::Dir(dir))
    }

    pub(super) fn create(&self, number: u64) -> io::Result<(File, Option<PathBuf>)> {
        match self {
            Self::Memory => Ok((memfd_create("windlass-logs", MemfdFlags::CLOEXEC)?.into(), None)),
            Self::Dir(dir) => {
                let path = dir.join(format!("{number:016x}.log"));
                let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
                Ok((file, Some(path)))
            }
        }
    }

    /// Segments there, oldest first. What is not named like one is somebody else's.
    pub(super) fn list(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let Self::Dir(dir) = self else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if let Some(number) = number_of(&path) {
                found.push((number, path));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Fails where the disk has less than `free_bytes_min` left, or a fortieth of itself.
    pub(super) fn check_free(&self, free_bytes_min: u64) -> io::Result<()> {
        let Self::Dir(dir) = self else { return Ok(()) };
        let disk = statvfs(dir)?;
        let floor = free_bytes_min.min(disk.f_blocks.saturating_mul(disk.f_frsize) / DISK_PARTS);
        if disk.f_bavail.saturating_mul(disk.f_frsize) < floor {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".log")?;
    (name.len() == 16).then(|| u64::from_str_radix(name, 16).ok()).flatten()
}
