//! Ids of new jobs: `UUIDv7`s that grow with every submit, so that id order is submit order even within a millisecond.

use std::sync::{Mutex, PoisonError};

use windlass_shared::clock;
use windlass_shared::ids::JobId;

/// The counter's top bit begins clear, which leaves room for 2^61 ids in one millisecond.
const COUNTER_MASK: u64 = (1 << 61) - 1;

/// How far the clock may go back before ids follow it, in milliseconds: ten minutes, well within what lists allow for between the
/// time of an id and that of its job.
const BACK_MS_MAX: u64 = 600_000;

/// Where ids come from.
#[derive(Debug, Default)]
pub(crate) struct JobIds(Mutex<Last>);

#[derive(Debug, Default)]
struct Last {
    unix_ms: u64,
    random: [u8; 10],
}

impl JobIds {
    /// An id greater than every one before, unless the clock was set back by more than ten minutes.
    pub(crate) fn next(&self) -> JobId {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.advance(clock::wall().unix_ms());
        JobId::new(last.unix_ms, &last.random)
    }
}

impl Last {
    // RFC 9562, 6.2, method 2: random bits for the first id of a millisecond, counted up for the ones after it. A wall clock
    // that goes back a little goes on counting in the latest millisecond there was. One that was far ahead and is set right is
    // followed: ids of a day that is yet to come would not be found by the time of their jobs, for as long as that day takes.
    fn advance(&mut self, unix_ms: u64) {
        if unix_ms < self.unix_ms.saturating_sub(BACK_MS_MAX) {
            self.unix_ms = 0;
        }
        let [high, counter @ ..] = &mut self.random;
        let counter: &mut [u8; 8] = counter.last_chunk_mut().unwrap_or_else(|| unreachable!("nine bytes hold eight"));
        if unix_ms > self.unix_ms {
            self.unix_ms = unix_ms;
            // Without randomness ids are still unique: by their time, and by this counter.
            let _ = getrandom::fill(counter);
            let _ = getrandom::fill(std::slice::from_mut(high));
            *counter = (u64::from_be_bytes(*counter) & COUNTER_MASK).to_be_bytes();
        } else {
            *counter = (u64::from_be_bytes(*counter) + 1).to_be_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_a_clock_that_was_far_ahead_and_is_set_right() {
        let (mut last, day) = (Last::default(), 24 * 3_600_000);
        let mut times = Vec::new();
        for unix_ms in [day, 2 * day, 2 * day - BACK_MS_MAX, day + 5, day + 5] {
            last.advance(unix_ms);
            times.push(last.unix_ms);
        }
        assert_eq!(times, [day, 2 * day, 2 * day, day + 5, day + 5]);
    }

    #[test]
    fn ids_grow_within_a_millisecond_and_over_a_clock_that_goes_back() {
        let mut last = Last::default();
        let mut ids = Vec::new();
        for unix_ms in [5, 5, 5, 6, 4, 4, 7] {
            last.advance(unix_ms);
            ids.push(JobId::new(last.unix_ms, &last.random));
        }
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    }
}
