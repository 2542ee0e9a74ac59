//! What follows from a worker's word, and from its end.

use tokio::time::Instant;
use windlass_shared::domain::{LogStream, Preset, Reason};
use windlass_shared::ipc::{Answer, EXIT_CONFIG, Features, PROTOCOL};
use windlass_shared::limits;
use windlass_shared::resilience::delay::Delay;

use super::How;
use super::News;
use super::flight::{Flight, unbegun};
use super::link::Heard;
use super::pool::{Now, Pool};
use super::seat::State;
use crate::config::is_name;
use crate::halt::Halt;
use crate::process::{ExitKind, LeaderEnd, Proof, Stage};

/// Deaths of workers with a call at the head of their pipe, not begun, before the call is taken for the cause.
const BOUNCES_MAX: u8 = 3;
/// Bytes of standard error kept for a call that is about to begin: one full pipe.
const EARLY_BYTES_MAX: usize = 64 << 10;

impl Pool {
    pub(super) fn on_heard(&mut self, ix: usize, heard: Heard, now: Now) {
        match heard {
            Heard::Answer(answer) => self.on_answer(ix, answer, now),
            Heard::Output(stream, bytes) => self.on_output(ix, stream, &bytes),
            Heard::Broke(why) => self.seats[ix].break_off(why),
            Heard::NotStarted(error) => {
                tracing::error!(pool = &*self.name, worker = ix, %error, "a worker cannot be started");
                let stuck = error.proof == Proof::None;
                if error.stage == Stage::Fence { self.off(ix, now) } else { self.gone(ix, stuck, now) }
            }
            Heard::Ended { leader, proof, fenced } => self.on_ended(ix, leader, proof, fenced, now),
            Heard::Proven => self.seats[ix].state = State::Off,
        }
    }

    fn on_answer(&mut self, ix: usize, answer: Answer, now: Now) {
        let seat = &mut self.seats[ix];
        if seat.broke.is_some() {
            return;
        }
        let first = seat.window.front().map(|flight| flight.id);
        match answer {
            Answer::Hello { protocol, handlers, features } => self.on_hello(ix, protocol, &handlers, features, now.at),
            Answer::Unknown => {}
            _ if matches!(seat.state, State::Starting(_)) => seat.break_off("its first word was no hello"),
            Answer::Started(id) if first == Some(id) => self.on_started(ix, now),
            Answer::Result(id, result) if first == Some(id) => self.on_end(ix, How::Result(result), now),
            Answer::Error(id, message, error) if first == Some(id) => self.on_end(ix, How::Error(message, error), now),
            Answer::Recalled(id) => self.on_recalled(ix, id),
            Answer::Line(id, line) => self.on_line(ix, id, line),
            Answer::Pong => seat.pong(now.at),
            Answer::Bye => seat.retire(now.at),
            Answer::Started(id) | Answer::Result(id, _) | Answer::Error(id, ..) => {
                seat.break_off(format!("it answers for {id}, which is not the job it has to do now"));
            }
        }
    }

    fn on_hello(&mut self, ix: usize, protocol: u32, handlers: &[String], features: Features, now: Instant) {
        let why = if !matches!(self.seats[ix].state, State::Starting(_)) {
            Some("it said hello twice".to_owned())
        } else if protocol != PROTOCOL {
            Some(format!("it speaks version {protocol} of the worker protocol, this agent speaks {PROTOCOL}"))
        } else if handlers.len() > limits::HANDLERS_MAX || !handlers.iter().all(|handler| is_name(handler)) {
            Some("its handlers must be at most 256 names, each 1 to 128 of [a-zA-Z0-9._-]".to_owned())
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
        let seat = &mut self.seats[ix];
        let Some(flight) = seat.window.front_mut() else { return };
        flight.begin(now.at, now.wall);
        if flight.stop.is_some() {
            self.press(ix, now.at);
        }
        let early = std::mem::take(&mut self.seats[ix].early);
        if !early.is_empty() {
            self.on_output(ix, LogStream::Stderr, &early);
        }
    }

    fn on_end(&mut self, ix: usize, how: How, now: Now) {
        let seat = &mut self.seats[ix];
        let Some(mut flight) = seat.window.pop_front() else { return };
        flight.begin(now.at, now.wall);
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
    }

    fn close_logs(&self, flight: &Flight) {
        if flight.offsets != crate::logs::Offsets::default() {
            self.logs.close(&flight.lease());
        }
    }

    fn on_recalled(&mut self, ix: usize, id: u64) {
        let seat = &mut self.seats[ix];
        let at = seat.window.iter().position(|flight| flight.id == id && flight.recalled && flight.began.is_none());
        match at.and_then(|at| seat.window.remove(at)) {
            Some(flight) => self.take_back(flight),
            None => seat.break_off(format!("it gives back {id}, which it was not asked for")),
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
            if flight.began.is_none() && at == 0 {
                flight.call.bounces += 1;
            }
            if flight.began.is_some() || flight.call.bounces >= BOUNCES_MAX {
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

fn is_config(leader: LeaderEnd) -> bool {
    matches!(leader, LeaderEnd::Exited(exit) if exit.status == ExitKind::Code(EXIT_CONFIG))
}
