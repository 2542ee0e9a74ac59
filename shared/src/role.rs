//! One executable plays every role (docs/adr/0002-one-executable-many-roles.md): the first argument, hidden from users,
//! picks it, before anything else has run.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

/// A part an executable can play.
#[derive(Debug, Clone, Copy)]
pub struct Role {
    /// First argument that picks it, such as `__warden`.
    pub name: &'static str,
    /// Plays it with the arguments after the name.
    pub run: fn(&[OsString]) -> ExitCode,
}

/// Plays the role that the first argument names. None: it names none, so the executable is itself.
#[must_use]
pub fn dispatch(roles: &[Role]) -> Option<ExitCode> {
    let args: Vec<OsString> = std::env::args_os().collect();
    let name = args.get(1)?;
    let role = roles.iter().find(|role| OsStr::new(role.name) == name)?;
    Some((role.run)(&args[2..]))
}
