//! Why a process did not start.

use std::fmt;
use std::io;
use std::path::Path;

use super::{Proof, Stage};

/// A process that did not start: the stage and the kernel's reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", stage.as_str(), self.reason())]
pub struct SpawnError {
    /// Where it failed.
    pub stage: Stage,
    /// Why, as an errno.
    pub errno: i32,
    /// Whether nothing of the attempt is left. [`Proof::None`] only where a half-started child would not die, for instance
    /// on a hung mount: its slot is not free.
    pub proof: Proof,
}

impl SpawnError {
    /// A failure before anything was started, so that nothing can be left.
    pub(crate) fn early(stage: Stage, errno: i32) -> Self {
        Self { stage, errno, proof: Proof::Keeper }
    }

    /// The same as a sentence for people: "cannot enter /srv/job: No such file or directory (ENOENT)".
    #[must_use]
    pub fn sentence(&self, wanted: Wanted<'_>) -> String {
        let Wanted { program, cwd, uid } = wanted;
        let what = match self.stage {
            Stage::Prepare | Stage::Warden | Stage::Fork | Stage::Fence => format!("cannot start {program}"),
            Stage::Group => "cannot enter its control group".into(),
            Stage::Session => "cannot begin a session of its own".into(),
            Stage::Stdio => "cannot have its standard input and output".into(),
            Stage::OomScore => "cannot set its OOM score".into(),
            Stage::Nice => "cannot change its niceness".into(),
            Stage::Limits => "cannot set its limits".into(),
            Stage::User => match uid {
                Some(uid) => format!("cannot become user {uid}"),
                None => "cannot become another user".into(),
            },
            Stage::Privileges => "cannot give up new privileges".into(),
            Stage::Signals => "cannot unblock signals".into(),
            Stage::Chdir => format!("cannot enter {}", cwd.display()),
            Stage::Guard => "cannot be tied to its keeper".into(),
            Stage::Exec => format!("cannot run {program}"),
        };
        match self.stage {
            // Nothing that people know by name: the word says where to look.
            Stage::Prepare | Stage::Warden | Stage::Fork | Stage::Fence => format!("{what}: {self}"),
            _ => format!("{what}: {}", self.reason()),
        }
    }

    fn reason(&self) -> Reason {
        // The keeper's word; a fence has no other reason.
        let start_timeout = self.errno == libc::ETIME && self.stage != Stage::Fence;
        Reason { errno: self.errno, start_timeout }
    }

    /// The same from an `io::Error`; one without an errno is a malformed request.
    pub(crate) fn from_io(stage: Stage, error: &io::Error) -> Self {
        Self::early(stage, error.raw_os_error().unwrap_or(libc::EINVAL))
    }
}

/// What was to be started, for whoever reads why it was not.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// As it was asked for.
    pub program: &'a str,
    /// Working directory.
    pub cwd: &'a Path,
    /// The user it was to become.
    pub uid: Option<u32>,
}

/// An errno as people know it: the text, then the name they will search for.
struct Reason {
    errno: i32,
    start_timeout: bool,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = io::Error::from_raw_os_error(self.errno).to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        let text = if self.start_timeout { "not within the start timeout" } else { text };
        match errno_name(self.errno) {
            Some(name) => write!(f, "{text} ({name})"),
            None => write!(f, "{text} (errno {})", self.errno),
        }
    }
}

/// Names of what can be met on the way to exec.
fn errno_name(errno: i32) -> Option<&'static str> {
    Some(match errno {
        libc::E2BIG => "E2BIG",
        libc::EACCES => "EACCES",
        libc::EAGAIN => "EAGAIN",
        libc::EBADF => "EBADF",
        libc::EBADMSG => "EBADMSG",
        libc::ECONNRESET => "ECONNRESET",
        libc::EINVAL => "EINVAL",
        libc::EIO => "EIO",
        libc::EISDIR => "EISDIR",
        libc::ELIBBAD => "ELIBBAD",
        libc::ELOOP => "ELOOP",
        libc::EMFILE => "EMFILE",
        libc::ENAMETOOLONG => "ENAMETOOLONG",
        libc::ENFILE => "ENFILE",
        libc::ENOENT => "ENOENT",
        libc::ENOEXEC => "ENOEXEC",
        libc::ENOMEM => "ENOMEM",
        libc::ENOSPC => "ENOSPC",
        libc::ENOTDIR => "ENOTDIR",
        libc::EOWNERDEAD => "EOWNERDEAD",
        libc::EPERM => "EPERM",
        libc::EPIPE => "EPIPE",
        libc::ESHUTDOWN => "ESHUTDOWN",
        libc::ESTALE => "ESTALE",
        libc::ETIME => "ETIME",
        libc::ETIMEDOUT => "ETIMEDOUT",
        libc::ETXTBSY => "ETXTBSY",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spawn_error_reads_stage_then_text_then_errno_name() {
        let error = SpawnError::early(Stage::Exec, libc::ENOENT);
        assert_eq!(error.to_string(), "exec: No such file or directory (ENOENT)");
        let rare = SpawnError::early(Stage::Fork, libc::EDOM);
        assert_eq!(rare.to_string(), "fork: Numerical argument out of domain (errno 33)");
    }

    #[test]
    fn a_sentence_names_what_could_not_be_had() {
        let wanted = Wanted { program: "tool", cwd: Path::new("/srv/job"), uid: Some(1000) };
        let sentence = |stage, errno| SpawnError::early(stage, errno).sentence(wanted);
        assert_eq!(sentence(Stage::User, libc::EPERM), "cannot become user 1000: Operation not permitted (EPERM)");
        assert_eq!(sentence(Stage::Chdir, libc::ENOENT), "cannot enter /srv/job: No such file or directory (ENOENT)");
        assert_eq!(sentence(Stage::Exec, libc::ETIME), "cannot run tool: not within the start timeout (ETIME)");
        assert_eq!(sentence(Stage::Fence, libc::ETIME), "cannot start tool: fence: Timer expired (ETIME)");
    }
}
