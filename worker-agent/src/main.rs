//! `windlass-worker-agent`: see the library of the same name.

use std::ffi::OsString;
use std::process::ExitCode;

use windlass_shared::role::{self, Role};

/// Before anything else has run: a warden is single-threaded and must stay so.
const ROLES: [Role; 1] = [Role { name: windlass_worker_agent::warden::ROLE, run: windlass_worker_agent::warden::main }];

fn main() -> ExitCode {
    role::dispatch(&ROLES).unwrap_or_else(|| {
        let args: Vec<OsString> = std::env::args_os().skip(1).collect();
        windlass_worker_agent::main(&args)
    })
}
