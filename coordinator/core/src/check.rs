//! What must hold between any two inputs. Tests call it after every step; it is O(live jobs), so production does not.

use std::collections::{BTreeMap, BTreeSet};

use windlass_shared::domain::{JobState, OnAgentLost};

use crate::Core;
use crate::chains::ChainKey;
use crate::keys::Slot;
use crate::lease::Held;
use crate::limits::LimitIx;
use crate::names::NameId;
use crate::queues::Load;
use crate::scheduling::{LaneId, Place, ShapeId};
use crate::supply::Supply;
use crate::uniques::Holders;

impl Core {
    /// Looks at the whole state.
    ///
    /// # Panics
    /// Where it contradicts itself, naming the job or the agent.
    pub fn check(&self) {
        let (mut queued, mut held) = (0, 0);
        for (slot, job) in self.jobs.iter() {
            assert!(!job.state.is_final(), "{}: a final job is still held in memory", job.id);
            assert_eq!(self.jobs.find(job.id), Some(slot), "{}: the index names another slot", job.id);
            let (lane, place) = self.place_of(slot);
            let is_due = job.state == JobState::Queued && self.may_line_up(slot);
            assert_eq!(self.scheduler.contains(lane, place), is_due, "{}: queue", job.id);
            assert_eq!(job.ready.is_some(), job.state == JobState::Delayed, "{}: delay", job.id);
            let leased = matches!(job.state, JobState::Leased | JobState::Running | JobState::Cancelling);
            assert_eq!(job.held.is_some(), leased, "{}: lease", job.id);
            assert!(job.lost.is_none() || job.held.is_none(), "{}: lost and held", job.id);
            assert!(!job.cancel_requested || job.state == JobState::Cancelling, "{}: cancelled and waiting", job.id);
            queued += usize::from(is_due);
            held += usize::from(leased);
            if let Some(lease) = &job.held {
                assert!(self.agents.get(lease.agent).held.contains(&slot), "{}: its agent does not know it", job.id);
            }
        }
        assert_eq!(queued, self.scheduler.lanes.ready(), "the queue holds jobs that are not queued");
        self.check_agents(held);
        self.check_chains();
        self.check_shapes();
        self.check_queues();
        self.check_limits();
        self.check_uniques();
        self.check_names();
    }

    fn check_agents(&self, held: usize) {
        let (mut counted, mut open) = (0, 0);
        for (ix, agent) in self.agents.iter() {
            let lease = |slot: &Slot| self.jobs.get(*slot).held.as_deref();
            let running = agent.held.iter().filter(|slot| lease(slot).is_some_and(|held| held.started_at.is_some()));
            assert_eq!(agent.running as usize, running.count(), "{}: running", agent.name);
            let mut in_use = Supply::of(&agent.traits, &mut self.jobs.names.clone());
            let noted = |held: &Held| in_use.note(&held.needs, &held.grants, &self.jobs.names, true);
            agent.held.iter().filter_map(lease).for_each(noted);
            assert_eq!(agent.supply.used(), in_use.used(), "{}: resources in use", agent.name);
            assert!(agent.supply.is_within(), "{}: something is lent twice", agent.name);
            for (id, room) in agent.rooms.iter() {
                let inside = agent.held.iter().filter(|slot| lease(slot).is_some_and(|held| held.room == id));
                assert_eq!(room.held as usize, inside.count(), "{}: held in {id:?}", agent.name);
                for class in agent.rooms.classes(id) {
                    let shown = self.scheduler.open.get(&class).is_some_and(|open| open.has(ix.seat));
                    assert_eq!(shown, agent.takes(class), "{}: {id:?} for {class:?}", agent.name);
                    assert_eq!(agent.rooms.place(class), id, "{}: {class:?} is in two rooms", agent.name);
                    open += usize::from(shown);
                }
            }
            let waits = |slot: &Slot| {
                let job = self.jobs.get(*slot);
                job.on_agent_lost == OnAgentLost::Wait && !job.cancel_requested
            };
            assert!(agent.is_live() || agent.held.iter().all(waits), "{}: gone, and still holds work", agent.name);
            counted += agent.held.len();
        }
        assert_eq!(held, counted, "leases and agents disagree");
        let shown: usize = self.scheduler.open.values().map(|open| open.iter().count()).sum();
        assert_eq!(open, shown, "a room is open that no agent has");
    }

    /// What waits, who could run it, and that nothing waits that somebody has room for.
    fn check_shapes(&self) {
        let scheduler = &self.scheduler;
        let mut users: BTreeMap<LaneId, u32> = BTreeMap::new();
        self.jobs.iter().for_each(|(_, job)| *users.entry(job.lane).or_default() += 1);
        let kept: BTreeMap<_, _> = scheduler.lanes.iter().map(|(id, _)| (id, scheduler.lanes.users(id))).collect();
        assert_eq!(kept, users, "lanes are kept for as long as jobs are of them");
        for (id, shape) in scheduler.shapes.iter() {
            let lanes = scheduler.lanes.iter().filter(|(_, lane)| lane.shape == id);
            let heads: BTreeSet<_> = lanes.filter_map(|(lane, of)| Some((of.head()?, lane))).collect();
            assert_eq!(shape.waiting.lanes().collect::<BTreeSet<_>>(), heads, "{id:?}: what waits");
            assert_eq!(scheduler.waiting.has(id.0), !heads.is_empty(), "{id:?}: whether it waits");
            assert!(shape.waiting.is_sound(&scheduler.shares), "{id:?}: a note is later than the truth");
            for (ix, agent) in self.agents.iter() {
                let could = agent.could(shape);
                assert_eq!(
                    (shape.able.has(ix.seat), agent.matches.has(id.0)),
                    (could, could),
                    "{}: {id:?}",
                    agent.name
                );
                let has_room = could && agent.fits(shape, self.wall) && !heads.is_empty();
                assert!(!has_room || shape.maybe.has(ix.seat), "{}: {id:?} does not know of its room", agent.name);
                let barred = |lane: &LaneId| scheduler.lanes.get(*lane).profile.avoid.contains(&agent.id);
                assert!(!has_room || heads.iter().all(|(_, lane)| barred(lane)), "{}: has room for {id:?}", agent.name);
            }
        }
    }

    /// Never are two of a chain with agents, and whoever is was the head.
    fn check_chains(&self) {
        let mut busy: BTreeMap<ChainKey, u32> = BTreeMap::new();
        for (slot, job) in self.jobs.iter() {
            let Some(key) = self.chain_of(slot) else { continue };
            *busy.entry(key).or_default() += u32::from(job.held.is_some());
        }
        for (key, busy) in busy {
            assert_eq!((busy, busy <= 1), (self.chains.busy(key), true), "{key:?}: a chain's jobs with agents");
        }
    }

    /// Each unique key is one job's, and at most one more waits for it.
    fn check_uniques(&self) {
        let mut users = 0;
        for (key, Holders { holder, successor }) in self.uniques.iter() {
            for (slot, waits) in std::iter::once((holder, false)).chain(successor.map(|slot| (slot, true))) {
                assert_eq!(self.unique_key(slot).as_ref(), Some(key), "{key}: another has it");
                assert_eq!(self.jobs.get(slot).state == JobState::Blocked, waits, "{key}: who waits");
                users += 1;
            }
        }
        let all = self.jobs.iter().filter(|(slot, _)| self.unique_key(*slot).is_some()).count();
        assert_eq!(users, all, "more jobs than one have a unique key");
    }

    /// What is in use is what is held, nobody is forgotten, and no lane waits for a limit that lets it through.
    fn check_limits(&self) {
        let mut in_use: BTreeMap<LimitIx, u64> = BTreeMap::new();
        for (slot, _) in self.jobs.iter().filter(|(_, job)| job.held.is_some()) {
            for take in self.takes_of(slot).iter() {
                *in_use.entry(take.limit).or_default() += u64::from(take.units);
            }
        }
        let lanes = || self.scheduler.lanes.iter();
        for (limit, counted) in self.limits.iter() {
            let name = self.limits.key(limit);
            assert_eq!(counted.in_use, in_use.remove(&limit).unwrap_or_default(), "{name:?}: in use");
            let users = lanes().flat_map(|(_, lane)| lane.takes.iter()).filter(|take| take.limit == limit).count();
            assert_eq!(counted.users as usize, users + usize::from(counted.cools), "{name:?}: users");
        }
        assert!(in_use.is_empty(), "in use of limits that are not there: {in_use:?}");
        let parked: BTreeSet<_> = self.scheduler.parking.lanes().collect();
        let waits = lanes().filter_map(|(id, lane)| Some((lane.parked_head()?, lane.shape, id)));
        assert_eq!(parked, waits.map(|((limit, place), shape, id)| (limit, shape, place, id)).collect(), "parked");
        assert!(
            self.scheduler.parking.is_sound(&self.scheduler.shares),
            "a note of a parked lane is later than the truth"
        );
        self.check_parked(&parked);
    }

    fn check_parked(&self, parked: &BTreeSet<(LimitIx, ShapeId, Place, LaneId)>) {
        // Of each limit and shape one lane goes after the other, so it is enough that one of them is blocked, or awake and without room.
        let groups: BTreeSet<(LimitIx, ShapeId)> = parked.iter().map(|(limit, shape, ..)| (*limit, *shape)).collect();
        for (limit, shape) in groups {
            let has_room = self.agents.iter().any(|(_, agent)| {
                let shape = self.scheduler.shapes.get(shape);
                agent.could(shape) && agent.fits(shape, self.wall)
            });
            let of_group = parked.iter().filter(|(at, of, ..)| (*at, *of) == (limit, shape));
            let blocked = of_group.clone().any(|(.., lane)| {
                let takes = &self.scheduler.lanes.get(*lane).takes;
                let here = takes.iter().filter(|take| take.limit == limit).copied().collect::<Vec<_>>();
                self.limits.blocked(self.mono, &here).is_some()
            });
            assert!(blocked || !has_room, "{:?} lets lanes through that are parked at it", self.limits.key(limit));
        }
    }

    fn check_queues(&self) {
        let mut queues: BTreeMap<NameId, (Load, Load)> = BTreeMap::new();
        for (slot, job) in self.jobs.iter() {
            let (waiting, running) = queues.entry(self.queue_of(slot)).or_default();
            let load = if job.held.is_some() { running } else { waiting };
            load.jobs += 1;
            load.bytes += u64::from(job.spec_bytes);
        }
        for (id, counted) in self.queues.counts() {
            let (waiting, running) = queues.remove(&id).unwrap_or_default();
            assert_eq!((counted.waiting, counted.running), (waiting, running), "{}: counts", self.jobs.names.get(id));
            let is_used = counted.decisions > 0 || waiting.jobs + running.jobs > 0;
            assert!(is_used, "{}: kept for nothing", self.jobs.names.get(id));
        }
        assert!(queues.is_empty(), "jobs of queues that are not there: {queues:?}");
    }

    /// Every name is kept for as many as use it, and no longer.
    fn check_names(&self) {
        let mut users: BTreeMap<NameId, u32> = BTreeMap::new();
        let lanes = self.scheduler.lanes.iter().map(|(_, lane)| &lane.profile);
        let lanes = lanes.flat_map(|profile| profile.program.into_iter().chain([profile.queue]));
        let shapes = self.scheduler.shapes.iter().flat_map(|(_, shape)| shape.names());
        let keys = self.scheduler.shares.names();
        let supplies = self.agents.iter().flat_map(|(_, agent)| agent.supply.names());
        let offered = self.agents.iter().flat_map(|(_, agent)| agent.rooms.handlers());
        let decided = self.queues.counts().flat_map(|(id, counted)| (0..counted.decisions).map(move |_| id));
        lanes
            .chain(shapes)
            .chain(keys)
            .chain(supplies)
            .chain(self.chains.names())
            .chain(offered)
            .chain(decided)
            .for_each(|name| *users.entry(name).or_default() += 1);
        assert_eq!(self.jobs.names.users().collect::<BTreeMap<_, _>>(), users, "names");
    }
}
