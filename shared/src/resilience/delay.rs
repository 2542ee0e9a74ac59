//! How long a job waits before it is tried again: a pure function, so that the same seed gives the same schedule.

use std::fmt;
use std::time::Duration;

use crate::domain::Preset;

/// How waits grow from one failure to the next. All arithmetic is on integers and saturates: the same on every machine, and no
/// number of failures overflows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Growth {
    /// Always the first wait.
    Fixed,
    /// One, two, three times the first wait.
    Linear,
    /// Each wait `base_milli / 1000` times the one before.
    Exponential {
        /// Thousandths, 1,000 to [`BASE_MILLI_MAX`].
        base_milli: u32,
    },
    /// 1, 1, 2, 3, 5, 8, … times the first wait.
    Fibonacci,
    /// Anything from the first wait to three times the wait before, so it needs no jitter: "Exponential Backoff And Jitter", AWS
    /// Architecture Blog, 2015.
    Decorrelated,
    /// These, one after the other; the last one repeats.
    Listed(Box<[Duration]>),
}

/// Greatest base of exponential growth: ten times the wait before is a list in disguise.
pub const BASE_MILLI_MAX: u32 = 10_000;

/// How far a wait is spread, so that what failed together is not tried again together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Jitter {
    /// Not at all.
    None,
    /// A fifth up or down.
    Slight,
    /// From nothing to the whole of it: of the three it spreads a herd best for the least total work.
    Full,
}

/// The waits between attempts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Delay {
    /// How they grow.
    pub growth: Growth,
    /// The first one, before jitter.
    pub first: Duration,
    /// The longest one, whatever growth and jitter say.
    pub cap: Duration,
    /// How they are spread.
    pub jitter: Jitter,
}

impl Delay {
    /// None at all: the next attempt follows at once.
    pub const NONE: Self =
        Self { growth: Growth::Fixed, first: Duration::ZERO, cap: Duration::ZERO, jitter: Jitter::None };

    /// The delays of a preset, which its contract in `retry.proto` spells out.
    #[must_use]
    pub const fn of(preset: Preset) -> Self {
        let (first_ms, cap_ms) = match preset {
            // Reached only where a job names a number of attempts beside NONE: it then gets the default delays.
            Preset::None | Preset::Default => (1_000, 60_000),
            Preset::Conservative => (10_000, 600_000),
            Preset::Aggressive => (100, 10_000),
        };
        Self {
            growth: Growth::Exponential { base_milli: 2_000 },
            first: Duration::from_millis(first_ms),
            cap: Duration::from_millis(cap_ms),
            jitter: Jitter::Full,
        }
    }

    /// The wait after this many failures (from 1), the wait before having been `previous` (zero: there was none), with `fraction`
    /// in `0.0..1.0` drawn at random by the caller.
    #[must_use]
    pub fn after(&self, failures: u32, previous: Duration, fraction: f64) -> Duration {
        let fraction = fraction.clamp(0.0, 1.0);
        let wait = self.grown(failures.max(1), previous).min(LONGEST);
        // Jitter first, then cap: the other way round, a wait may exceed the cap by what the jitter adds.
        let spread = match (&self.growth, self.jitter) {
            (Growth::Decorrelated, _) => self.first + wait.saturating_sub(self.first).mul_f64(fraction),
            (_, Jitter::None) => wait,
            (_, Jitter::Slight) => wait.mul_f64(0.8 + 0.4 * fraction),
            (_, Jitter::Full) => wait.mul_f64(fraction),
        };
        spread.min(self.cap)
    }

    /// The longest wait there can be after this many failures, before the cap.
    fn grown(&self, failures: u32, previous: Duration) -> Duration {
        let times = |n: u64| self.first.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX));
        match &self.growth {
            Growth::Fixed => times(1),
            Growth::Linear => times(failures.into()),
            Growth::Exponential { base_milli } => exponential(self.first, *base_milli, failures),
            Growth::Fibonacci => times(fibonacci(failures)),
            Growth::Decorrelated => previous.max(self.first).saturating_mul(3),
            Growth::Listed(waits) => {
                let at = (failures as usize - 1).min(waits.len().saturating_sub(1));
                waits.get(at).copied().unwrap_or_default()
            }
        }
    }
}

/// No wait grows beyond a hundred years, far past every cap: so nothing after it overflows.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

fn exponential(first: Duration, base_milli: u32, failures: u32) -> Duration {
    let (mut nanos, most) = (first.as_nanos(), LONGEST.as_nanos());
    for _ in 1..failures {
        let next = nanos * u128::from(base_milli) / 1_000;
        if next >= most || next == nanos {
            nanos = next.min(most);
            break;
        }
        nanos = next;
    }
    Duration::from_nanos(u64::try_from(nanos.min(most)).unwrap_or(u64::MAX))
}

/// 1, 1, 2, 3, 5, … from the first; saturates.
fn fibonacci(nth: u32) -> u64 {
    let (mut this, mut next) = (1u64, 1u64);
    for _ in 1..nth {
        (this, next) = (next, this.saturating_add(next));
        if next == u64::MAX {
            return u64::MAX;
        }
    }
    this
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.growth {
            _ if *self == Self::NONE => return write!(f, "at once"),
            Growth::Fixed => write!(f, "fixed {:?}", self.first)?,
            Growth::Linear => write!(f, "linear {:?}", self.first)?,
            Growth::Exponential { base_milli } => {
                write!(f, "exponential {:?} x {}", self.first, f64::from(*base_milli) / 1_000.0)?;
            }
            Growth::Fibonacci => write!(f, "fibonacci {:?}", self.first)?,
            Growth::Decorrelated => write!(f, "decorrelated {:?}", self.first)?,
            Growth::Listed(waits) => write!(f, "{} listed waits", waits.len())?,
        }
        write!(f, " up to {:?}", self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn plain(growth: Growth) -> Delay {
        Delay { growth, first: SECOND, cap: 60 * SECOND, jitter: Jitter::None }
    }

    fn seconds(delay: &Delay, failures: impl IntoIterator<Item = u32>) -> Vec<f64> {
        failures.into_iter().map(|n| delay.after(n, Duration::ZERO, 0.5).as_secs_f64()).collect()
    }

    #[test]
    fn the_ceiling_doubles_and_stops_at_the_cap() {
        let delay = Delay::of(Preset::Default);
        let after = |failures, fraction| delay.after(failures, Duration::ZERO, fraction);
        assert_eq!(after(1, 1.0), SECOND);
        assert_eq!(after(2, 1.0), 2 * SECOND);
        assert_eq!(after(3, 0.5), 2 * SECOND);
        assert_eq!(after(7, 1.0), 60 * SECOND);
        assert_eq!(after(u32::MAX, 1.0), 60 * SECOND);
        assert_eq!(after(5, 0.0), Duration::ZERO);
    }

    #[test]
    fn each_growth_is_what_its_name_says() {
        assert_eq!(seconds(&plain(Growth::Fixed), 1..4), [1.0, 1.0, 1.0]);
        assert_eq!(seconds(&plain(Growth::Linear), [1, 2, 3, 60, 61]), [1.0, 2.0, 3.0, 60.0, 60.0]);
        assert_eq!(seconds(&plain(Growth::Exponential { base_milli: 1_500 }), 1..4), [1.0, 1.5, 2.25]);
        assert_eq!(seconds(&plain(Growth::Exponential { base_milli: 1_000 }), [1, 9]), [1.0, 1.0]);
        assert_eq!(seconds(&plain(Growth::Fibonacci), 1..8), [1.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0]);
        let listed = Growth::Listed([SECOND, 5 * SECOND].into());
        assert_eq!(seconds(&plain(listed), [1, 2, 3, 99]), [1.0, 5.0, 5.0, 5.0]);
        assert_eq!(seconds(&plain(Growth::Listed(Box::default())), [1, 2]), [0.0, 0.0]);
    }

    #[test]
    fn decorrelated_waits_lie_between_the_first_and_three_times_the_one_before() {
        let delay = plain(Growth::Decorrelated);
        assert_eq!(delay.after(1, Duration::ZERO, 1.0), 3 * SECOND);
        assert_eq!(delay.after(1, Duration::ZERO, 0.0), SECOND);
        assert_eq!(delay.after(2, 3 * SECOND, 1.0), 9 * SECOND);
        assert_eq!(delay.after(2, 3 * SECOND, 0.5), 5 * SECOND);
        assert_eq!(delay.after(9, 50 * SECOND, 1.0), 60 * SECOND);
        assert_eq!(delay.after(9, Duration::MAX, 1.0), 60 * SECOND);
    }

    /// The system that came before added its jitter to what it had capped, so that waits exceeded the cap by a fifth.
    #[test]
    fn jitter_comes_first_and_then_the_cap() {
        let delay = Delay { jitter: Jitter::Slight, ..plain(Growth::Fixed) };
        assert_eq!(delay.after(1, Duration::ZERO, 0.0), SECOND.mul_f64(0.8));
        assert_eq!(delay.after(1, Duration::ZERO, 1.0), SECOND.mul_f64(1.2));
        let capped = Delay { cap: SECOND, ..delay };
        assert_eq!(capped.after(1, Duration::ZERO, 1.0), SECOND);
        assert_eq!(capped.after(1, Duration::ZERO, 0.0), SECOND.mul_f64(0.8));
    }

    /// The same system's Fibonacci numbers overflowed at the 48th failure.
    #[test]
    fn no_number_of_failures_overflows_anything_or_exceeds_the_cap() {
        let base = Growth::Exponential { base_milli: BASE_MILLI_MAX };
        let listed = Growth::Listed([Duration::MAX].into());
        for growth in [Growth::Fixed, Growth::Linear, base, Growth::Fibonacci, Growth::Decorrelated, listed] {
            for jitter in [Jitter::None, Jitter::Slight, Jitter::Full] {
                let delay = Delay { growth: growth.clone(), first: SECOND, cap: 60 * SECOND, jitter };
                for failures in [0, 1, 47, 48, 93, 94, 1_000, u32::MAX] {
                    let wait = delay.after(failures, Duration::MAX, 0.999);
                    assert!(wait <= 60 * SECOND, "{growth:?} {jitter:?} {failures}: {wait:?}");
                }
            }
        }
    }

    #[test]
    fn growth_never_shrinks() {
        for growth in [Growth::Linear, Growth::Exponential { base_milli: 1_200 }, Growth::Fibonacci] {
            let delay = plain(growth);
            let waits: Vec<Duration> = (1..200).map(|n| delay.after(n, Duration::ZERO, 0.0)).collect();
            assert!(waits.is_sorted(), "{delay}");
        }
    }
}
