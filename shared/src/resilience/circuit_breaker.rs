//! What keeps work from something that fails it.
//!
//! ```text
//!            enough failures in the window             open long enough
//!   CLOSED ───────────────────────────────► OPEN ────────────────────────► HALF_OPEN
//!     ▲                                       ▲                              │    │
//!     │                                       └──────── a probe fails ───────┘    │
//!     └───────────────────── every probe succeeds ────────────────────────────────┘
//! ```
//!
//! HALF_OPEN lets through exactly as many probes as are configured, whoever asks and however often; one whose end says nothing
//! gives its place back. Ends that belong to an earlier state move nothing: a slow failure of before the opening is no verdict on the
//! probe. Time comes in by argument.

use std::time::Duration;

use super::window::Window;
use crate::time::Moment;

/// When a breaker opens, and how it closes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerTerms {
    /// Time that ends count.
    pub window: Duration,
    /// Ends in the window below which nothing is concluded.
    pub requests_min: u32,
    /// What opens it.
    pub threshold: Threshold,
    /// Time it stays open.
    pub open_for: Duration,
    /// Probes, all of which must succeed; at least 1.
    pub probes: u32,
}

/// What opens a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// So many failures in the window.
    Failures(u32),
    /// Failures by ends in the window, in thousandths.
    RatioMilli(u32),
}

impl BreakerTerms {
    /// Half of at least five ends within a minute; a minute later, three probes.
    pub const DEFAULT: Self = Self {
        window: Duration::from_secs(60),
        requests_min: 5,
        threshold: Threshold::RatioMilli(500),
        open_for: Duration::from_secs(60),
        probes: 3,
    };
}

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CircuitState {
    /// Everything passes.
    Closed,
    /// Nothing does.
    Open,
    /// Probes do.
    HalfOpen,
}

/// What somebody was let through with, to be told of the end by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "whoever was let through tells how it ended, or a probe's place is never given back"]
pub struct Permit {
    /// Which spell of which state it belongs to.
    spell: u32,
    /// It is a probe.
    pub probe: bool,
}

/// How something that was let through ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Well.
    Success,
    /// Badly.
    Failure,
    /// In a way that says nothing, such as by a cancel.
    Nothing,
}

/// Since the breaker was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BreakerCounts {
    /// Let through.
    pub admitted: u64,
    /// Not let through.
    pub refused: u64,
    /// Ended well.
    pub successes: u64,
    /// Ended badly.
    pub failures: u64,
    /// Times it opened.
    pub opened: u64,
    /// Failures since the last success.
    pub failures_in_a_row: u32,
    /// When it last failed.
    pub failed_at: Option<Moment>,
    /// When it last changed its state.
    pub changed_at: Option<Moment>,
}

/// A circuit breaker.
#[derive(Debug, Clone)]
pub struct CircuitBreaker {
    terms: BreakerTerms,
    window: Window,
    phase: Phase,
    spell: u32,
    counts: BreakerCounts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { until: Moment },
    HalfOpen { out: u32, succeeded: u32 },
}

const GOOD: usize = 0;
const BAD: usize = 1;

impl CircuitBreaker {
    /// A closed one.
    #[must_use]
    pub fn new(terms: BreakerTerms) -> Self {
        let window = Window::new(terms.window);
        Self { terms, window, phase: Phase::Closed, spell: 0, counts: BreakerCounts::default() }
    }

    /// Where it stands at this moment.
    #[must_use]
    pub fn state(&self, now: Moment) -> CircuitState {
        match self.phase {
            Phase::Closed => CircuitState::Closed,
            Phase::Open { until } if now < until => CircuitState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// Whether [`admit`](Self::admit) would let somebody through.
    #[must_use]
    pub fn would_admit(&self, now: Moment) -> bool {
        match self.phase {
            Phase::Closed => true,
            Phase::Open { until } => now >= until,
            Phase::HalfOpen { out, succeeded } => out + succeeded < self.terms.probes.max(1),
        }
    }

    /// When it is open until; none where it is not.
    #[must_use]
    pub fn open_until(&self) -> Option<Moment> {
        match self.phase {
            Phase::Open { until } => Some(until),
            Phase::Closed | Phase::HalfOpen { .. } => None,
        }
    }

    /// What it counted.
    #[must_use]
    pub fn counts(&self) -> &BreakerCounts {
        &self.counts
    }

    /// Failures in the window.
    #[must_use]
    pub fn failures_of_late(&mut self, now: Moment) -> u64 {
        self.window.sums(now)[BAD]
    }

    /// Whether nothing would be lost by forgetting it: closed, and nothing failed of late.
    #[must_use]
    pub fn is_idle(&mut self, now: Moment) -> bool {
        self.phase == Phase::Closed && self.failures_of_late(now) == 0
    }

    /// Lets somebody through, or not.
    pub fn admit(&mut self, now: Moment) -> Option<Permit> {
        if !self.would_admit(now) {
            self.counts.refused += 1;
            return None;
        }
        if let Phase::Open { .. } = self.phase {
            self.enter(now, Phase::HalfOpen { out: 0, succeeded: 0 });
        }
        let probe = match &mut self.phase {
            Phase::HalfOpen { out, .. } => {
                *out += 1;
                true
            }
            Phase::Closed | Phase::Open { .. } => false,
        };
        self.counts.admitted += 1;
        Some(Permit { spell: self.spell, probe })
    }

    /// How something that was let through ended; whether that changed the state.
    pub fn record(&mut self, now: Moment, permit: Permit, verdict: Verdict) -> bool {
        self.count(now, verdict);
        if permit.spell != self.spell {
            return false;
        }
        match (self.phase, verdict) {
            (Phase::Closed, Verdict::Failure) => {
                self.window.add(now, BAD, 1);
                let trips = self.trips(now);
                if trips {
                    self.open(now);
                }
                trips
            }
            (Phase::Closed, Verdict::Success) => {
                self.window.add(now, GOOD, 1);
                false
            }
            (Phase::HalfOpen { .. }, Verdict::Failure) => {
                self.open(now);
                true
            }
            (Phase::HalfOpen { out, succeeded }, verdict) => {
                let succeeded = succeeded + u32::from(verdict == Verdict::Success);
                if succeeded >= self.terms.probes.max(1) {
                    self.close(now);
                    return true;
                }
                self.phase = Phase::HalfOpen { out: out.saturating_sub(1), succeeded };
                false
            }
            (Phase::Closed | Phase::Open { .. }, _) => false,
        }
    }

    /// Opens it, whatever was counted.
    pub fn open(&mut self, now: Moment) {
        self.counts.opened += 1;
        self.enter(now, Phase::Open { until: now.after(self.terms.open_for) });
    }

    /// Closes it by somebody's word, and forgets what failed of late.
    pub fn reset(&mut self, now: Moment) {
        if self.phase != Phase::Closed {
            self.close(now);
        }
        self.window.clear();
        self.counts.failures_in_a_row = 0;
    }

    fn close(&mut self, now: Moment) {
        self.window.clear();
        self.enter(now, Phase::Closed);
    }

    fn enter(&mut self, now: Moment, phase: Phase) {
        self.phase = phase;
        self.spell = self.spell.wrapping_add(1);
        self.counts.changed_at = Some(now);
    }

    fn trips(&mut self, now: Moment) -> bool {
        let [good, bad] = self.window.sums(now);
        let enough = good + bad >= self.terms.requests_min.into();
        enough
            && match self.terms.threshold {
                Threshold::Failures(most) => bad >= most.into(),
                Threshold::RatioMilli(most) => bad * 1_000 >= (good + bad) * u64::from(most),
            }
    }

    fn count(&mut self, now: Moment, verdict: Verdict) {
        match verdict {
            Verdict::Success => {
                self.counts.successes += 1;
                self.counts.failures_in_a_row = 0;
            }
            Verdict::Failure => {
                self.counts.failures += 1;
                self.counts.failures_in_a_row = self.counts.failures_in_a_row.saturating_add(1);
                self.counts.failed_at = Some(now);
            }
            Verdict::Nothing => {}
        }
    }
}

#[cfg(test)]
mod tests;
