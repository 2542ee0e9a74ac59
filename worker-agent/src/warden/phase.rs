//! How far a keeper is with its attempt, and when the next step is due.
//!
//! ```text
//!            exec'd           leader ended           grace over
//!  Starting ────────► Running ────────────► Grace ────────────► Killing ──┐ again while any child is left
//!     │ start timeout    │  told to kill, or warden gone          ▲ ◄─────┘
//!     └──────────────────┴────────────────────────────────────────┘
//! ```

use std::time::{Duration, Instant};

/// First pause between two kills of what would not die, then doubled up to the longest.
const KILL_AGAIN: Duration = Duration::from_millis(5);
const KILL_AGAIN_MAX: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) enum Phase {
    Starting { until: Instant },
    Running,
    Grace { until: Instant },
    Killing { overdue: Option<Instant>, again: Instant, pause: Duration },
}

impl Phase {
    pub(super) fn is_killing(&self) -> bool {
        matches!(self, Self::Killing { .. })
    }

    /// When there is something to do though nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Starting { until } | Self::Grace { until } => Some(*until),
            Self::Running => None,
            Self::Killing { overdue, again, .. } => Some(overdue.map_or(*again, |overdue| overdue.min(*again))),
        }
    }

    /// The program runs, if nobody has given up on it meanwhile.
    pub(super) fn started(&mut self) {
        if matches!(self, Self::Starting { .. }) {
            *self = Self::Running;
        }
    }

    /// The leader ended: what survives it has until then, if it is not killed already.
    pub(super) fn leader_ended(&mut self, until: Instant) {
        if !self.is_killing() {
            *self = Self::Grace { until };
        }
    }

    /// Begins to kill, which is overdue from then on. Said twice, it goes on as it was.
    pub(super) fn kill(&mut self, now: Instant, overdue: Instant) {
        if !self.is_killing() {
            *self = Self::Killing { overdue: Some(overdue), again: now, pause: KILL_AGAIN };
        }
    }

    /// A round is over at `now`; the next comes after a longer pause.
    pub(super) fn pause(&mut self, now: Instant) {
        if let Self::Killing { again, pause, .. } = self {
            *pause = (*pause * 2).min(KILL_AGAIN_MAX);
            *again = now + *pause;
        }
    }

    /// Where children still end, others may still be forked: the next round is worth more than the pause.
    pub(super) fn hurry(&mut self, now: Instant) {
        if let Self::Killing { again, pause, .. } = self {
            *pause = KILL_AGAIN;
            *again = (*again).min(now + KILL_AGAIN);
        }
    }

    /// That the kill has not worked is said once.
    pub(super) fn told_overdue(&mut self) {
        if let Self::Killing { overdue, .. } = self {
            *overdue = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_pause_between_two_kills_grows_and_is_short_again_when_children_end() {
        let now = Instant::now();
        let mut phase = Phase::Starting { until: now };
        phase.kill(now, now + 10_000 * MS);
        let pauses = [(); 9].map(|()| {
            phase.pause(now);
            phase.deadline().expect("killing").duration_since(now).as_millis()
        });
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 500, 500, 500]);
        phase.hurry(now);
        assert_eq!(phase.deadline(), Some(now + 5 * MS));
    }

    #[test]
    fn what_is_killed_is_killed_and_its_overdue_is_told_once() {
        let now = Instant::now();
        let mut phase = Phase::Running;
        phase.kill(now, now + MS);
        phase.pause(now);
        phase.kill(now, now + 100 * MS);
        phase.leader_ended(now + 200 * MS);
        phase.started();
        assert!(phase.is_killing());
        assert_eq!(phase.deadline(), Some(now + MS));
        phase.told_overdue();
        assert_eq!(phase.deadline(), Some(now + 10 * MS));
    }

    #[test]
    fn a_program_that_runs_is_waited_for_without_end_and_its_survivors_are_not() {
        let now = Instant::now();
        let mut phase = Phase::Starting { until: now + MS };
        assert_eq!(phase.deadline(), Some(now + MS));
        phase.started();
        assert_eq!(phase.deadline(), None);
        phase.leader_ended(now + 2 * MS);
        assert_eq!(phase.deadline(), Some(now + 2 * MS));
    }
}
