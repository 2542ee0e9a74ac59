//! The counters there are. One is kept for those that name it. When the last of them leaves, it is remembered for as long as it owes
//! something, and of those only so many: the ones that owe least go first.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use windlass_shared::time::Moment;

use super::counter::Counter;
use super::rules::{Pattern, Rules};
use super::{Counted, Key, LimitIx};

/// Keys remembered that nobody names any more: at about 250 bytes each, 25 MB. A key that is forgotten early begins with a whole
/// burst.
pub(super) const IDLE_MAX: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Table {
    counters: Vec<Option<Counter>>,
    free: Vec<u32>,
    by_key: BTreeMap<Key, LimitIx>,
    /// Those that nobody names, by when they owe nothing.
    idle: BTreeSet<(Moment, LimitIx)>,
}

impl Table {
    pub(super) fn find(&self, key: &Key) -> Option<LimitIx> {
        self.by_key.get(key).copied()
    }

    pub(super) fn get(&self, limit: LimitIx) -> &Counter {
        self.counters[limit.0 as usize].as_ref().expect("a limit is kept for its users")
    }

    pub(super) fn get_mut(&mut self, limit: LimitIx) -> &mut Counter {
        self.counters[limit.0 as usize].as_mut().expect("a limit is kept for its users")
    }

    pub(super) fn enter(&mut self, key: &Key, rules: &Rules) -> LimitIx {
        let limit = self.find(key).unwrap_or_else(|| self.add(Counter::new(key.clone(), rules.of(key))));
        self.wake(limit);
        self.get_mut(limit).users += 1;
        limit
    }

    pub(super) fn leave(&mut self, now: Moment, limit: LimitIx) {
        self.get_mut(limit).users -= 1;
        self.rest(now, limit);
    }

    /// What the rules say of it from now on.
    pub(super) fn apply(&mut self, now: Moment, limit: LimitIx, rules: &Rules) {
        let counter = self.get_mut(limit);
        counter.set(now, rules.of(&counter.key));
        self.wake(limit);
        self.rest(now, limit);
    }

    /// The counters that a pattern is about.
    pub(super) fn matching(&self, pattern: &Pattern) -> Vec<LimitIx> {
        let prefix = match pattern {
            Pattern::Key(key) => return self.find(key).into_iter().collect(),
            Pattern::Prefix(prefix) => prefix,
        };
        let begins = |key: &Key| matches!(key, Key::Named(name) if name.starts_with(&**prefix));
        let from = self.by_key.range(Key::Named(prefix.clone())..);
        from.take_while(|(key, _)| begins(key)).map(|(_, limit)| *limit).collect()
    }

    /// The keys that jobs name, after `after`.
    pub(super) fn names(&self, after: Option<&str>) -> impl Iterator<Item = Arc<str>> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(Key::Named(after.into())));
        self.by_key.range((from, Bound::Unbounded)).map_while(|(key, _)| key.named().cloned())
    }

    fn add(&mut self, counter: Counter) -> LimitIx {
        let key = counter.key.clone();
        let at = self.free.pop().unwrap_or_else(|| {
            self.counters.push(None);
            u32::try_from(self.counters.len() - 1).expect("jobs and cooldowns are bounded, and so are the keys in use")
        });
        self.counters[at as usize] = Some(counter);
        self.by_key.insert(key, LimitIx(at));
        LimitIx(at)
    }

    /// It is idle no more.
    fn wake(&mut self, limit: LimitIx) {
        if let Some(at) = self.get_mut(limit).rests_at.take() {
            self.idle.remove(&(at, limit));
        }
    }

    fn rest(&mut self, now: Moment, limit: LimitIx) {
        let counter = self.get_mut(limit);
        if counter.users > 0 {
            return;
        }
        match counter.owes_until(now) {
            None => self.forget(limit),
            Some(at) => {
                counter.rests_at = Some(at);
                self.idle.insert((at, limit));
            }
        }
        self.forget_idle(now);
    }

    /// Each time one comes, two may go: so those that rest are soon gone, and no call takes long.
    fn forget_idle(&mut self, now: Moment) {
        for _ in 0..2 {
            let crowded = self.idle.len() > IDLE_MAX;
            let Some((_, limit)) = self.idle.first().copied().filter(|(at, _)| crowded || *at <= now) else { return };
            self.wake(limit);
            self.forget(limit);
        }
    }

    fn forget(&mut self, limit: LimitIx) {
        if let Some(counter) = self.counters[limit.0 as usize].take() {
            self.by_key.remove(&counter.key);
            self.free.push(limit.0);
        }
    }

    /// For checks only.
    pub(super) fn iter(&self) -> impl Iterator<Item = (LimitIx, Counted)> {
        let counted = |counter: &Counter| Counted {
            in_use: counter.in_use,
            users: counter.users,
            cools: counter.cooldown.is_some(),
        };
        self.by_key.values().map(move |limit| (*limit, counted(self.get(*limit))))
    }

    /// Counters there are, and those of them that nobody names. For checks only.
    #[cfg(test)]
    pub(super) fn len(&self) -> (usize, usize) {
        assert_eq!(self.counters.iter().flatten().count(), self.by_key.len());
        (self.by_key.len(), self.idle.len())
    }
}
