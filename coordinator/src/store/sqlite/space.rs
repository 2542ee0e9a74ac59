//! Room on the disk: a floor below which no more jobs are taken, and a ballast that is thrown out when even that was not enough.
//!
//! ```text
//!   free    2 × floor + ballast ─────── ballast rebuilt, submits again (where it had been given up)
//!                         floor ─────── below: submits refused, everything else goes on
//!                     floor / 2 ─────── below: ballast given up, submits refused until the top line
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;
use windlass_shared::clock;
use windlass_shared::time::Moment;

use crate::store::{NoRoom, StoreOptions};

/// How long a look at the disk is good for. At a gigabyte a second, 200 ms are less than the default floor.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const FLOOR_BYTES: u64 = 256 << 20;
const BALLAST_BYTES: u64 = 64 << 20;
const MIB: usize = 1 << 20;

/// The disk that a data directory is on.
#[derive(Debug)]
pub(super) struct Space {
    dir: PathBuf,
    ballast: PathBuf,
    total: u64,
    floor: u64,
    ballast_bytes: u64,
    /// The ballast is gone, and the disk has not recovered since.
    given_up: AtomicBool,
    below: AtomicBool,
    seen: Mutex<Option<(Moment, u64)>>,
}

impl Space {
    /// Looks at the disk, and lays in the ballast where there is room to spare.
    pub(super) fn open(dir: &Path, options: &StoreOptions) -> io::Result<Self> {
        let total = size(dir)?.0;
        let floor = options.disk_free_min.unwrap_or(FLOOR_BYTES.min(total / 20));
        let ballast_bytes = options.ballast_bytes.unwrap_or(BALLAST_BYTES.min(total / 50));
        let space = Self {
            dir: dir.into(),
            ballast: dir.join("ballast"),
            total,
            floor,
            ballast_bytes,
            given_up: AtomicBool::new(false),
            below: AtomicBool::new(false),
            seen: Mutex::default(),
        };
        if !space.has_ballast() && space.free() >= space.plenty() {
            space.lay_in();
        }
        Ok(space)
    }

    /// Whether there is room for more jobs.
    pub(super) fn room(&self) -> Result<(), NoRoom> {
        let (free, given_up) = (self.free(), self.given_up.load(Ordering::Relaxed));
        if free < self.floor || given_up {
            let floor = if given_up { self.plenty() } else { self.floor };
            return Err(NoRoom::Disk { free, floor });
        }
        Ok(())
    }

    /// Whether pruned pages should go back to the disk rather than wait for the next jobs.
    pub(super) fn is_short(&self) -> bool {
        self.free() < self.plenty()
    }

    /// Looks after the ballast.
    pub(super) fn tend(&self) {
        let free = self.free();
        self.tell_about(free);
        if free < self.floor / 2 {
            self.give_up();
        } else if self.given_up.load(Ordering::Relaxed) && free >= self.plenty() {
            self.given_up.store(false, Ordering::Relaxed);
            self.lay_in();
            tracing::warn!(free, "the disk has space again; submits are taken");
        }
    }

    /// Throws out the ballast; whether there was any.
    pub(super) fn give_up(&self) -> bool {
        if fs::remove_file(&self.ballast).is_err() {
            return false;
        }
        self.given_up.store(true, Ordering::Relaxed);
        self.forget_look();
        tracing::error!(
            dir = %self.dir.display(), bytes = self.ballast_bytes, floor = self.floor, until_free = self.plenty(),
            "the disk is nearly full: gave up the ballast to record results; submits are refused until there is space"
        );
        true
    }

    /// Bytes that the log of changes may take before it is folded into the file: 16 MiB, less on a small disk.
    pub(super) fn wal_bytes(&self) -> u64 {
        (self.total / 64).clamp(256 << 10, 16 << 20)
    }

    /// Free bytes at which the shortage is over.
    fn plenty(&self) -> u64 {
        2 * self.floor + self.ballast_bytes
    }

    fn tell_about(&self, free: u64) {
        let below = free < self.floor;
        if self.below.swap(below, Ordering::Relaxed) == below {
            return;
        }
        let (dir, floor) = (self.dir.display(), self.floor);
        if below {
            tracing::error!(%dir, free, floor, "the disk is below its floor; submits are refused, results go on");
        } else {
            tracing::warn!(%dir, free, floor, "the disk is above its floor again");
        }
    }

    fn free(&self) -> u64 {
        let now = clock::moment();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match *seen {
            Some((at, free)) if now.since(at) < LOOK_EVERY => free,
            before => {
                // A disk that does not answer is for the commits to find out about.
                let free = size(&self.dir).map_or(before.map_or(u64::MAX, |(_, free)| free), |(_, free)| free);
                *seen = Some((now, free));
                free
            }
        }
    }

    fn forget_look(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn has_ballast(&self) -> bool {
        fs::metadata(&self.ballast).is_ok_and(|found| found.len() >= self.ballast_bytes)
    }

    fn lay_in(&self) {
        if self.ballast_bytes == 0 {
            return;
        }
        if let Err(err) = fill(&self.ballast, self.ballast_bytes) {
            tracing::warn!(error = %err, "no ballast: on a full disk, results may have nowhere to go");
            // Half a ballast would be taken for a whole one at the next start.
            let _ = fs::remove_file(&self.ballast);
        }
        self.forget_look();
    }
}

/// Bytes of the filesystem in all, and those that we could still write.
fn size(dir: &Path) -> io::Result<(u64, u64)> {
    let found = statvfs(dir)?;
    Ok((found.f_blocks.saturating_mul(found.f_frsize), found.f_bavail.saturating_mul(found.f_frsize)))
}

fn fill(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Err(Errno::OPNOTSUPP) => {}
        other => return Ok(other?),
    }
    let block = vec![0; MIB];
    let mut left = bytes;
    while left > 0 {
        let size = left.min(MIB as u64);
        file.write_all(&block[..usize::try_from(size).unwrap_or(MIB)])?;
        left -= size;
    }
    file.sync_all()
}
