//! How long a place waits for its next worker.

use std::time::Duration;

/// Longest wait after a first failure.
const FIRST: Duration = Duration::from_millis(200);
/// Longest wait after any: a host is looked after within minutes, and its pools should be there half a minute later.
const CAP: Duration = Duration::from_secs(30);
/// A worker that lived for so long has shown that it can: its death is the first of a row.
pub(super) const STABLE: Duration = Duration::from_secs(60);

/// The wait before a worker is started where so many in a row have failed (from 1), with `fraction` drawn from 0 to 1.
///
/// Full jitter: whatever killed one worker killed its neighbours at the same moment, and they should not come back at one.
pub(super) fn pause(failures: u32, fraction: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    CAP.min(FIRST * 2_u32.pow(doublings)).mul_f64(fraction.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_drawn_from_nothing_to_a_bound_that_doubles_up_to_its_cap() {
        let longest = [1, 2, 3, 8, 9, u32::MAX].map(|failures| pause(failures, 1.0).as_millis());
        assert_eq!(longest, [200, 400, 800, 25_600, 30_000, 30_000]);
        assert_eq!(pause(9, 0.5), Duration::from_secs(15));
        assert_eq!(pause(9, 0.0), Duration::ZERO);
    }
}
