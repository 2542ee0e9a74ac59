//! Reaping children, with what they used.

use std::io;
use std::time::Duration;

use rustix::process::Pid;

/// What a look at the children gave.
#[derive(Debug)]
pub(crate) enum Reaped {
    /// This one ended and is gone now; its number may be reused from here on.
    Child(Pid, Ended),
    /// This one stands still, and is told of once for each time that it was stopped. It is not traced by us any more.
    Stopped(Pid),
    /// There are children, none of which has ended.
    Busy,
    /// The kernel says there is no child: ECHILD, the only proof that a tree is empty.
    Empty,
}

/// A wait status and the usage that comes with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    status: libc::c_int,
    pub(crate) user_time: Duration,
    pub(crate) system_time: Duration,
    pub(crate) max_rss_bytes: u64,
}

impl Ended {
    /// The exit code, or else the signal and whether core was dumped.
    pub(crate) fn kind(&self) -> Result<i32, (i32, bool)> {
        if libc::WIFSIGNALED(self.status) {
            return Err((libc::WTERMSIG(self.status), libc::WCOREDUMP(self.status)));
        }
        Ok(libc::WEXITSTATUS(self.status))
    }
}

/// A child that has ended and is there to be reaped, whichever the kernel names first.
pub(crate) fn ended_child() -> Option<Pid> {
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    // SAFETY: all zeroes is a valid siginfo_t, which waitid fills in or leaves; si_pid is a field of what it fills in, and of zeroes.
    let pid = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let done = libc::waitid(libc::P_ALL, 0, &raw mut info, options);
        if done == 0 { info.si_pid() } else { 0 }
    };
    Pid::from_raw(pid)
}

/// Reaps one child of any kind, without waiting.
pub(crate) fn reap_any() -> io::Result<Reaped> {
    reap(-1)
}

/// Reaps `child` if it has ended, without waiting; whether nothing of it is left to reap.
pub(crate) fn reap_one(child: Pid) -> bool {
    !matches!(reap(child.as_raw_pid()), Ok(Reaped::Busy | Reaped::Stopped(_)))
}

fn reap(which: libc::pid_t) -> io::Result<Reaped> {
    let mut status = 0;
    // SAFETY: all zeroes is a valid rusage; wait4 writes both or neither. __WALL: a job can make children that end without
    // SIGCHLD, and a tree that holds one is not empty.
    let (pid, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let options = libc::WNOHANG | libc::WUNTRACED | libc::__WALL;
        let pid = libc::wait4(which, &raw mut status, options, &raw mut usage);
        (pid, usage)
    };
    match (pid, Pid::from_raw(pid.max(0))) {
        (0, _) => Ok(Reaped::Busy),
        (_, Some(pid)) if libc::WIFSTOPPED(status) => {
            let_go(pid, libc::WSTOPSIG(status));
            Ok(Reaped::Stopped(pid))
        }
        (_, Some(pid)) => Ok(Reaped::Child(pid, ended(status, &usage))),
        (_, None) => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ECHILD) => Ok(Reaped::Empty),
            error if error.raw_os_error() == Some(libc::EINTR) => Ok(Reaped::Busy),
            error => Err(error),
        },
    }
}

/// Ends the tracing of a child that made us its tracer (PTRACE_TRACEME), which would stand still at every signal until we said
/// otherwise. It gets the signal that it was stopped for, but for the trap of exec, which nobody sent.
fn let_go(child: Pid, signo: libc::c_int) {
    let signo = if signo == libc::SIGTRAP { 0 } else { signo };
    // SAFETY: PTRACE_DETACH touches no memory of ours: its last argument is a number in a pointer's place. ESRCH: we do not
    // trace it, and it was stopped by a plain signal.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, child.as_raw_pid(), 0_usize, signo as usize) };
}

fn ended(status: libc::c_int, usage: &libc::rusage) -> Ended {
    Ended {
        status,
        user_time: duration(usage.ru_utime),
        system_time: duration(usage.ru_stime),
        max_rss_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
    }
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}
