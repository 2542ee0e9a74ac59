//! One life of a worker, and its pipes.

use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout, timeout_at};
use windlass_shared::ipc::{self, Answer, Features, JobOrder, Piece, Splitter};
use windlass_shared::limits;

use super::Subject;

/// Time for a pong, and for an end that was asked for: what agents give.
const SOON: Duration = Duration::from_secs(5);
/// Bytes kept of what it printed, to show beside what it broke.
const PRINTED_MAX: usize = 2_048;

/// What a worker said of itself.
#[derive(Debug, Clone)]
pub(super) struct Hello {
    pub(super) handlers: Vec<String>,
    pub(super) features: Features,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Result,
    Error,
    Valid,
    Recalled,
}

/// What was said of a job.
#[derive(Debug, Default)]
struct Known {
    started: bool,
    over: bool,
}

/// One life of a worker.
#[derive(Debug)]
pub(super) struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    splitter: Splitter,
    printed: Vec<u8>,
    patience: Duration,
    pings: u64,
    jobs: BTreeMap<u64, Known>,
    pub(super) hello: Hello,
}

impl Peer {
    /// Starts the worker, hears its hello and welcomes it.
    pub(super) async fn start(subject: &Subject) -> Result<Self, String> {
        let mut command = Command::new(&subject.argv[0]);
        command.args(&subject.argv[1..]).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("WINDLASS_POOL", "check").env("WINDLASS_WORKER", "check-0");
        let mut child = command.spawn().map_err(|err| format!("{} cannot be started: {err}", subject.argv[0]))?;
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        let stdout = child.stdout.take().ok_or("it has no standard output")?;
        let hello = Hello { handlers: Vec::new(), features: Features::default() };
        let (splitter, printed, patience) = (Splitter::default(), Vec::new(), subject.patience);
        let mut peer =
            Self { child, stdin, stdout, stderr, splitter, printed, patience, pings: 0, jobs: BTreeMap::new(), hello };
        peer.hello = peer.hear_hello().await?;
        peer.say(|out| ipc::welcome(out, "check", "check-0")).await?;
        Ok(peer)
    }

    async fn hear_hello(&mut self) -> Result<Hello, String> {
        let said = self.hear(self.patience).await.map_err(|why| format!("it said no hello: {why}"))?;
        let Answer::Hello { protocol, handlers, features } = said else {
            return Err(format!("its first word was {}, not hello", name(&said)));
        };
        if protocol != ipc::PROTOCOL {
            return Err(format!("it speaks version {protocol} of the protocol, which is not {}", ipc::PROTOCOL));
        }
        let mut names = handlers.clone();
        names.sort();
        names.dedup();
        let sound = names.len() == handlers.len() && handlers.iter().all(|name| limits::is_name(name));
        if handlers.is_empty() || handlers.len() > limits::HANDLERS_MAX || !sound {
            return Err("its handlers are not 1 to 256 different names of 1 to 128 of [a-zA-Z0-9._-]".into());
        }
        Ok(Hello { handlers, features })
    }

    /// Writes what `write` puts together, in one go.
    pub(super) async fn say(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), String> {
        let mut out = Vec::new();
        write(&mut out);
        self.write(&out).await
    }

    /// Writes these bytes. A worker that reads nothing for as long as an answer may take is broken.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let stdin = self.stdin.as_mut().ok_or("its standard input was closed")?;
        let written = async { stdin.write_all(bytes).await.and(stdin.flush().await) };
        match timeout(self.patience, written).await {
            Ok(Ok(())) => Ok(()),
            // Whether a worker's end is met in writing or in reading is chance: it is told the same way.
            Ok(Err(error)) => Err(self.gone().await.unwrap_or_else(|| format!("it does not read any more: {error}"))),
            Err(_elapsed) => Err("it does not read its standard input".into()),
        }
    }

    /// The next frame. Everything else is kept as printed.
    pub(super) async fn hear(&mut self, within: Duration) -> Result<Answer, String> {
        let until = Instant::now() + within;
        loop {
            match self.splitter.take().map_err(|err| err.to_string())? {
                Some(Piece::Frame(frame)) => return ipc::read(&frame).map_err(|err| err.to_string()),
                Some(Piece::Log(log)) => self.keep(&log),
                None => match timeout_at(until, self.read()).await {
                    Ok(Ok(true)) => {}
                    Ok(Ok(false)) => {
                        return Err(self.gone().await.unwrap_or_else(|| "it closed its standard output".into()));
                    }
                    Ok(Err(error)) => return Err(format!("its standard output cannot be read: {error}")),
                    Err(_elapsed) => return Err(format!("it said nothing within {within:?}")),
                },
            }
        }
    }

    /// Reads whichever comes first of its two outputs; false at the end of the standard one.
    async fn read(&mut self) -> std::io::Result<bool> {
        let mut noise = [0; 4_096];
        let (stdout, buffer) = (&mut self.stdout, self.splitter.buffer());
        buffer.reserve(64 << 10);
        let Some(stderr) = &mut self.stderr else { return Ok(stdout.read_buf(buffer).await? > 0) };
        tokio::select! {
            read = stdout.read_buf(buffer) => Ok(read? > 0),
            read = stderr.read(&mut noise) => {
                match read? {
                    0 => self.stderr = None,
                    read => self.keep(&noise[..read]),
                }
                Ok(true)
            }
        }
    }

    fn keep(&mut self, printed: &[u8]) {
        self.printed.extend_from_slice(printed);
        let excess = self.printed.len().saturating_sub(PRINTED_MAX);
        self.printed.drain(..excess);
    }

    /// What it printed last, for people.
    pub(super) fn printed(&self) -> String {
        String::from_utf8_lossy(&self.printed).trim_end().to_owned()
    }

    /// How it ended, if it did.
    async fn gone(&mut self) -> Option<String> {
        let ended = timeout(SOON, self.child.wait()).await;
        ended.ok()?.ok().map(|status| format!("it ended ({status})"))
    }

    /// Writes these jobs, and whatever `more` adds, in one go.
    pub(super) async fn give(
        &mut self,
        orders: &[JobOrder<'_>],
        more: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), String> {
        self.jobs.extend(orders.iter().map(|order| (order.id, Known::default())));
        self.say(|out| {
            orders.iter().for_each(|order| ipc::job(out, order));
            more(out);
        })
        .await
    }

    /// A job is written piece by piece.
    pub(super) fn expect(&mut self, id: u64) {
        self.jobs.insert(id, Known::default());
    }

    /// Hears until a job is over, and which.
    pub(super) async fn next_over(&mut self) -> Result<(u64, End), String> {
        loop {
            let said = self.hear(self.patience).await?;
            if let Some(over) = self.note(&said)? {
                return Ok(over);
            }
        }
    }

    /// Hears until this job is over, which is to be the next.
    pub(super) async fn over(&mut self, id: u64) -> Result<End, String> {
        match self.next_over().await? {
            (of, end) if of == id => Ok(end),
            (of, _) => Err(format!("{of} was over before {id}")),
        }
    }

    /// What follows from a word on a job, where it may be said now.
    fn note(&mut self, said: &Answer) -> Result<Option<(u64, End)>, String> {
        let what = name(said);
        let (id, end) = match *said {
            Answer::Unknown => return Ok(None),
            Answer::Started(id) => return self.begun(id).map(|()| None),
            Answer::Line(id, _) => return self.known(id, &what).map(|_| None),
            Answer::Recalled(id) => (id, End::Recalled),
            Answer::Result(id, _) => (id, End::Result),
            Answer::Error(id, ..) => (id, End::Error),
            Answer::Valid(id) => (id, End::Valid),
            Answer::Hello { .. } | Answer::Pong | Answer::Bye => {
                return Err(format!("it said {what} while it had a job"));
            }
        };
        let promised = self.hello.features.prefetch;
        let known = self.known(id, &what)?;
        if std::mem::replace(&mut known.over, true) {
            return Err(format!("it said {what}, which was over already"));
        }
        match end {
            End::Recalled if known.started => Err(format!("it gave back {id}, which it had started")),
            // An error may come before the handler is entered: there may be none; a check enters none.
            End::Result if promised && !known.started => {
                Err(format!("it promised `started`, and said {what} without it"))
            }
            _ => Ok(Some((id, end))),
        }
    }

    fn begun(&mut self, id: u64) -> Result<(), String> {
        if let Some((other, _)) = self.jobs.iter().find(|(other, job)| **other != id && job.started && !job.over) {
            return Err(format!("it started {id} while it had not answered {other}"));
        }
        let known = self.known(id, "started")?;
        if known.over {
            return Err(format!("it started {id}, which was over"));
        }
        if std::mem::replace(&mut known.started, true) { Err(format!("it started {id} twice")) } else { Ok(()) }
    }

    fn known(&mut self, id: u64, what: &str) -> Result<&mut Known, String> {
        self.jobs.get_mut(&id).ok_or_else(|| format!("it said {what}, and has no job {id}"))
    }

    /// It is idle, answers a ping, and has nothing to add to what it said.
    pub(super) async fn settle(&mut self) -> Result<(), String> {
        self.pings += 1;
        let n = self.pings;
        self.say(|out| ipc::ping(out, n)).await?;
        loop {
            match self.hear(SOON).await.map_err(|why| format!("it did not answer a ping: {why}"))? {
                Answer::Pong => return Ok(()),
                // A log line may come late; a job has nothing more to be.
                Answer::Line(..) | Answer::Unknown => {}
                other => return Err(format!("it said {} when nothing was left to say", name(&other))),
            }
        }
    }

    /// It ends, having been asked to or left alone, and says nothing more of jobs.
    pub(super) async fn ends(&mut self) -> Result<ExitStatus, String> {
        let until = Instant::now() + SOON;
        while let Ok(said) = self.hear(until.saturating_duration_since(Instant::now())).await {
            if !matches!(said, Answer::Bye | Answer::Unknown | Answer::Pong) {
                return Err(format!("it said {} at its end", name(&said)));
            }
        }
        match timeout_at(until, self.child.wait()).await {
            Ok(status) => status.map_err(|err| err.to_string()),
            Err(_elapsed) => Err("it did not end within 5 s".into()),
        }
    }

    /// Closes its standard input.
    pub(super) fn hang_up(&mut self) {
        self.stdin = None;
    }
}

/// A job for a worker.
pub(super) fn order<'a>(id: u64, handler: &'a str, input: &'a str) -> JobOrder<'a> {
    JobOrder {
        id,
        handler,
        input: input.as_bytes(),
        content_type: None,
        job: "01990000-0000-7000-8000-000000000000",
        attempt: 1,
        fencing_token: (1 << 60) + id,
        timeout: Some(Duration::from_secs(3600)),
        headers: &[],
        trace: None,
        grants: &[],
        validate: false,
    }
}

fn name(answer: &Answer) -> String {
    match answer {
        Answer::Hello { .. } => "hello".into(),
        Answer::Started(id) => format!("started of {id}"),
        Answer::Result(id, _) => format!("a result of {id}"),
        Answer::Valid(id) => format!("valid of {id}"),
        Answer::Error(id, ..) => format!("an error of {id}"),
        Answer::Line(id, _) => format!("a line of {id}"),
        Answer::Recalled(id) => format!("recalled of {id}"),
        Answer::Pong => "pong".into(),
        Answer::Bye => "bye".into(),
        Answer::Unknown => "something unknown".into(),
    }
}
