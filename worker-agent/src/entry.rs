//! The agent as a program: arguments in, exit code out.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use windlass_shared::{lifeline, telemetry};

use crate::config::THREADS_MAX;
use crate::{Options, Refused, Reloader, Running, StartError, Stopper};

/// `EX_CONFIG` of sysexits.h: starting again as it is will not help, and units say `RestartPreventExitStatus=78`.
const CONFIG_EXIT: u8 = 78;

/// Plays the agent with `args`, those after the program's name or role. 0 after a drain, 78 where the configuration cannot
/// be right, 1 otherwise.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    let options = match Options::parse_args(args) {
        Ok(options) => options,
        Err(err) => {
            // Help goes to standard output and is no error.
            let _ = err.print();
            return if err.use_stderr() { ExitCode::from(CONFIG_EXIT) } else { ExitCode::SUCCESS };
        }
    };
    telemetry::start("info");
    abort_on_panic();
    match run(&options, args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("windlass-worker-agent: {err}");
            let config = matches!(err, Failure::Start(StartError::Config(_) | StartError::Containment(_)));
            if config { ExitCode::from(CONFIG_EXIT) } else { ExitCode::FAILURE }
        }
    }
}

/// Why it ends, other than by leaving in order. What is said includes what lies below it.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// It cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The coordinator does not want it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The system has no threads, timers or signals for it.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// A panic is a bug in one task, and an agent with a task missing is worse than none: it would go on looking alive. Its
/// warden kills what runs, and whoever started it starts it again.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

fn run(options: &Options, args: &[OsString]) -> Result<(), Failure> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(THREADS_MAX);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(async {
        // Before anything is started, so that no signal finds us half-way without a handler.
        let mut signals = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
        let hangup = signal(SignalKind::hangup())?;
        let cut = lifeline(options)?;
        let Running { stop, reload, done } = tokio::select! {
            started = crate::start(options) => started?,
            () = told(&mut signals, &cut) => return Ok(()),
        };
        tokio::select! {
            result = done => Ok(result?),
            never = listen(signals, cut, stop) => match never {},
            never = reload_on(hangup, &reload, args) => match never {},
        }
    })
}

/// Cancelled when whoever started us is gone; never, where nobody asked for that.
fn lifeline(options: &Options) -> io::Result<CancellationToken> {
    let cut = CancellationToken::new();
    if options.lifeline {
        lifeline::watch(cut.clone())?;
    }
    Ok(cut)
}

/// Told to leave before there was anything to leave.
async fn told([term, int]: &mut [Signal; 2], cut: &CancellationToken) {
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        () = cut.cancelled() => {}
    }
}

/// Each hangup reads the configuration again. One that comes before the agent has started is kept until it has.
async fn reload_on(mut hangup: Signal, reload: &Reloader, args: &[OsString]) -> std::convert::Infallible {
    loop {
        // None: never, as the other two of these.
        if hangup.recv().await.is_some() {
            reload.reload(args);
        }
    }
}

async fn listen([mut term, mut int]: [Signal; 2], cut: CancellationToken, stop: Stopper) -> std::convert::Infallible {
    let mut tied = true;
    loop {
        tokio::select! {
            _ = term.recv() => stop.raise(),
            _ = int.recv() => stop.raise(),
            () = cut.cancelled(), if tied => {
                tied = false;
                stop.force();
            }
        }
    }
}
