//! One worker's process and its pipes: what it says, in order, and how it ended.
//!
//! What it wrote to standard error before an answer is read before that answer is handed on, so that a line and the call it
//! belongs to stay together. The end comes last, when both pipes were read out.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio::time::Instant;
use windlass_shared::domain::LogStream;
use windlass_shared::ipc::{self, Answer, Piece, Splitter};

use super::mailbox::Mailbox;
use super::scratch;
use crate::config::READ_OUT_TIMEOUT;
use crate::confine::Confined;
use crate::process::{
    Control, Events, LeaderEnd, PipeReader, PipeWriter, Process, Proof, SpawnError, SpawnSpec, Warden,
};

/// What a flood is read by: a pipe holds this much.
const READ_BYTES: usize = 64 << 10;
/// The largest pipe that a process can make of its own without privileges.
const PIPE_BYTES_MAX: usize = 1 << 20;
/// Time between a pipe's end and its process's: one that closes a pipe of the protocol and lives on cannot be spoken to.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// What a worker said, or what became of it.
#[derive(Debug)]
pub(super) enum Heard {
    Answer(Answer),
    Output(LogStream, Bytes),
    /// It cannot be understood any more.
    Broke(String),
    NotStarted(SpawnError),
    /// The kernel killed in its tree at its memory limit; its end follows.
    OomKilled,
    /// Its last word was heard.
    Ended {
        leader: LeaderEnd,
        proof: Proof,
        fenced: bool,
    },
    /// What could not be proven gone is.
    Proven,
}

/// Told to whoever runs the pool.
#[derive(Debug)]
pub(super) enum Word {
    /// It was started, as this process.
    Runs(Control, u32),
    Heard(Vec<Heard>),
}

/// One life of one worker.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) ix: usize,
    pub(super) warden: Warden,
    pub(super) spec: SpawnSpec,
    /// Its directory, and whose that is to be.
    pub(super) scratch: PathBuf,
    pub(super) confined: Confined,
    pub(super) fenced: bool,
    /// Filled with what the worker's window holds.
    pub(super) outgoing: Mailbox<Vec<u8>>,
    pub(super) words: mpsc::Sender<(usize, Word)>,
}

impl Link {
    /// From its start to its proven end.
    pub(super) async fn run(self) {
        if let Err(error) = scratch::renew(self.scratch.clone(), self.confined.clone()).await {
            return self.tell(Word::Heard(vec![Heard::NotStarted(error)])).await;
        }
        let spec = self.spec.clone();
        let spawned = if self.fenced { self.warden.spawn_fenced(spec).await } else { self.warden.spawn(spec).await };
        let Process { pid, stdin, stdout, stderr, control, mut events } = match spawned {
            Ok(process) => process,
            Err(error) => return self.tell(Word::Heard(vec![Heard::NotStarted(error)])).await,
        };
        self.tell(Word::Runs(control, pid)).await;
        self.follow(Pipes::new(stdin, stdout, stderr), &mut events).await;
        let leader = events.leader_exit().await;
        let (proof, fenced) = (events.tree_end().await.proof, events.is_fenced());
        let oom_killed = events.is_oom_killed().then_some(Heard::OomKilled);
        let heard = oom_killed.into_iter().chain([Heard::Ended { leader, proof, fenced }]);
        self.tell(Word::Heard(heard.collect())).await;
        if proof == Proof::None && events.proven().await != Proof::None {
            self.tell(Word::Heard(vec![Heard::Proven])).await;
        }
    }

    async fn tell(&self, word: Word) {
        // A pool that is gone needs no words.
        let _ = self.words.send((self.ix, word)).await;
    }

    /// Until its tree has ended and its pipes are read out.
    async fn follow(&self, mut pipes: Pipes, events: &mut Events) {
        {
            let mut leader = events.clone();
            let mut left = pin!(leader.leader_exit());
            let mut ended = pin!(events.tree_end());
            loop {
                let heard = tokio::select! {
                    heard = pipes.next() => heard,
                    more = self.outgoing.take() => {
                        pipes.out.extend_from_slice(&more);
                        continue;
                    }
                    _ = &mut ended => break,
                    _ = &mut left, if !pipes.left => {
                        (pipes.left, pipes.cut) = (true, None);
                        continue;
                    }
                };
                self.tell(Word::Heard(heard)).await;
            }
        }
        // Everything the tree wrote is in the pipes by now; who holds them open is not of it.
        pipes.end();
        let until = Instant::now() + READ_OUT_TIMEOUT;
        while pipes.is_open() {
            let Ok(heard) = tokio::time::timeout_at(until, pipes.next()).await else { break };
            self.tell(Word::Heard(heard)).await;
        }
        if let Some(rest) = pipes.rest() {
            self.tell(Word::Heard(vec![rest])).await;
        }
    }
}

/// A worker's pipes.
#[derive(Debug)]
struct Pipes {
    stdin: Option<PipeWriter>,
    stdout: Option<PipeReader>,
    stderr: Option<PipeReader>,
    splitter: Splitter,
    errors: BytesMut,
    out: BytesMut,
    /// When a closed pipe is no part of its end any more, and which.
    cut: Option<(Instant, &'static str)>,
    /// Its leader has ended: closed pipes mean no more than that.
    left: bool,
    /// Its tree has.
    ended: bool,
}

impl Pipes {
    fn new(stdin: Option<PipeWriter>, stdout: PipeReader, stderr: PipeReader) -> Self {
        Self {
            stdin,
            stdout: Some(stdout),
            stderr: Some(stderr),
            splitter: Splitter::default(),
            errors: BytesMut::new(),
            out: BytesMut::new(),
            cut: None,
            left: false,
            ended: false,
        }
    }

    fn end(&mut self) {
        (self.stdin, self.cut, self.left, self.ended) = (None, None, true, true);
    }

    fn is_open(&self) -> bool {
        self.stdout.is_some() || self.stderr.is_some()
    }

    /// Reads and writes until there is something to tell, or nothing will be. Cancelling it loses nothing.
    async fn next(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        while heard.is_empty() && (self.is_open() || !self.ended) {
            let Self { stdin, stdout, stderr, splitter, errors, out, cut, .. } = self;
            tokio::select! {
                read = read(stdout, splitter.buffer()) => self.on_stdout(read, &mut heard),
                read = read(stderr, errors) => self.on_stderr(read, &mut heard),
                written = write(stdin, out) => if written.is_err() {
                    self.stdin = None;
                    self.cut("it closed its standard input");
                },
                why = cut_at(*cut) => {
                    self.cut = None;
                    heard.push(Heard::Broke(why.into()));
                }
            }
        }
        heard
    }

    fn on_stdout(&mut self, read: bool, heard: &mut Vec<Heard>) {
        if !read {
            self.stdout = None;
            self.cut("it closed its standard output");
            return;
        }
        self.drain_stderr(heard);
        let full = self.splitter.buffer().len() == self.splitter.buffer().capacity();
        loop {
            match self.splitter.take() {
                Ok(Some(Piece::Frame(frame))) => heard.push(match ipc::read(&frame) {
                    Ok(answer) => Heard::Answer(answer),
                    Err(bad) => Heard::Broke(bad.to_string()),
                }),
                Ok(Some(Piece::Log(bytes))) => heard.push(Heard::Output(LogStream::Stdout, bytes)),
                Ok(None) => break,
                Err(long) => {
                    heard.push(Heard::Broke(long.to_string()));
                    self.stdout = None;
                    break;
                }
            }
        }
        if full {
            self.splitter.buffer().reserve(READ_BYTES);
        }
    }

    fn on_stderr(&mut self, read: bool, heard: &mut Vec<Heard>) {
        if !read {
            // Nothing of the protocol passes there.
            self.stderr = None;
        }
        self.hand_on_errors(heard);
    }

    // What came before the answer is at most a pipe's content: whoever writes on as fast as we read would keep us here for ever.
    fn drain_stderr(&mut self, heard: &mut Vec<Heard>) {
        while let Some(stderr) = &mut self.stderr
            && self.errors.len() < PIPE_BYTES_MAX
            && matches!(stderr.try_read(&mut self.errors), Ok(1..))
        {}
        self.hand_on_errors(heard);
    }

    fn hand_on_errors(&mut self, heard: &mut Vec<Heard>) {
        if !self.errors.is_empty() {
            heard.push(Heard::Output(LogStream::Stderr, self.errors.split().freeze()));
        }
    }

    fn cut(&mut self, why: &'static str) {
        if !self.left {
            self.cut.get_or_insert((Instant::now() + CUT_GRACE, why));
        }
    }

    fn rest(&mut self) -> Option<Heard> {
        self.splitter.rest().map(|rest| Heard::Output(LogStream::Stdout, rest))
    }
}

/// Whether something was read; else it is the end, or as good as.
async fn read(pipe: &mut Option<PipeReader>, into: &mut BytesMut) -> bool {
    match pipe {
        Some(pipe) => matches!(pipe.read(into).await, Ok(1..)),
        None => std::future::pending().await,
    }
}

async fn write(pipe: &mut Option<PipeWriter>, from: &mut BytesMut) -> std::io::Result<()> {
    match pipe {
        Some(pipe) if !from.is_empty() => pipe.write(from).await,
        _ => std::future::pending().await,
    }
}

async fn cut_at(cut: Option<(Instant, &'static str)>) -> &'static str {
    match cut {
        Some((at, why)) => {
            tokio::time::sleep_until(at).await;
            why
        }
        None => std::future::pending().await,
    }
}
