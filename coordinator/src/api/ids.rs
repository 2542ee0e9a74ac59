//! Ids of new jobs: `UUIDv7`s that grow with every submit, so that id order is submit order even within a millisecond.

use std::sync::{Mutex, PoisonError};

use windlass_shared::clock;
use windlass_shared::ids::JobId;

/// The counter's top bit begins clear, which leaves room for 2^61 ids in one millisecond.
const COUNTER_MASK: u64 = (1 << 61) - 1;

/// Where ids come from.
#[derive(Debug, Default)]
pub(crate) struct JobIds(Mutex<Last>);

#[derive(Debug, Default)]
struct Last {
    unix_ms: u64,
    random: [u8; 10],
}

impl JobIds {
    /// An id greater than every one before.
    pub(crate) fn next(&self) -> JobId {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.advance(clock::wall().unix_ms());
        JobId::new(last.unix_ms, &last.random)
    }
}

impl Last {
    // RFC 9562, 6.2, method 2: random bits for the first id of a millisecond, counted up for the ones after it. A wall clock
    // that goes back goes on counting in the latest millisecond there was.
    fn advance(&mut self, unix_ms: u64) {
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
