//! Work by class: commands, and the calls of each handler. Whatever can be run by the same rooms waits in one place.
//!
//! ```text
//!   class        waits (Lanes)      room (Balancer)
//!   exec         7 9 12             agent 1, agent 3         ┐
//!   resize       8 10               agent 2's pool "img"     ├─► open: 7 exec, 8 resize
//!   transcode    2                  nobody: costs nothing    ┘
//! ```
//!
//! A decision takes the first of `open`, then the least loaded room of its class. It costs the logarithm of what there is, and
//! grows with neither the jobs that wait, nor the queues, nor the classes nobody has room for.

use std::collections::{BTreeMap, BTreeSet};

use super::balancer::Balancer;
use super::queue::{Lanes, Place, place};
use crate::jobs::Job;
use crate::keys::{AgentIx, Slot};
use crate::names::NameId;

/// What work asks of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// A slot for a command.
    Exec,
    /// A worker that announced this handler.
    Call(NameId),
}

#[derive(Debug, Default)]
struct Entry {
    lanes: Lanes,
    rooms: Balancer,
    /// What `open` has of it.
    shown: Option<Place>,
}

impl Entry {
    fn open(&self) -> Option<Place> {
        self.lanes.first().filter(|_| !self.rooms.is_empty())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Classes {
    table: BTreeMap<Class, Entry>,
    open: BTreeSet<(Place, Class)>,
    ready: usize,
}

impl Classes {
    /// The job to hand out next, and who gets it.
    pub(crate) fn next(&self) -> Option<(Slot, AgentIx)> {
        let ((_, _, slot), class) = self.open.first()?;
        Some((*slot, self.table.get(class)?.rooms.best()?))
    }

    pub(crate) fn insert(&mut self, slot: Slot, job: &Job, paused: bool) {
        self.change(job.class, |entry| entry.lanes.insert(job.queue, place(slot, job), paused));
        self.ready += 1;
    }

    pub(crate) fn remove(&mut self, slot: Slot, job: &Job) {
        let found = self.change(job.class, |entry| entry.lanes.remove(job.queue, place(slot, job)));
        self.ready -= usize::from(found);
    }

    /// O(classes): an operator's word, not a decision.
    pub(crate) fn pause(&mut self, queue: NameId, paused: bool) {
        let classes: Vec<Class> = self.table.keys().copied().collect();
        for class in classes {
            self.change(class, |entry| entry.lanes.pause(queue, paused));
        }
    }

    /// The agent has room for the class, under this load.
    pub(crate) fn open(&mut self, class: Class, load: u64, ix: AgentIx) {
        self.change(class, |entry| entry.rooms.insert(load, ix));
    }

    /// To be called before anything of the room changes, with its load.
    pub(crate) fn close(&mut self, class: Class, load: u64, ix: AgentIx) {
        self.change(class, |entry| entry.rooms.remove(load, ix));
    }

    fn change<T>(&mut self, class: Class, change: impl FnOnce(&mut Entry) -> T) -> T {
        let entry = self.table.entry(class).or_default();
        let answer = change(entry);
        let (before, after) = (entry.shown, entry.open());
        entry.shown = after;
        if entry.lanes.is_empty() && entry.rooms.is_empty() {
            self.table.remove(&class);
        }
        if before != after {
            before.map(|place| self.open.remove(&(place, class)));
            after.map(|place| self.open.insert((place, class)));
        }
        answer
    }

    pub(crate) fn contains(&self, slot: Slot, job: &Job) -> bool {
        self.table.get(&job.class).is_some_and(|entry| entry.lanes.contains(job.queue, place(slot, job)))
    }

    pub(crate) fn has_room(&self, class: Class, load: u64, ix: AgentIx) -> bool {
        self.table.get(&class).is_some_and(|entry| entry.rooms.contains(load, ix))
    }

    /// Jobs that are ready.
    pub(crate) fn ready(&self) -> usize {
        self.ready
    }

    /// Rooms that are open, by class counted once each. For checks only.
    pub(crate) fn rooms(&self) -> usize {
        self.table.values().map(|entry| entry.rooms.len()).sum()
    }

    /// Whether `open` has what it must, and every lane its head. For checks only.
    pub(crate) fn is_consistent(&self) -> bool {
        let open = self.table.iter().filter_map(|(class, entry)| Some((entry.open()?, *class)));
        open.collect::<BTreeSet<_>>() == self.open
            && self.table.values().all(|entry| entry.lanes.heads_are_right() && entry.shown == entry.open())
            && self.table.values().all(|entry| !entry.lanes.is_empty() || !entry.rooms.is_empty())
    }
}
