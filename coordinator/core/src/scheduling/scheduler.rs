//! Everything that waits, by lane and by shape, and who might have room for it.
//!
//! ```text
//!   job ─► lane {queue, key, shape, limits, program}      ready: places, least first
//!            └─► shape {class, resources, constraints}     waiting: the lanes' heads, by share and place
//!                  └─► agents                              able, maybe
//! ```
//!
//! Three things can make a decision possible: a lane that begins to wait (its shape is hot), an agent that gains room (it is
//! fresh), and whatever held a lane back (it is unblocked, and begins to wait). Between inputs none of the three is left: no lane
//! waits that is not blocked and whose shape fits an agent it may go to.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bits::Bits;
use super::class::Class;
use super::lanes::{Blocks, LaneId, Lanes};
use super::parking::Parking;
use super::place::Place;
use super::shapes::{ShapeId, Shapes};
use super::shares::Shares;
use crate::keys::AgentIx;
use crate::limits::{LimitIx, Take};
use crate::names::{NameId, Names};

#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    pub(crate) lanes: Lanes,
    pub(crate) shapes: Shapes,
    pub(crate) shares: Shares,
    pub(crate) parking: Parking,
    /// Shapes that wait: some lane of it has a head.
    pub(crate) waiting: Bits,
    /// Those of them that somebody may have room for.
    pub(crate) hot: Bits,
    /// Agents that gained something since the last round.
    pub(crate) fresh: Vec<AgentIx>,
    /// Agents that have room for a class, by seat.
    pub(crate) open: BTreeMap<Class, Bits>,
}

impl Scheduler {
    /// Whether nothing can be handed out that could not be before.
    pub(crate) fn is_calm(&self) -> bool {
        self.fresh.is_empty() && self.hot.is_empty() && self.parking.is_calm()
    }

    /// A job of the lane is ready.
    pub(crate) fn enter(&mut self, id: LaneId, place: Place) {
        self.change(id, |lanes| lanes.put(id, place, true));
    }

    /// A job of the lane is not ready any more; whether it was.
    pub(crate) fn leave(&mut self, id: LaneId, place: Place) -> bool {
        self.change(id, |lanes| lanes.put(id, place, false))
    }

    pub(crate) fn contains(&self, id: LaneId, place: Place) -> bool {
        self.lanes.get(id).ready().contains(&place)
    }

    /// Something holds a lane back, or does not any more.
    pub(crate) fn block(&mut self, id: LaneId, why: Blocks, is_blocked: bool) {
        self.change(id, |lanes| lanes.block(id, why, is_blocked));
    }

    /// The lane waits for a limit, or does not any more.
    pub(crate) fn park(&mut self, id: LaneId, at: Option<LimitIx>) {
        self.change(id, |lanes| lanes.park(id, at));
    }

    /// The same for all lanes of a queue. O(lanes of the queue): an operator's word, not a decision.
    pub(crate) fn block_queue(&mut self, queue: NameId, why: Blocks, is_blocked: bool) {
        for id in self.lanes.of_queue(queue).collect::<Vec<_>>() {
            self.block(id, why, is_blocked);
        }
    }

    /// A job of the lane is final: the lane goes with its last. The limits it leaves then.
    #[must_use]
    pub(crate) fn drop_lane(&mut self, id: LaneId, names: &mut Names) -> Option<Arc<[Take]>> {
        let lane = self.lanes.remove(id)?;
        let queue = self.shares.queue_of(lane.share);
        self.shares.remove(lane.share, names);
        self.shares.remove(queue, names);
        self.shapes.remove(lane.shape, names);
        names.remove(lane.profile.queue);
        if let Some(program) = lane.profile.program {
            names.remove(program);
        }
        Some(lane.takes)
    }

    /// Whether an agent has room for a class now.
    pub(crate) fn set_open(&mut self, class: Class, seat: u32, is_open: bool) {
        if is_open {
            self.open.entry(class).or_default().set(seat);
        } else if let Some(open) = self.open.get_mut(&class) {
            open.unset(seat);
            if open.is_empty() {
                self.open.remove(&class);
            }
        }
    }

    pub(crate) fn refresh(&mut self, ix: AgentIx) {
        if !self.fresh.contains(&ix) {
            self.fresh.push(ix);
        }
    }

    fn change<T>(&mut self, id: LaneId, change: impl FnOnce(&mut Lanes) -> T) -> T {
        let (before, parked) = (self.lanes.get(id).head(), self.lanes.get(id).parked_head());
        let answer = change(&mut self.lanes);
        let (after, now_parked) = (self.lanes.get(id).head(), self.lanes.get(id).parked_head());
        if before != after {
            self.show(id, before, after);
        }
        if parked != now_parked {
            self.show_parked(id, parked, now_parked);
        }
        if before.is_some() && after.is_none() {
            // Whatever it was let through for, it has not gone: others may.
            self.lanes.get(id).takes.iter().for_each(|take| self.parking.touch(take.limit));
        }
        answer
    }

    fn show_parked(&mut self, id: LaneId, before: Option<(LimitIx, Place)>, after: Option<(LimitIx, Place)>) {
        let lane = self.lanes.get(id);
        let (shape, lane) = (lane.shape, (lane.share, id));
        let mut update = |limit, before, after| self.parking.update(&self.shares, (limit, shape), lane, before, after);
        match (before, after) {
            (Some((limit, before)), Some((same, after))) if limit == same => update(limit, Some(before), Some(after)),
            (before, after) => {
                before.into_iter().for_each(|(limit, before)| update(limit, Some(before), None));
                after.into_iter().for_each(|(limit, after)| update(limit, None, Some(after)));
            }
        }
    }

    fn show(&mut self, id: LaneId, before: Option<Place>, after: Option<Place>) {
        let Self { lanes, shapes, shares, waiting, hot, open, .. } = self;
        let lane = lanes.get(id);
        let ShapeId(at) = lane.shape;
        let shape = shapes.get_mut(lane.shape);
        let new = shape.waiting.is_empty();
        shape.waiting.update(shares, (lane.share, id), before, after);
        if shape.waiting.is_empty() {
            waiting.unset(at);
            hot.unset(at);
        } else if new {
            waiting.set(at);
            shape.maybe.become_both(&shape.able, open.get(&shape.key.class));
            hot.set(at);
        } else if before.is_none() && !shape.maybe.is_empty() {
            hot.set(at);
        }
    }
}
