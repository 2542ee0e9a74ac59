//! `windlass-coordinator`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    windlass_coordinator::main(&args)
}
