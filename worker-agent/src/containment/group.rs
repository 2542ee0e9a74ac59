//! One control group (version 2), by its directory: the few files that matter, read and written whole.
//!
//! Plain functions on a descriptor, for agent, warden and keeper alike: whoever holds it can kill, whoever else is dead.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

/// Who is in it.
pub(crate) const PROCS: &str = "cgroup.procs";
/// Kills what is in it, whatever forks meanwhile. Since Linux 5.14.
pub(crate) const KILL: &str = "cgroup.kill";
/// Groups within groups that are removed; a job that dug deeper keeps its leaf from being used again, and nothing else.
const DEPTH_MAX: u32 = 32;
/// Whether anybody is in it.
const EVENTS: &str = "cgroup.events";

/// A control group. Cheap to clone: clones share the descriptor.
#[derive(Debug, Clone)]
pub(crate) struct Group(Arc<OwnedFd>);

impl Group {
    /// # Errors
    /// Where there is no such directory, or it is not ours to open.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::from(rustix::fs::open(path, DIRECTORY, Mode::empty())?))
    }

    /// The one of this name below it.
    pub(crate) fn child(&self, name: &str) -> io::Result<Self> {
        Ok(Self::from(rustix::fs::openat(&self.0, name, DIRECTORY, Mode::empty())?))
    }

    /// Makes one below it.
    pub(crate) fn make(&self, name: &str) -> io::Result<Self> {
        rustix::fs::mkdirat(&self.0, name, Mode::RWXU | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH)?;
        self.child(name)
    }

    /// Removes one below it, with what is below that, where nothing lives in it. EBUSY also for a moment after its last process has
    /// gone.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.remove_to_depth(name, DEPTH_MAX)
    }

    fn remove_to_depth(&self, name: &str, depth: u32) -> io::Result<()> {
        match (rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR), depth.checked_sub(1)) {
            (Ok(()) | Err(Errno::NOENT), _) => Ok(()),
            // A job that may write here can have made some of its own.
            (Err(Errno::BUSY | Errno::NOTEMPTY), Some(depth)) if self.child(name)?.has_children() => {
                let inside = self.child(name)?;
                inside.children()?.iter().try_for_each(|below| inside.remove_to_depth(below, depth))?;
                Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
            }
            (Err(errno), _) => Err(errno.into()),
        }
    }

    /// Whether there are any directly below it.
    pub(crate) fn has_children(&self) -> bool {
        match rustix::fs::fstat(&self.0).map(|stat| stat.st_nlink) {
            // Does not count: no group then, but a directory that plays one.
            Ok(0 | 1) | Err(_) => self.children().is_ok_and(|children| !children.is_empty()),
            // Each directory is linked from its parent, from itself, and from each one in it.
            Ok(links) => links > 2,
        }
    }

    /// Names of those directly below it.
    pub(crate) fn children(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy();
            if entry.file_type().is_dir() && name != "." && name != ".." {
                names.push(name.into_owned());
            }
        }
        Ok(names)
    }

    /// Whether there is such a file, which tells what the kernel and its configuration offer here.
    pub(crate) fn has(&self, file: &str) -> bool {
        rustix::fs::statat(&self.0, file, AtFlags::empty()).is_ok()
    }

    pub(crate) fn read(&self, file: &str) -> io::Result<String> {
        let file = rustix::fs::openat(&self.0, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        read_whole(file.as_fd())
    }

    /// In one call, as the kernel wants it, and over what is there, as a shell would.
    pub(crate) fn write(&self, file: &str, text: &str) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, file, flags, Mode::empty())?;
        rustix::io::write(&file, text.as_bytes())?;
        Ok(())
    }

    /// Processes in it, without those below it.
    pub(crate) fn processes(&self) -> u64 {
        self.read(PROCS).map_or(0, |pids| pids.lines().count() as u64)
    }

    /// Kills everything in it and below. Returns before it is dead.
    pub(crate) fn kill(&self) -> io::Result<()> {
        self.write(KILL, "1")
    }

    /// Whether anything in it or below it lives; zombies do not count. One that is gone was empty: no other is removed.
    pub(crate) fn is_populated(&self) -> io::Result<bool> {
        match self.read(EVENTS) {
            Err(error) if is_gone(&error) => Ok(false),
            read => populated(&read?),
        }
    }

    /// Its events, for [`look`].
    pub(crate) fn events(&self) -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(&self.0, EVENTS, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl From<OwnedFd> for Group {
    fn from(directory: OwnedFd) -> Self {
        Self(Arc::new(directory))
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

/// Whether anything lives where these [`Group::events`] are from. After this look, and not before, a change wakes whoever
/// polls them for PRI.
pub(crate) fn look(events: &OwnedFd) -> io::Result<bool> {
    match read_whole(events.as_fd()) {
        Err(error) if is_gone(&error) => Ok(false),
        read => populated(&read?),
    }
}

fn populated(events: &str) -> io::Result<bool> {
    match field(events, "populated") {
        Some(0) => Ok(false),
        Some(_) => Ok(true),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The number beside a name, in a file with a pair a line.
pub(crate) fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

fn read_whole(file: BorrowedFd<'_>) -> io::Result<String> {
    let (mut text, mut at) = (Vec::new(), 0);
    let mut piece = [0; 4096];
    loop {
        match rustix::io::pread(file, &mut piece, at)? {
            0 => return String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData.into()),
            read => {
                text.extend_from_slice(&piece[..read]);
                at += read as u64;
            }
        }
    }
}
