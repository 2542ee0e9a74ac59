//! The jobs that are ready, in the order they go: priority first, then submit order, whatever happened in between.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::jobs::Job;
use crate::keys::Slot;

type Key = (Reverse<i8>, u64, Slot);

#[derive(Debug, Default)]
pub(crate) struct Ready(BTreeSet<Key>);

fn key(slot: Slot, job: &Job) -> Key {
    (Reverse(job.priority), job.order, slot)
}

impl Ready {
    pub(crate) fn insert(&mut self, slot: Slot, job: &Job) {
        self.0.insert(key(slot, job));
    }

    pub(crate) fn remove(&mut self, slot: Slot, job: &Job) {
        self.0.remove(&key(slot, job));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<Slot> {
        self.0.pop_first().map(|(_, _, slot)| slot)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn contains(&self, slot: Slot, job: &Job) -> bool {
        self.0.contains(&key(slot, job))
    }
}
