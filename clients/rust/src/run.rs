//! What a worker's program does: serve an agent, or one job by hand.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::worker::Worker;
use crate::{local, serve};

impl Worker {
    /// Serves jobs until the agent says that it is enough. With `--once HANDLER [JSON]` among the program's arguments it does
    /// one job, prints the result and ends with 0, or says why not and ends with 1.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let args: Vec<OsString> = std::env::args_os().skip(1).collect();
        match args.first().and_then(|arg| arg.to_str()) {
            Some("--once") => local::once(&self, &args[1..]),
            _ => serve::serve(&self),
        }
    }
}
