//! One generation of workers follows another: nobody goes before somebody is ready in its place, and a configuration that
//! does not run takes nobody's place.

use std::sync::Arc;

use windlass_shared::domain::WorkerExit;
use windlass_shared::limits::{BREAKER_LINE_BYTES_MAX, BREAKER_LINES_MAX};

use super::Reloaded;
use super::breaker::{Breaker, Failure};
use super::pool::Pool;
use super::seat::State;
use super::step::Now;
use super::trial::Trial;
use crate::confine::Confined;

/// Boots of a new configuration that fail before the former one goes on: one may be a host under load.
const TRIAL_FAILURES_MAX: u8 = 3;

impl Pool {
    /// A worker is ready with these handlers.
    pub(super) fn on_ready(&mut self, ix: usize, announced: &[String]) {
        self.breaker_hears(Breaker::ready);
        let generation = self.seats[ix].life.generation;
        if generation == self.generation && self.trial.take().is_some() {
            tracing::info!(pool = &*self.name, generation, "the new configuration of the pool runs");
        }
        let own = if self.options.handlers.is_empty() { announced } else { &*self.options.handlers };
        if !self.handlers.iter().map(|handler| &**handler).eq(own) {
            tracing::info!(pool = &*self.name, handlers = ?own, "handlers of the pool");
            self.handlers = own.iter().map(|handler| handler.as_str().into()).collect();
        }
        let life = &mut self.seats[ix].life;
        life.handlers = Arc::clone(&self.handlers);
        if generation != self.generation {
            life.due = Some(WorkerExit::RecycledAsked);
        }
    }

    /// Replaces every worker, one after another.
    pub(super) fn recycle(&mut self) {
        self.generation += 1;
        for seat in &mut self.seats {
            match seat.state {
                State::Ready => seat.life.due = Some(WorkerExit::RecycledAsked),
                // It has nothing that could be lost, and would be replaced as soon as it is ready.
                State::Starting(_) => seat.kill(WorkerExit::RecycledAsked),
                _ => {}
            }
        }
        tracing::info!(pool = &*self.name, generation = self.generation, "the workers of the pool are replaced");
    }

    /// Its configuration is another from now on.
    pub(super) fn reload(&mut self, reloaded: Reloaded, now: Now) {
        let Reloaded { options, confined, policy, calls_max } = reloaded;
        let same = self.options.is_same_worker(&options) && self.confined.is_same(&confined);
        self.capacity_max = calls_max;
        if !same {
            let (options, confined, policy) = (self.options.clone(), self.confined.clone(), self.policy);
            // The one that ran last, where that is not known of what came between.
            self.trial.get_or_insert(Box::new(Trial { options, confined, policy, failures: 0 }));
        }
        (self.options, self.policy) = (options, policy);
        self.confine(confined);
        self.breaker.reset();
        self.end_waits(now);
        if !same {
            self.recycle();
            self.forget_handlers();
        }
    }

    /// Its workers may do and take this from now on.
    pub(super) fn confine(&mut self, confined: Confined) {
        self.recycling = self.options.recycling();
        self.confined = confined;
    }

    /// Where nobody has them, what calls may name is what the configuration says.
    fn forget_handlers(&mut self) {
        if !self.seats.iter().any(|seat| seat.state == State::Ready) {
            self.handlers = self.options.handlers.iter().map(|handler| handler.as_str().into()).collect();
        }
    }

    /// Whether a worker that failed was one of a new configuration, which is given up for it.
    pub(super) fn gives_up_trial(&mut self, failure: Failure, opened: bool, ix: usize, now: Now) -> bool {
        let of_trial = self.seats[ix].life.generation == self.generation && failure != Failure::Barren;
        let Some(trial) = self.trial.as_mut().filter(|_| of_trial) else { return false };
        trial.failures += 1;
        if trial.failures < TRIAL_FAILURES_MAX && !opened {
            return false;
        }
        let said = self.seats[ix].tail.lines(BREAKER_LINES_MAX, BREAKER_LINE_BYTES_MAX).join("\n");
        let Some(trial) = self.trial.take() else { return false };
        tracing::error!(
            pool = &*self.name,
            generation = self.generation,
            stderr = said,
            "the new configuration of the pool does not run: the former one goes on"
        );
        // A number is never used twice: what failed had one.
        self.generation += 1;
        for seat in &mut self.seats {
            match seat.state {
                State::Starting(_) => seat.kill(WorkerExit::RecycledAsked),
                State::Ready if seat.life.due == Some(WorkerExit::RecycledAsked) => {
                    seat.life.due = None;
                    seat.life.generation = self.generation;
                }
                _ => {}
            }
        }
        let Trial { options, confined, policy, .. } = *trial;
        (self.options, self.policy) = (options, policy);
        self.confine(confined);
        self.breaker.reset();
        self.end_waits(now);
        self.forget_handlers();
        true
    }
}
