//! Least loaded first: of the agents that have room for a class, the one with the fewest attempts for its slots or workers.
//!
//! Kept as a set ordered by load, so that a choice costs O(log agents) however many jobs wait.

use std::collections::BTreeSet;

use crate::keys::AgentIx;

#[derive(Debug, Default)]
pub(crate) struct Balancer(BTreeSet<(u64, AgentIx)>);

impl Balancer {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn insert(&mut self, load: u64, ix: AgentIx) {
        self.0.insert((load, ix));
    }

    pub(crate) fn remove(&mut self, load: u64, ix: AgentIx) {
        self.0.remove(&(load, ix));
    }

    pub(crate) fn best(&self) -> Option<AgentIx> {
        self.0.first().map(|(_, ix)| *ix)
    }

    pub(crate) fn contains(&self, load: u64, ix: AgentIx) -> bool {
        self.0.contains(&(load, ix))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
