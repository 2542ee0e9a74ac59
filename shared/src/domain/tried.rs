//! What a job remembers of the attempts that failed, beside their number.

use std::time::Duration;

use crate::ids::AgentId;

/// What a job remembers of the attempts that failed in this generation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tried {
    /// The agents they failed on, the last one first; at most [`TRIED_AGENTS_MAX`].
    pub agents: Vec<AgentId>,
    /// Whether the next attempt must be on none of them; otherwise it is only better off elsewhere.
    pub other_agent: bool,
    /// The wait before the next attempt, or the newest.
    pub wait: Duration,
    /// How often each rule had the job tried again, in the order of the rules; what is missing is 0.
    pub rule_uses: Vec<u16>,
    /// Failures that rules with a number of their own answered for: they count against no other.
    pub uncharged: u16,
    /// What the next attempt takes of the resource "memory", in thousandths, where that is not what the job asks for.
    pub memory: Option<u64>,
}

/// Agents remembered: a job that failed on three is likely to fail anywhere.
pub const TRIED_AGENTS_MAX: usize = 3;

impl Tried {
    /// An attempt failed there.
    pub fn failed_on(&mut self, agent: AgentId) {
        self.agents.retain(|other| *other != agent);
        self.agents.insert(0, agent);
        self.agents.truncate(TRIED_AGENTS_MAX);
    }

    /// How often the rule of this number, from 1, had the job tried again.
    #[must_use]
    pub fn uses(&self, rule: usize) -> u16 {
        self.rule_uses.get(rule.wrapping_sub(1)).copied().unwrap_or(0)
    }

    /// The rule of this number, from 1, had the job tried again so often.
    pub fn set_uses(&mut self, rule: usize, uses: u16) {
        if self.rule_uses.len() < rule {
            self.rule_uses.resize(rule, 0);
        }
        if let Some(slot) = self.rule_uses.get_mut(rule.wrapping_sub(1)) {
            *slot = uses;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_three_agents_are_remembered_each_once() {
        let mut tried = Tried::default();
        for n in [1, 2, 1, 3, 4] {
            tried.failed_on(AgentId::from_bytes([n; 16]));
        }
        assert_eq!(tried.agents, [4, 3, 1].map(|n| AgentId::from_bytes([n; 16])));
    }

    #[test]
    fn rules_are_counted_one_by_one() {
        let mut tried = Tried::default();
        tried.set_uses(3, 2);
        assert_eq!((tried.uses(1), tried.uses(3), tried.uses(9), tried.uses(0)), (0, 2, 0, 0));
        assert_eq!(tried.rule_uses, [0, 0, 2]);
    }
}
