//! `windlass completion`: the script a shell completes with.

use clap_complete::Shell;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

/// For which shell.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Shell to complete in
    shell: Shell,
}

/// Prints the script for `line`, the whole command line.
pub(crate) fn print(args: &Args, line: &mut clap::Command) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, line, "windlass", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::OK)
}
