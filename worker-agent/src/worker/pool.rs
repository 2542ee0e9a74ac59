//! What follows from an order, from a worker's word, or from the time: synchronous, one owner, no waiting.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use windlass_shared::domain::{Lease, LogStream, PoolOffer, Preset, Reason};
use windlass_shared::ipc::{Answer, EXIT_CONFIG, Features, PROTOCOL};
use windlass_shared::limits;
use windlass_shared::resilience::delay::Delay;
use windlass_shared::time::Timestamp;

use super::flight::unbegun;
use super::link::Heard;
use super::options::PoolOptions;
use super::pace::{LONG, Pace};
use super::seat::{Seat, State};
use super::{Call, How, News, Order};
use crate::config::is_name;
use crate::halt::Halt;
use crate::logs::Logs;
use crate::process::{ExitKind, LeaderEnd, Proof, Stage};

/// Time without any worker after which calls that wait are better off elsewhere.
const NO_WORKER_MAX: Duration = Duration::from_secs(1);
/// Time without a call after which a worker beyond `min` ends.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Deaths of workers with a call at the head of their pipe, not begun, before the call is taken for the cause.
const BOUNCES_MAX: u8 = 3;

/// What is to be done to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strike {
    Signal(i32),
    Kill,
}

/// The moment, on both clocks, and luck.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) at: Instant,
    pub(super) wall: Timestamp,
    /// Drawn from 0 to 1.
    pub(super) random: f64,
}

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) options: PoolOptions,
    name: Arc<str>,
    logs: Logs,
    handlers: Vec<Arc<str>>,
    pub(super) seats: Vec<Seat>,
    waiting: VecDeque<Box<Call>>,
    pace: Pace,
    /// The agent leaves.
    leaving: Option<Reason>,
    /// Since when no worker takes calls.
    deserted: Option<Instant>,
    /// Calls held at most.
    capacity_max: u32,
    /// Workers to start.
    pub(super) starts: Vec<usize>,
    /// News for the executor.
    pub(super) news: Vec<(Lease, News)>,
}

impl Pool {
    /// Nobody works yet. At most `capacity_max` calls are asked for.
    pub(super) fn new(options: PoolOptions, logs: Logs, capacity_max: u32, now: Instant) -> Self {
        let seats = (0..options.max).map(|_| Seat::new(now)).collect();
        Self {
            name: options.name.as_str().into(),
            handlers: options.handlers.iter().map(|handler| handler.as_str().into()).collect(),
            options,
            logs,
            seats,
            waiting: VecDeque::new(),
            pace: Pace::default(),
            leaving: None,
            deserted: Some(now),
            capacity_max,
            starts: Vec::new(),
            news: Vec::new(),
        }
    }

    /// What it takes.
    pub(super) fn offer(&self) -> PoolOffer {
        let works = |seat: &&Seat| !matches!(seat.state, State::Barred | State::Stuck | State::Backoff(_));
        let workers = u32::try_from(self.seats.iter().filter(works).count()).unwrap_or(u32::MAX);
        let closed = self.leaving.is_some() || self.handlers.is_empty();
        let capacity = if closed { 0 } else { workers * (1 + self.pace.hold()) };
        let (pool, handlers) = (self.name.clone(), self.handlers.clone());
        PoolOffer { pool, handlers, workers: self.options.max, capacity: capacity.min(self.capacity_max) }
    }

    pub(super) fn on_order(&mut self, order: Order, now: Now) {
        match order {
            Order::Run(call) => match self.leaving {
                None => self.waiting.push_back(call),
                Some(reason) => self.news.push((call.lease, News::Returned(reason))),
            },
            Order::Halt(lease, halt) => self.halt(lease, halt, now),
            Order::Recall(lease) => self.recall(lease),
            Order::HaltAll(halt) => {
                let leases: Vec<Lease> = self.flights().collect();
                leases.into_iter().for_each(|lease| self.halt(lease, halt, now));
            }
            Order::GiveBack(reason, leaving) => {
                self.leaving = self.leaving.or(leaving.then_some(reason));
                self.give_back(reason);
            }
        }
    }

    fn flights(&self) -> impl Iterator<Item = Lease> {
        self.seats.iter().flat_map(|seat| seat.window.iter().map(super::flight::Flight::lease))
    }

    fn halt(&mut self, lease: Lease, halt: Halt, now: Now) {
        if let Some(at) = self.waiting.iter().position(|call| call.lease == lease) {
            self.waiting.remove(at);
            self.news.push(unbegun(lease, halt.reason));
            return;
        }
        let Some((seat, at)) = self.find(lease) else { return };
        let flight = &mut self.seats[seat].window[at];
        flight.stop = Some(halt.after(flight.stop));
        if flight.began.is_some() { self.press(seat, now.at) } else { self.seats[seat].recall(at) }
    }

    fn find(&self, lease: Lease) -> Option<(usize, usize)> {
        let of =
            |(ix, seat): (usize, &Seat)| Some((ix, seat.window.iter().position(|flight| flight.lease() == lease)?));
        self.seats.iter().enumerate().find_map(of)
    }

    /// Stops the call that a worker runs: by its own hand where it can, else with its process; and after the grace by force.
    fn press(&mut self, ix: usize, now: Instant) {
        let seat = &mut self.seats[ix];
        let Some(flight) = seat.window.front_mut() else { return };
        let Some(halt) = flight.stop else { return };
        if halt.kill {
            seat.kill();
        } else if !std::mem::replace(&mut flight.pressed, true) {
            let (grace, signal, id) = (flight.call.stop_grace, flight.call.stop_signal, flight.id);
            flight.kill_at = Some(now + grace);
            if seat.features.cancel {
                windlass_shared::ipc::cancel(&mut seat.out, id);
            } else {
                // Whatever it makes of the signal, it is nobody to give more to.
                seat.state = State::Retiring(now + grace);
                seat.strikes.extend([Strike::Signal(signal), Strike::Signal(libc::SIGCONT)]);
            }
        }
    }

    fn recall(&mut self, lease: Lease) {
        if let Some(at) = self.waiting.iter().position(|call| call.lease == lease) {
            self.waiting.remove(at);
            self.news.push((lease, News::Returned(Reason::Returned)));
        } else if let Some((seat, at)) = self.find(lease) {
            self.seats[seat].window[at].give_back = Some(Reason::Returned);
            self.seats[seat].recall(at);
        }
    }

    fn give_back(&mut self, reason: Reason) {
        self.return_waiting(reason);
        for seat in &mut self.seats {
            seat.window.iter_mut().for_each(|flight| flight.give_back = Some(reason));
            seat.recall(0);
        }
    }

    fn return_waiting(&mut self, reason: Reason) {
        self.news.extend(self.waiting.drain(..).map(|call| (call.lease, News::Returned(reason))));
    }

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
        let Some(flight) = self.seats[ix].window.front_mut() else { return };
        flight.begin(now.at, now.wall);
        if flight.stop.is_some() {
            self.press(ix, now.at);
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

    fn close_logs(&self, flight: &super::flight::Flight) {
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
    fn take_back(&mut self, flight: super::flight::Flight) {
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

    /// What a worker prints is its call's; without a call it is the pool's, and shown where the worker fails.
    fn on_output(&mut self, ix: usize, stream: LogStream, bytes: &[u8]) {
        let seat = &mut self.seats[ix];
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
        let window = std::mem::take(&mut seat.window);
        let asked = state == State::Dying && broke.is_none() || matches!(state, State::Retiring(_));
        if !asked && !fenced {
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

    /// Does what is due.
    pub(super) fn on_time(&mut self, now: Now) {
        for ix in 0..self.seats.len() {
            self.seat_on_time(ix, now);
        }
    }

    fn seat_on_time(&mut self, ix: usize, now: Now) {
        let timeout = self.options.start_timeout_s;
        let seat = &mut self.seats[ix];
        match seat.state {
            State::Starting(until) if until <= now.at => seat.break_off(format!("it said no hello within {timeout} s")),
            State::Backoff(until) if until <= now.at => seat.state = State::Off,
            State::Retiring(until) if until <= now.at && seat.window.is_empty() => seat.kill(),
            State::Ready if seat.window.is_empty() => seat.check_pulse(now.at),
            State::Ready | State::Retiring(_) => self.flight_on_time(ix, now),
            _ => {}
        }
    }

    fn flight_on_time(&mut self, ix: usize, now: Now) {
        let seat = &mut self.seats[ix];
        let Some(flight) = seat.window.front_mut() else { return };
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now.at);
        if due(flight.told_at()) {
            self.news.extend(flight.tell_start());
        }
        let (kill, timeout, age) = (due(flight.kill_at), due(flight.timeout_at()), flight.age(now.at));
        if let Some(age) = age.filter(|age| *age >= LONG) {
            self.pace.takes(age);
            seat.recall(1);
        }
        if kill {
            seat.kill();
        } else if timeout {
            flight_stop(seat, Halt { reason: Reason::RunTimeout, kill: false });
            self.press(ix, now.at);
        }
    }

    /// When something is due next.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        // What waits is looked at when the last worker has become slow, and when there was none for too long.
        let slow_at = self.seats.iter().filter_map(|seat| Some(seat.window.front()?.began?.at + LONG)).max();
        let waiting = [slow_at, self.deserted.map(|since| since + NO_WORKER_MAX)].into_iter().flatten();
        let waiting = waiting.filter(|at| !self.waiting.is_empty() && *at > now);
        self.seats.iter().filter_map(Seat::deadline).chain(waiting).min()
    }

    /// Starts, gives and ends what follows from everything that came before.
    pub(super) fn settle(&mut self, now: Now) {
        self.scale(now.at);
        self.dispatch(now);
        self.note_desertion(now.at);
        let held_up =
            |seat: &Seat| seat.window.front().and_then(|flight| flight.age(now.at)).is_some_and(|age| age >= LONG);
        let ready = || self.seats.iter().filter(|seat| seat.state == State::Ready);
        if ready().next().is_some()
            && ready().all(held_up)
            && self.count(|seat| matches!(seat.state, State::Starting(_))) == 0
        {
            self.return_waiting(Reason::Returned);
        }
    }

    fn count(&self, is: impl Fn(&Seat) -> bool) -> usize {
        self.seats.iter().filter(|seat| is(seat)).count()
    }

    fn scale(&mut self, now: Instant) {
        let busy = self.count(|seat| !seat.window.is_empty());
        let (min, max) = (self.options.min() as usize, self.options.max as usize);
        let wanted = if self.leaving.is_some() { 0 } else { (busy + self.waiting.len()).clamp(min, max) };
        let mut have = self.count(|seat| matches!(seat.state, State::Starting(_) | State::Ready | State::Backoff(_)));
        let timeout = self.options.start_timeout();
        for (ix, seat) in self.seats.iter_mut().enumerate() {
            let idle = seat.state == State::Ready && seat.window.is_empty();
            let spare = idle && (self.leaving.is_some() || now >= seat.idle_since + IDLE_MAX);
            if have < wanted && seat.state == State::Off {
                seat.start(now + timeout);
                self.starts.push(ix);
                have += 1;
            } else if have > wanted && spare {
                seat.retire(now);
                have -= 1;
            }
        }
    }

    fn dispatch(&mut self, now: Now) {
        let ahead = self.pace.pipe(self.options.prefetch);
        while let Some(call) = self.waiting.front() {
            let open = self.seats.iter_mut().filter(|seat| seat.takes(ahead, call.once, now.at));
            let Some(seat) = open.min_by_key(|seat| seat.window.len()) else { return };
            let Some(call) = self.waiting.pop_front() else { return };
            let job = call.lease.job.to_string();
            let says_when = seat.features.prefetch;
            let flight = seat.give(call, &job);
            if !says_when {
                flight.begin(now.at, now.wall);
            }
        }
    }

    fn note_desertion(&mut self, now: Instant) {
        if self.seats.iter().any(|seat| seat.state == State::Ready) {
            self.deserted = None;
        } else if *self.deserted.get_or_insert(now) + NO_WORKER_MAX <= now {
            self.return_waiting(Reason::Returned);
        }
    }
}

fn flight_stop(seat: &mut Seat, halt: Halt) {
    if let Some(flight) = seat.window.front_mut() {
        flight.stop = Some(halt.after(flight.stop));
    }
}

fn is_config(leader: LeaderEnd) -> bool {
    matches!(leader, LeaderEnd::Exited(exit) if exit.status == ExitKind::Code(EXIT_CONFIG))
}
