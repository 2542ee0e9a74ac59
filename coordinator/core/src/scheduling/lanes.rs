//! Lanes: jobs that are alike to the scheduler but for priority and age. What holds one of them back holds all of them back, so
//! that a lane is parked as a whole and costs nothing meanwhile, however many jobs wait in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::Demand;
use windlass_shared::ids::AgentId;

use super::balancer::Policy;
use super::class::Class;
use super::place::Place;
use super::shapes::ShapeId;
use super::shares::ShareId;
use crate::limits::{LimitIx, Take};
use crate::names::NameId;

/// Place of a lane in its table: what a job knows of all this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneId(u32);

/// What is alike in all jobs of a lane.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Profile {
    pub(crate) queue: NameId,
    pub(crate) class: Class,
    /// Of a command.
    pub(crate) program: Option<NameId>,
    /// Without what is each job's own: its ordering key and its unique key. None: nothing beyond a slot.
    pub(crate) demand: Option<Arc<Demand>>,
    /// Agents it must not go to, sorted.
    pub(crate) avoid: Vec<AgentId>,
}

/// Why a lane hands out nothing, whatever there is room for. Reasons add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Blocks(u8);

impl Blocks {
    /// Its queue is paused.
    pub(crate) const PAUSE: Self = Self(1);
    /// It may not go to any of those that have room. For one round only.
    pub(crate) const BARRED: Self = Self(2);

    fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) profile: Arc<Profile>,
    pub(crate) shape: ShapeId,
    pub(crate) share: ShareId,
    /// What a step of priority is worth in its queue.
    pub(crate) aging_step: Duration,
    /// How its queue spreads jobs over agents.
    pub(crate) policy: Policy,
    /// What each of its jobs takes of limits.
    pub(crate) takes: Arc<[Take]>,
    /// Unfinished jobs of it, whether they wait or not.
    users: u32,
    ready: BTreeSet<Place>,
    blocks: Blocks,
    /// The limit it waits for.
    parked: Option<LimitIx>,
}

/// Cost of a job that names none, in thousandths.
const COST: u32 = 1_000;

impl Lane {
    /// What it takes of its share, in thousandths.
    pub(crate) fn cost(&self) -> u32 {
        let fairness = self.profile.demand.as_ref().and_then(|demand| demand.fairness.as_ref());
        fairness.map_or(COST, |fairness| fairness.cost)
    }

    /// The first of it, if nothing holds it back.
    pub(crate) fn head(&self) -> Option<Place> {
        self.first().filter(|_| self.parked.is_none())
    }

    /// The first of it, if nothing but a limit holds it back, and which.
    pub(crate) fn parked_head(&self) -> Option<(LimitIx, Place)> {
        Some((self.parked?, self.first()?))
    }

    fn first(&self) -> Option<Place> {
        self.ready.first().copied().filter(|_| self.blocks == Blocks::default())
    }

    pub(crate) fn ready(&self) -> &BTreeSet<Place> {
        &self.ready
    }
}

#[derive(Debug, Default)]
pub(crate) struct Lanes {
    table: Vec<Option<Lane>>,
    free: Vec<u32>,
    by_profile: BTreeMap<Arc<Profile>, LaneId>,
    by_queue: BTreeSet<(NameId, LaneId)>,
    ready: usize,
}

impl Lanes {
    /// The lane of a profile, with one more user.
    pub(crate) fn find(&mut self, profile: &Profile) -> Option<LaneId> {
        let id = *self.by_profile.get(profile)?;
        self.get_mut(id).users += 1;
        Some(id)
    }

    /// A lane that was not there, with its first user.
    pub(crate) fn add(
        &mut self,
        profile: Profile,
        (shape, share): (ShapeId, ShareId),
        (aging_step, policy): (Duration, Policy),
        takes: Arc<[Take]>,
        blocks: Blocks,
    ) -> LaneId {
        let (queue, profile) = (profile.queue, Arc::new(profile));
        let (ready, users) = (BTreeSet::new(), 1);
        let parked = None;
        let lane =
            Lane { profile: profile.clone(), shape, share, aging_step, policy, takes, users, ready, blocks, parked };
        let at = self.free.pop().unwrap_or_else(|| {
            self.table.push(None);
            u32::try_from(self.table.len() - 1).expect("lanes are as many as unfinished jobs at most")
        });
        self.table[at as usize] = Some(lane);
        self.by_profile.insert(profile, LaneId(at));
        self.by_queue.insert((queue, LaneId(at)));
        LaneId(at)
    }

    /// One user less; the lane, if that was the last.
    pub(crate) fn remove(&mut self, id: LaneId) -> Option<Lane> {
        let lane = self.get_mut(id);
        lane.users -= 1;
        if lane.users > 0 {
            return None;
        }
        let lane = self.table[id.0 as usize].take()?;
        self.by_profile.remove(&lane.profile);
        self.by_queue.remove(&(lane.profile.queue, id));
        self.free.push(id.0);
        Some(lane)
    }

    pub(crate) fn get(&self, id: LaneId) -> &Lane {
        self.table[id.0 as usize].as_ref().expect("a lane stays as long as a job is of it")
    }

    fn get_mut(&mut self, id: LaneId) -> &mut Lane {
        self.table[id.0 as usize].as_mut().expect("a lane stays as long as a job is of it")
    }

    /// Puts a job in or takes it out; whether that changed anything.
    pub(crate) fn put(&mut self, id: LaneId, place: Place, is_in: bool) -> bool {
        let lane = self.get_mut(id);
        let changed = if is_in { lane.ready.insert(place) } else { lane.ready.remove(&place) };
        if changed {
            self.ready = if is_in { self.ready + 1 } else { self.ready - 1 };
        }
        changed
    }

    pub(crate) fn block(&mut self, id: LaneId, why: Blocks, is_blocked: bool) {
        let lane = self.get_mut(id);
        lane.blocks = if is_blocked { lane.blocks.with(why) } else { lane.blocks.without(why) };
    }

    pub(crate) fn park(&mut self, id: LaneId, at: Option<LimitIx>) {
        self.get_mut(id).parked = at;
    }

    /// To be called while nothing of the queue is ready.
    pub(crate) fn set_rules(&mut self, queue: NameId, aging_step: Duration, policy: Policy) {
        for id in self.of_queue(queue).collect::<Vec<_>>() {
            let lane = self.get_mut(id);
            (lane.aging_step, lane.policy) = (aging_step, policy);
        }
    }

    /// The lanes of a queue.
    pub(crate) fn of_queue(&self, queue: NameId) -> impl Iterator<Item = LaneId> {
        let of_queue = self.by_queue.range((queue, LaneId(0))..);
        of_queue.take_while(move |(name, _)| *name == queue).map(|(_, id)| *id)
    }

    /// Jobs that are ready.
    pub(crate) fn ready(&self) -> usize {
        self.ready
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (LaneId, &Lane)> {
        self.table.iter().zip(0u32..).filter_map(|(lane, at)| Some((LaneId(at), lane.as_ref()?)))
    }

    /// Users of a lane, for checks.
    pub(crate) fn users(&self, id: LaneId) -> u32 {
        self.get(id).users
    }
}
