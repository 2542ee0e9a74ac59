//! How long a job waits before it is tried again: a pure function, so that the same seed gives the same schedule.

use std::time::Duration;

use crate::domain::Preset;

/// Exponential growth with full jitter: a random time between nothing and `base * 2^(failures - 1)`, at most `cap`.
///
/// Full jitter, because it spreads a herd best for the least total work: "Exponential Backoff And Jitter", AWS Architecture
/// Blog, 2015.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    base: Duration,
    cap: Duration,
}

impl Delay {
    /// The delays of a preset, which its contract in `jobs.proto` spells out.
    #[must_use]
    pub const fn of(preset: Preset) -> Self {
        let (base_ms, cap_ms) = match preset {
            // Reached only where a job names a number of attempts beside NONE: it then gets the default delays.
            Preset::None | Preset::Default => (1_000, 60_000),
            Preset::Conservative => (10_000, 600_000),
            Preset::Aggressive => (100, 10_000),
        };
        Self { base: Duration::from_millis(base_ms), cap: Duration::from_millis(cap_ms) }
    }

    /// The wait after this many failures (from 1), with `fraction` in `0.0..1.0` drawn at random by the caller.
    #[must_use]
    pub fn after(self, failures: u32, fraction: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(32);
        let ceiling = self.base.saturating_mul(1u32.checked_shl(doublings).unwrap_or(u32::MAX));
        // Jitter first, then cap: the other way round, long-failing jobs would never wait the full cap.
        ceiling.mul_f64(fraction.clamp(0.0, 1.0)).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_ceiling_doubles_and_stops_at_the_cap() {
        let delay = Delay::of(Preset::Default);
        assert_eq!(delay.after(1, 1.0), SECOND);
        assert_eq!(delay.after(2, 1.0), 2 * SECOND);
        assert_eq!(delay.after(3, 0.5), 2 * SECOND);
        assert_eq!(delay.after(7, 1.0), 60 * SECOND);
        assert_eq!(delay.after(u32::MAX, 1.0), 60 * SECOND);
        assert_eq!(delay.after(5, 0.0), Duration::ZERO);
    }
}
