//! A job and its lane: where it belongs by what it asks for, and its place there.

use std::sync::Arc;

use windlass_shared::domain::{Demand, JobHeader, JobRecord, Placement};
use windlass_shared::resilience::rules::MEMORY_RESOURCE;

use crate::jobs::Extra;
use crate::keys::{AgentIx, Slot};
use crate::names::NameId;
use crate::scheduling::{Bits, Blocks, Class, LaneId, Place, Profile, ShapeId, ShapeKey};
use crate::supply::Needs;
use crate::{Core, Refusal};

impl Core {
    /// The lane of a job, with one more user; and what the job asks for itself, beyond its lane.
    pub(crate) fn join_lane(
        &mut self,
        header: &JobHeader,
        shapes_max: usize,
    ) -> Result<(LaneId, Option<Box<Extra>>), Refusal> {
        let own = header.demand.clone().filter(|demand| demand.ordering_key.is_some() || demand.unique.is_some());
        let demand = match &own {
            None => header.demand.clone(),
            Some(own) => Some(Arc::new(Demand { ordering_key: None, unique: None, ..Demand::clone(own) })),
        };
        let names = &mut self.jobs.names;
        let profile = Profile {
            queue: names.add(&header.queue),
            class: header.handler.as_ref().map_or(Class::Exec, |handler| Class::Call(names.add(handler))),
            program: header.program.as_ref().map(|program| names.add(program)),
            demand: demand.filter(|demand| **demand != Demand::default()),
            avoid: Vec::new(),
        };
        let handler = match profile.class {
            Class::Exec => None,
            Class::Call(handler) => Some(handler),
        };
        let kept = [Some(profile.queue), profile.program];
        let lane = self.scheduler.lanes.find(&profile).map(Ok).unwrap_or_else(|| {
            let lane = self.add_lane(profile, shapes_max)?;
            kept.into_iter().flatten().for_each(|name| self.jobs.names.share(name));
            Ok(lane)
        });
        // The lane and its shape keep what they need.
        kept.into_iter().chain([handler]).flatten().for_each(|name| self.jobs.names.remove(name));
        let extra = Extra { demand: own, plan: header.retry_plan.clone(), ..Extra::default() };
        let has_some = extra.demand.is_some() || extra.plan.is_some();
        Ok((lane?, has_some.then(|| Box::new(extra))))
    }

    fn add_lane(&mut self, profile: Profile, shapes_max: usize) -> Result<LaneId, Refusal> {
        let placement = profile.demand.as_ref().map_or_else(Placement::default, |demand| demand.placement.clone());
        let shape = self.shape(ShapeKey { class: profile.class, placement }, shapes_max)?;
        let fairness = profile.demand.as_ref().and_then(|demand| demand.fairness.as_ref());
        let key = fairness.map(|fairness| &fairness.key);
        let rules = self.rules.get(self.jobs.names.get(profile.queue)).unwrap_or(&self.rules_default);
        let (weight, key_weight, how) = (rules.weight, rules.key_weight(key), (rules.aging_step, rules.placement));
        let queue = self.scheduler.shares.of_queue(profile.queue, weight);
        let share = self.scheduler.shares.of_key(queue, key, key_weight, &mut self.jobs.names);
        let blocks = if self.queues.is_paused(profile.queue) { Blocks::PAUSE } else { Blocks::default() };
        let takes = self.enter_limits(&profile);
        Ok(self.scheduler.lanes.add(profile, (shape, share), how, takes, blocks))
    }

    fn shape(&mut self, key: ShapeKey, shapes_max: usize) -> Result<ShapeId, Refusal> {
        if let Some(id) = self.scheduler.shapes.find(&key) {
            return Ok(id);
        }
        let names = &mut self.jobs.names;
        let id = self.scheduler.shapes.add(key, shapes_max, names).ok_or(Refusal::ShapesFull { limit: shapes_max })?;
        self.match_shape(id);
        Ok(id)
    }

    /// A job whose next attempt must be elsewhere, or must have more memory, waits in a lane of those that ask for the same.
    fn follow_its_rule(&mut self, slot: Slot) {
        let Some(tried) = self.jobs.get(slot).tried() else { return };
        let mut avoid = if tried.other_agent { tried.agents.clone() } else { Vec::new() };
        avoid.sort_unstable();
        let memory = tried.memory;
        let (before, profile) = {
            let lane = self.jobs.get(slot).lane;
            (lane, Profile::clone(&self.scheduler.lanes.get(lane).profile))
        };
        let demand = profile.demand.as_ref().map(|demand| with_memory(demand, memory));
        let changed = Profile { avoid, demand, ..profile.clone() };
        if changed == profile {
            return;
        }
        let kept = [Some(changed.queue), changed.program];
        let lane = self.scheduler.lanes.find(&changed).or_else(|| {
            let lane = self.add_lane(changed, usize::MAX).ok()?; // its shape was let in with the job
            kept.into_iter().flatten().for_each(|name| self.jobs.names.share(name));
            Some(lane)
        });
        if let Some(lane) = lane {
            self.jobs.get_mut(slot).lane = lane;
            self.leave_lane(before);
        }
    }

    /// A job that is QUEUED takes its place, once it is the head of its chain.
    pub(crate) fn line_up(&mut self, slot: Slot) {
        self.follow_its_rule(slot);
        if self.may_line_up(slot) {
            let (lane, place) = self.place_of(slot);
            self.scheduler.enter(lane, place);
        }
    }

    /// A job that waits, if it does, waits no longer.
    pub(crate) fn take_out(&mut self, slot: Slot) {
        let (lane, place) = self.place_of(slot);
        self.scheduler.leave(lane, place);
    }

    pub(crate) fn place_of(&self, slot: Slot) -> (LaneId, Place) {
        let job = self.jobs.get(slot);
        let aging_step = self.scheduler.lanes.get(job.lane).aging_step;
        (job.lane, Place::new(slot, job.order, job.created_at, job.priority, aging_step))
    }

    pub(crate) fn jobs_ready_in(&self, queue: NameId) -> Vec<Slot> {
        let lanes = self.scheduler.lanes.of_queue(queue);
        lanes.flat_map(|lane| self.scheduler.lanes.get(lane).ready().iter().map(|place| place.slot)).collect()
    }

    /// The job is final.
    pub(crate) fn forget(&mut self, slot: Slot) {
        let lane = self.jobs.get(slot).lane;
        self.leave_chain(slot);
        self.jobs.remove(slot);
        self.leave_lane(lane);
    }

    /// One job less is of the lane.
    pub(crate) fn leave_lane(&mut self, lane: LaneId) {
        let left = self.scheduler.drop_lane(lane, &mut self.jobs.names);
        left.iter().flat_map(|takes| takes.iter()).for_each(|take| self.limits.leave(self.mono, take.limit));
    }

    /// The job as it is on record from now on.
    pub(crate) fn record(&self, slot: Slot) -> JobRecord {
        self.jobs.record(slot, self.scheduler.lanes.get(self.jobs.get(slot).lane))
    }

    pub(crate) fn class_of(&self, slot: Slot) -> Class {
        self.scheduler.lanes.get(self.jobs.get(slot).lane).profile.class
    }

    pub(crate) fn needs_of(&self, slot: Slot) -> Needs {
        let lane = self.scheduler.lanes.get(self.jobs.get(slot).lane);
        self.scheduler.shapes.get(lane.shape).needs.clone()
    }

    pub(crate) fn queue_of(&self, slot: Slot) -> NameId {
        self.scheduler.lanes.get(self.jobs.get(slot).lane).profile.queue
    }

    /// Forgets the agent that has been away longest, if any is.
    pub(crate) fn forget_agent(&mut self) -> bool {
        let forgotten: Option<AgentIx> = self.agents.forget_one(&mut self.jobs.names);
        if let Some(ix) = forgotten {
            self.scheduler.shapes.seat(ix.seat, &Bits::default());
        }
        forgotten.is_some()
    }
}

/// The same, with so much of the resource "memory"; it comes to be on record so, and holds over a restart.
fn with_memory(demand: &Arc<Demand>, memory: Option<u64>) -> Arc<Demand> {
    let mut demand = demand.clone();
    let Some(memory) = memory else { return demand };
    let resources = &mut Arc::make_mut(&mut demand).placement.resources;
    if let Some((_, amount)) = resources.iter_mut().find(|(name, _)| **name == *MEMORY_RESOURCE) {
        *amount = memory;
    }
    demand
}
