//! How well an agent does, by how the attempts it ran ended lately. One that is not well gets work only where no other can have it,
//! and comes back by itself: what it failed is forgotten after [`WINDOW`], and a new process begins without a past.
//!
//! ```text
//!   fewer than 20 ends in the window        HEALTHY: nobody is judged by what has not happened
//!   more than half of them failed           UNHEALTHY
//!   more than a tenth, or something stuck   DEGRADED
//! ```

use std::time::Duration;

use windlass_shared::domain::{AttemptState, Health};
use windlass_shared::time::Moment;

/// Time that an end counts for: long enough for twenty ends of jobs of seconds, short enough that an agent whose trouble is over
/// is not left idle for the rest of the day.
const WINDOW: Duration = Duration::from_secs(300);
/// Parts of it that are forgotten one by one.
const PARTS: u64 = 10;
const PART: Duration = Duration::from_secs(WINDOW.as_secs() / PARTS);
/// Ends before a judgement: half of fewer is chance.
const ENDS_MIN: u32 = 20;

/// How attempts ended lately on one agent.
#[derive(Debug, Default)]
pub(crate) struct Lately {
    parts: [Part; PARTS as usize],
    /// Attempts that ended by themselves in the window, as of the last look.
    pub(crate) ends: u32,
    /// Of them, those that failed.
    pub(crate) failures: u32,
}

#[derive(Debug, Default, Clone, Copy)]
struct Part {
    /// Which one since the clock began.
    number: u64,
    ends: u32,
    failures: u32,
}

impl Lately {
    /// An attempt ended so. What was stopped from outside says nothing of the agent.
    pub(crate) fn note(&mut self, now: Moment, state: AttemptState) {
        let failed = match state {
            AttemptState::Succeeded => false,
            AttemptState::Failed | AttemptState::TimedOut | AttemptState::Rejected => true,
            _ => return,
        };
        let number = part_of(now);
        let part = &mut self.parts[(number % PARTS) as usize];
        if part.number != number {
            *part = Part { number, ..Part::default() };
        }
        part.ends += 1;
        part.failures += u32::from(failed);
        self.forget(now);
    }

    /// What left the window counts no longer.
    pub(crate) fn forget(&mut self, now: Moment) {
        let number = part_of(now);
        let in_window = self.parts.iter().filter(|part| part.number + PARTS > number);
        let sum = |(ends, failures), part: &Part| (ends + part.ends, failures + part.failures);
        (self.ends, self.failures) = in_window.fold((0, 0), sum);
    }
}

/// What that, and so much that is stuck, say of an agent.
pub(crate) fn judge(lately: &Lately, stuck: u32) -> Health {
    let more_than =
        |part: u32| lately.ends >= ENDS_MIN && u64::from(lately.failures) * u64::from(part) > u64::from(lately.ends);
    if more_than(2) {
        Health::Unhealthy
    } else if more_than(10) || stuck > 0 {
        Health::Degraded
    } else {
        Health::Healthy
    }
}

fn part_of(now: Moment) -> u64 {
    let nanos = now.since(Moment::default()).as_nanos() / PART.as_nanos();
    u64::try_from(nanos).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::default().after(Duration::from_secs(seconds))
    }

    fn so_many(ends: u32, failures: u32) -> Lately {
        Lately { ends, failures, ..Lately::default() }
    }

    fn counts(lately: &mut Lately, seconds: u64) -> (u32, u32) {
        lately.forget(at(seconds));
        (lately.ends, lately.failures)
    }

    #[test]
    fn an_idle_agent_and_a_new_one_are_healthy() {
        let mut idle = Lately::default();
        assert_eq!(judge(&idle, 0), Health::Healthy);
        idle.forget(at(100_000));
        assert_eq!(judge(&idle, 0), Health::Healthy);
        assert_eq!(judge(&so_many(19, 19), 0), Health::Healthy, "too few to say");
    }

    #[test]
    fn more_than_a_tenth_failed_is_degraded_and_more_than_half_unhealthy() {
        let health = |failures| judge(&so_many(20, failures), 0);
        assert_eq!(
            [0, 2, 3, 10, 11, 20].map(health),
            [
                Health::Healthy,
                Health::Healthy,
                Health::Degraded,
                Health::Degraded,
                Health::Unhealthy,
                Health::Unhealthy
            ]
        );
        assert_eq!(judge(&so_many(0, 0), 1), Health::Degraded, "something is stuck");
        assert_eq!(judge(&so_many(u32::MAX, u32::MAX), 0), Health::Unhealthy);
    }

    #[test]
    fn what_was_stopped_from_outside_counts_for_nothing() {
        let mut lately = Lately::default();
        for state in [AttemptState::Cancelled, AttemptState::Interrupted, AttemptState::Returned, AttemptState::Lost] {
            lately.note(at(1), state);
        }
        assert_eq!(counts(&mut lately, 1), (0, 0));
        for state in [AttemptState::Succeeded, AttemptState::Failed, AttemptState::TimedOut, AttemptState::Rejected] {
            lately.note(at(1), state);
        }
        assert_eq!(counts(&mut lately, 1), (4, 3));
    }

    #[test]
    fn an_end_is_forgotten_after_the_window_and_not_before() {
        let mut lately = Lately::default();
        lately.note(at(29), AttemptState::Failed);
        lately.note(at(31), AttemptState::Failed);
        assert_eq!(counts(&mut lately, 299), (2, 2));
        assert_eq!(counts(&mut lately, 300), (1, 1), "the first part");
        assert_eq!(counts(&mut lately, 330), (0, 0));
        lately.note(at(331), AttemptState::Succeeded);
        assert_eq!(counts(&mut lately, 331), (1, 0), "where the second was");
    }
}
