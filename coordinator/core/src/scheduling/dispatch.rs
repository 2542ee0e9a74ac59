//! The round: hands out work as long as there is some that somebody has room for.
//!
//! ```text
//!   shapes that wait and have somebody ─► the lane that stands first ─► up to 32 agents ─► the best of them ─► a lease
//! ```
//!
//! A decision costs the shapes that wait and fit the agents at hand, whatever the number of jobs, queues and agents.

use windlass_shared::domain::{Health, Tried};
use windlass_shared::time::Now;

use super::balancer::{CANDIDATES_MAX, Candidate, Policy, choose};
use super::bits::Bits;
use super::class::Class;
use super::lanes::{Blocks, LaneId, Profile};
use super::shapes::{Shape, ShapeId};
use super::shares::ShareId;
use super::waiting::Rank;
use crate::agents::Agent;
use crate::keys::{AgentIx, Slot};
use crate::{Core, Effect};

/// A shape that may be served, by the lane of it that stands first.
#[derive(Debug, Clone, Copy)]
struct Entry {
    rank: Rank,
    queue: ShareId,
    lane: LaneId,
    shape: ShapeId,
}

/// What is left to look at.
#[derive(Debug, Default)]
struct Round {
    fresh: Vec<AgentIx>,
    entries: Vec<Entry>,
    /// Lanes that may not go to any of those that have room.
    aside: Vec<LaneId>,
    candidates: Vec<Candidate>,
}

/// Who could take the first job of a lane.
enum Found {
    /// The best of those.
    Best(AgentIx),
    /// Somebody has room for its shape, but none that it may go to.
    Barred,
    /// Nobody has room for its shape.
    Nobody,
}

impl Core {
    /// Hands out work as long as there is some that somebody has room for.
    pub(crate) fn assign_ready(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.scheduler.parking.ring(now.mono);
        if self.scheduler.is_calm() {
            return;
        }
        self.wake(now);
        let mut round = self.begin_round();
        while let Some(entry) = round.first() {
            if self.park_if_blocked(now, entry.lane) {
                self.renew(&mut round, |other| other.shape == entry.shape);
                self.wake_into(now, &mut round);
                continue;
            }
            match self.find_agent(&mut round, entry) {
                Found::Best(ix) => {
                    self.hand_out(now, entry, ix, out);
                    self.look_again(&mut round, entry);
                }
                Found::Barred => {
                    self.scheduler.block(entry.lane, Blocks::BARRED, true);
                    round.aside.push(entry.lane);
                    self.renew(&mut round, |other| other.shape == entry.shape);
                }
                Found::Nobody => round.entries.retain(|other| other.shape != entry.shape),
            }
            self.wake_into(now, &mut round);
        }
        self.end_round(&round);
    }

    /// Lanes that a limit lets through again are looked at in the same round.
    fn wake_into(&mut self, now: Now, round: &mut Round) {
        for shape in self.wake(now) {
            round.entries.retain(|entry| entry.shape != shape);
            round.entries.extend(self.entry(shape));
        }
    }

    fn begin_round(&mut self) -> Round {
        let fresh: Vec<AgentIx> = std::mem::take(&mut self.scheduler.fresh);
        let fresh: Vec<AgentIx> = fresh.into_iter().filter(|ix| self.agents.knows(*ix)).collect();
        let mut hot = std::mem::take(&mut self.scheduler.hot);
        for ix in &fresh {
            let agent = self.agents.get(*ix);
            let fits = |at: &u32| agent.fits(self.scheduler.shapes.get(ShapeId(*at)), self.wall);
            agent.matches.both(&self.scheduler.waiting).filter(fits).for_each(|at| hot.put(at, true));
        }
        let entries = hot.iter().filter_map(|at| self.entry(ShapeId(at))).collect();
        hot.clear();
        self.scheduler.hot = hot;
        Round { fresh, entries, ..Round::default() }
    }

    fn entry(&mut self, shape: ShapeId) -> Option<Entry> {
        let scheduler = &mut self.scheduler;
        let (rank, queue, lane) = scheduler.shapes.get_mut(shape).waiting.first(&scheduler.shares)?;
        Some(Entry { rank, queue, lane, shape })
    }

    fn find_agent(&mut self, round: &mut Round, entry: Entry) -> Found {
        round.candidates.clear();
        let fits = self.gather(round, entry);
        let policy = self.scheduler.lanes.get(entry.lane).policy;
        let memory = &mut self.scheduler.shapes.get_mut(entry.shape).memory;
        match choose(policy, memory, &mut round.candidates) {
            Some(best) => Found::Best(best),
            None if fits => Found::Barred,
            None => Found::Nobody,
        }
    }

    /// Finds candidates for the lane; whether there is anybody who has room for its shape.
    fn gather(&mut self, round: &mut Round, entry: Entry) -> bool {
        let lane = self.scheduler.lanes.get(entry.lane);
        let (policy, profile) = (lane.policy, lane.profile.clone());
        let tried = lane.head().and_then(|place| self.jobs.get(place.slot).tried().cloned());
        let key = if policy == Policy::Sticky { self.sticky_key(&profile) } else { 0 };
        let start = {
            let memory = &self.scheduler.shapes.get(entry.shape).memory;
            policy.balancer().start(memory, key, self.agents.seats())
        };
        let mut anybody = false;
        for ix in &round.fresh {
            let (agent, shape) = (self.agents.get(*ix), self.scheduler.shapes.get(entry.shape));
            let is_new = !shape.maybe.has(ix.seat) && shape.able.has(ix.seat);
            if is_new && agent.fits(shape, self.wall) {
                anybody = true;
                round.candidates.extend(self.candidate(*ix, agent, shape, (&profile, tried.as_deref()), policy));
            }
        }
        let mut around = Around::new(start);
        while round.candidates.len() < CANDIDATES_MAX {
            let Some(seat) = around.next(&self.scheduler.shapes.get(entry.shape).maybe) else { break };
            let shape = self.scheduler.shapes.get(entry.shape);
            let Some((ix, agent)) = self.agents.seated(seat).filter(|(_, agent)| agent.fits(shape, self.wall)) else {
                self.scheduler.shapes.get_mut(entry.shape).maybe.unset(seat);
                continue;
            };
            anybody = true;
            round.candidates.extend(self.candidate(ix, agent, shape, (&profile, tried.as_deref()), policy));
        }
        if policy == Policy::Sticky {
            round.candidates.sort_by_key(|one| one.ix.seat.wrapping_sub(start));
        }
        anybody
    }

    /// What a choice must know of an agent that has room for the shape; none where the lane may not go there.
    fn candidate(
        &self,
        ix: AgentIx,
        agent: &Agent,
        shape: &Shape,
        (profile, tried): (&Profile, Option<&Tried>),
        policy: Policy,
    ) -> Option<Candidate> {
        if profile.avoid.contains(&agent.id) {
            return None;
        }
        let room = agent.rooms.get(agent.rooms.place(shape.key.class));
        let of_queue = |slot: &&Slot| self.queue_of(**slot) == profile.queue;
        Some(Candidate {
            ix,
            last_resort: agent.health() == Health::Unhealthy,
            failed: tried.is_some_and(|tried| tried.agents.contains(&agent.id)),
            affinity: agent.affinity(shape),
            load: room.load(),
            fullness: room.load().max(agent.supply.fullness(&shape.needs)),
            waits: room.taken() == room.width(),
            of_queue: match policy {
                // As many as one agent holds: bounded by its credit.
                Policy::Spread => u32::try_from(agent.held.iter().filter(of_queue).count()).unwrap_or(u32::MAX),
                _ => 0,
            },
            weight: agent.traits.weight,
        })
    }

    /// The same for all work that is to stay together, over restarts too: FNV-1a of names.
    fn sticky_key(&self, profile: &Profile) -> u64 {
        let fairness = profile.demand.as_ref().and_then(|demand| demand.fairness.as_ref());
        let work = match profile.class {
            Class::Call(handler) => Some(handler),
            Class::Exec => profile.program,
        };
        let work = fairness.map(|fairness| &fairness.key).or_else(|| work.map(|name| self.jobs.names.get(name)));
        let names = [Some(self.jobs.names.get(profile.queue)), work];
        let bytes = names.into_iter().flatten().flat_map(|name| name.bytes().chain([0]));
        bytes.fold(0xcbf2_9ce4_8422_2325, |mark, byte| (mark ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    fn hand_out(&mut self, now: Now, entry: Entry, ix: AgentIx, out: &mut Vec<Effect>) {
        let lane = self.scheduler.lanes.get(entry.lane);
        let (share, cost, takes) = (lane.share, lane.cost(), lane.takes.clone());
        let Some(place) = lane.head() else { return };
        // It was looked at just now, and nothing was taken since.
        let taken = self.limits.try_take(now.mono, &takes);
        debug_assert_eq!(taken, Ok(()), "a lane that is blocked is parked before");
        self.scheduler.leave(entry.lane, place);
        takes.iter().for_each(|take| self.scheduler.parking.touch(take.limit));
        self.scheduler.shares.serve(share, cost);
        self.assign(now, place.slot, ix, out);
    }

    /// After a dispatch: its queue stands elsewhere now, and its agent may be full.
    fn look_again(&mut self, round: &mut Round, served: Entry) {
        let (shapes, agents, wall) = (&self.scheduler.shapes, &self.agents, self.wall);
        round.entries.retain(|entry| {
            let shape = shapes.get(entry.shape);
            let fits = |ix: &AgentIx| shape.able.has(ix.seat) && agents.get(*ix).fits(shape, wall);
            round.fresh.iter().any(fits) || !shape.maybe.is_empty()
        });
        self.renew(round, |other| other.queue == served.queue || other.shape == served.shape);
    }

    /// Looks again who stands first in some of the shapes.
    fn renew(&mut self, round: &mut Round, which: impl Fn(&Entry) -> bool) {
        let mut at = 0;
        while let Some(entry) = round.entries.get(at).copied() {
            if which(&entry) {
                match self.entry(entry.shape) {
                    Some(renewed) => round.entries[at] = renewed,
                    None => {
                        round.entries.swap_remove(at);
                        continue;
                    }
                }
            }
            at += 1;
        }
    }

    /// What is fresh is not any more: who has room still is noted where anything waits, if only for a lane to come.
    fn end_round(&mut self, round: &Round) {
        for lane in &round.aside {
            self.scheduler.block(*lane, Blocks::BARRED, false);
        }
        for ix in &round.fresh {
            let agent = self.agents.get(*ix);
            for at in agent.matches.both(&self.scheduler.waiting) {
                let shape = self.scheduler.shapes.get_mut(ShapeId(at));
                if agent.fits(shape, self.wall) {
                    shape.maybe.set(ix.seat);
                }
            }
        }
        self.scheduler.hot.clear();
    }
}

/// Once around a set, from anywhere in it.
struct Around {
    start: u32,
    at: u32,
    wrapped: bool,
}

impl Around {
    fn new(start: u32) -> Self {
        Self { start, at: start, wrapped: false }
    }

    fn next(&mut self, set: &Bits) -> Option<u32> {
        if !self.wrapped {
            if let Some(found) = set.next_from(self.at) {
                self.at = found + 1;
                return Some(found);
            }
            (self.at, self.wrapped) = (0, true);
        }
        let found = set.next_from(self.at).filter(|found| *found < self.start)?;
        self.at = found + 1;
        Some(found)
    }
}

impl Round {
    /// The entry that stands first.
    fn first(&self) -> Option<Entry> {
        self.entries.iter().copied().min_by_key(|entry| entry.rank)
    }
}
