//! What operators set of a queue: how it is served, and how much it takes.

use std::sync::Arc;

use windlass_shared::domain::{PlacementPolicy, QueueField, QueueSettings};
use windlass_shared::time::Now;

use crate::limits::{Key, Pattern};
use crate::scheduling::Policy;
use crate::{Core, Effect, QueueRules, Refusal, Reply, Ticket};

/// Queues that may have settings at a time: each is a row and a name, and nobody sets more by hand.
const QUEUES_SET_MAX: usize = 10_000;

impl Core {
    pub(crate) fn update_queue(
        &mut self,
        now: Now,
        ticket: Ticket,
        name: &Arc<str>,
        (settings, fields): (&QueueSettings, &[QueueField]),
        out: &mut Vec<Effect>,
    ) {
        let before = self.queue(name).settings;
        let mut after = before.as_deref().cloned().unwrap_or_default();
        after.take(fields, settings);
        let after = Some(after).filter(|after| *after != QueueSettings::default());
        let limit = QUEUES_SET_MAX;
        if after.is_some() && before.is_none() && self.queues.with_settings() >= limit {
            out.push(Effect::Reply(ticket, Reply::Queue(Err(Refusal::QueueSettingsFull { limit }))));
            return;
        }
        if before.as_deref() != after.as_ref() {
            self.set_queue(now, name, after.map(Arc::new));
            self.mark_queue(name, out);
        }
        out.push(Effect::Reply(ticket, Reply::Queue(Ok(self.queue(name)))));
    }

    /// None: nothing is set of it any more.
    pub(crate) fn set_queue(&mut self, now: Now, name: &Arc<str>, settings: Option<Arc<QueueSettings>>) {
        let limit = settings.as_ref().map(|settings| settings.limit);
        self.change_limit(now, &Pattern::Key(Key::Queue(name.clone())), limit);
        self.set_rules(name, settings.as_deref().map_or_else(QueueRules::default, rules));
        self.queues.set(name, settings, &mut self.jobs.names);
    }

    /// Whether one more job may wait in a queue. Only of jobs that are new: what waits again was let in before.
    pub(crate) fn check_room(&self, name: &Arc<str>, bytes: u32) -> Result<(), Refusal> {
        let Some(id) = self.jobs.names.find(name) else { return Ok(()) };
        let Some(settings) = self.queues.settings_of(id) else { return Ok(()) };
        let waiting = self.queues.waiting_in(id);
        if let Some(limit) = settings.depth_max.filter(|max| waiting.jobs >= u64::from(*max)) {
            return Err(Refusal::QueueFull { queue: name.clone(), limit });
        }
        match settings.bytes_max.filter(|max| waiting.bytes + u64::from(bytes) > *max) {
            Some(limit) => Err(Refusal::QueueBytesFull { queue: name.clone(), limit }),
            None => Ok(()),
        }
    }
}

/// As far as order goes.
fn rules(settings: &QueueSettings) -> QueueRules {
    QueueRules {
        weight: settings.weight,
        key_weights: settings.fairness_weights.clone(),
        aging_step: settings.aging_step,
        unsatisfiable_after: settings.unsatisfiable_after,
        placement: match settings.placement {
            PlacementPolicy::LeastLoaded => Policy::LeastLoaded,
            PlacementPolicy::RoundRobin => Policy::RoundRobin,
            PlacementPolicy::WeightedRoundRobin => Policy::WeightedRoundRobin,
            PlacementPolicy::BinPack => Policy::BinPack,
            PlacementPolicy::Spread => Policy::Spread,
            PlacementPolicy::Sticky => Policy::Sticky,
        },
    }
}
