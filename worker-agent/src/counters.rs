//! What this agent counted since its start: every number in one place, each named by its
//! [`AgentCounter`], which says what it means and what it is shown as.
//!
//! ```text
//!  process   spawns, wardens, orphans ─┐
//!  executor  stops of commands ────────┤
//!  worker    frames, stops of workers ─┼─► Counters ── read ──► answers ──► GetCounters
//!  logs      bytes ────────────────────┤
//!  session   reconnects ───────────────┘
//! ```
//! `process` knows nothing of what is shown to whom: it says what it did, in words of its own. Whoever counts holds a clone. A step that has a batch at hand adds once for all of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use windlass_shared::domain::AgentCounter;

/// The numbers. Clones are the same numbers.
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<[AtomicU64; AgentCounter::ALL.len()]>);

impl Counters {
    /// So many more. Never waits, and orders nothing: a number is read on its own.
    pub fn add(&self, counter: AgentCounter, more: u64) {
        // Most batches have nothing for most counters, and a number that nobody touches stays in every processor's cache.
        if more > 0 {
            self.0[counter as usize].fetch_add(more, Ordering::Relaxed);
        }
    }

    /// One more.
    pub fn count(&self, counter: AgentCounter) {
        self.add(counter, 1);
    }

    /// A process was started.
    pub(crate) fn spawned(&self) {
        self.count(AgentCounter::Spawns);
    }

    /// A process could not be started.
    pub(crate) fn spawn_failed(&self) {
        self.count(AgentCounter::SpawnFailures);
    }

    /// A warden took the place of one that died.
    pub(crate) fn warden_restarted(&self) {
        self.count(AgentCounter::WardenRestarts);
    }

    /// A process was reaped that nobody here started.
    pub(crate) fn orphan_reaped(&self) {
        self.count(AgentCounter::OrphansReaped);
    }

    /// All of them, in the order of [`AgentCounter::ALL`].
    #[must_use]
    pub fn read(&self) -> Vec<(AgentCounter, u64)> {
        let values = self.0.iter().map(|value| value.load(Ordering::Relaxed));
        AgentCounter::ALL.into_iter().zip(values).collect()
    }

    /// Those that have moved, for tests.
    #[cfg(test)]
    pub(crate) fn moved(&self) -> Vec<(AgentCounter, u64)> {
        self.read().into_iter().filter(|(_, value)| *value > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_the_same_numbers_and_each_counter_moves_alone() {
        let counters = Counters::default();
        for counter in AgentCounter::ALL {
            let before = counters.read();
            counters.clone().add(counter, 3);
            counters.add(counter, 0);
            counters.count(counter);
            let after = counters.read();
            let moved: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
            assert_eq!(moved, [(&(counter, 0), &(counter, 4))]);
        }
        assert_eq!(counters.moved().len(), AgentCounter::ALL.len());
    }
}
