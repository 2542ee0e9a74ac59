//! Without an agent: one job here and now, and a word to whoever starts a worker by hand.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;

use crate::context::Context;
use crate::desk::Desk;
use crate::frame::{Input, Job};
use crate::payload::JSON;
use crate::voice::Voice;
use crate::worker::Worker;

/// Does one job: `HANDLER [JSON]`.
pub(crate) fn once(worker: &Worker, args: &[OsString]) -> ExitCode {
    let args: Option<Vec<&str>> = args.iter().map(|arg| arg.to_str()).collect();
    let (name, input) = match args.as_deref() {
        Some([name]) => (*name, "null"),
        Some([name, input]) => (*name, *input),
        _ => return refuse(worker, "--once takes the name of a handler, and its input as JSON"),
    };
    let Some(handler) = worker.handlers.get(name) else {
        return refuse(worker, &format!("there is no handler {name:?}"));
    };
    let frame = json!({ "type": "job", "id": 1, "handler": name, "job_id": "local", "attempt": 1 }).to_string();
    let (Ok(job), Ok(to)) = (serde_json::from_str::<Job<'_>>(&frame), std::fs::File::create("/dev/null")) else {
        return refuse(worker, "this host has no /dev/null");
    };
    // Progress and log lines have nobody to go to.
    let context = Context::new(&job, Arc::default(), &Arc::new(Desk::default()), &Arc::new(Voice::new(to)));
    match (handler.run)(&context, Input::Json(input)) {
        Ok(value) if value.content_type == JSON => {
            println!("{}", String::from_utf8_lossy(&value.bytes));
            ExitCode::SUCCESS
        }
        Ok(value) => {
            println!("{} bytes of {}", value.bytes.len(), value.content_type);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{}", failure.message);
            ExitCode::FAILURE
        }
    }
}

/// Somebody started a worker in a terminal.
pub(crate) fn hint(worker: &Worker) -> ExitCode {
    refuse(worker, "this is a worker of Windlass: an agent starts it and speaks to it on its standard input")
}

fn refuse(worker: &Worker, why: &str) -> ExitCode {
    let names: Vec<&str> = worker.handlers.keys().map(String::as_str).collect();
    let first = names.first().copied().unwrap_or("HANDLER");
    eprintln!("{why}\nhandlers: {}\ntry one here: --once {first} JSON", names.join(", "));
    ExitCode::FAILURE
}
