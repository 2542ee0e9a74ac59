//! A job's place among all that share a lane, and among lanes of one fairness key.

use std::time::Duration;

use windlass_shared::time::Timestamp;

use crate::keys::Slot;

/// Least first: a score in milliseconds, then submit order. The slot tells two places apart and decides nothing: orders differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    score: i64,
    order: u64,
    pub(crate) slot: Slot,
}

impl Place {
    /// Each step of priority counts like having been submitted `aging_step` earlier. So a job of priority `p` is passed by one of
    /// priority `q > p` only where that was submitted less than `(q - p) x aging_step` after it, and nothing needs to be moved as
    /// time passes.
    pub(crate) fn new(slot: Slot, order: u64, submitted_at: Timestamp, priority: i8, aging_step: Duration) -> Self {
        let step = i64::try_from(aging_step.as_millis()).unwrap_or(i64::MAX);
        let score = (submitted_at.0 / 1_000_000).saturating_sub(step.saturating_mul(priority.into()));
        Self { score, order, slot }
    }
}
