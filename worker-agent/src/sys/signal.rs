//! Signals: masks, dispositions, signalfd, and sending by pidfd so that a reused number is never hit.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::process::Pid;

/// Every signal that can be blocked.
pub(super) fn full_set() -> libc::sigset_t {
    // SAFETY: all zeroes is a valid sigset_t, and sigfillset then sets it up.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        set
    }
}

/// Blocks every signal in this thread; children inherit it.
pub(crate) fn block_all() {
    let all = full_set();
    // SAFETY: the set is initialised; the old mask is not wanted.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const all, ptr::null_mut()) };
}

/// Gives every signal its default. exec keeps an *ignored* signal ignored, so a job would inherit what nohup, the Rust
/// runtime (SIGPIPE) or posix_spawn itself (glibc's own two) set; done once in the warden, it costs nothing at each spawn.
pub(crate) fn default_all() {
    // The kernel's own sigaction, all zeroes: SIG_DFL, no flags, empty mask. libc's would refuse the numbers it uses itself.
    let default = [0u64; 4];
    for signo in 1..=libc::SIGRTMAX() {
        // SAFETY: the array is as large as the kernel's struct or larger and is only read; KILL and STOP are refused.
        unsafe {
            let none = ptr::null_mut::<libc::c_void>();
            libc::syscall(libc::SYS_rt_sigaction, signo, default.as_ptr(), none, size_of::<u64>());
        }
    }
}

/// One signal taken from a [`SignalFd`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    pub(crate) signo: i32,
    /// What [`queue`] sent with it.
    pub(crate) value: i32,
}

/// Blocked signals as readable events.
#[derive(Debug)]
pub(crate) struct SignalFd(OwnedFd);

impl SignalFd {
    pub(crate) fn new(signals: &[i32]) -> io::Result<Self> {
        // SAFETY: the set is initialised by sigemptyset before use; the new descriptor is ours alone.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for signo in signals {
                libc::sigaddset(&raw mut set, *signo);
            }
            let fd = super::check(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// The next pending signal, if any.
    pub(crate) fn read(&self) -> Option<Received> {
        // SAFETY: all zeroes is a valid signalfd_siginfo, and the kernel writes at most its size.
        unsafe {
            let mut info: libc::signalfd_siginfo = std::mem::zeroed();
            let size = size_of::<libc::signalfd_siginfo>();
            let read = libc::read(self.0.as_raw_fd(), (&raw mut info).cast(), size);
            (read == size.cast_signed()).then(|| Received { signo: info.ssi_signo.cast_signed(), value: info.ssi_int })
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Sends `signo` to exactly the process the pidfd was opened for; ESRCH when it is gone.
pub(crate) fn send(pidfd: BorrowedFd<'_>, signo: i32) -> io::Result<()> {
    pidfd_send(pidfd, signo, ptr::null())
}

/// Like [`send`], and the receiver's [`SignalFd`] sees `value`. Real-time signals queue: two values do not become one.
pub(crate) fn queue(pidfd: BorrowedFd<'_>, signo: i32, value: i32) -> io::Result<()> {
    let sender = Queued {
        signo,
        errno: 0,
        code: libc::SI_QUEUE,
        rt: Rt {
            pid: rustix::process::getpid().as_raw_pid(),
            uid: rustix::process::getuid().as_raw(),
            value: value as usize,
        },
    };
    let mut info = SigInfo { size: [0; 128] };
    info.queued = sender;
    pidfd_send(pidfd, signo, &raw const info)
}

/// Number of the process a pidfd was opened for, until that is reaped.
pub(crate) fn pid_of(pidfd: BorrowedFd<'_>) -> Option<Pid> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    // -1 for one that is reaped, 0 for one that this namespace does not see: neither is a process here.
    pid.trim().parse().ok().filter(|pid| *pid > 0).and_then(Pid::from_raw)
}

/// siginfo_t as the kernel reads it for SI_QUEUE; libc keeps these fields private. The value is a union of int and pointer,
/// whose int lies in the low half only on little-endian machines, hence the check below.
#[repr(C)]
#[derive(Clone, Copy)]
struct Queued {
    signo: libc::c_int,
    errno: libc::c_int,
    code: libc::c_int,
    rt: Rt,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Rt {
    pid: libc::pid_t,
    uid: libc::uid_t,
    value: usize,
}

#[repr(C)]
union SigInfo {
    queued: Queued,
    size: [u8; 128],
}

const _: () = assert!(size_of::<SigInfo>() == size_of::<libc::siginfo_t>(), "the kernel reads a whole siginfo_t");
const _: () = assert!(cfg!(target_endian = "little"), "sigval's int must share the pointer's low half");

fn pidfd_send(pidfd: BorrowedFd<'_>, signo: i32, info: *const SigInfo) -> io::Result<()> {
    // SAFETY: `info` is NULL or points at a whole siginfo_t that lives through the call.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signo, info, 0u32) };
    super::check(if result < 0 { -1 } else { 0 }).map(drop)
}

/// Signals the process `child`, which must be this process's own and not yet reaped, or its number may be another's.
pub(crate) fn send_to_child(child: Pid, signo: i32) {
    // SAFETY: kill touches no memory. Failing means that it is a zombie already, or not ours to signal any more.
    unsafe { libc::kill(child.as_raw_pid(), signo) };
}

/// Signals the group led by `leader`, an own child that is not yet reaped: until then its number names no other group.
pub(crate) fn send_to_group(leader: Pid, signo: i32) {
    // SAFETY: kill touches no memory. ESRCH where the leader has not made its group yet.
    unsafe { libc::kill(-leader.as_raw_pid(), signo) };
}
