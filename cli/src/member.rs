//! One child: a coordinator or an agent, a real process of this very executable.
//!
//! It holds a pipe from us as standard input, its lifeline: when its end comes, be it because we closed it or because we
//! died, the child stops. It also leads a process group of its own, so that Ctrl-C at the terminal reaches us alone.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout_at};

use crate::failure::Failure;
use crate::output::interject;

/// Last lines of a child's log shown where it failed.
const LOG_LINES: usize = 20;
/// And of these no more than this.
const LOG_BYTES: u64 = 16 << 10;

/// Where a child's log goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Log<'a> {
    /// Warnings, to a nameless file in this directory, to be shown where the child fails.
    Kept(&'a Path),
    /// Everything an operator would see, to our standard error.
    Shown,
}

/// One child.
#[derive(Debug)]
pub(crate) struct Member {
    name: String,
    child: Child,
    lifeline: Option<ChildStdin>,
    // Held so that a late word on it is no broken pipe.
    stdout: Option<BufReader<ChildStdout>>,
    log: Option<File>,
}

impl Member {
    /// Starts the role that the first argument picks. A coordinator needs a pipe to say where it listens.
    pub(crate) fn start<'a>(
        name: &str,
        args: impl IntoIterator<Item = &'a OsStr>,
        stdout: Stdio,
        log: Log<'_>,
    ) -> Result<Self, Failure> {
        let cannot = |err: std::io::Error| Failure::io(format_args!("start {name}"), &err);
        let (level, file) = match log {
            // Without a name in the directory: there is nothing to remove, whoever dies first.
            Log::Kept(dir) => ("warn", Some(tempfile::tempfile_in(dir).map_err(cannot)?)),
            Log::Shown => ("info", None),
        };
        let stderr = match &file {
            Some(file) => Stdio::from(file.try_clone().map_err(cannot)?),
            None => Stdio::inherit(),
        };
        let mut command = Command::new("/proc/self/exe");
        command.args(args).stdin(Stdio::piped()).stdout(stdout).stderr(stderr).process_group(0);
        let level = std::env::var_os("WINDLASS_LOG").unwrap_or_else(|| level.into());
        // What configures the caller's own cluster is not for this one.
        for (variable, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"WINDLASS_")) {
            command.env_remove(variable);
        }
        let mut child = command.env("WINDLASS_LOG", level).spawn().map_err(cannot)?;
        let (lifeline, stdout) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        Ok(Self { name: name.to_owned(), child, lifeline, stdout, log: file })
    }

    /// The address on a coordinator's first line.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(crate) async fn listening(&mut self) -> Result<String, String> {
        let mut line = String::new();
        if let Some(stdout) = &mut self.stdout {
            let read = stdout.read_line(&mut line).await;
            read.map_err(|err| format!("the {} cannot be heard: {err}", self.name))?;
        }
        match line.trim_end().strip_prefix("listening on ") {
            Some(url) => Ok(url.to_owned()),
            None if line.is_empty() => Err(format!("the {} ended before it listened", self.name)),
            None => Err(format!("the {} said {line:?} where its address was due", self.name)),
        }
    }

    /// How it ended, where it has.
    pub(crate) fn gone(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(format!("{} ended ({status})", self.name))
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks it to stop in its own time: SIGTERM, which it hears as often as it is said.
    pub(crate) fn ask_to_stop(&self) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // Gone already: then it has stopped.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Lets go of its lifeline: it stops at once.
    pub(crate) fn let_go(&mut self) {
        self.lifeline = None;
    }

    /// Waits for its end, and brings it about at the deadline.
    pub(crate) async fn end_by(&mut self, deadline: Instant) {
        if timeout_at(deadline, self.child.wait()).await.is_err() {
            interject(&format!("{} did not stop in time and is killed", self.name));
            let _ = self.child.kill().await;
        }
    }

    /// The end of its log, where that is kept.
    // By position: the child writes through the same open file.
    pub(crate) fn log_lines(&self) -> Vec<String> {
        let Some(log) = &self.log else { return Vec::new() };
        let length = log.metadata().map_or(0, |meta| meta.len());
        let from = length.saturating_sub(LOG_BYTES);
        let mut bytes = vec![0; usize::try_from(length - from).unwrap_or(0)];
        let read = log.read_at(&mut bytes, from).unwrap_or(0);
        let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(LOG_LINES);
        lines[from..].iter().map(|line| format!("{}: {line}", self.name)).collect()
    }
}
