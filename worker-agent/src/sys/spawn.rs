//! posix_spawn: the one way to start a process from one that has threads.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use rustix::process::Pid;

/// First descriptor number the new process finds something at; 0 and 1 are /dev/null, 2 is our stderr.
pub(crate) const FIRST_PASSED_FD: i32 = 3;

/// Starts `program` in a session of its own, all signals blocked and none ignored, with an empty environment. Descriptor
/// `fds[i]` becomes number `FIRST_PASSED_FD + i` there.
pub(crate) fn spawn(program: &CStr, args: &[CString], fds: &[BorrowedFd<'_>]) -> io::Result<Pid> {
    let sources = out_of_the_way(fds)?;
    let actions = actions(&sources)?;
    let attributes = Attributes::detached()?;
    let mut argv: Vec<*mut libc::c_char> = args.iter().map(|arg| arg.as_ptr().cast_mut()).collect();
    argv.push(ptr::null_mut());
    let envp: [*mut libc::c_char; 1] = [ptr::null_mut()];
    let mut pid = 0;
    // SAFETY: every pointer is to a live, initialised value of the right type; both arrays end with NULL; posix_spawn
    // changes none of them, its `char *const[]` notwithstanding.
    let errno = unsafe {
        libc::posix_spawn(&raw mut pid, program.as_ptr(), &actions.0, &attributes.0, argv.as_ptr(), envp.as_ptr())
    };
    ok(errno)?;
    Pid::from_raw(pid).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Copies with numbers above every target, so that no dup2 can overwrite the source of a later one.
fn out_of_the_way(fds: &[BorrowedFd<'_>]) -> io::Result<Vec<OwnedFd>> {
    let above = FIRST_PASSED_FD + i32::try_from(fds.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    fds.iter().map(|fd| Ok(rustix::io::fcntl_dupfd_cloexec(fd, above)?)).collect()
}

fn actions(sources: &[OwnedFd]) -> io::Result<Actions> {
    let mut actions = Actions::new()?;
    actions.open(0, c"/dev/null", libc::O_RDONLY)?;
    actions.open(1, c"/dev/null", libc::O_WRONLY)?;
    for (source, target) in sources.iter().zip(FIRST_PASSED_FD..) {
        actions.dup2(source.as_raw_fd(), target)?;
    }
    Ok(actions)
}

struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: the pointer is valid for writes; init fills it in, and only then is it assumed to be.
        unsafe {
            ok(libc::posix_spawn_file_actions_init(actions.as_mut_ptr()))?;
            Ok(Self(actions.assume_init()))
        }
    }

    fn open(&mut self, fd: i32, path: &CStr, flags: i32) -> io::Result<()> {
        // SAFETY: initialised by `new`; the path is NUL-terminated and copied by the call.
        ok(unsafe { libc::posix_spawn_file_actions_addopen(&raw mut self.0, fd, path.as_ptr(), flags, 0) })
    }

    fn dup2(&mut self, from: i32, to: i32) -> io::Result<()> {
        // SAFETY: initialised by `new`; the numbers are only used in the child.
        ok(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, from, to) })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialised by `new`, destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    /// Own session, so that a terminal's Ctrl-C never arrives; every signal blocked from the first instruction on, so that
    /// there is no moment in which one could end it.
    fn detached() -> io::Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        // Small bits all; libc types one of them as i16 and the others as i32.
        let flags =
            libc::POSIX_SPAWN_SETSID | (libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF) as libc::c_short;
        let all = super::signal::full_set();
        // SAFETY: init fills the attributes in before they are assumed to be; the set is initialised and outlives the calls.
        unsafe {
            ok(libc::posix_spawnattr_init(attributes.as_mut_ptr()))?;
            let mut this = Self(attributes.assume_init());
            ok(libc::posix_spawnattr_setsigmask(&raw mut this.0, &raw const all))?;
            ok(libc::posix_spawnattr_setsigdefault(&raw mut this.0, &raw const all))?;
            ok(libc::posix_spawnattr_setflags(&raw mut this.0, flags))?;
            Ok(this)
        }
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised by `detached`, destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

/// The convention of this family: the errno is the result.
fn ok(errno: libc::c_int) -> io::Result<()> {
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
}
