//! The jobs of one class that are ready, in the order they go: priority first, then submit order, whatever happened in between.
//!
//! ```text
//!   lanes   one a queue:  "default" ► 7 9 12 …      "bulk" ► 3 4 8 …  (paused)
//!   heads   the first of each lane that is not paused, in the same order: 7
//! ```
//!
//! So a paused queue costs nothing, however many jobs wait in it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::jobs::Job;
use crate::keys::Slot;
use crate::names::NameId;

/// A job's place among all that are ready.
pub(crate) type Place = (Reverse<i8>, u64, Slot);

pub(crate) fn place(slot: Slot, job: &Job) -> Place {
    (Reverse(job.priority), job.order, slot)
}

#[derive(Debug, Default)]
struct Lane {
    ready: BTreeSet<Place>,
    paused: bool,
}

impl Lane {
    fn head(&self) -> Option<Place> {
        self.ready.first().copied().filter(|_| !self.paused)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: BTreeMap<NameId, Lane>,
    heads: BTreeSet<Place>,
}

impl Lanes {
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    pub(crate) fn first(&self) -> Option<Place> {
        self.heads.first().copied()
    }

    pub(crate) fn insert(&mut self, queue: NameId, place: Place, paused: bool) {
        self.change(queue, |lane| {
            lane.paused = paused;
            lane.ready.insert(place)
        });
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, queue: NameId, place: Place) -> bool {
        self.change(queue, |lane| lane.ready.remove(&place))
    }

    pub(crate) fn pause(&mut self, queue: NameId, paused: bool) {
        self.change(queue, |lane| lane.paused = paused);
    }

    fn change<T>(&mut self, queue: NameId, change: impl FnOnce(&mut Lane) -> T) -> T {
        let lane = self.lanes.entry(queue).or_default();
        let before = lane.head();
        let answer = change(lane);
        let after = lane.head();
        if lane.ready.is_empty() {
            self.lanes.remove(&queue);
        }
        if before != after {
            before.map(|head| self.heads.remove(&head));
            after.map(|head| self.heads.insert(head));
        }
        answer
    }

    pub(crate) fn contains(&self, queue: NameId, place: Place) -> bool {
        self.lanes.get(&queue).is_some_and(|lane| lane.ready.contains(&place))
    }

    /// The heads as they must be. For checks only.
    pub(crate) fn heads_are_right(&self) -> bool {
        self.lanes.values().filter_map(Lane::head).collect::<BTreeSet<_>>() == self.heads
    }
}
