//! What keeps something from going, in words.

use std::time::Duration;

use windlass_shared::time::Moment;

use super::{Blocked, By, Key, Limits, Take};

impl Limits {
    /// Why this cannot be taken of a limit now.
    pub(crate) fn explain(&self, now: Moment, blocked: &Blocked, take: &Take) -> String {
        let counter = self.table.get(blocked.limit);
        let wait = seconds(blocked.until.map_or(Duration::ZERO, |until| until.since(now)));
        let (max, in_use) = (counter.settings.units_max.unwrap_or_default(), counter.in_use);
        match (&counter.key, blocked.by) {
            (Key::Named(key), By::Units) if take.units > max => {
                format!("limit {key}: it takes {} units, and never more than {max} may be in use", take.units)
            }
            (Key::Named(key), By::Units) => format!("limit {key}: {in_use} of {max} units are in use"),
            (Key::Named(key), By::Rate) => format!("limit {key}: its rate lets it go in {wait} s"),
            (Key::Named(key) | Key::Queue(key), By::Cooldown) => {
                let why = counter.cooldown.as_ref().and_then(|cooling| cooling.shown.reason.as_deref());
                format!(
                    "limit {key}: it cools down for {wait} s{}",
                    why.map(|why| format!(": {why}")).unwrap_or_default()
                )
            }
            (Key::Queue(queue), By::Units) => {
                format!("queue {queue}: {in_use} of {max} jobs at a time are with agents")
            }
            (Key::Queue(queue), By::Rate) => format!("queue {queue}: its rate lets it go in {wait} s"),
        }
    }
}

/// To tenths, rounded up: never a time at which it cannot go yet.
fn seconds(wait: Duration) -> String {
    let tenths = wait.as_nanos().div_ceil(100_000_000);
    format!("{}.{}", tenths / 10, tenths % 10)
}
