//! One warden process and the socket to it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::net::Shutdown;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tracing::warn;

use super::WardenOptions;
use crate::sys;
use crate::sys::boottime::Boottime;
use crate::warden::{DATAGRAM_MAX, Limits, ROLE, Report, Request, Ticket};

/// A report, with the pidfd that came beside it.
pub(super) type Received = (Ticket, Report, Option<OwnedFd>);

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Yes,
    NoRoom,
    WardenGone,
}

#[derive(Debug)]
pub(super) struct Link {
    socket: AsyncFd<OwnedFd>,
    pidfd: OwnedFd,
    pid: Pid,
}

impl Link {
    /// Starts a warden.
    pub(super) fn start(options: &WardenOptions) -> io::Result<Self> {
        let (ours, theirs) = sys::fd::seqpacket_pair()?;
        let limits =
            Limits { start: options.start_timeout, grace: options.survivors_grace, proof: options.proof_timeout };
        let mut args = vec!["windlass-warden".to_owned(), ROLE.to_owned()];
        args.extend(limits.to_args());
        let args = args.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let program = CString::new(options.executable.as_os_str().as_bytes())?;
        let fds: Vec<_> =
            [Some(theirs.as_fd()), options.lock.as_ref().map(|lock| lock.as_fd())].into_iter().flatten().collect();
        let pid = sys::spawn::spawn(&program, &args, &fds)?;
        // Its number is its own until it is reaped, and only this module reaps it.
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        Ok(Self { socket: sys::fd::watch(ours)?, pidfd, pid })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until a request is likely to be taken.
    pub(super) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await.map(|mut guard| guard.retain_ready())
    }

    /// Sends without waiting. What was not sent has no effect.
    pub(super) fn try_send(&self, request: Request, ticket: Ticket, fds: &[BorrowedFd<'_>]) -> io::Result<Sent> {
        let datagram = request.encode(ticket);
        let send = |socket: &OwnedFd| sys::fd::send(socket.as_fd(), datagram.as_bytes(), fds);
        match self.socket.try_io(Interest::WRITABLE, send) {
            Ok(()) => Ok(Sent::Yes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Sent::NoRoom),
            // Reset: it died with requests unread.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET)) => Ok(Sent::WardenGone),
            Err(error) => Err(error),
        }
    }

    /// Tells how long the lease runs. A warden whose queue has no room hears the next one, or fences too early: both safe.
    pub(super) fn refresh(&self, deadline: Boottime) {
        let datagram = Request::Refresh { deadline }.encode(0);
        let _ = sys::fd::send(self.socket.as_fd(), datagram.as_bytes(), &[]);
    }

    /// Waits for reports and appends all that are there; false when the warden is gone. Cancelling it loses nothing.
    pub(super) async fn receive(&self, into: &mut Vec<Received>) -> bool {
        loop {
            let Ok(mut guard) = self.socket.readable().await else {
                return false;
            };
            match guard.try_io(|socket| drain(socket.as_fd(), into)) {
                Ok(_ended) => return !into.is_empty(),
                Err(_would_block) if !into.is_empty() => return true,
                Err(_would_block) => {}
            }
        }
    }

    /// Tells the warden to kill everything and leave; its reports still arrive.
    pub(super) fn hang_up(&self) {
        // Gone already: nobody is left to be told.
        let _ = rustix::net::shutdown(self.socket.as_fd(), Shutdown::Write);
    }

    /// Lets a warden that was stopped go on; whether it was. A job of the same user can do that to it, and a stopped warden
    /// neither starts nor reports nor fences.
    pub(super) fn wake(&self) -> bool {
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        let is_stopped = matches!(waitid(WaitId::PidFd(self.pidfd.as_fd()), stopped), Ok(Some(_)));
        if is_stopped {
            warn!(warden = self.pid.as_raw_pid(), "warden was stopped: it is made to go on");
            let _ = sys::signal::send(self.pidfd.as_fd(), libc::SIGCONT);
        }
        is_stopped
    }

    /// Ends the warden itself, when it does not answer.
    pub(super) fn kill(&self) {
        warn!(warden = self.pid.as_raw_pid(), "warden does not answer: killed");
        let _ = sys::signal::send(self.pidfd.as_fd(), libc::SIGKILL);
    }
}

/// Reads until there is nothing more (WouldBlock) or the warden is gone (`Ok`).
fn drain(socket: BorrowedFd<'_>, into: &mut Vec<Received>) -> io::Result<()> {
    let mut buffer = [0; DATAGRAM_MAX];
    loop {
        let mut datagram = match sys::fd::receive(socket, &mut buffer) {
            Ok(datagram) => datagram,
            // It died with requests unread; its last reports come after this error.
            Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => continue,
            Err(error) => return Err(error),
        };
        if datagram.len == 0 {
            return Ok(());
        }
        match Report::decode(&buffer[..datagram.len]) {
            Ok((ticket, report)) => into.push((ticket, report, datagram.fds.pop())),
            Err(error) => warn!(%error, "report of the warden ignored"),
        }
    }
}
