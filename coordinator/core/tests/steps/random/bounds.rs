//! What bounds the small cluster: limits, rates, cooldowns, settings of queues, and what hosts say of themselves. Nothing is drawn
//! that no job could ever get past, so that every job must end under it.

use std::sync::Arc;
use std::time::Duration;

use windlass_core::Input;
use windlass_shared::domain::{LimitSettings, LimitUse, OnConflict, QueueField, QueueSettings, Rate, Traits, Unique};
use windlass_shared::time::Timestamp;

use super::{QUEUES, World};

const KEYS: [&str; 3] = ["l0", "l1", "l2"];

impl World {
    /// An operator sets or takes back a bound.
    pub(super) fn bound(&mut self) {
        let (ticket, random) = (self.ticket(), &mut self.random);
        let key: Arc<str> = KEYS[random.usize(..3)].into();
        let settings = some_settings(random);
        let seconds = Duration::from_secs(random.u64(1..20));
        let input = match random.u8(..6) {
            0 => Input::SetLimit { ticket, key: "l*".into(), settings },
            1 | 2 => Input::SetLimit { ticket, key, settings },
            3 => Input::SetCooldown { ticket, key, cooldown: random.bool().then_some((seconds, None)) },
            _ => Input::UpdateQueue {
                ticket,
                queue: QUEUES[random.usize(..3)].into(),
                settings: Box::new(QueueSettings {
                    weight: random.u32(1..4),
                    limit: settings.unwrap_or_default(),
                    aging_step: seconds,
                    ..QueueSettings::default()
                }),
                fields: QueueField::ALL.to_vec(),
            },
        };
        self.give(input);
    }
}

/// At least as much as any job takes.
fn some_settings(random: &mut fastrand::Rng) -> Option<LimitSettings> {
    let rate = |random: &mut fastrand::Rng| Rate {
        cost: random.u64(500..5_000),
        period: Duration::from_secs(random.u64(1..9)),
        burst: random.u64(1..5_000),
    };
    let units_max = random.bool().then(|| random.u32(2..5));
    let rate = random.bool().then(|| rate(random));
    (random.u8(..4) > 0).then_some(LimitSettings { units_max, rate })
}

/// Of each limit at most once, by key.
pub(super) fn some_uses(random: &mut fastrand::Rng) -> Vec<LimitUse> {
    let keys = KEYS.iter().filter(|_| random.u8(..4) == 0).collect::<Vec<_>>();
    keys.into_iter()
        .map(|key| LimitUse { key: (*key).into(), units: random.u32(1..3), cost: random.u32(..2_000) })
        .collect()
}

/// One job in four has one of two unique keys.
pub(super) fn some_key(random: &mut fastrand::Rng) -> Option<Unique> {
    use OnConflict::{CancelRunning, Reject, ReplaceQueued, ReturnExisting};
    let on_conflict = [Reject, ReturnExisting, ReplaceQueued, CancelRunning, CancelRunning][random.usize(..5)];
    (random.u8(..4) == 0).then(|| Unique { key: ["u", "v"][random.usize(..2)].into(), on_conflict })
}

/// Enough for everything.
pub(super) fn all_traits() -> Arc<Traits> {
    Arc::new(Traits {
        labels: [("zone".into(), "a".into())].into(),
        resources: [("memory".into(), 4)].into(),
        devices: [("gpu".into(), vec!["0".into(), "1".into()])].into(),
        ..Traits::default()
    })
}

pub(super) fn some_traits(random: &mut fastrand::Rng) -> Arc<Traits> {
    let mut traits = Traits::clone(&all_traits());
    if random.bool() {
        traits.labels.clear();
    }
    if random.bool() {
        traits.devices = [("gpu".into(), vec!["1".into()])].into();
    }
    if random.bool() {
        traits.resources = [("memory".into(), random.u64(..6))].into();
    }
    traits.leaves_at = random.bool().then(|| Timestamp(random.i64(0..60_000_000_000)));
    Arc::new(traits)
}
