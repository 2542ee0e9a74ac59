//! Limits for people.

use windlass_shared::pb;

use super::table::render;
use crate::humane::{one_line, show_instant};
use crate::rates::show_rate;

/// Room for why a key cools down.
const REASON_CHARS_MAX: usize = 40;

/// Limits, a line each.
pub(crate) fn limit_table(limits: &[pb::Limit]) -> String {
    let number = |number: Option<u64>| number.map_or_else(|| "-".into(), |number| number.to_string());
    let rows = limits.iter().map(|limit| {
        [
            limit.key.clone(),
            number(limit.units_in_use),
            number(limit.max_units.map(u64::from)),
            show_rate(limit.rate.as_ref()),
            if limit.set_at.is_empty() { "-".into() } else { limit.set_at.clone() },
            limit.cooldown.as_ref().map_or_else(|| "-".into(), cooldown),
        ]
    });
    render(["KEY", "IN USE", "MAX", "RATE", "SET AT", "COOLS UNTIL"], rows)
}

fn cooldown(cooldown: &pb::Cooldown) -> String {
    let until = show_instant(cooldown.end_time.as_ref());
    if cooldown.reason.is_empty() {
        until
    } else {
        format!("{until} ({})", one_line(&cooldown.reason, REASON_CHARS_MAX))
    }
}
