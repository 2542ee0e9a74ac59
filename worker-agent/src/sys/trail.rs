//! How far a child has come: one byte in memory that it shares with its parent, which can read it however the child fares. A pipe would
//! wake the parent at each step, for news that is wanted only of a child that hangs.

use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU8, Ordering};

use crate::process::Stage;

/// The shared byte, in a page of its own.
#[derive(Debug)]
pub(crate) struct Trail(NonNull<AtomicU8>);

impl Trail {
    /// Made before the fork.
    pub(crate) fn new() -> io::Result<Self> {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping where the kernel likes touches no memory of anybody's; it is zeroed, which is a valid AtomicU8.
        let page = unsafe { libc::mmap(ptr::null_mut(), size_of::<AtomicU8>(), access, kind, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(page.cast()).map(Self).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
    }

    /// Says, in the child, which stage comes next.
    pub(crate) fn mark(&self, stage: Stage) {
        self.byte().store(stage.number(), Ordering::Relaxed);
    }

    /// The stage that was last marked; the first one before any was.
    pub(crate) fn reached(&self) -> Stage {
        Stage::from_number(self.byte().load(Ordering::Relaxed)).unwrap_or(Stage::Group)
    }

    fn byte(&self) -> &AtomicU8 {
        // SAFETY: mapped, aligned and initialised by `new`, until `drop`; both processes reach it by atomics only.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this size, and no reference outlives `self`.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<AtomicU8>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mark_is_what_is_reached() {
        let trail = Trail::new().unwrap();
        assert_eq!(trail.reached(), Stage::Group);
        trail.mark(Stage::Chdir);
        assert_eq!(trail.reached(), Stage::Chdir);
    }
}
