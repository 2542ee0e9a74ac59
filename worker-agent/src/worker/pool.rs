//! Who has what: orders, and what follows from everything that came before. Synchronous, one owner, no waiting; what follows from a
//! worker's word is in [`hearing`](super::hearing), from the time in [`due`](super::due).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use windlass_shared::domain::{ExitCounts, HandlerError, Lease, PoolOffer, Reason, WorkerExit};
use windlass_shared::ipc;
use windlass_shared::time::Timestamp;

use super::breaker::{Breaker, Stand};
use super::flight::unbegun;
use super::life::Recycling;
use super::options::PoolOptions;
use super::pace::{LONG, Pace};
use super::repeats::Repeats;
use super::seat::{Seat, State};
use super::sizing::{Census, Policy, Sizing};
use super::step::{Now, Strike};
use super::trial::Trial;
use super::{Call, CallEnd, How, News, Order};
use crate::confine::Confined;
use crate::halt::Halt;
use crate::logs::{Logs, Offsets};

/// Time without any worker after which calls that wait are better off elsewhere, and so are others until there is one.
pub(super) const NO_WORKER_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) options: PoolOptions,
    /// What its workers may do.
    pub(super) confined: Confined,
    pub(super) name: Arc<str>,
    pub(super) logs: Logs,
    /// What calls may name.
    pub(super) handlers: Arc<[Arc<str>]>,
    pub(super) policy: Policy,
    pub(super) recycling: Recycling,
    pub(super) sizing: Sizing,
    pub(super) breaker: Breaker,
    /// When and why the breaker opened last.
    pub(super) opened: Option<Opened>,
    /// Of what workers are started as: one more for each recycle, and for each change of what they are.
    pub(super) generation: u32,
    /// What it was before, until a worker of the new generation is ready.
    pub(super) trial: Option<Box<Trial>>,
    /// Processes started, and ended by reason, since the agent's start.
    pub(super) starts_total: u64,
    pub(super) exits: ExitCounts,
    /// How the places stood when the last step was over.
    pub(super) census: Census,
    pub(super) repeats: Repeats,
    /// A place each. The first `max` are there from the start; more come where some are replaced.
    pub(super) seats: Vec<Seat>,
    pub(super) waiting: VecDeque<Box<Call>>,
    pub(super) pace: Pace,
    /// The agent leaves.
    pub(super) leaving: Option<Reason>,
    /// Nobody can order anything any more.
    forgotten: bool,
    /// Since when a worker is wanted, and none takes calls.
    pub(super) deserted: Option<Instant>,
    /// That is for so long that calls are better off elsewhere.
    pub(super) elsewhere: bool,
    /// Everybody is held up by a long call.
    clogged: bool,
    /// Calls held at most.
    pub(super) capacity_max: u32,
    /// Workers to start.
    pub(super) starts: Vec<usize>,
    /// News for the executor.
    pub(super) news: Vec<(Lease, News)>,
}

impl Pool {
    /// Nobody works yet. At most `capacity_max` calls are asked for.
    pub(super) fn new(options: PoolOptions, policy: Policy, logs: Logs, capacity_max: u32, now: Instant) -> Self {
        let seats = (0..options.max).map(|_| Seat::new(now)).collect();
        Self {
            recycling: options.recycling(),
            policy,
            breaker: Breaker::default(),
            opened: None,
            generation: 1,
            trial: None,
            starts_total: 0,
            exits: ExitCounts::default(),
            sizing: Sizing::default(),
            census: Census::default(),
            repeats: Repeats::default(),
            name: options.name.as_str().into(),
            handlers: options.handlers.iter().map(|handler| handler.as_str().into()).collect(),
            options,
            confined: Confined::default(),
            logs,
            seats,
            waiting: VecDeque::new(),
            pace: Pace::default(),
            leaving: None,
            forgotten: false,
            deserted: None,
            elsewhere: false,
            clogged: false,
            capacity_max,
            starts: Vec::new(),
            news: Vec::new(),
        }
    }

    /// What it takes.
    pub(super) fn offer(&self) -> PoolOffer {
        let (pool, handlers) = (self.name.clone(), self.handlers.to_vec());
        PoolOffer { pool, handlers, workers: self.width(), capacity: self.capacity() }
    }

    /// Makes what was offered what it takes now; whether that is anything else. Looked at after every step, so it copies nothing.
    pub(super) fn renew(&self, offer: &mut PoolOffer) -> bool {
        let (workers, capacity) = (self.width(), self.capacity());
        let same = (offer.workers, offer.capacity) == (workers, capacity) && *offer.handlers == *self.handlers;
        if !same {
            *offer = self.offer();
        }
        !same
    }

    fn width(&self) -> u32 {
        u32::try_from(self.policy.max).unwrap_or(u32::MAX)
    }

    fn capacity(&self) -> u32 {
        if self.leaving.is_some() || self.handlers.is_empty() || self.elsewhere {
            return 0;
        }
        // What waits behind long calls would go back at once.
        let hold = if self.clogged { 0 } else { self.pace.hold() };
        let takers = u32::try_from(self.takers()).unwrap_or(u32::MAX);
        takers.saturating_mul(1 + hold).min(self.capacity_max)
    }

    /// Workers that calls can be given to, as of the last step, and those that would be started for them.
    pub(super) fn takers(&self) -> usize {
        self.breaker.takers(self.census.ready(), self.census.takers(self.policy.max))
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
                if halt.kill {
                    let busy = self.seats.iter_mut().filter(|seat| !seat.window.is_empty());
                    busy.for_each(|seat| seat.kill(WorkerExit::Shutdown));
                }
            }
            Order::GiveBack(reason, leaving) => {
                self.leaving = self.leaving.or(leaving.then_some(reason));
                self.give_back(reason);
            }
            Order::Reload(reloaded) => self.reload(*reloaded, now),
            Order::Forget => self.forgotten = true,
        }
    }

    /// Workers that were killed and are not proven gone.
    pub(super) fn stuck(&self) -> u32 {
        u32::try_from(self.count(|seat| seat.state == State::Stuck)).unwrap_or(u32::MAX)
    }

    /// Whether nobody has a hand on it, and nothing of it is left.
    pub(super) fn is_over(&self) -> bool {
        self.forgotten && self.leaving.is_some() && self.lives() == 0 && self.waiting.is_empty()
    }

    /// Workers whose process is not proven gone.
    pub(super) fn lives(&self) -> usize {
        let lives = |seat: &Seat| {
            matches!(seat.state, State::Starting(_) | State::Ready | State::Retiring(_) | State::Dying | State::Stuck)
        };
        self.count(lives)
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
        if flight.began.is_some() { self.press(seat, now.at) } else { self.seats[seat].recall(at..=at) }
    }

    fn find(&self, lease: Lease) -> Option<(usize, usize)> {
        let of =
            |(ix, seat): (usize, &Seat)| Some((ix, seat.window.iter().position(|flight| flight.lease() == lease)?));
        self.seats.iter().enumerate().find_map(of)
    }

    /// Stops the call that a worker runs: by its own hand where it can, else with its process; and after the grace by force.
    pub(super) fn press(&mut self, ix: usize, now: Instant) {
        let seat = &mut self.seats[ix];
        let dying = seat.state == State::Dying;
        let Some(flight) = seat.window.front_mut() else { return };
        let Some(halt) = flight.stop.filter(|_| !dying) else { return };
        if halt.kill {
            seat.kill(WorkerExit::CallStopped);
        } else if !std::mem::replace(&mut flight.pressed, true) {
            let (grace, signal, id) = (flight.call.stop_grace, flight.call.stop_signal, flight.id);
            flight.kill_at = Some(now + grace);
            if seat.features.cancel {
                seat.tally.cancels += 1;
                seat.say(|out| ipc::cancel(out, id));
            } else {
                // Whatever it makes of the signal, it is nobody to give more to.
                seat.recall(1..);
                seat.life.told.get_or_insert(WorkerExit::CallStopped);
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
            self.seats[seat].recall(at..=at);
        }
    }

    fn give_back(&mut self, reason: Reason) {
        self.return_waiting(reason);
        for seat in &mut self.seats {
            if self.leaving.is_some() && seat.state == State::Ready {
                seat.say(ipc::drain);
            }
            seat.window.iter_mut().for_each(|flight| flight.give_back = Some(reason));
            seat.recall(..);
        }
    }

    pub(super) fn return_waiting(&mut self, reason: Reason) {
        self.news.extend(self.waiting.drain(..).map(|call| (call.lease, News::Returned(reason))));
    }

    /// Starts, gives and ends what follows from everything that came before.
    pub(super) fn settle(&mut self, now: Now) {
        self.staff(now);
        if self.takers() == 0 && self.breaker.stand() != Stand::Closed {
            self.return_waiting(Reason::Returned);
        }
        self.dispatch(now);
        self.note_desertion(now.at);
        self.clogged = self.is_clogged(now.at);
        if self.clogged {
            self.return_waiting(Reason::Returned);
        }
    }

    /// Whether everybody is held up by a long call, and nobody is on the way.
    fn is_clogged(&self, now: Instant) -> bool {
        let held_up =
            |seat: &Seat| seat.window.front().and_then(|flight| flight.age(now)).is_some_and(|age| age >= LONG);
        let ready = || self.seats.iter().filter(|seat| seat.state == State::Ready && !seat.parting);
        ready().next().is_some()
            && ready().all(held_up)
            && self.count(|seat| matches!(seat.state, State::Starting(_))) == 0
    }

    pub(super) fn count(&self, is: impl Fn(&Seat) -> bool) -> usize {
        self.seats.iter().filter(|seat| is(seat)).count()
    }

    fn dispatch(&mut self, now: Now) {
        let ahead = self.pace.pipe(self.options.prefetch);
        while let Some(call) = self.waiting.front() {
            let handler = &call.spec.handler;
            // Those of one generation have one list, which is looked through once.
            let current = self.handlers.contains(handler);
            let knows = |seat: &Seat| {
                current && Arc::ptr_eq(&seat.life.handlers, &self.handlers) || seat.life.handlers.contains(handler)
            };
            let open = self.seats.iter_mut().filter(|seat| seat.takes(ahead, call.once, now.at) && knows(seat));
            // Whoever is to go is not kept from it by new calls, where others have as little.
            let Some(seat) = open.min_by_key(|seat| (seat.window.len(), seat.life.due.is_some())) else {
                if self.is_forgotten(&call.spec.handler) {
                    let lease = call.lease;
                    self.waiting.pop_front();
                    self.news.push((lease, News::Returned(Reason::Returned)));
                    continue;
                }
                return;
            };
            let Some(call) = self.waiting.pop_front() else { return };
            if call.spec.validate_only && !seat.features.validate {
                self.news.push(cannot_validate(&call, &self.name));
                continue;
            }
            let job = call.lease.job.to_string();
            let says_when = seat.features.prefetch;
            let flight = seat.give(call, &job, now.at);
            if !says_when {
                flight.begin(now.at, now.wall);
            }
        }
    }

    /// Whether nobody knows this handler any more, or will.
    fn is_forgotten(&self, handler: &Arc<str>) -> bool {
        let knows = |seat: &Seat| seat.state == State::Ready && !seat.parting && seat.life.handlers.contains(handler);
        !self.handlers.contains(handler) && !self.seats.iter().any(knows)
    }

    fn note_desertion(&mut self, now: Instant) {
        let ready = self.seats.iter().any(|seat| seat.state == State::Ready);
        let coming = || self.seats.iter().any(|seat| matches!(seat.state, State::Starting(_) | State::Backoff(_)));
        let wanted = !self.waiting.is_empty() || coming();
        self.deserted = (wanted && !ready).then(|| self.deserted.unwrap_or(now));
        self.elsewhere = self.deserted.is_some_and(|since| since + NO_WORKER_MAX <= now);
        if self.elsewhere {
            self.return_waiting(Reason::Returned);
        }
    }
}

/// The breaker's last opening, for people.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) at: Timestamp,
    pub(super) why: Arc<str>,
    pub(super) lines: Vec<Arc<str>>,
}

/// Its worker would run what is only to be looked at.
fn cannot_validate(call: &Call, pool: &str) -> (Lease, News) {
    let handler = &call.spec.handler;
    let message =
        format!("the workers of the pool {pool} do not check inputs of {handler}: they declare no feature `validate`");
    let error = HandlerError { code: Some("VALIDATE_UNSUPPORTED".into()), permanent: true, ..HandlerError::default() };
    let how = How::Error(message, error);
    (call.lease, News::Ended(Box::new(CallEnd { how, stopped: None, started_at: None, offsets: Offsets::default() })))
}
