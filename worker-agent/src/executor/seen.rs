//! Leases that came before: a repeated assignment must not run twice.

use std::collections::{BTreeSet, VecDeque};

use windlass_shared::domain::Lease;

/// A repeat comes from the same stream or the one before, so it is at most a few thousand assignments old: an agent holds at
/// most 20 000 attempts at a time.
const LEASES_MAX: usize = 64 << 10;

/// A record and its fencing token: unique, since tokens only grow within a record.
type Key = (u64, u64);

#[derive(Debug, Default)]
pub(super) struct Seen {
    keys: BTreeSet<Key>,
    order: VecDeque<Key>,
}

impl Seen {
    /// Notes a lease; whether it is new.
    pub(super) fn note(&mut self, lease: &Lease) -> bool {
        let key = (lease.incarnation, lease.fencing_token);
        if !self.keys.insert(key) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > LEASES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::ids::JobId;

    #[test]
    fn a_lease_is_new_once_and_the_memory_of_it_is_bounded() {
        let lease = |token| Lease {
            job: JobId::new(1, &[0; 10]),
            generation: 1,
            attempt: 1,
            incarnation: 1,
            epoch: 1,
            fencing_token: token,
        };
        let mut seen = Seen::default();
        assert!(seen.note(&lease(0)));
        assert!(!seen.note(&lease(0)));
        for token in 1..=LEASES_MAX as u64 {
            assert!(seen.note(&lease(token)));
        }
        assert_eq!(seen.keys.len(), LEASES_MAX);
        assert!(!seen.note(&lease(1)));
    }
}
