//! The process around a coordinator: arguments, signals, exit codes.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use windlass_shared::{lifeline, telemetry};

use crate::args::{Args, Command};
use crate::store_command;

/// What sysexits calls `EX_CONFIG`: starting again without a change is pointless.
const EXIT_CONFIG: u8 = 78;

/// Runs a coordinator with these arguments until it is told to stop.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    let name = OsString::from("windlass-coordinator");
    let args = match Args::try_parse_from(std::iter::once(&name).chain(args)) {
        Ok(args) => args,
        Err(err) => {
            // Nothing is left to do where even this cannot be written.
            let _ = err.print();
            return ExitCode::from(if err.use_stderr() { EXIT_CONFIG } else { 0 });
        }
    };
    telemetry::start("info");
    if let Some(Command::Store(command)) = &args.command {
        return store_command::run(command);
    }
    let args = match args.settle() {
        Ok(args) => args,
        Err(err) => return refuse(&err),
    };
    let code = run(&args);
    if let (true, Some(dir)) = (args.ephemeral, &args.data) {
        remove(dir);
    }
    code
}

fn run(args: &Args) -> ExitCode {
    let options = match args.options() {
        Ok(options) => options,
        Err(err) => return refuse(&err),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(err) => return refuse(&err),
    };
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let lifeline = if args.lifeline { lifeline::watch(stop.clone()) } else { Ok(()) };
        if let Err(err) = lifeline {
            return refuse(&err);
        }
        match crate::start(options, stop.clone()).await {
            Ok(running) => serve(running, stop).await,
            Err(err) => refuse(&err),
        }
    })
}

fn refuse(why: &dyn std::fmt::Display) -> ExitCode {
    tracing::error!("{why}");
    ExitCode::from(EXIT_CONFIG)
}

async fn serve(running: crate::Running, stop: CancellationToken) -> ExitCode {
    // Whoever started us reads the port here. A closed pipe means that nobody wants to know.
    let _ = writeln!(std::io::stdout(), "listening on http://{}", running.addr);
    let told = stop_on_signals(&stop);
    let ended_well = tokio::select! {
        ended_well = running.done() => ended_well,
        () = told => false,
    };
    if ended_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Stops at the first signal; ends at the second, which means "now".
async fn stop_on_signals(stop: &CancellationToken) {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::error!("signals cannot be caught");
        return std::future::pending().await;
    };
    for _ in 0..2 {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::info!("told to stop");
        stop.cancel();
    }
}

/// Removes the directory, and the one around it where that is empty then: the last of a throw-away cluster takes it along.
fn remove(dir: &Path) {
    // What cannot be removed is somebody's: a directory that was not empty, or is not ours.
    let _ = std::fs::remove_dir_all(dir);
    if let Some(parent) = dir.parent() {
        let _ = std::fs::remove_dir(parent);
    }
}
