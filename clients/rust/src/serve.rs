//! Serving an agent.

use std::any::Any;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;

use crate::context::Context;
use crate::desk::{Desk, Next};
use crate::failure::Failure;
use crate::frame::{self, Job};
use crate::voice::Voice;
use crate::worker::Worker;
use crate::{local, reader};

/// Serves until the agent says that it is enough.
pub(crate) fn serve(worker: &Worker) -> ExitCode {
    if io::stdin().is_terminal() {
        return local::hint(worker);
    }
    let (from, to) = match take_stdio() {
        Ok(taken) => taken,
        Err(error) => {
            eprintln!("standard input and output cannot be moved away: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (desk, voice) = (Arc::new(Desk::default()), Arc::new(Voice::new(to)));
    voice.say(|out| frame::hello(out, worker.handlers.keys().map(String::as_str)));
    let (reading, speaking) = (Arc::clone(&desk), Arc::clone(&voice));
    std::thread::spawn(move || reader::read(from, &reading, &speaking));
    loop {
        match desk.next(|| voice.flush()) {
            Next::Job(job, cancelled) => {
                let Ok(read) = serde_json::from_slice::<Job<'_>>(&job.line) else {
                    voice.hold(|out| frame::error(out, job.id, &Failure::new("the job cannot be read").permanent()));
                    continue;
                };
                // What was held of the job before goes out with it, in the one write.
                voice.say(|out| frame::word(out, "started", job.id));
                let context = Context::new(&read, cancelled, &desk, &voice);
                let answered = catch_unwind(AssertUnwindSafe(|| answer(worker, &read, &context)));
                let answered = answered.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
                voice.hold(|out| match answered {
                    Ok(Some(value)) => frame::result(out, job.id, &value),
                    Ok(None) => frame::word(out, "valid", job.id),
                    Err(failure) => frame::error(out, job.id, &failure),
                });
            }
            Next::End { drained } => {
                voice.say(|out| {
                    if drained {
                        frame::bye(out, "drained");
                    }
                });
                return ExitCode::SUCCESS;
            }
        }
    }
}

/// The handler's answer; none where the input was to be checked, and is good.
fn answer(worker: &Worker, job: &Job<'_>, context: &Context) -> Result<Option<crate::Payload>, Failure> {
    let Some(handler) = worker.handlers.get(&*job.handler) else {
        let known: Vec<&str> = worker.handlers.keys().map(String::as_str).collect();
        let message = format!("this worker has no handler {:?}; it has {}", job.handler, known.join(", "));
        return Err(Failure::new(message).permanent().code("UNKNOWN_HANDLER"));
    };
    let answered = match &*job.kind {
        "validate" => (handler.check)(context, job.input()?).map(|()| None),
        _ => (handler.run)(context, job.input()?).map(Some),
    };
    // What a handler makes of a cancel is its own; that it was one is for the agent to know.
    answered.map_err(|failure| match failure.code {
        None if context.is_cancelled() => failure.code("cancelled"),
        _ => failure,
    })
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Failure::new(format!("the handler panicked: {}", text.unwrap_or("it did not say why"))).code("PANIC")
}

/// Moves standard input and output to where nobody else finds them. What is printed goes to standard error from here on, and
/// children find nothing to read.
fn take_stdio() -> io::Result<(File, File)> {
    let (from, to) = (private(io::stdin().as_fd())?, private(io::stdout().as_fd())?);
    let nothing = File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok((from.into(), to.into()))
}

/// A copy that children do not inherit.
fn private(fd: std::os::fd::BorrowedFd<'_>) -> io::Result<OwnedFd> {
    fd.try_clone_to_owned()
}
