//! What follows from a worker's end: for what it had, for its place, and for the pool.

use std::time::Duration;

use windlass_shared::domain::{Reason, WorkerExit};
use windlass_shared::limits::{BREAKER_LINE_BYTES_MAX, BREAKER_LINES_MAX};
use windlass_shared::time::Timestamp;

use super::breaker::{Breaker, Failure, Fault, Stand};
use super::flight::Flight;
use super::pool::{Opened, Pool};
use super::restart::pause;
use super::seat::{Seat, State};
use super::step::Now;
use crate::halt::Halt;
use crate::process::{LeaderEnd, Proof, SpawnError, Stage};

/// Deaths of workers with a call at the head of their pipe, not begun, before the call is taken for the cause.
const BOUNCES_MAX: u8 = 3;
/// Time between two tries to start what may not run while the agent is out of touch.
const FENCE_RETRY: Duration = Duration::from_millis(500);

impl Pool {
    pub(super) fn on_not_started(&mut self, ix: usize, error: &SpawnError, now: Now) {
        if error.stage == Stage::Fence {
            // Out of touch, and that is nobody's failure; nothing was started.
            self.starts_total -= 1;
            self.seats[ix].stands(State::Backoff(now.at + FENCE_RETRY), now);
            return;
        }
        tracing::error!(pool = &*self.name, worker = ix, %error, "a worker cannot be started");
        self.seats[ix].tail.push(format!("cannot start the worker: {error}\n").as_bytes());
        self.over(ix, WorkerExit::SpawnFailed, error.proof == Proof::None, now);
    }

    pub(super) fn on_ended(&mut self, ix: usize, leader: LeaderEnd, proof: Proof, fenced: bool, now: Now) {
        let seat = &mut self.seats[ix];
        let (asked, broke) = (matches!(seat.state, State::Retiring(_) | State::Dying), seat.broke.take());
        let early = std::mem::take(&mut seat.early);
        seat.stray(&early);
        let window = std::mem::take(&mut seat.window);
        let exit = seat.life.exit(leader, fenced, asked, !window.is_empty());
        let planned = asked && exit.is_planned() || fenced;
        if !planned && self.leaving.is_none() {
            let said = String::from_utf8_lossy(&seat.stray).into_owned();
            let exit = exit.name();
            tracing::warn!(pool = &*self.name, worker = ix, exit, ?leader, broke, said, "a worker ended by itself");
        }
        let mut back = Vec::new();
        for (at, mut flight) in window.into_iter().enumerate() {
            let wanted = flight.stop.is_none() && flight.give_back.is_none();
            if flight.began.is_none() && at == 0 && !planned && leader != LeaderEnd::Lost {
                flight.call.bounces += 1;
            }
            // Not proven gone, it may still begin what it has.
            let may_run = flight.began.is_some() || proof == Proof::None;
            if may_run || wanted && flight.call.bounces >= BOUNCES_MAX {
                if fenced {
                    flight.stop.get_or_insert(Halt { reason: Reason::OutOfTouch, kill: true });
                }
                self.close_logs(&flight);
                self.news.push(flight.die(now.at, leader, proof, exit, broke.as_deref()));
            } else {
                back.push(flight);
            }
        }
        back.into_iter().rev().for_each(|flight: Flight| self.take_back(flight));
        self.over(ix, exit, proof == Proof::None, now);
    }

    /// Its process is over, for this reason: what becomes of the place.
    fn over(&mut self, ix: usize, exit: WorkerExit, stuck: bool, now: Now) {
        self.exits.add(exit, 1);
        let seat = &mut self.seats[ix];
        let (stable, failure) = (seat.life.is_stable(now.at), failure(seat, exit, now));
        if seat.life.done > 0 || stable {
            seat.failures = 0;
        }
        seat.rest(now.at);
        // Nobody's doing but ours, or memory: another is wanted at once.
        let at_once = exit.is_planned() && exit != WorkerExit::ExitedIdle
            || seat.life.done > 0
                && matches!(exit, WorkerExit::MemoryLimit | WorkerExit::OomKilled | WorkerExit::ExitedIdle);
        seat.failures = if at_once { 0 } else { seat.failures.saturating_add(1) };
        let wait = if at_once { Duration::ZERO } else { pause(seat.failures, now.random) };
        if stuck {
            tracing::error!(pool = &*self.name, worker = ix, "a worker cannot be killed: its slot is stuck");
            seat.tally.stuck += 1;
            seat.stands(State::Stuck, now);
        } else if wait.is_zero() {
            seat.stands(State::Off, now);
        } else {
            seat.stands(State::Backoff(now.at + wait), now);
        }
        if let Some(failure) = failure.filter(|_| self.leaving.is_none()) {
            self.note_failure(ix, failure, now);
        }
    }

    fn note_failure(&mut self, ix: usize, failure: Failure, now: Now) {
        if failure == Failure::Config {
            let reload = "until its configuration changes, or an operator resets it";
            tracing::error!(
                pool = &*self.name,
                worker = ix,
                reload,
                "a worker exited with 78: none is started any more"
            );
        }
        let opened = self.breaker.failed(now.at, failure);
        if self.gives_up_trial(failure, opened, ix, now) {
            return;
        }
        if opened {
            self.note_opened(ix, now);
        }
    }

    /// The breaker has opened: nobody waits for another try.
    fn note_opened(&mut self, ix: usize, now: Now) {
        let Stand::Open(fault, _) = self.breaker.stand() else { return };
        let why = match fault {
            Fault::Boots => "workers do not get to their hello",
            Fault::Barren => "10 workers in a row ended without a finished call",
            Fault::Config => "a worker exited with 78: it cannot run as configured",
        };
        let lines = self.seats[ix].tail.lines(BREAKER_LINES_MAX, BREAKER_LINE_BYTES_MAX);
        tracing::error!(pool = &*self.name, worker = ix, why, stderr = lines.join("\n"), "the pool's breaker opens");
        let lines = lines.into_iter().map(Into::into).collect();
        self.opened = Some(Opened { at: now.wall, why: why.into(), lines });
        self.end_waits(now);
    }

    /// Every place that waits for another try is free for it now.
    pub(super) fn end_waits(&mut self, now: Now) {
        self.seats.iter_mut().for_each(|seat| seat.failures = 0);
        let waiting = self.seats.iter_mut().filter(|seat| matches!(seat.state, State::Backoff(_)));
        waiting.for_each(|seat| seat.stands(State::Off, now));
    }

    /// Something went well: the breaker may close.
    pub(super) fn breaker_hears(&mut self, word: impl Fn(&mut Breaker) -> bool) {
        if word(&mut self.breaker) {
            tracing::info!(pool = &*self.name, "the pool's breaker closes");
        }
    }

    /// When the breaker opened, while it is not closed.
    pub(super) fn opened_at(&self) -> Option<Timestamp> {
        self.opened.as_ref().filter(|_| self.breaker.stand() != Stand::Closed).map(|opened| opened.at)
    }
}

/// What the end says against workers of this pool.
fn failure(seat: &Seat, exit: WorkerExit, now: Now) -> Option<Failure> {
    match exit {
        WorkerExit::BadConfig => Some(Failure::Config),
        WorkerExit::SupervisorLost => None,
        WorkerExit::ExitedIdle if seat.life.is_stable(now.at) => None,
        _ if exit.is_planned() && exit != WorkerExit::ExitedIdle => None,
        _ if seat.life.ready_at.is_none() => Some(Failure::Boot),
        _ if seat.life.done == 0 => Some(Failure::Barren),
        _ => None,
    }
}
