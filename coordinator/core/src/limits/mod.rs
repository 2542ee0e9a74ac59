//! How much may be in use at a time, how much may begin over time, and what must not begin before a certain time: all that a job
//! counts against is taken at once, or nothing of it.
//!
//! ```text
//!   uses of a job                      counters, one a key
//!   queue "bulk"  1 unit  cost 1  ──►  in use 3 of 10    owed 2 of burst 5
//!   api.example   1 unit  cost 1  ──►  in use 7          cools until 12:03:20   ──► Blocked { api.example, 12:03:20 }
//! ```
//!
//! Since nothing is held while something else is waited for, no two jobs can wait for each other. A countable thing of the whole
//! cluster, such as licences, is a limit in units.
//!
//! Absent here: who waits for a limit, and what is durable of it.

mod bucket;
mod counter;
mod explain;
mod rules;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use windlass_shared::domain::{Cooldown, LimitRecord, LimitSettings};
use windlass_shared::time::Moment;

use rules::Rules;
use table::Table;

use counter::Cooling;

pub(crate) use counter::Blocked;
pub(crate) use rules::Pattern;

/// Keys that cool down at a time: each is a row on disk, and thousands of upstreams in trouble are one network in trouble.
pub(crate) const COOLDOWNS_MAX: usize = 10_000;

/// Limits that are set at a time: each is a row on disk, and all are read at a start.
pub(crate) const LIMITS_MAX: usize = 10_000;

/// What a limit is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// What jobs name.
    Named(Arc<str>),
    /// All jobs of a queue.
    Queue(Arc<str>),
}

impl Key {
    /// What jobs name; none: it is a queue's.
    pub(crate) fn named(&self) -> Option<&Arc<str>> {
        match self {
            Self::Named(name) => Some(name),
            Self::Queue(_) => None,
        }
    }
}

/// A counter's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LimitIx(u32);

/// What is taken of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Take {
    /// The limit; each but once among those taken together.
    pub(crate) limit: LimitIx,
    /// What is in use until it is given back.
    pub(crate) units: u32,
    /// What it costs of the rate, in thousandths.
    pub(crate) cost: u32,
}

/// A limit as it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) in_use: u64,
    pub(crate) users: u32,
    pub(crate) cools: bool,
}

/// What of a limit keeps something from going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// Too much is in use.
    Units,
    /// Too much began lately.
    Rate,
    /// It cools down.
    Cooldown,
}

#[derive(Debug, Default)]
pub(crate) struct Limits {
    table: Table,
    rules: Rules,
    cooldowns: BTreeSet<(Moment, LimitIx)>,
}

impl Limits {
    /// The limit of a key, with one more user.
    pub(crate) fn enter(&mut self, key: &Key) -> LimitIx {
        self.table.enter(key, &self.rules)
    }

    /// One user less.
    pub(crate) fn leave(&mut self, now: Moment, limit: LimitIx) {
        self.table.leave(now, limit);
    }

    /// The limit of a key, where it is counted.
    pub(crate) fn find(&self, key: &Key) -> Option<LimitIx> {
        self.table.find(key)
    }

    /// What the limit is about.
    pub(crate) fn key(&self, limit: LimitIx) -> &Key {
        &self.table.get(limit).key
    }

    /// Takes all of it, or nothing.
    ///
    /// # Errors
    /// The limit that keeps it from going, the one that does so longest where there are several.
    pub(crate) fn try_take(&mut self, now: Moment, takes: &[Take]) -> Result<(), Blocked> {
        if let Some(blocked) = self.blocked(now, takes) {
            return Err(blocked);
        }
        for take in takes {
            self.table.get_mut(take.limit).take(now, take);
        }
        Ok(())
    }

    /// What keeps it from going; what does so longest, where there are several.
    pub(crate) fn blocked(&self, now: Moment, takes: &[Take]) -> Option<Blocked> {
        self.blocking(now, takes).max_by_key(|blocked| blocked.until.unwrap_or(Moment(u64::MAX)))
    }

    /// Everything that keeps it from going.
    pub(crate) fn blocking(&self, now: Moment, takes: &[Take]) -> impl Iterator<Item = Blocked> {
        takes.iter().filter_map(move |take| {
            let (by, until) = self.table.get(take.limit).hinders(now, take)?;
            Some(Blocked { limit: take.limit, by, until })
        })
    }

    /// What was taken before a restart is in use still, whatever is allowed now.
    pub(crate) fn hold(&mut self, takes: &[Take]) {
        for take in takes {
            self.table.get_mut(take.limit).in_use += u64::from(take.units);
        }
    }

    /// Every counter there is, but those that nobody names. For checks only.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (LimitIx, Counted)> {
        self.table.iter().filter(|(_, counted)| counted.users > 0)
    }

    /// It ended: its units are free. What it cost of a rate stays paid.
    pub(crate) fn give_back(&mut self, takes: &[Take]) {
        for take in takes {
            self.table.get_mut(take.limit).in_use -= u64::from(take.units);
        }
    }

    /// Sets a limit, or takes it back; what is owed and in use stays so. The limits that are others from now on.
    pub(crate) fn set(&mut self, now: Moment, pattern: &Pattern, settings: Option<LimitSettings>) -> Vec<LimitIx> {
        match settings {
            Some(settings) => self.rules.set(pattern.clone(), settings),
            None => self.rules.remove(pattern),
        }
        let concerned = self.table.matching(pattern);
        for limit in &concerned {
            self.table.apply(now, *limit, &self.rules);
        }
        concerned
    }

    /// Whether something is set at exactly this.
    pub(crate) fn is_set(&self, pattern: &Pattern) -> bool {
        self.rules.get(pattern).is_some()
    }

    /// How many operators set, queues' own not counted.
    pub(crate) fn set_count(&self) -> usize {
        self.rules.len()
    }

    /// Up to `limit` keys and beginnings of keys that are set, or counted, after `after`.
    pub(crate) fn names(&self, after: Option<&str>, limit: usize) -> Vec<Arc<str>> {
        let set = self.rules.names(after, limit);
        let all: BTreeSet<Arc<str>> = set.chain(self.table.names(after).take(limit)).collect();
        all.into_iter().take(limit).collect()
    }

    /// As it is shown.
    pub(crate) fn record(&self, name: &Arc<str>) -> LimitRecord {
        let key = match Pattern::of(name) {
            Pattern::Key(key) => key,
            pattern @ Pattern::Prefix(_) => {
                let settings = self.rules.get(&pattern);
                let (set_at, settings) = (settings.map(|_| name.clone()), settings.unwrap_or_default());
                return LimitRecord { key: name.clone(), settings, set_at, units_in_use: None, cooldown: None };
            }
        };
        let (settings, set_at) = self.rules.find(&key).map(|(settings, at)| (settings, at.text())).unzip();
        let counter = self.table.find(&key).map(|limit| self.table.get(limit));
        LimitRecord {
            key: name.clone(),
            settings: settings.unwrap_or_default(),
            set_at,
            units_in_use: Some(counter.map_or(0, |counter| counter.in_use)),
            cooldown: counter.and_then(|counter| counter.cooldown.as_ref()).map(|cooling| cooling.shown.clone()),
        }
    }

    /// Nothing that names the key goes before this; none: from now on it may. `false`: as many keys cool down as may.
    pub(crate) fn cool(&mut self, now: Moment, key: &Key, cooldown: Option<(Moment, Cooldown)>) -> bool {
        let was = self.table.find(key).and_then(|limit| self.table.get(limit).cools_until());
        if was.is_none() && cooldown.is_some() && self.cooldowns.len() >= COOLDOWNS_MAX {
            return false;
        }
        // It is kept while it cools down.
        let limit = self.table.enter(key, &self.rules);
        if let Some(was) = was {
            self.cooldowns.remove(&(was, limit));
            self.table.leave(now, limit);
        }
        let cooling = cooldown.map(|(until, shown)| Box::new(Cooling { until, shown }));
        let until = cooling.as_ref().map(|cooling| cooling.until);
        self.table.get_mut(limit).cooldown = cooling;
        match until {
            Some(until) => drop(self.cooldowns.insert((until, limit))),
            None => self.table.leave(now, limit),
        }
        true
    }

    /// When the first cooldown ends.
    pub(crate) fn next_cooled(&self) -> Option<Moment> {
        self.cooldowns.first().map(|(until, _)| *until)
    }

    /// A key whose cooldown is over; it has none from now on.
    pub(crate) fn pop_cooled(&mut self, now: Moment) -> Option<(LimitIx, Key)> {
        let (_, limit) = self.cooldowns.first().copied().filter(|(until, _)| *until <= now)?;
        let key = self.key(limit).clone();
        self.cool(now, &key, None);
        Some((limit, key))
    }
}
