//! What is due when. Ties go by kind and number, so that equal times give equal orders.

use std::collections::BTreeSet;

use windlass_shared::time::Moment;

use crate::keys::AgentIx;
use crate::keys::Slot;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A delayed job becomes ready.
    Ready(Slot),
    /// An agent's lease is looked at.
    Lease(AgentIx),
    /// A draining agent's time is over.
    Drain(AgentIx),
    /// Something is stuck on an agent for too long.
    Quarantine(AgentIx),
}

#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(Moment, Timer)>);

impl Timers {
    pub(crate) fn set(&mut self, at: Moment, timer: Timer) {
        self.0.insert((at, timer));
    }

    pub(crate) fn unset(&mut self, at: Moment, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    pub(crate) fn next(&self) -> Option<Moment> {
        self.0.first().map(|(at, _)| *at)
    }

    pub(crate) fn pop_due(&mut self, now: Moment) -> Option<Timer> {
        let (at, _) = self.0.first()?;
        if *at > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }
}
