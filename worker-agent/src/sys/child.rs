//! From fork to exec: the leader's own way, by raw calls over memory that was prepared before the fork.
//!
//! ```text
//! [control group ─►] session ─► stdio ─► confinement (see [`confine`](super::confine)) ─► signals ─► descriptors
//!         ─► working directory ─► die with the keeper ─► exec, candidate by candidate
//! ```
//! A failing step is written to the report pipe with its errno; exec closes that pipe, and its end means success.

use std::ffi::CStr;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use super::confine;
use super::fork::SingleThread;
use super::trail::Trail;
use crate::process::Stage;

/// A NULL-terminated array of C strings, as execve wants it.
pub(crate) struct CStrings<'a> {
    pointers: Vec<*const libc::c_char>,
    strings: PhantomData<&'a CStr>,
}

impl<'a> CStrings<'a> {
    pub(crate) fn new(strings: impl Iterator<Item = &'a CStr>) -> Self {
        let pointers = strings.map(CStr::as_ptr).chain([ptr::null()]).collect();
        Self { pointers, strings: PhantomData }
    }
}

/// Everything the child needs, in place before it exists.
pub(crate) struct Launch<'a> {
    /// Tried in this order.
    pub(crate) candidates: CStrings<'a>,
    pub(crate) argv: CStrings<'a>,
    pub(crate) envp: CStrings<'a>,
    pub(crate) cwd: &'a CStr,
    /// Where the child says how far it has come.
    pub(crate) trail: &'a Trail,
    pub(crate) confinement: confine::Steps<'a>,
    /// The control group it is to run in.
    pub(crate) group: Option<BorrowedFd<'a>>,
    /// None: what the keeper has at 0, which is /dev/null.
    pub(crate) stdin: Option<BorrowedFd<'a>>,
    pub(crate) stdout: BorrowedFd<'a>,
    pub(crate) stderr: BorrowedFd<'a>,
}

/// Forks the leader; its report comes by `report`, the write end of a close-on-exec pipe.
pub(crate) fn launch(_: &SingleThread, launch: &Launch<'_>, report: &OwnedFd) -> io::Result<Pid> {
    let keeper = rustix::process::getpid().as_raw_pid();
    // SAFETY: one thread here; the child makes only async-signal-safe calls and ends in exec or _exit.
    let (pid, to_join) = match launch.group.map(|group| unsafe { super::fork::fork_into(group) }) {
        Some(Ok(pid)) => (pid, None),
        // SAFETY: as above.
        Some(Err(_)) | None => (super::check(unsafe { libc::fork() })?, launch.group),
    };
    match pid {
        // SAFETY: this is that child, and `launch` was filled in before the fork.
        0 => unsafe { become_leader(launch, to_join, keeper, report.as_raw_fd()) },
        pid => Pid::from_raw(pid).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL)),
    }
}

/// What the read end of the report pipe says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// Nothing yet.
    Pending,
    /// The program runs (or the child was killed on the way: its exit will tell).
    Started,
    Failed(Stage, i32),
}

/// Reads the report without waiting.
pub(crate) fn read_report(pipe: &OwnedFd) -> Report {
    let mut bytes = [0; 8];
    match rustix::io::read(pipe, &mut bytes) {
        Ok(8) => {
            let stage = Stage::from_number(bytes[0]).unwrap_or(Stage::Exec);
            Report::Failed(stage, i32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]))
        }
        Err(Errno::AGAIN | Errno::INTR) => Report::Pending,
        _ => Report::Started,
    }
}

/// # Safety
/// In a freshly forked child with one thread only; never returns.
unsafe fn become_leader(
    launch: &Launch<'_>,
    to_join: Option<BorrowedFd<'_>>,
    keeper: libc::pid_t,
    report: libc::c_int,
) -> ! {
    // SAFETY: the caller's contract is the one of `set_up`; write and _exit are async-signal-safe, the buffer is ours.
    unsafe {
        let (stage, errno) = match to_join.map_or(Ok(()), join) {
            Ok(()) => set_up(launch, keeper),
            Err(errno) => (Stage::Group, errno.raw_os_error()),
        };
        let mut bytes = [0u8; 8];
        bytes[0] = stage.number();
        bytes[4..].copy_from_slice(&errno.to_ne_bytes());
        libc::write(report, bytes.as_ptr().cast(), bytes.len());
        libc::_exit(127)
    }
}

/// Moves this process into a control group. First of all, so that nothing it does is outside.
fn join(group: BorrowedFd<'_>) -> Result<(), Errno> {
    let procs = rustix::fs::openat(group, c"cgroup.procs", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(procs, b"0").map(drop)
}

/// Goes the way and returns only with the stage it failed at.
///
/// # Safety
/// In a freshly forked child with one thread only: it makes nothing but async-signal-safe calls, allocates nothing, and all
/// it points at was prepared by the parent.
unsafe fn set_up(launch: &Launch<'_>, keeper: libc::pid_t) -> (Stage, libc::c_int) {
    // SAFETY: as the function's own contract says; the pointers come from live `CStr`s and NULL-terminated arrays.
    unsafe {
        // A session, not just a group: a job must not get the Ctrl-C of the terminal an agent was started from.
        if libc::setsid() < 0 {
            return (Stage::Session, errno());
        }
        let stdin = launch.stdin.as_ref().map_or(libc::STDIN_FILENO, AsRawFd::as_raw_fd);
        // All three sources are above 2, or are already in place: no copy overwrites a later source.
        for (from, to) in [(stdin, 0), (launch.stdout.as_raw_fd(), 1), (launch.stderr.as_raw_fd(), 2)] {
            if from != to && libc::dup2(from, to) < 0 {
                return (Stage::Stdio, errno());
            }
        }
        // Marked is what others can make hang: the kernel's own files, and whatever is mounted where the job wants to be.
        launch.trail.mark(Stage::OomScore);
        if let Err((stage, errno)) = launch.confinement.take() {
            return (stage, errno.raw_os_error());
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        if libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) < 0 {
            return (Stage::Signals, errno());
        }
        // Close on exec rather than now: the report pipe must live until then. Everything of ours has the flag already;
        // this is for what a library or our own starter left open without it.
        libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
        launch.trail.mark(Stage::Chdir);
        if libc::chdir(launch.cwd.as_ptr()) < 0 {
            return (Stage::Chdir, errno());
        }
        // After the change of user, which takes it back.
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) < 0 {
            return (Stage::Guard, errno());
        }
        // The keeper may have died before the line above: then no signal will ever come.
        if libc::getppid() != keeper {
            return (Stage::Guard, libc::EOWNERDEAD);
        }
        launch.trail.mark(Stage::Exec);
        (Stage::Exec, exec(launch))
    }
}

/// Tries the candidates as execvp would, but hands no script without `#!` to a shell.
///
/// # Safety
/// As `set_up`.
unsafe fn exec(launch: &Launch<'_>) -> libc::c_int {
    let mut reason = libc::ENOENT;
    for path in launch.candidates.pointers.iter().take_while(|path| !path.is_null()) {
        // SAFETY: three pointers to NUL- and NULL-terminated memory that outlives the call.
        let errno = unsafe {
            libc::execve(*path, launch.argv.pointers.as_ptr(), launch.envp.pointers.as_ptr());
            errno()
        };
        match errno {
            // Found, but not for us: worth more than "not found", and a later directory may hold a better one.
            libc::EACCES => reason = libc::EACCES,
            libc::ENOENT | libc::ENOTDIR if reason == libc::EACCES => {}
            libc::ENOENT | libc::ENOTDIR => reason = errno,
            other => return other,
        }
    }
    reason
}

/// # Safety
/// Always: the location is this thread's own.
unsafe fn errno() -> libc::c_int {
    // SAFETY: glibc and musl give a valid pointer for the life of the thread.
    unsafe { *libc::__errno_location() }
}
