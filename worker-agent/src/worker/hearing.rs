//! What follows from a worker's word, and from its end.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use windlass_shared::domain::{CallResult, LogStream, Preset, Reason};
use windlass_shared::ipc::{Answer, EXIT_CONFIG, Features, PROTOCOL};
use windlass_shared::limits;
use windlass_shared::resilience::delay::Delay;

use super::How;
use super::News;
use super::flight::{Flight, unbegun};
use super::link::Heard;
use super::pool::Pool;
use super::seat::State;
use super::step::Now;
use crate::config::is_name;
use crate::halt::Halt;
use crate::process::{ExitKind, LeaderEnd, Proof, Stage};

/// Deaths of workers with a call at the head of their pipe, not begun, before the call is taken for the cause.
const BOUNCES_MAX: u8 = 3;
/// Time between two tries to start what may not run while the agent is out of touch.
const FENCE_RETRY: Duration = Duration::from_millis(500);
/// Bytes of standard error kept for a call that is about to begin: one full pipe.
const EARLY_BYTES_MAX: usize = 64 << 10;

impl Pool {
    pub(super) fn on_heard(&mut self, ix: usize, heard: Heard, now: Now) {
        match heard {
            Heard::Answer(answer) => self.on_answer(ix, answer, now),
            Heard::Output(stream, bytes) => self.on_output(ix, stream, &bytes),
            Heard::Broke(why) => self.seats[ix].break_off(why),
            Heard::NotStarted(error) => {
                if error.stage == Stage::Fence {
                    // Out of touch, and that is nobody's failure.
                    self.seats[ix].state = State::Backoff(now.at + FENCE_RETRY);
                    return;
                }
                tracing::error!(pool = &*self.name, worker = ix, %error, "a worker cannot be started");
                self.gone(ix, error.proof == Proof::None, now);
            }
            Heard::Ended { leader, proof, fenced } => self.on_ended(ix, leader, proof, fenced, now),
            Heard::Proven => self.seats[ix].state = State::Off,
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
            Answer::Hello { protocol, handlers, features } => self.on_hello(ix, protocol, &handlers, features, now.at),
            Answer::Unknown => {}
            _ if matches!(seat.state, State::Starting(_)) => seat.break_off("its first word was no hello"),
            Answer::Started(id) if first == Some(id) => self.on_started(ix, now),
            Answer::Result(id, result) if calls(Some(id)) => self.on_end(ix, How::Result(result), now),
            Answer::Valid(id) if validates(Some(id)) => self.on_end(ix, How::Result(nothing()), now),
            Answer::Error(id, message, error, stack) if first == Some(id) => {
                stack.into_iter().for_each(|stack| self.on_line(ix, id, stack));
                self.on_end(ix, How::Error(message, error), now);
            }
            Answer::Recalled(id) => self.on_recalled(ix, id, now.at),
            Answer::Line(id, line) => self.on_line(ix, id, line),
            Answer::Pong => seat.pong(now.at),
            Answer::Bye if seat.state == State::Ready => seat.retire(now.at),
            Answer::Bye => {}
            Answer::Started(id) | Answer::Result(id, _) | Answer::Valid(id) | Answer::Error(id, ..) => {
                seat.suspect(id, now);
                seat.break_off(format!("it answers for {id}, which is not the job it has to do now"));
            }
        }
    }

    fn on_hello(&mut self, ix: usize, protocol: u32, handlers: &[String], features: Features, now: Instant) {
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
            self.seats[ix].break_off(why);
            return;
        }
        if self.options.handlers.is_empty() && !self.handlers.iter().map(|own| &**own).eq(handlers) {
            tracing::info!(pool = &*self.name, ?handlers, "handlers of the pool");
            self.handlers = handlers.iter().map(|handler| handler.as_str().into()).collect();
        }
        let worker = format!("{}-{ix}", self.name);
        self.seats[ix].ready(features, now, &self.name, &worker);
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

    fn close_logs(&self, flight: &Flight) {
        if flight.offsets != crate::logs::Offsets::default() {
            self.logs.close(&flight.lease());
        }
    }

    fn on_recalled(&mut self, ix: usize, id: u64, now: Instant) {
        let seat = &mut self.seats[ix];
        let at = seat.window.iter().position(|flight| flight.id == id && flight.recalled && flight.began.is_none());
        let Some(at) = at else {
            seat.break_off(format!("it gives back {id}, which it was not asked for"));
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
    fn take_back(&mut self, flight: Flight) {
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
        let offset = match stream {
            LogStream::Stdout => &mut flight.offsets.stdout,
            LogStream::Stderr => &mut flight.offsets.stderr,
        };
        *offset += bytes.len() as u64;
        self.logs.write(flight.lease(), stream, bytes);
    }

    fn on_ended(&mut self, ix: usize, leader: LeaderEnd, proof: Proof, fenced: bool, now: Now) {
        let seat = &mut self.seats[ix];
        let (state, broke) = (seat.state, seat.broke.take());
        let early = std::mem::take(&mut seat.early);
        seat.stray(&early);
        let window = std::mem::take(&mut seat.window);
        let asked = state == State::Dying && broke.is_none() || matches!(state, State::Retiring(_));
        if !asked && !fenced && self.leaving.is_none() {
            let said = String::from_utf8_lossy(&seat.stray).into_owned();
            tracing::warn!(pool = &*self.name, worker = ix, ?leader, broke, said, "a worker ended by itself");
        }
        let mut back = Vec::new();
        for (at, mut flight) in window.into_iter().enumerate() {
            let wanted = flight.stop.is_none() && flight.give_back.is_none();
            if flight.began.is_none() && at == 0 && !asked && !fenced && leader != LeaderEnd::Lost {
                flight.call.bounces += 1;
            }
            // Not proven gone, it may still begin what it has.
            let may_run = flight.began.is_some() || proof == Proof::None;
            if may_run || wanted && flight.call.bounces >= BOUNCES_MAX {
                if fenced {
                    flight.stop.get_or_insert(Halt { reason: Reason::OutOfTouch, kill: true });
                }
                self.close_logs(&flight);
                self.news.push(flight.die(now.at, leader, proof, broke.as_deref()));
            } else {
                back.push(flight);
            }
        }
        back.into_iter().rev().for_each(|flight| self.take_back(flight));
        if is_config(leader) {
            tracing::error!(
                pool = &*self.name,
                worker = ix,
                "a worker exited with 78: not started again before the agent is"
            );
            self.seats[ix].state = if proof == Proof::None { State::Stuck } else { State::Barred };
        } else if asked && proof != Proof::None {
            self.off(ix, now);
        } else {
            self.gone(ix, proof == Proof::None, now);
        }
    }

    fn off(&mut self, ix: usize, now: Now) {
        self.seats[ix].state = State::Off;
        self.seats[ix].rest(now.at);
    }

    /// It ended by itself. After a finished call another is started at once, else with growing delays.
    fn gone(&mut self, ix: usize, stuck: bool, now: Now) {
        let seat = &mut self.seats[ix];
        seat.failures = seat.failures.saturating_add(1);
        seat.state = if stuck {
            tracing::error!(pool = &*self.name, worker = ix, "a worker cannot be killed: its slot is stuck");
            State::Stuck
        } else if seat.failures == 1 {
            State::Off
        } else {
            State::Backoff(now.at + Delay::of(Preset::Aggressive).after(seat.failures - 1, now.random))
        };
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

fn is_config(leader: LeaderEnd) -> bool {
    matches!(leader, LeaderEnd::Exited(exit) if exit.status == ExitKind::Code(EXIT_CONFIG))
}
