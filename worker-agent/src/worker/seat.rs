//! One worker's place in a pool.

use std::collections::VecDeque;
use std::ops::RangeBounds;
use std::time::Duration;

use tokio::time::Instant;
use windlass_shared::domain::WorkerExit;
use windlass_shared::ipc::{self, Features, JobOrder};
use windlass_shared::time::Timestamp;

use super::Call;
use super::flight::Flight;
use super::life::{Life, Recycling};
use super::pace::LONG;
use super::pulse::{Beat, Pulse};
use super::sizing::Census;
use super::step::{Now, Strike};
use super::tail::Tail;
use super::tally::Tally;

/// Time from an answer to the next begin, where a call waits: reading a frame takes no time, so this is a worker that hangs, and
/// with it would hang whatever it was given.
const BEGIN_WITHIN: Duration = Duration::from_secs(10);
/// Bytes kept of what a worker says while it has no call: the end of a traceback.
const STRAY_BYTES_MAX: usize = 2_048;

/// How a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// None is wanted.
    Off,
    /// Its hello is due until then.
    Starting(Instant),
    /// It takes calls.
    Ready,
    /// It takes nothing more, and is to be gone by then.
    Retiring(Instant),
    /// It was killed, and is not proven gone.
    Dying,
    /// The next is started then.
    Backoff(Instant),
    /// It was killed and does not die.
    Stuck,
}

/// One worker's place in a pool.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) state: State,
    /// Of the worker that is there, or was last.
    pub(super) life: Life,
    /// What it wrote to standard error, and printed to nobody; the end of it.
    pub(super) tail: Tail,
    /// When the state became what it is, for people.
    pub(super) since: Timestamp,
    pub(super) features: Features,
    /// What it has, in the order it was given; the first may have begun.
    pub(super) window: VecDeque<Flight>,
    /// Frames to be written.
    pub(super) out: Vec<u8>,
    /// What is counted of it, and added to the agent's numbers after each step.
    pub(super) tally: Tally,
    /// What is to be done to its process.
    pub(super) strikes: Vec<Strike>,
    /// Lives in a row that ended without a finished call.
    pub(super) failures: u32,
    /// It finishes what it has, and takes nothing more.
    pub(super) parting: bool,
    /// How it broke the protocol.
    pub(super) broke: Option<String>,
    /// What it said while it had no call, the end of it.
    pub(super) stray: Vec<u8>,
    /// Standard error that may be of a call whose begin is not heard yet.
    pub(super) early: Vec<u8>,
    /// Since when its first call is the first.
    first_since: Instant,
    pub(super) pulse: Pulse,
    /// When it had its last call.
    pub(super) idle_since: Instant,
    next_id: u64,
}

impl Seat {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: State::Off,
            life: Life::new(now, 0, &Recycling::default(), 0.0),
            tail: Tail::default(),
            since: Timestamp(0),
            features: Features::default(),
            window: VecDeque::new(),
            out: Vec::new(),
            tally: Tally::default(),
            strikes: Vec::new(),
            failures: 0,
            parting: false,
            broke: None,
            stray: Vec::new(),
            early: Vec::new(),
            first_since: now,
            pulse: Pulse::new(now),
            idle_since: now,
            next_id: 0,
        }
    }

    /// A life begins.
    pub(super) fn start(&mut self, now: Now, timeout: Duration, life: Life) {
        self.state = State::Starting(now.at + timeout);
        (self.life, self.since) = (life, now.wall);
        self.tail.clear();
        (self.broke, self.parting) = (None, false);
        self.stray.clear();
        self.out.clear();
    }

    /// Puts a frame to it.
    pub(super) fn say(&mut self, frame: impl FnOnce(&mut Vec<u8>)) {
        frame(&mut self.out);
        self.tally.frames_out += 1;
    }

    /// It said hello.
    pub(super) fn ready(&mut self, features: Features, now: Now, pool: &str, worker: &str) {
        self.state = State::Ready;
        (self.features, self.since) = (features, now.wall);
        self.life.ready_at = Some(now.at);
        self.rest(now.at);
        self.say(|out| ipc::welcome(out, pool, worker));
    }

    /// It stands otherwise.
    pub(super) fn stands(&mut self, state: State, now: Now) {
        (self.state, self.since) = (state, now.wall);
    }

    /// It has nothing to do from now on, which is a sign of life.
    pub(super) fn rest(&mut self, now: Instant) {
        self.idle_since = now;
        self.pulse.heard(now);
    }

    /// Puts a call to it. One that cannot say when it begins begins now.
    pub(super) fn give(&mut self, call: Box<Call>, job: &str, now: Instant) -> &mut Flight {
        if self.window.is_empty() {
            self.first_since = now;
        }
        self.next_id += 1;
        let order = JobOrder {
            id: self.next_id,
            handler: &call.spec.handler,
            input: &call.spec.input,
            content_type: call.spec.content_type.as_deref(),
            job,
            attempt: call.lease.attempt,
            fencing_token: call.lease.fencing_token,
            timeout: call.run_timeout,
            headers: &call.spec.headers,
            trace: call.trace.as_deref(),
            grants: &call.grants,
            validate: call.spec.validate_only,
        };
        self.say(|out| ipc::job(out, &order));
        self.window.push_back_mut(Flight::new(self.next_id, call))
    }

    /// Whether it takes a call now, given how many may wait in its pipe. One that may begin once only never waits there.
    pub(super) fn takes(&self, ahead: u32, once: bool, now: Instant) -> bool {
        if self.state != State::Ready || self.parting {
            return false;
        }
        let Some(first) = self.window.front() else { return true };
        let busy_long = first.age(now).is_some_and(|age| age >= LONG);
        let ahead = if self.features.prefetch && !once && !busy_long && first.stop.is_none() { ahead } else { 0 };
        self.window.len() <= ahead as usize
    }

    /// Takes the call at this place out of its hands.
    pub(super) fn take(&mut self, at: usize, now: Instant) -> Option<Flight> {
        if at == 0 {
            self.first_since = now;
        }
        self.window.remove(at)
    }

    /// It spoke of a call as it cannot be meant: it may have begun it, and nobody else may do it again.
    pub(super) fn suspect(&mut self, id: u64, now: Now) {
        if let Some(flight) = self.window.iter_mut().find(|flight| flight.id == id) {
            flight.begin(now.at, now.wall);
        }
    }

    /// Asks for those of them back that have not begun.
    pub(super) fn recall(&mut self, which: impl RangeBounds<usize>) {
        for flight in self.window.range_mut(which).filter(|flight| flight.began.is_none() && !flight.recalled) {
            flight.recalled = true;
            ipc::recall(&mut self.out, flight.id);
            self.tally.frames_out += 1;
        }
    }

    /// Whether it has had nothing to do for so long.
    pub(super) fn idles_for(&self, now: Instant, time: Duration) -> bool {
        self.state == State::Ready && self.window.is_empty() && self.idle_since + time <= now
    }

    /// Adds itself to how the places of its pool stand.
    pub(super) fn count(&self, census: &mut Census, now: Instant, idle_timeout: Duration) {
        let number = match self.state {
            State::Off => return,
            State::Starting(_) => &mut census.starting,
            State::Ready if self.parting => &mut census.parting,
            State::Ready => {
                census.due += usize::from(self.life.due.is_some());
                if !self.window.is_empty() {
                    &mut census.busy
                } else {
                    census.expired += usize::from(self.idles_for(now, idle_timeout));
                    let since = census.idle_since.map_or(self.idle_since, |since| since.min(self.idle_since));
                    census.idle_since = Some(since);
                    &mut census.idle
                }
            }
            State::Retiring(_) | State::Dying if self.parting => &mut census.parting,
            State::Retiring(_) | State::Dying => &mut census.ending,
            State::Backoff(_) => &mut census.backoff,
            State::Stuck => &mut census.lost,
        };
        *number += 1;
    }

    /// Keeps the end of what it says to nobody.
    pub(super) fn stray(&mut self, bytes: &[u8]) {
        self.tally.stray_bytes += bytes.len() as u64;
        self.tail.push(bytes);
        self.stray.extend_from_slice(bytes);
        let excess = self.stray.len().saturating_sub(STRAY_BYTES_MAX);
        self.stray.drain(..excess);
    }

    /// When its first call must have begun.
    pub(super) fn begin_until(&self) -> Option<Instant> {
        let first = self.window.front()?;
        first.began.is_none().then_some(self.first_since + BEGIN_WITHIN)
    }

    /// The next moment at which something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Starting(at) | State::Retiring(at) | State::Backoff(at) if self.window.is_empty() => Some(at),
            State::Off | State::Dying | State::Stuck => None,
            _ => match self.window.front() {
                Some(first) => {
                    let long_at = first.began.map(|began| began.at + LONG).filter(|_| !self.is_cleared());
                    let dues = [self.begin_until(), first.told_at(), first.timeout_at(), first.kill_at, long_at];
                    dues.into_iter().chain([self.life.age_until()]).flatten().min()
                }
                None => {
                    let pulse_at = self.pulse.due();
                    Some(self.life.age_until().map_or(pulse_at, |age| age.min(pulse_at)))
                }
            },
        }
    }

    /// Whether nothing waits behind the call that runs.
    fn is_cleared(&self) -> bool {
        self.window.iter().skip(1).all(|flight| flight.recalled)
    }

    /// Asks an idle worker for a sign of life when that is due; one that gave none is ended.
    pub(super) fn check_pulse(&mut self, now: Instant) {
        match self.pulse.check(now) {
            Beat::Well => {}
            Beat::Ask => {
                let n = self.next_id;
                self.say(|out| ipc::ping(out, n));
            }
            Beat::Gone => self.break_off(WorkerExit::Unresponsive, "it gave no sign of life within 5 s, twice"),
        }
    }
}
