//! One key: what is in use of it, what is owed, and until when it cools down.

use windlass_shared::domain::{Cooldown, LimitSettings};
use windlass_shared::time::Moment;

use super::bucket::Bucket;
use super::{By, Key, LimitIx, Take};

#[derive(Debug, Clone)]
pub(super) struct Counter {
    pub(super) key: Key,
    pub(super) settings: LimitSettings,
    /// Those that name it; it is kept for them.
    pub(super) users: u32,
    /// When it would owe nothing more, where nobody names it.
    pub(super) rests_at: Option<Moment>,
    pub(super) in_use: u64,
    pub(super) bucket: Bucket,
    /// It is one of its users.
    pub(super) cooldown: Option<Box<Cooling>>,
}

/// A cooldown, by both clocks.
#[derive(Debug, Clone)]
pub(super) struct Cooling {
    /// Nothing goes before this.
    pub(super) until: Moment,
    pub(super) shown: Cooldown,
}

impl Counter {
    pub(super) fn new(key: Key, settings: LimitSettings) -> Self {
        Self { key, settings, users: 0, rests_at: None, in_use: 0, bucket: Bucket::default(), cooldown: None }
    }

    /// What keeps this from going now, and until when at least; without a time it is for others to end.
    pub(super) fn hinders(&self, now: Moment, take: &Take) -> Option<(By, Option<Moment>)> {
        if self.settings.units_max.is_some_and(|max| self.in_use + u64::from(take.units) > max.into()) {
            return Some((By::Units, None));
        }
        let cooled = self.cools_until().filter(|until| *until > now);
        let paid = self.settings.rate.as_ref().and_then(|rate| self.bucket.opens_at(now, rate, take.cost));
        match (cooled, paid) {
            (None, None) => None,
            (cooled, paid) if cooled >= paid => Some((By::Cooldown, cooled)),
            (_, paid) => Some((By::Rate, paid)),
        }
    }

    pub(super) fn cools_until(&self) -> Option<Moment> {
        self.cooldown.as_ref().map(|cooling| cooling.until)
    }

    pub(super) fn take(&mut self, now: Moment, take: &Take) {
        self.in_use += u64::from(take.units);
        if let Some(rate) = &self.settings.rate {
            self.bucket.take(now, rate, take.cost);
        }
    }

    pub(super) fn set(&mut self, now: Moment, settings: LimitSettings) {
        if self.settings.rate != settings.rate {
            self.bucket.change(now, self.settings.rate.as_ref(), settings.rate.as_ref());
        }
        self.settings = settings;
    }

    /// When nothing of it needs to be remembered but its settings; none: now.
    pub(super) fn owes_until(&self, now: Moment) -> Option<Moment> {
        self.settings.rate.as_ref().and_then(|rate| self.bucket.rests_at(now, rate))
    }
}

/// A limit that keeps something from going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocked {
    /// The limit.
    pub(crate) limit: LimitIx,
    /// What of it.
    pub(crate) by: By,
    /// When to ask again; none: when something was given back, or the limit was changed.
    pub(crate) until: Option<Moment>,
}
