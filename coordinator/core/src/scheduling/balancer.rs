//! Least loaded first: of the agents that have room, the one with the fewest attempts for its slots.
//!
//! Kept as a set ordered by load, so that a choice costs O(log agents) however many jobs wait.

use std::collections::BTreeSet;

use crate::agents::Agent;
use crate::keys::AgentIx;

#[derive(Debug, Default)]
pub(crate) struct Balancer(BTreeSet<(u64, AgentIx)>);

// Attempts a slot in 1/65536: exact enough to order any two agents of up to 20,000 attempts.
fn load(agent: &Agent) -> u64 {
    (u64::from(agent.held_count()) << 16) / u64::from(agent.slots.max(1))
}

impl Balancer {
    /// To be called before anything that [`load`] or [`Agent::has_room`] looks at changes.
    pub(crate) fn remove(&mut self, ix: AgentIx, agent: &Agent) {
        self.0.remove(&(load(agent), ix));
    }

    /// To be called after it has changed.
    pub(crate) fn insert(&mut self, ix: AgentIx, agent: &Agent) {
        if agent.has_room() {
            self.0.insert((load(agent), ix));
        }
    }

    pub(crate) fn best(&self) -> Option<AgentIx> {
        self.0.first().map(|(_, ix)| *ix)
    }

    pub(crate) fn contains(&self, ix: AgentIx, agent: &Agent) -> bool {
        self.0.contains(&(load(agent), ix))
    }
}
