//! Two sums over a time that rolls on: ten slots, the oldest of which is dropped when a new one begins. So a sum is of nine to ten
//! tenths of the time, for 100 bytes and no allocation.

use std::time::Duration;

use crate::time::Moment;

const SLOTS: usize = 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    /// Nanoseconds of a slot; at least 1.
    slot: u64,
    sums: [[u32; 2]; SLOTS],
    /// Number of the newest slot, counted from the beginning of time.
    newest: u64,
}

impl Window {
    pub(super) fn new(time: Duration) -> Self {
        let slot = u64::try_from(time.as_nanos() / SLOTS as u128).unwrap_or(u64::MAX).max(1);
        Self { slot, sums: [[0; 2]; SLOTS], newest: 0 }
    }

    /// Adds to one of the two sums, 0 or 1.
    pub(super) fn add(&mut self, now: Moment, which: usize, amount: u32) {
        self.roll(now);
        let sum = &mut self.sums[slot_of(self.newest)][which];
        *sum = sum.saturating_add(amount);
    }

    /// Both sums.
    pub(super) fn sums(&mut self, now: Moment) -> [u64; 2] {
        self.roll(now);
        self.sums.iter().fold([0; 2], |[a, b], slot| [a + u64::from(slot[0]), b + u64::from(slot[1])])
    }

    /// When the next slot begins, and the oldest is dropped.
    pub(super) fn next_slot(&self) -> Moment {
        Moment((self.newest + 1).saturating_mul(self.slot))
    }

    pub(super) fn clear(&mut self) {
        self.sums = [[0; 2]; SLOTS];
    }

    // A clock that stands still or is read out of order adds to the newest slot: nothing is ever counted twice for it.
    fn roll(&mut self, now: Moment) {
        let newest = now.0 / self.slot;
        for number in self.newest.saturating_add(1).max(newest.saturating_sub(SLOTS as u64 - 1))..=newest {
            self.sums[slot_of(number)] = [0; 2];
        }
        self.newest = self.newest.max(newest);
    }
}

fn slot_of(number: u64) -> usize {
    usize::try_from(number % SLOTS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment(ms * 1_000_000)
    }

    #[test]
    fn what_is_older_than_the_window_is_not_in_the_sums() {
        let mut window = Window::new(Duration::from_secs(1));
        window.add(at(50), 0, 1);
        window.add(at(250), 1, 2);
        assert_eq!(window.sums(at(999)), [1, 2]);
        assert_eq!(window.sums(at(1_000)), [0, 2]);
        assert_eq!(window.sums(at(1_199)), [0, 2]);
        assert_eq!(window.sums(at(1_200)), [0, 0]);
        window.add(at(9_000), 0, 3);
        assert_eq!(window.sums(at(9_000)), [3, 0]);
        assert_eq!(window.sums(at(900_000)), [0, 0]);
    }

    #[test]
    fn a_clock_that_goes_back_counts_into_the_newest_slot() {
        let mut window = Window::new(Duration::from_secs(1));
        window.add(at(5_000), 0, 1);
        window.add(at(100), 0, 1);
        assert_eq!(window.sums(at(5_050)), [2, 0]);
    }
}
