//! Lanes that wait for a limit. What blocks a lane's first job blocks all of them, so the lane is parked as a whole, at the limit that
//! blocks it longest, and costs nothing until that gives way.
//!
//! ```text
//!   limit          shape        lanes, in the order they go
//!   api.example    exec         "ann" ► "bob" ► …          asked again at 12:03:20
//!   api.example    call img     "bob"
//!   queue bulk     exec         "cy" ► …                   asked again when one of its jobs ends
//! ```
//!
//! When a limit gives way, the first lane of each shape wakes, and the next one only when that has gone, or could not: waking all of
//! them for one free unit would cost as much as there are.

use std::collections::{BTreeMap, BTreeSet};

use windlass_shared::time::Moment;

use super::lanes::LaneId;
use super::place::Place;
use super::shapes::ShapeId;
use super::shares::{ShareId, Shares};
use super::waiting::Waiting;
use crate::limits::LimitIx;

#[derive(Debug, Default)]
pub(crate) struct Parking {
    groups: BTreeMap<(LimitIx, ShapeId), Waiting>,
    /// Limits that may have given way.
    touched: BTreeSet<LimitIx>,
    /// When to ask limits again that give way with time.
    alarms: BTreeSet<(Moment, LimitIx)>,
    alarm_of: BTreeMap<LimitIx, Moment>,
}

impl Parking {
    /// A parked lane has another head, or one where it had none, or none any more.
    pub(crate) fn update(
        &mut self,
        shares: &Shares,
        at: (LimitIx, ShapeId),
        lane: (ShareId, LaneId),
        before: Option<Place>,
        after: Option<Place>,
    ) {
        let group = self.groups.entry(at).or_default();
        group.update(shares, lane, before, after);
        if group.is_empty() {
            self.groups.remove(&at);
        }
        // Whoever is first now may be let through where the one before was not.
        self.touch(at.0);
    }

    /// Shapes of which lanes are parked at a limit.
    pub(crate) fn shapes(&self, limit: LimitIx) -> impl Iterator<Item = ShapeId> {
        self.groups.range((limit, ShapeId(0))..=(limit, ShapeId(u32::MAX))).map(|((_, shape), _)| *shape)
    }

    /// The lane that goes first when the limit gives way.
    pub(crate) fn first(&mut self, shares: &Shares, at: (LimitIx, ShapeId)) -> Option<LaneId> {
        self.groups.get_mut(&at)?.first(shares).map(|(_, _, lane)| lane)
    }

    /// The limit may have given way.
    pub(crate) fn touch(&mut self, limit: LimitIx) {
        if self.shapes(limit).next().is_some() {
            self.touched.insert(limit);
        }
    }

    /// One lane of the limit woke: the next one's turn comes when that has gone or could not.
    pub(crate) fn hush(&mut self, limit: LimitIx) {
        self.touched.remove(&limit);
    }

    pub(crate) fn pop_touched(&mut self) -> Option<LimitIx> {
        self.touched.pop_first()
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.touched.is_empty()
    }

    /// The limit gives way at this time, unless it does before.
    pub(crate) fn set_alarm(&mut self, limit: LimitIx, at: Moment) {
        if self.alarm_of.get(&limit).is_some_and(|known| *known <= at) {
            return;
        }
        if let Some(later) = self.alarm_of.insert(limit, at) {
            self.alarms.remove(&(later, limit));
        }
        self.alarms.insert((at, limit));
    }

    pub(crate) fn next_alarm(&self) -> Option<Moment> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Takes note of the limits that give way with time.
    pub(crate) fn ring(&mut self, now: Moment) {
        while let Some((at, limit)) = self.alarms.first().copied().filter(|(at, _)| *at <= now) {
            self.alarms.remove(&(at, limit));
            self.alarm_of.remove(&limit);
            self.touch(limit);
        }
    }

    /// Every lane that is parked, with where it is, for checks.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (LimitIx, ShapeId, Place, LaneId)> {
        let groups = self.groups.iter();
        groups.flat_map(|((limit, shape), group)| group.lanes().map(|(place, lane)| (*limit, *shape, place, lane)))
    }

    /// Whether no note is later than the truth. For checks only.
    pub(crate) fn is_sound(&self, shares: &Shares) -> bool {
        self.groups.values().all(|group| group.is_sound(shares))
    }
}
