//! The specs of the latest submits: most jobs are handed out soon after.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use windlass_shared::ids::JobId;

/// What an entry costs beside its bytes: the id twice, the handle, and the allocator's share.
const ENTRY_BYTES: usize = 128;

/// Specs by job, the oldest dropped first.
#[derive(Debug)]
pub(super) struct SpecCache {
    bytes_max: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    specs: HashMap<JobId, Bytes>,
    by_age: VecDeque<(JobId, usize)>,
    bytes: usize,
}

impl SpecCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, entries: Mutex::default() }
    }

    pub(super) fn get(&self, id: JobId) -> Option<Bytes> {
        self.entries().specs.get(&id).cloned()
    }

    pub(super) fn insert_all<'a>(&self, specs: impl Iterator<Item = (JobId, &'a [u8])>) {
        let mut entries = self.entries();
        for (id, spec) in specs {
            // A copy: what arrived is a slice of its whole message, which it would hold on to.
            entries.insert(id, Bytes::copy_from_slice(spec));
        }
        while entries.bytes > self.bytes_max {
            let Some((id, cost)) = entries.by_age.pop_front() else { return };
            entries.specs.remove(&id);
            entries.bytes -= cost;
        }
    }

    // Nothing here is left half done by a panic elsewhere.
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn insert(&mut self, id: JobId, spec: Bytes) {
        let cost = spec.len() + ENTRY_BYTES;
        self.specs.insert(id, spec);
        self.by_age.push_back((id, cost));
        self.bytes += cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_the_bytes_are_used_up() {
        let cache = SpecCache::new(3 * (ENTRY_BYTES + 10));
        let id = |n| JobId::from_bytes([n; 16]);
        for n in 1..=4 {
            cache.insert_all(std::iter::once((id(n), &[n; 10][..])));
        }
        assert_eq!(cache.get(id(1)), None);
        assert_eq!(cache.get(id(2)), Some(Bytes::from_static(&[2; 10])));
        assert_eq!(cache.get(id(4)), Some(Bytes::from_static(&[4; 10])));
        assert_eq!(cache.entries().bytes, 3 * (ENTRY_BYTES + 10));
    }
}
