//! What operators set of a queue as far as order goes: its weight, its keys' weights, what age is worth.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::Core;
use crate::names::NameId;
use crate::scheduling::Policy;

/// How a queue's jobs share and age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRules {
    /// Its share beside other queues', from 1.
    pub weight: u32,
    /// Shares of its fairness keys beside each other, from 1; 1 for those that are not named.
    pub key_weights: BTreeMap<Arc<str>, u32>,
    /// What a step of priority is worth: a job is never passed by one that was submitted more than this later for each step between
    /// them. Zero: priority counts for nothing.
    pub aging_step: Duration,
    /// How long a job waits while no agent there is could ever run it, before it ends FAILED (UNSCHEDULABLE); none: for ever.
    pub unsatisfiable_after: Option<Duration>,
    /// How its jobs are spread over agents.
    pub placement: Policy,
}

impl Default for QueueRules {
    fn default() -> Self {
        Self {
            weight: 1,
            key_weights: BTreeMap::new(),
            aging_step: Self::AGING_STEP,
            placement: Policy::default(),
            unsatisfiable_after: None,
        }
    }
}

impl QueueRules {
    /// What a step of priority is worth where nobody says otherwise: a job that has waited a minute stands like one a step above it
    /// that is new, and one of the least priority is passed by those of the greatest for three hours and twenty minutes at most.
    pub const AGING_STEP: Duration = Duration::from_secs(60);

    pub(crate) fn key_weight(&self, key: Option<&Arc<str>>) -> u32 {
        key.and_then(|key| self.key_weights.get(key)).copied().unwrap_or(1)
    }
}

impl Core {
    /// Sets the rules of a queue, whether it has jobs or not; the default ones are forgotten. O(jobs that wait in it) where age
    /// counts otherwise than before, else O(its keys).
    pub fn set_rules(&mut self, queue: &Arc<str>, rules: QueueRules) {
        let before = self.rules_of(queue).aging_step;
        let id = self.jobs.names.add(queue);
        let again = if rules.aging_step == before { Vec::new() } else { self.jobs_ready_in(id) };
        again.iter().for_each(|slot| self.take_out(*slot));
        self.scheduler.lanes.set_rules(id, rules.aging_step, rules.placement);
        if rules == QueueRules::default() {
            self.rules.remove(queue);
        } else {
            self.rules.insert(queue.clone(), rules);
        }
        again.into_iter().for_each(|slot| self.line_up(slot));
        self.set_weights(id);
        self.jobs.names.remove(id);
    }

    pub(crate) fn rules_of(&self, queue: &str) -> &QueueRules {
        self.rules.get(queue).unwrap_or(&self.rules_default)
    }

    fn set_weights(&mut self, queue: NameId) {
        let Some(share) = self.scheduler.shares.find(queue) else { return };
        let rules = self.rules_of(self.jobs.names.get(queue)).clone();
        self.scheduler.shares.set_weight(share, rules.weight);
        for (name, key) in self.scheduler.shares.keys(share).collect::<Vec<_>>() {
            let weight = rules.key_weight(name.map(|name| self.jobs.names.get(name)));
            self.scheduler.shares.set_weight(key, weight);
        }
    }
}
