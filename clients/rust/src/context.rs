//! What a handler knows of its job, and may say while it runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::desk::Desk;
use crate::frame::{self, Job};
use crate::voice::Voice;

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // each is its own name
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One job: what it is, and a way to speak of it. Threads of the handler may share it.
#[derive(Debug)]
pub struct Context {
    id: u64,
    job_id: String,
    attempt: u32,
    fencing_token: u64,
    deadline: Option<Instant>,
    headers: BTreeMap<String, String>,
    trace: Option<(String, String)>,
    cancelled: Arc<AtomicBool>,
    desk: Arc<Desk>,
    voice: Arc<Voice>,
}

impl Context {
    pub(crate) fn new(job: &Job<'_>, cancelled: Arc<AtomicBool>, desk: &Arc<Desk>, voice: &Arc<Voice>) -> Self {
        let trace = |parent: &str| (parent.to_owned(), job.tracestate.as_deref().unwrap_or_default().to_owned());
        Self {
            id: job.id,
            job_id: job.job_id.clone().into_owned(),
            attempt: job.attempt,
            fencing_token: job.fencing_token(),
            deadline: job.timeout_ms.map(|timeout| Instant::now() + Duration::from_millis(timeout)),
            headers: job.headers.clone(),
            trace: job.traceparent.as_deref().map(trace),
            cancelled,
            desk: Arc::clone(desk),
            voice: Arc::clone(voice),
        }
    }

    /// The job's id, a UUID.
    #[must_use]
    pub fn job_id(&self) -> &str {
        &self.job_id
    }

    /// Which try at the job this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Grows with every attempt in the cluster. A job may run twice, for an agent can fall silent and come back: pass this to
    /// whatever you write to, and let it refuse any token lower than the highest it has seen.
    #[must_use]
    pub fn fencing_token(&self) -> u64 {
        self.fencing_token
    }

    /// When the job is stopped, where it has a timeout.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What the submitter says beside the input.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The submitter's trace, as W3C Trace Context has it.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.trace.as_ref().map(|(parent, _)| parent.as_str())
    }

    /// A directory of the worker's own, where it has one: shared by its jobs, emptied when the worker starts.
    #[must_use]
    pub fn scratch(&self) -> Option<PathBuf> {
        std::env::var_os("WINDLASS_SCRATCH").map(PathBuf::from)
    }

    /// Whether the job is to stop. One that goes on is killed with the worker when its grace is over.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Waits for this long, and less where the job is to stop; whether it is.
    #[must_use]
    pub fn sleep(&self, time: Duration) -> bool {
        self.desk.wait_cancelled(&self.cancelled, time)
    }

    /// Says how far the job is: so many of `total`, where that is known.
    pub fn progress(&self, done: u64, total: Option<u64>, message: &str) {
        let mut frame = json!({ "type": "progress", "id": self.id, "done": done });
        if let Some(total) = total {
            frame["total"] = total.into();
        }
        if !message.is_empty() {
            frame["message"] = message.into();
        }
        self.voice.say(|out| frame::object(out, &frame));
    }

    /// A line in the job's log, with whatever fields it has.
    pub fn log(&self, level: Level, message: &str, fields: &[(&str, Value)]) {
        let mut frame = json!({ "type": "log", "id": self.id, "level": level.name(), "message": message });
        if !fields.is_empty() {
            let fields: Map<String, Value> =
                fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            frame["fields"] = fields.into();
        }
        self.voice.say(|out| frame::object(out, &frame));
    }

    /// A command that knows of the job: its ids, its token and its trace are in its environment.
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env("WINDLASS_JOB_ID", &self.job_id);
        command.env("WINDLASS_ATTEMPT", self.attempt.to_string());
        command.env("WINDLASS_FENCING_TOKEN", self.fencing_token.to_string());
        if let Some((parent, state)) = &self.trace {
            command.env("TRACEPARENT", parent);
            if !state.is_empty() {
                command.env("TRACESTATE", state);
            }
        }
        command
    }
}
