//! Signs of life of a worker that has nothing to do.

use std::time::Duration;

use tokio::time::Instant;

/// Silence of an idle worker after which it is asked for a sign of life.
const PING_AFTER: Duration = Duration::from_secs(10);
/// Time for the sign.
const PONG_WITHIN: Duration = Duration::from_secs(5);
/// Signs that stay out before it is taken for hung: one may be a host that stands still.
const PONGS_MISSED_MAX: u8 = 2;
/// When it gave the last, and when the next is due.
#[derive(Debug)]
pub(super) struct Pulse {
    /// When it was heard or freed last.
    quiet_since: Instant,
    /// Until when the answer to the last question may come, where it did not.
    until: Option<Instant>,
    missed: u8,
}

/// What a look comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    Well,
    /// It is to be asked.
    Ask,
    /// It has been asked often enough.
    Gone,
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Self { quiet_since: now, until: None, missed: 0 }
    }

    /// It gave a sign of life.
    pub(super) fn heard(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// When to look at it next.
    pub(super) fn due(&self) -> Instant {
        self.until.unwrap_or(self.quiet_since + PING_AFTER)
    }

    pub(super) fn check(&mut self, now: Instant) -> Beat {
        if self.due() > now {
            return Beat::Well;
        }
        self.missed += u8::from(self.until.is_some());
        if self.missed >= PONGS_MISSED_MAX {
            return Beat::Gone;
        }
        self.until = Some(now + PONG_WITHIN);
        Beat::Ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn who_is_silent_is_asked_twice_and_then_given_up_and_one_answer_begins_anew() {
        let now = Instant::now();
        let mut pulse = Pulse::new(now);
        assert_eq!((pulse.check(now + 9 * S), pulse.due()), (Beat::Well, now + 10 * S));
        assert_eq!((pulse.check(now + 10 * S), pulse.due()), (Beat::Ask, now + 15 * S));
        assert_eq!((pulse.check(now + 15 * S), pulse.due()), (Beat::Ask, now + 20 * S));
        assert_eq!(pulse.check(now + 20 * S), Beat::Gone);
        pulse.heard(now + 20 * S);
        assert_eq!((pulse.check(now + 29 * S), pulse.due()), (Beat::Well, now + 30 * S));
    }
}
