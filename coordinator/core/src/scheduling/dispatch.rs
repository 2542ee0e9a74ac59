//! The round: hands out work as long as there is some that somebody has room for.
//!
//! ```text
//!   shapes that wait and have somebody ─► the lane that stands first ─► up to 32 agents ─► the best of them ─► a lease
//! ```
//!
//! A decision costs the shapes that wait and fit the agents at hand, whatever the number of jobs, queues and agents.

use windlass_shared::time::Now;

use super::balancer::{Balancer, CANDIDATES_MAX, Candidate, LeastLoaded};
use super::lanes::{Blocks, LaneId};
use super::shapes::ShapeId;
use super::shares::ShareId;
use super::waiting::Rank;
use crate::keys::AgentIx;
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
        if self.scheduler.is_calm() {
            return;
        }
        let mut round = self.begin_round();
        while let Some(entry) = round.first() {
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
        }
        self.end_round(&round);
    }

    fn begin_round(&mut self) -> Round {
        let fresh: Vec<AgentIx> = std::mem::take(&mut self.scheduler.fresh);
        let fresh: Vec<AgentIx> = fresh.into_iter().filter(|ix| self.agents.knows(*ix)).collect();
        let mut hot = std::mem::take(&mut self.scheduler.hot);
        for ix in &fresh {
            let agent = self.agents.get(*ix);
            let fits = |at: &u32| agent.fits(self.scheduler.shapes.get(ShapeId(*at)));
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
        match LeastLoaded.choose(&round.candidates) {
            Some(best) => {
                self.scheduler.shapes.get_mut(entry.shape).cursor = best.ix.seat + 1;
                Found::Best(best.ix)
            }
            None if fits => Found::Barred,
            None => Found::Nobody,
        }
    }

    /// Finds candidates for the lane; whether there is anybody who has room for its shape.
    fn gather(&mut self, round: &mut Round, entry: Entry) -> bool {
        let shape = self.scheduler.shapes.get_mut(entry.shape);
        let profile = self.scheduler.lanes.get(entry.lane).profile.clone();
        let class = shape.key.class;
        let mut anybody = false;
        let mut consider = |ix: AgentIx, agent: &crate::agents::Agent| {
            anybody = true;
            if !profile.avoid.contains(&ix) {
                round.candidates.push(Candidate { ix, load: agent.rooms.get(agent.rooms.place(class)).load() });
            }
            round.candidates.len() >= CANDIDATES_MAX
        };
        for ix in &round.fresh {
            let agent = self.agents.get(*ix);
            let new = !shape.maybe.has(ix.seat) && shape.able.has(ix.seat);
            if new && agent.fits(shape) && consider(*ix, agent) {
                return true;
            }
        }
        // Once around, from where the last choice ended.
        let (start, mut at, mut wrapped) = (shape.cursor, shape.cursor, false);
        loop {
            let Some(seat) = shape.maybe.next_from(at).filter(|seat| !wrapped || *seat < start) else {
                if wrapped || start == 0 {
                    return anybody;
                }
                (at, wrapped) = (0, true);
                continue;
            };
            at = seat + 1;
            match self.agents.seated(seat).filter(|(_, agent)| agent.fits(shape)) {
                Some((ix, agent)) if consider(ix, agent) => return true,
                Some(_) => {}
                None => shape.maybe.unset(seat),
            }
        }
    }

    fn hand_out(&mut self, now: Now, entry: Entry, ix: AgentIx, out: &mut Vec<Effect>) {
        let lane = self.scheduler.lanes.get(entry.lane);
        let (share, cost) = (lane.share, lane.cost());
        let Some(place) = lane.head() else { return };
        self.scheduler.leave(entry.lane, place);
        self.scheduler.shares.serve(share, cost);
        self.assign(now, place.slot, ix, out);
    }

    /// After a dispatch: its queue stands elsewhere now, and its agent may be full.
    fn look_again(&mut self, round: &mut Round, served: Entry) {
        self.renew(round, |other| other.queue == served.queue || other.shape == served.shape);
        let (shapes, agents) = (&self.scheduler.shapes, &self.agents);
        round.entries.retain(|entry| {
            let shape = shapes.get(entry.shape);
            let fits = |ix: &AgentIx| shape.able.has(ix.seat) && agents.get(*ix).fits(shape);
            round.fresh.iter().any(fits) || !shape.maybe.is_empty()
        });
    }

    /// Looks again who stands first in some of the shapes.
    fn renew(&mut self, round: &mut Round, which: impl Fn(&Entry) -> bool) {
        let entries = std::mem::take(&mut round.entries);
        let renewed = |entry: Entry| if which(&entry) { self.entry(entry.shape) } else { Some(entry) };
        round.entries = entries.into_iter().filter_map(renewed).collect();
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
                if agent.fits(shape) {
                    shape.maybe.set(ix.seat);
                }
            }
        }
        self.scheduler.hot.clear();
    }
}

impl Round {
    /// The entry that stands first.
    fn first(&self) -> Option<Entry> {
        self.entries.iter().copied().min_by_key(|entry| entry.rank)
    }
}
