//! A process to start: as it is asked for, and as the descriptors that go to the warden.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use bytes::Bytes;
use rustix::process::{Gid, Uid};

use super::{Confinement, PipeReader, PipeWriter, SpawnError, Stage, User};
use crate::containment::Limits;
use crate::containment::group::Group;
use crate::sys;
use crate::warden::encode_spec;

/// A process to start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpawnSpec {
    /// Program and arguments; a program without a slash is looked up on the PATH of `env`. Never a shell.
    pub argv: Vec<Vec<u8>>,
    /// The whole environment.
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    /// Working directory, absolute.
    pub cwd: PathBuf,
    /// What can be read from standard input.
    pub stdin: Stdin,
    /// What it may do.
    pub confinement: Confinement,
    /// What it may take, as far as control groups keep that here: see [`Containment`](crate::containment::Containment).
    pub limits: Limits,
}

/// What a process can read from its standard input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing: /dev/null.
    #[default]
    Null,
    /// These bytes.
    Bytes(Bytes),
    /// What is written to [`Process::stdin`](super::Process::stdin), until that is dropped.
    Pipe,
}

/// A spec as descriptors.
#[derive(Debug)]
pub(super) struct Prepared {
    spec: OwnedFd,
    leaf: Option<Group>,
    stdin: Option<OwnedFd>,
    stdout: OwnedFd,
    stderr: OwnedFd,
    ours: Pipes,
}

/// Our ends of a process's pipes.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdin: Option<PipeWriter>,
    pub(super) stdout: PipeReader,
    pub(super) stderr: PipeReader,
}

impl Prepared {
    pub(super) fn new(spec: &SpawnSpec, leaf: Option<Group>) -> Result<Self, SpawnError> {
        let bytes = encode_spec(spec).map_err(|errno| SpawnError::early(Stage::Prepare, errno))?;
        let prepare = || {
            let (stdin, to_stdin) = stdin(&spec.stdin)?;
            let ((from_stdout, stdout), (from_stderr, stderr)) = (sys::fd::pipe()?, sys::fd::pipe()?);
            if let Some(user) = &spec.confinement.user {
                give(user, [Some(&stdout), Some(&stderr), stdin.as_ref()])?;
            }
            let ours =
                Pipes { stdin: to_stdin, stdout: PipeReader::new(from_stdout)?, stderr: PipeReader::new(from_stderr)? };
            let spec = sys::fd::sealed("windlass-spec", &bytes)?;
            io::Result::Ok(Self { spec, leaf, stdin, stdout, stderr, ours })
        };
        prepare().map_err(|error| SpawnError::from_io(Stage::Prepare, &error))
    }

    /// Once sent, our copies of what the job holds are closed: its end must be the pipe's end.
    pub(super) fn into_ours(self) -> Pipes {
        self.ours
    }

    /// In the order the warden expects.
    pub(super) fn to_pass(&self) -> Vec<BorrowedFd<'_>> {
        let required = [&self.spec, &self.stdout, &self.stderr].map(AsFd::as_fd);
        let (leaf, stdin) = (self.leaf.as_ref().map(AsFd::as_fd), self.stdin.as_ref().map(AsFd::as_fd));
        required.into_iter().chain(leaf).chain(stdin).collect()
    }
}

/// What a process may open again by its name (`/dev/stdout`, `/proc/self/fd/1`) has to be its user's.
fn give(user: &User, ends: [Option<&OwnedFd>; 3]) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    ends.into_iter().flatten().try_for_each(|end| Ok(rustix::fs::fchown(end, Some(uid), Some(gid))?))
}

/// The process's end of its standard input, and ours.
fn stdin(stdin: &Stdin) -> io::Result<(Option<OwnedFd>, Option<PipeWriter>)> {
    Ok(match stdin {
        Stdin::Null => (None, None),
        Stdin::Bytes(bytes) => (Some(sys::fd::read_only(&sys::fd::sealed("windlass-stdin", bytes)?)?), None),
        Stdin::Pipe => {
            let (theirs, ours) = sys::fd::pipe()?;
            (Some(theirs), Some(PipeWriter::new(ours)?))
        }
    })
}
