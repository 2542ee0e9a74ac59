//! What follows from a worker's word; what follows from its end is in [`deaths`](super::deaths).

use std::collections::BTreeSet;

use bytes::Bytes;
use tokio::time::Instant;
use windlass_shared::domain::{CallResult, LogStream, WorkerExit};
use windlass_shared::ipc::{Answer, Features, PROTOCOL};
use windlass_shared::limits::{self, is_name};

use super::How;
use super::News;
use super::breaker::Breaker;
use super::flight::{Flight, unbegun};
use super::link::Heard;
use super::pool::Pool;
use super::seat::State;
use super::step::Now;

/// Bytes of standard error kept for a call that is about to begin: one full pipe.
const EARLY_BYTES_MAX: usize = 64 << 10;

impl Pool {
    pub(super) fn on_heard(&mut self, ix: usize, heard: Heard, now: Now) {
        match heard {
            Heard::Answer(answer) => {
                self.seats[ix].tally.frames_in += 1;
                self.on_answer(ix, answer, now);
            }
            Heard::Output(stream, bytes) => self.on_output(ix, stream, &bytes),
            Heard::Broke(why) => self.seats[ix].break_off(WorkerExit::Protocol, why),
            Heard::NotStarted(error) => self.on_not_started(ix, &error, now),
            Heard::OomKilled => self.seats[ix].life.oom_killed = true,
            Heard::Ended { leader, proof, fenced } => self.on_ended(ix, leader, proof, fenced, now),
            Heard::Proven => self.seats[ix].stands(State::Off, now),
        }
    }

    fn on_answer(&mut self, ix: usize, answer: Answer, now: Now) {
        let seat = &mut self.seats[ix];
        if seat.broke.is_some() {
            // What it says is worth nothing, but for the calls it names.
            if let Answer::Started(id) | Answer::Result(id, _) | Answer::Valid(id) | Answer::Error(id, ..) = answer {
                seat.suspect(id, now);
            }
            return;
        }
        let first = seat.window.front().map(|flight| flight.id);
        let validates_first = seat.window.front().is_some_and(|flight| flight.call.spec.validate_only);
        let calls = |id| first == id && !validates_first;
        let validates = |id| first == id && validates_first;
        match answer {
            Answer::Hello { protocol, handlers, features } => self.on_hello(ix, protocol, &handlers, features, now),
            Answer::Unknown => {}
            _ if matches!(seat.state, State::Starting(_)) => {
                seat.break_off(WorkerExit::Protocol, "its first word was no hello");
            }
            Answer::Started(id) if first == Some(id) => self.on_started(ix, now),
            Answer::Result(id, result) if calls(Some(id)) => self.on_end(ix, How::Result(result), now),
            Answer::Valid(id) if validates(Some(id)) => self.on_end(ix, How::Result(nothing()), now),
            Answer::Error(id, message, error, stack) if first == Some(id) => {
                stack.into_iter().for_each(|stack| self.on_line(ix, id, stack));
                self.on_end(ix, How::Error(message, error), now);
            }
            Answer::Recalled(id) => self.on_recalled(ix, id, now.at),
            Answer::Line(id, line) => self.on_line(ix, id, line),
            Answer::Pong => seat.pulse.heard(now.at),
            Answer::Bye if seat.state == State::Ready => {
                seat.life.told.get_or_insert(WorkerExit::ExitedIdle);
                seat.retire(now.at);
            }
            Answer::Bye => {}
            Answer::Started(id) | Answer::Result(id, _) | Answer::Valid(id) | Answer::Error(id, ..) => {
                seat.suspect(id, now);
                let why = format!("it answers for {id}, which is not the job it has to do now");
                seat.break_off(WorkerExit::Protocol, why);
            }
        }
    }

    fn on_hello(&mut self, ix: usize, protocol: u32, handlers: &[String], features: Features, now: Now) {
        let why = if !matches!(self.seats[ix].state, State::Starting(_)) {
            Some("it said hello twice".to_owned())
        } else if protocol != PROTOCOL {
            Some(format!("it speaks version {protocol} of the worker protocol, this agent speaks {PROTOCOL}"))
        } else if !are_handlers(handlers) {
            Some("its handlers must be 1 to 256 different names, each 1 to 128 of [a-zA-Z0-9._-]".to_owned())
        } else {
            let lacks = |handler: &&String| !handlers.contains(handler);
            self.options
                .handlers
                .iter()
                .find(lacks)
                .map(|lack| format!("it lacks the handler {lack}, which [[pool]] names"))
        };
        if let Some(why) = why {
            self.seats[ix].break_off(WorkerExit::Protocol, why);
            return;
        }
        let worker = format!("{}-{ix}", self.name);
        self.seats[ix].ready(features, now, &self.name, &worker);
        self.on_ready(ix, handlers);
    }

    fn on_started(&mut self, ix: usize, now: Now) {
        self.begin_first(ix, now);
        self.press(ix, now.at);
    }

    fn begin_first(&mut self, ix: usize, now: Now) {
        let Some(flight) = self.seats[ix].window.front_mut() else { return };
        flight.begin(now.at, now.wall);
        let early = std::mem::take(&mut self.seats[ix].early);
        if !early.is_empty() {
            self.on_output(ix, LogStream::Stderr, &early);
        }
    }

    fn on_end(&mut self, ix: usize, how: How, now: Now) {
        self.begin_first(ix, now);
        let seat = &mut self.seats[ix];
        let Some(flight) = seat.take(0, now.at) else { return };
        seat.failures = 0;
        seat.rest(now.at);
        seat.life.finished(now.at);
        self.breaker_hears(Breaker::finished);
        self.pace.took(flight.age(now.at).unwrap_or_default());
        self.close_logs(&flight);
        self.news.push(flight.end(how));
        let seat = &mut self.seats[ix];
        // It was signalled and lives, its call is over, and its next would be answered by a process on its way out.
        if seat.window.is_empty() && matches!(seat.state, State::Retiring(_)) {
            seat.retire(now.at);
        }
        seat.end_if_done(now.at);
    }

    pub(super) fn close_logs(&self, flight: &Flight) {
        if flight.offsets != crate::logs::Offsets::default() {
            self.logs.close(&flight.lease());
        }
    }

    fn on_recalled(&mut self, ix: usize, id: u64, now: Instant) {
        let seat = &mut self.seats[ix];
        let at = seat.window.iter().position(|flight| flight.id == id && flight.recalled && flight.began.is_none());
        let Some(at) = at else {
            seat.break_off(WorkerExit::Protocol, format!("it gives back {id}, which it was not asked for"));
            return;
        };
        if at == 0 {
            // Of a call that never began, so of none.
            let early = std::mem::take(&mut seat.early);
            seat.stray(&early);
        }
        if let Some(flight) = seat.take(at, now) {
            seat.end_if_done(now);
            self.take_back(flight);
        }
    }

    /// A call that has not begun, and will not with this worker.
    pub(super) fn take_back(&mut self, flight: Flight) {
        let lease = flight.lease();
        match (flight.stop, flight.give_back.or(self.leaving)) {
            (Some(halt), _) => self.news.push(unbegun(lease, halt.reason)),
            (None, Some(reason)) => self.news.push((lease, News::Returned(reason))),
            (None, None) => self.waiting.push_front(flight.call),
        }
    }

    fn on_line(&mut self, ix: usize, id: u64, mut line: String) {
        if self.seats[ix].window.front().is_some_and(|flight| flight.id == id) {
            line.push('\n');
            self.on_output(ix, LogStream::Stderr, line.as_bytes());
        }
    }

    /// What a worker prints is its call's; without a call it is the pool's, and shown where the worker fails. Standard error
    /// can be read before the word, on the other pipe, that its call has begun.
    fn on_output(&mut self, ix: usize, stream: LogStream, bytes: &[u8]) {
        let seat = &mut self.seats[ix];
        let waits = seat.window.front().is_some_and(|flight| flight.began.is_none());
        if waits && stream == LogStream::Stderr && seat.early.len() < EARLY_BYTES_MAX {
            return seat.early.extend_from_slice(bytes);
        }
        let Some(flight) = seat.window.front_mut().filter(|flight| flight.began.is_some()) else {
            seat.stray(bytes);
            return;
        };
        if stream == LogStream::Stderr {
            seat.tail.push(bytes);
        }
        let offset = match stream {
            LogStream::Stdout => &mut flight.offsets.stdout,
            LogStream::Stderr => &mut flight.offsets.stderr,
        };
        *offset += bytes.len() as u64;
        self.logs.write(flight.lease(), stream, bytes);
    }
}

/// The value of what has none.
fn nothing() -> CallResult {
    CallResult { value: Bytes::from_static(b"null"), content_type: None }
}

fn are_handlers(handlers: &[String]) -> bool {
    let different = || handlers.iter().collect::<BTreeSet<_>>().len() == handlers.len();
    (1..=limits::HANDLERS_MAX).contains(&handlers.len())
        && handlers.iter().all(|handler| is_name(handler))
        && different()
}
