//! How far ahead it is worth going, by how long calls take.

use std::time::Duration;

/// A call that has run for as long holds up whatever waits behind it, which is better off elsewhere.
pub(super) const LONG: Duration = Duration::from_millis(100);
/// What a worker's pipe should hold: enough to hide the waking of a process many times over, and soon worked off.
const PIPE_AHEAD: Duration = Duration::from_millis(4);
/// What the agent should hold beyond its workers: some round trips to a coordinator that makes each durable.
const HOLD_AHEAD: Duration = Duration::from_millis(20);
/// Calls held for each worker beyond the one it works on, at most.
const HOLD_MAX: u32 = 512;
/// Weight of a new measurement: one in this many.
const SMOOTH: u32 = 16;

/// A running mean of how long calls take, and what follows from it.
#[derive(Debug)]
pub(super) struct Pace {
    mean: Duration,
    /// Calls held for each worker beyond the one it works on: a power of two, or none.
    hold: u32,
}

impl Default for Pace {
    /// Nothing is known: one call ahead, until it is.
    fn default() -> Self {
        Self { mean: HOLD_AHEAD, hold: 1 }
    }
}

impl Pace {
    /// A call took so long.
    pub(super) fn took(&mut self, time: Duration) {
        self.mean = (self.mean * (SMOOTH - 1) + time) / SMOOTH;
        self.adapt();
    }

    /// A call is under way for so long, and not over.
    pub(super) fn takes(&mut self, time: Duration) {
        self.mean = self.mean.max(time);
        self.adapt();
    }

    /// Calls that should wait in a worker's pipe beside the one it works on, at most `max`.
    pub(super) fn pipe(&self, max: u32) -> u32 {
        if self.mean >= LONG { 0 } else { fits(PIPE_AHEAD, self.mean).clamp(1, max.max(1)).min(max) }
    }

    /// Calls the agent should hold for each worker beyond the one it works on.
    pub(super) fn hold(&self) -> u32 {
        self.hold
    }

    // In steps of two, and down only where it is well below: each step is a message to the coordinator.
    fn adapt(&mut self) {
        let wanted = if self.mean >= LONG { 0 } else { fits(HOLD_AHEAD, self.mean).clamp(1, HOLD_MAX) };
        if wanted == 0 {
            self.hold = 0;
        } else if wanted >= self.hold * 2 || wanted < self.hold / 2 || self.hold == 0 {
            self.hold = 1 << wanted.ilog2();
        }
    }
}

fn fits(span: Duration, each: Duration) -> u32 {
    u32::try_from(span.as_nanos() / each.as_nanos().max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(times: u32, each: Duration) -> Pace {
        let mut pace = Pace::default();
        (0..times).for_each(|_| pace.took(each));
        pace
    }

    #[test]
    fn short_calls_are_held_in_hundreds_and_long_ones_not_at_all() {
        let of = |pace: &Pace| (pace.pipe(32), pace.hold());
        assert_eq!(of(&Pace::default()), (1, 1));
        assert_eq!(of(&after(200, Duration::from_micros(20))), (32, 512));
        assert_eq!(of(&after(200, Duration::from_millis(1))), (3, 16));
        assert_eq!(of(&after(200, Duration::from_millis(30))), (1, 1));
        assert_eq!(of(&after(200, Duration::from_millis(150))), (0, 0));
        assert_eq!(after(200, Duration::from_micros(20)).pipe(0), 0);
    }

    #[test]
    fn one_call_that_does_not_end_is_enough_to_stop_and_many_short_ones_to_go_on() {
        let mut pace = after(200, Duration::from_micros(20));
        pace.takes(LONG);
        assert_eq!((pace.pipe(32), pace.hold()), (0, 0));
        (0..200).for_each(|_| pace.took(Duration::from_micros(20)));
        assert_eq!((pace.pipe(32), pace.hold()), (32, 512));
    }

    #[test]
    fn a_mean_that_wavers_around_a_border_changes_nothing() {
        let mut pace = after(400, Duration::from_micros(1_250));
        let hold = pace.hold();
        for micros in [1_200, 1_300].into_iter().cycle().take(1_000) {
            pace.took(Duration::from_micros(micros));
            assert_eq!(pace.hold(), hold);
        }
    }
}
