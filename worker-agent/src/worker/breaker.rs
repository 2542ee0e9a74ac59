//! Whether a pool still starts workers, after some that came to nothing.
//!
//! ```text
//!            5 boots failed within 60 s, or 10 workers in a row ended without one finished call, or one exited with 78
//!  CLOSED ──────────────────────────────────────────────────────────────────────────────────────────► OPEN ◄─┐
//!    ▲                                                             a probe after 30 s, doubling to 5 min │   │ it failed too
//!    └───────────────── what was broken was shown to work ────────────────────────────────── HALF OPEN ◄─┴───┘
//! ```
//! What was shown to work is what was broken: after failed boots a hello closes it, after workers that finished nothing a
//! finished call does. After exit 78 nothing does, but another configuration or an operator's word.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Boots that fail within [`WINDOW`] before it opens: one may be chance, and five in a minute are the same mistake five times.
const BOOT_FAILURES_MAX: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// Workers in a row without a finished call before it opens. More than a job that kills its workers can take with it.
const BARREN_MAX: u32 = 10;
/// Time to the first probe.
const PROBE_FIRST: Duration = Duration::from_secs(30);
/// Longest time to one.
const PROBE_CAP: Duration = Duration::from_secs(300);

/// What was broken when it opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Workers did not get to their hello.
    Boots,
    /// Workers did, and none finished a call.
    Barren,
    /// A worker said that it cannot run as configured.
    Config,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    Closed,
    /// No worker is started before then; None: none at all.
    Open(Fault, Option<Instant>),
    /// One was, to see.
    HalfOpen(Fault),
}

/// How a worker that was not told to end did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Before its hello.
    Boot,
    /// After it, without a finished call.
    Barren,
    /// By exit code 78.
    Config,
}

#[derive(Debug)]
pub(super) struct Breaker {
    stand: Stand,
    /// When boots failed within the window, oldest first; as many as open it, at most.
    boots: VecDeque<Instant>,
    /// Workers in a row without a finished call.
    barren: u32,
    /// From the next opening to its probe.
    wait: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { stand: Stand::Closed, boots: VecDeque::new(), barren: 0, wait: PROBE_FIRST }
    }
}

impl Breaker {
    pub(super) fn stand(&self) -> Stand {
        self.stand
    }

    /// A worker ended so; whether that opens it.
    pub(super) fn failed(&mut self, now: Instant, failure: Failure) -> bool {
        self.barren = self.barren.saturating_add(1);
        if failure == Failure::Boot {
            while self.boots.front().is_some_and(|at| *at + WINDOW < now) || self.boots.len() >= BOOT_FAILURES_MAX {
                self.boots.pop_front();
            }
            self.boots.push_back(now);
        }
        match (self.stand, failure) {
            (Stand::Open(Fault::Config, _), _) => false,
            (_, Failure::Config) => self.open(now, Fault::Config),
            // Whatever it was that the probe did not live to show.
            (Stand::HalfOpen(_), Failure::Boot) => self.open(now, Fault::Boots),
            (Stand::HalfOpen(fault), Failure::Barren) => self.open(now, fault),
            (Stand::Closed, _) if self.boots.len() >= BOOT_FAILURES_MAX => self.open(now, Fault::Boots),
            (Stand::Closed, Failure::Boot) if self.barren >= BARREN_MAX => self.open(now, Fault::Boots),
            (Stand::Closed, Failure::Barren) if self.barren >= BARREN_MAX => self.open(now, Fault::Barren),
            (Stand::Closed | Stand::Open(..), _) => false,
        }
    }

    fn open(&mut self, now: Instant, fault: Fault) -> bool {
        let probe_at = (fault != Fault::Config).then_some(now + self.wait);
        self.stand = Stand::Open(fault, probe_at);
        self.wait = (self.wait * 2).min(PROBE_CAP);
        true
    }

    /// A worker said hello; whether that closes it.
    pub(super) fn ready(&mut self) -> bool {
        matches!(self.stand, Stand::Open(Fault::Boots, _) | Stand::HalfOpen(Fault::Boots)) && self.reset()
    }

    /// A call is finished; whether that closes it.
    pub(super) fn finished(&mut self) -> bool {
        self.barren = 0;
        matches!(self.stand, Stand::Open(Fault::Barren, _) | Stand::HalfOpen(Fault::Barren)) && self.reset()
    }

    /// Closes it, and forgets what opened it; whether it was open.
    pub(super) fn reset(&mut self) -> bool {
        let was = std::mem::take(self);
        was.stand != Stand::Closed
    }

    /// Workers to start now, where so many are wanted. A probe goes out when it is due, wanted or not, where there is `room` for
    /// it: a pool that is asked for nothing, because it takes nothing, would stay open for ever.
    pub(super) fn allowed(&mut self, now: Instant, wanted: usize, room: bool) -> usize {
        match self.stand {
            Stand::Closed => wanted,
            Stand::Open(fault, Some(at)) if at <= now => {
                let next = if room { Stand::HalfOpen(fault) } else { Stand::Open(fault, Some(now + PROBE_FIRST)) };
                self.stand = next;
                usize::from(room)
            }
            Stand::Open(..) | Stand::HalfOpen(_) => 0,
        }
    }

    /// Looks whether the probe is still there: it may have been told to end, which shows nothing.
    pub(super) fn look(&mut self, now: Instant, starting: usize, ready: usize) {
        if let Stand::HalfOpen(fault) = self.stand {
            let there = starting + if fault == Fault::Boots { 0 } else { ready };
            if there == 0 {
                self.stand = Stand::Open(fault, Some(now + PROBE_FIRST));
            }
        }
    }

    /// Workers that calls may be given to, of those that are ready and those that could be.
    pub(super) fn takers(&self, ready: usize, takers: usize) -> usize {
        match self.stand {
            Stand::Closed => takers,
            // Whoever runs does so: it is new ones that do not come.
            Stand::Open(Fault::Boots | Fault::Config, _) | Stand::HalfOpen(Fault::Boots | Fault::Config) => ready,
            Stand::Open(Fault::Barren, _) => 0,
            Stand::HalfOpen(Fault::Barren) => ready.min(1),
        }
    }

    /// Whether only an operator or another configuration closes it.
    pub(super) fn is_barred(&self) -> bool {
        self.stand == Stand::Open(Fault::Config, None)
    }

    /// When the next probe is due.
    pub(super) fn probe_at(&self) -> Option<Instant> {
        match self.stand {
            Stand::Open(_, at) => at,
            Stand::Closed | Stand::HalfOpen(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn five_boots_that_fail_within_a_minute_open_it_and_five_that_fail_in_two_do_not() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        let opened: Vec<_> = (0..5).map(|second| breaker.failed(start + second * S, Failure::Boot)).collect();
        assert_eq!(opened, [false, false, false, false, true]);
        assert_eq!(breaker.stand(), Stand::Open(Fault::Boots, Some(start + 34 * S)));
        let mut breaker = Breaker::default();
        assert!(!(0..5).any(|number| breaker.failed(start + number * 16 * S, Failure::Boot)));
    }

    #[test]
    fn ten_workers_in_a_row_that_finish_nothing_open_it_and_one_finished_call_ends_the_row() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        assert!(!(0..9).any(|_| breaker.failed(now, Failure::Barren)));
        assert!(!breaker.finished());
        assert!(!(0..9).any(|_| breaker.failed(now, Failure::Barren)));
        assert!(breaker.failed(now, Failure::Barren));
        assert_eq!(breaker.takers(3, 4), 0);
    }

    #[test]
    fn boots_too_slow_for_the_window_open_it_after_ten() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        let opened = (0..10).map(|number| breaker.failed(start + number * 30 * S, Failure::Boot));
        assert_eq!(opened.filter(|opened| *opened).count(), 1);
        assert!(matches!(breaker.stand(), Stand::Open(Fault::Boots, _)));
    }

    #[test]
    fn one_probe_goes_out_after_half_a_minute_and_each_that_fails_doubles_the_wait() {
        let mut now = Instant::now();
        let mut breaker = Breaker::default();
        (0..5).for_each(|_| assert_eq!(breaker.failed(now, Failure::Boot), breaker.stand() != Stand::Closed));
        let mut waits = Vec::new();
        for _ in 0..6 {
            let at = breaker.probe_at().unwrap();
            assert_eq!(breaker.allowed(at - Duration::from_millis(1), 4, true), 0);
            waits.push((at - now).as_secs());
            now = at;
            assert_eq!(breaker.allowed(now, 0, true), 1, "wanted or not");
            assert_eq!(breaker.allowed(now, 4, true), 0, "one at a time");
            assert!(breaker.failed(now, Failure::Boot));
        }
        assert_eq!(waits, [30, 60, 120, 240, 300, 300]);
    }

    #[test]
    fn what_was_broken_must_be_shown_to_work() {
        let now = Instant::now();
        let mut boots = Breaker::default();
        (0..5).for_each(|_| assert_eq!(boots.failed(now, Failure::Boot), boots.stand() != Stand::Closed));
        // Those that run go on, which shows nothing of new ones.
        assert_eq!((boots.takers(2, 4), boots.finished()), (2, false));
        assert_eq!(boots.allowed(now + 30 * S, 1, true), 1);
        assert!(boots.ready());
        assert_eq!((boots.stand(), boots.takers(2, 4)), (Stand::Closed, 4));
        let mut barren = Breaker::default();
        (0..10).for_each(|_| assert_eq!(barren.failed(now, Failure::Barren), barren.stand() != Stand::Closed));
        assert_eq!(barren.allowed(now + 30 * S, 1, true), 1);
        assert!(!barren.ready());
        assert_eq!(barren.takers(1, 4), 1);
        assert!(barren.finished());
        assert_eq!(barren.allowed(now, 4, true), 4);
    }

    #[test]
    fn exit_78_opens_it_at_once_until_somebody_says_otherwise() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        assert!(breaker.failed(now, Failure::Config));
        assert!(!breaker.failed(now, Failure::Config), "once");
        assert_eq!((breaker.probe_at(), breaker.allowed(now + 3_600 * S, 4, true)), (None, 0));
        assert!(!breaker.ready() && !breaker.finished());
        assert!(breaker.reset());
        assert_eq!(breaker.allowed(now, 4, true), 4);
    }

    #[test]
    fn a_probe_that_was_told_to_end_or_had_no_room_is_followed_by_another() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        (0..5).for_each(|_| assert!(!breaker.failed(now, Failure::Boot) || breaker.stand() != Stand::Closed));
        assert_eq!(breaker.allowed(now + 30 * S, 1, false), 0);
        assert_eq!(breaker.probe_at(), Some(now + 60 * S));
        let now = now + 30 * S;
        assert_eq!(breaker.allowed(now + 30 * S, 1, true), 1);
        breaker.look(now + 31 * S, 1, 0);
        assert_eq!(breaker.stand(), Stand::HalfOpen(Fault::Boots));
        breaker.look(now + 32 * S, 0, 3);
        assert_eq!(breaker.stand(), Stand::Open(Fault::Boots, Some(now + 62 * S)));
    }
}
