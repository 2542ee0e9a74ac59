//! What a keeper is forked for, and the fork of its leader.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::process::Pid;

use super::spec;
use super::wire::Ticket;
use crate::containment::group::Group;
use crate::process::Stage;
use crate::sys;
use crate::sys::child::{self, CStrings, Launch};
use crate::sys::confine::Steps;
use crate::sys::fork::SingleThread;
use crate::sys::trail::Trail;

/// One request to start a process, with its descriptors.
pub(super) struct Errand {
    pub(super) ticket: Ticket,
    spec: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    /// The control group that holds the tree.
    pub(super) leaf: Option<Group>,
    stdin: Option<OwnedFd>,
}

/// A leader between fork and exec.
pub(super) struct Forked {
    pub(super) leader: Pid,
    /// Tells whether exec succeeded.
    pub(super) report: OwnedFd,
    /// Tells how far it has come, until then.
    pub(super) trail: Trail,
}

impl Errand {
    /// From the descriptors of a spawn, in their order: spec, stdout, stderr and, if the job has them, group and stdin.
    pub(super) fn new(ticket: Ticket, fds: Vec<OwnedFd>, contained: bool) -> Option<Self> {
        let mut fds = fds.into_iter();
        let (spec, stdout, stderr) = (fds.next()?, fds.next()?, fds.next()?);
        let leaf = if contained { Some(fds.next()?.into()) } else { None };
        let stdin = fds.next();
        fds.next().is_none().then_some(Self { ticket, spec, stdout, stderr, leaf, stdin })
    }

    /// The descriptors a keeper must not close before it has forked the leader.
    pub(super) fn raw_fds(&self) -> impl Iterator<Item = i32> {
        let leaf = self.leaf.as_ref().map(|leaf| leaf.as_fd().as_raw_fd());
        [&self.spec, &self.stdout, &self.stderr].into_iter().chain(&self.stdin).map(AsRawFd::as_raw_fd).chain(leaf)
    }

    /// Forks the leader; the error is a stage with its errno.
    pub(super) fn fork_leader(&self, thread: &SingleThread) -> Result<Forked, (Stage, i32)> {
        let prepare = |error: io::Error| (Stage::Prepare, error.raw_os_error().unwrap_or(libc::EBADMSG));
        let bytes = sys::fd::read_all(&self.spec).map_err(prepare)?;
        let spec = spec::decode(&bytes).ok_or((Stage::Prepare, libc::EBADMSG))?;
        let candidates = spec.candidates();
        let (report, write) = sys::fd::polled_pipe().map_err(prepare)?;
        let trail = Trail::new().map_err(prepare)?;
        let launch = Launch {
            candidates: CStrings::new(candidates.iter().map(CString::as_c_str)),
            argv: CStrings::new(spec.argv.iter().copied()),
            envp: CStrings::new(spec.env.iter().copied()),
            cwd: spec.cwd,
            trail: &trail,
            confinement: Steps::new(&spec.confinement),
            group: self.leaf.as_ref().map(AsFd::as_fd),
            stdin: self.stdin.as_ref().map(AsFd::as_fd),
            stdout: self.stdout.as_fd(),
            stderr: self.stderr.as_fd(),
        };
        let leader = child::launch(thread, &launch, &write);
        let leader = leader.map_err(|error| (Stage::Fork, error.raw_os_error().unwrap_or(libc::EAGAIN)))?;
        Ok(Forked { leader, report, trail })
    }
}
