//! fork, for the warden and its keepers only: processes with one thread, where the child may do anything the parent may.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::process::Pid;

/// Says that this process has one thread. It cannot leave that thread, and neither warden nor keeper ever starts another.
#[derive(Debug)]
pub(crate) struct SingleThread(PhantomData<*const ()>);

impl SingleThread {
    /// # Errors
    /// `EDEADLK` in a process with several threads: a forked child could find any lock held for ever.
    pub(crate) fn check() -> io::Result<Self> {
        match std::fs::read_dir("/proc/self/task")?.count() {
            1 => Ok(Self(PhantomData)),
            _ => Err(io::Error::from_raw_os_error(libc::EDEADLK)),
        }
    }

    /// Takes what the starter left at number `fd`; once, at the start of the process.
    pub(crate) fn inherited(&self, fd: RawFd) -> io::Result<OwnedFd> {
        // SAFETY: F_GETFD asks about a number and touches no memory.
        super::check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
        // SAFETY: open, as just seen, and nobody owns it: only exec can have put it there, before any code of ours ran.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Closes every descriptor from `first` on; at the start of the process, before it has opened any of its own.
    pub(crate) fn close_from(&self, first: RawFd) {
        close_range(first, RawFd::MAX);
    }
}

/// Which side of a fork this is.
pub(crate) enum Forked {
    Child(Child),
    Parent(Pid),
}

/// Says that this process is the forked child. Its copies of the parent's values are not its own: it must leave by
/// [`Child::exit`], which runs no destructor.
pub(crate) struct Child(PhantomData<*const ()>);

pub(crate) fn fork(_: &SingleThread) -> io::Result<Forked> {
    // SAFETY: one thread, so the child inherits no lock held by another and may go on as its parent could.
    match super::check(unsafe { libc::fork() })? {
        0 => Ok(Forked::Child(Child(PhantomData))),
        pid => Pid::from_raw(pid).map(Forked::Parent).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL)),
    }
}

/// Forks a child that begins in a control group, which is cheaper than moving it there: a move waits for the whole host's forks.
/// 0 in the child.
///
/// # Errors
/// ENOSYS where the kernel (before 5.7) or a filter knows no such call, and what the group has against it. Then there is no child.
///
/// # Safety
/// With one thread only. The child is not known to libc as one: it may make async-signal-safe calls, and must end in exec or _exit.
pub(super) unsafe fn fork_into(group: BorrowedFd<'_>) -> io::Result<libc::pid_t> {
    /// From the kernel's `linux/sched.h`; libc types it differently from system to system.
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    /// The kernel's own, as of 5.7.
    #[repr(C)]
    #[derive(Default)]
    struct Arguments {
        flags: u64,
        pidfd: u64,
        child_tid: u64,
        parent_tid: u64,
        exit_signal: u64,
        stack: u64,
        stack_size: u64,
        tls: u64,
        set_tid: u64,
        set_tid_size: u64,
        cgroup: u64,
    }
    let arguments = Arguments {
        flags: CLONE_INTO_CGROUP,
        exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
        cgroup: u64::from(group.as_raw_fd().cast_unsigned()),
        ..Arguments::default()
    };
    // SAFETY: the kernel reads the struct, whose size it is told, and writes nothing; without CLONE_VM the child has a copy of
    // everything, the stack included. The rest is the caller's contract.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<Arguments>()) };
    super::check(libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidData)?)
}

impl Child {
    /// Closes every descriptor above stderr but those in `keep`. The parent's owners of the others exist as copies in this
    /// memory, but nothing reaches or drops them any more.
    pub(crate) fn close_all_but(&self, keep: &mut [RawFd]) {
        keep.sort_unstable();
        let mut first = libc::STDERR_FILENO + 1;
        for fd in &*keep {
            if first < *fd {
                close_range(first, fd - 1);
            }
            first = fd + 1;
        }
        close_range(first, RawFd::MAX);
    }

    /// Ends this process at once: no destructors, no atexit, nothing of the parent's is flushed twice.
    pub(crate) fn exit(&self, code: i32) -> ! {
        // SAFETY: _exit is always allowed.
        unsafe { libc::_exit(code) }
    }
}

/// Best effort: on a kernel older than 5.9 it closes nothing, and O_CLOEXEC alone guards the job.
fn close_range(first: RawFd, last: RawFd) {
    // SAFETY: the callers argue that nobody uses these numbers; the call itself touches no memory.
    unsafe { libc::syscall(libc::SYS_close_range, first.cast_unsigned(), last.cast_unsigned(), 0) };
}
