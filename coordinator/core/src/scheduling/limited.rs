//! Lanes and their limits: parked where one blocks, woken when it gives way.

use std::sync::Arc;

use windlass_shared::time::Now;

use super::lanes::{LaneId, Profile};
use super::shapes::ShapeId;
use crate::Core;
use crate::keys::Slot;
use crate::limits::{Key, LimitIx, Take};

/// What a job takes of its queue's limit, in thousandths of cost: it is one job.
const QUEUE_COST: u32 = 1_000;

impl Core {
    /// Lanes whose jobs wait for a limit, however many those are.
    #[must_use]
    pub fn lanes_parked(&self) -> usize {
        self.scheduler.parking.lanes().count()
    }

    /// What each job of such a lane takes, with one more user of each limit: its queue's, and those it names.
    pub(crate) fn enter_limits(&mut self, profile: &Profile) -> Arc<[Take]> {
        let queue = Key::Queue(self.jobs.names.get(profile.queue).clone());
        let of_queue = Take { limit: self.limits.enter(&queue), units: 1, cost: QUEUE_COST };
        let named = profile.demand.iter().flat_map(|demand| &demand.limits);
        let named = named.map(|one| Take {
            limit: self.limits.enter(&Key::Named(one.key.clone())),
            units: one.units,
            cost: one.cost,
        });
        std::iter::once(of_queue).chain(named).collect()
    }

    /// A job's attempt is held that was not handed out just now: after a restart, or taken back.
    pub(crate) fn hold_limits(&mut self, slot: Slot) {
        let takes = self.takes_of(slot);
        self.limits.hold(&takes);
    }

    /// A job's attempt is over: what it took of limits is free.
    pub(crate) fn free_limits(&mut self, slot: Slot) {
        let takes = self.takes_of(slot);
        self.limits.give_back(&takes);
        takes.iter().for_each(|take| self.scheduler.parking.touch(take.limit));
    }

    pub(crate) fn takes_of(&self, slot: Slot) -> Arc<[Take]> {
        self.scheduler.lanes.get(self.jobs.get(slot).lane).takes.clone()
    }

    /// Parks the lane at the limit that blocks it longest; whether there was one.
    pub(super) fn park_if_blocked(&mut self, now: Now, id: LaneId) -> bool {
        let takes = &self.scheduler.lanes.get(id).takes;
        let Some(blocked) = self.limits.blocked(now.mono, takes) else { return false };
        if let Some(until) = blocked.until {
            self.scheduler.parking.set_alarm(blocked.limit, until);
        }
        self.scheduler.park(id, Some(blocked.limit));
        true
    }

    /// Wakes who may go where limits gave way. The shapes of which a lane woke.
    pub(super) fn wake(&mut self, now: Now) -> Vec<ShapeId> {
        let mut woken = Vec::new();
        while let Some(limit) = self.scheduler.parking.pop_touched() {
            for shape in self.scheduler.parking.shapes(limit).collect::<Vec<_>>() {
                if self.wake_first(now, limit, shape) {
                    woken.push(shape);
                }
            }
        }
        woken
    }

    fn wake_first(&mut self, now: Now, limit: LimitIx, shape: ShapeId) -> bool {
        let scheduler = &mut self.scheduler;
        let Some(id) = scheduler.parking.first(&scheduler.shares, (limit, shape)) else { return false };
        let takes = &scheduler.lanes.get(id).takes;
        let Some(take) = takes.iter().find(|take| take.limit == limit) else { return false };
        match self.limits.blocked(now.mono, std::slice::from_ref(take)) {
            Some(blocked) => {
                if let Some(until) = blocked.until {
                    self.scheduler.parking.set_alarm(limit, until);
                }
                false
            }
            None => {
                self.scheduler.park(id, None);
                self.scheduler.parking.hush(limit);
                true
            }
        }
    }
}
