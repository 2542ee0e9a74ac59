//! The agents, and which stream speaks for which.
//!
//! ```text
//!            hello                    silence > T               silence > T + margin
//!   (new) ─────────► CONNECTED ─────────────────────► SUSPECT ─────────────────────► LOST
//!                      ▲   │        or stream ends       │                             │
//!                      │   └── goodbye ──► GONE          │                             │
//!                      └───────────── hello ─────────────┴─────────────────────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use windlass_shared::domain::{AgentRecord, AgentState, Constraint, Credit, Health, OrderKind, Scheduling, Traits};
use windlass_shared::ids::{AgentId, SessionId};
use windlass_shared::time::{Moment, Now, Timestamp};

use crate::health::{self, Lately};
use crate::jobs::Jobs;
use crate::keys::{AgentIx, Slot};
use crate::lease::Held;
use crate::names::Names;
use crate::orders::Standing;
use crate::quarantine::Stuck;
use crate::rooms::{RoomId, Rooms};
use crate::scheduling::{Bits, Class, Shape, ShapeId};
use crate::supply::Supply;
use crate::{Core, Timer};

#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) id: AgentId,
    pub(crate) name: Arc<str>,
    pub(crate) instance: u64,
    /// By [`boot_mark`]; 0: not known.
    pub(crate) boot: u64,
    pub(crate) session_number: u64,
    pub(crate) session: Option<SessionId>,
    pub(crate) state: AgentState,
    /// By its own word: Active, Draining, or Drained where it said goodbye.
    pub(crate) scheduling: Scheduling,
    /// By an operator's.
    pub(crate) order: Option<Standing>,
    /// By what it cannot kill.
    pub(crate) stuck: Stuck,
    pub(crate) rooms: Rooms,
    /// Shapes it could ever run.
    pub(crate) matches: Bits,
    /// Whether that is what it is now.
    pub(crate) matched: bool,
    pub(crate) held: BTreeSet<Slot>,
    pub(crate) running: u32,
    pub(crate) host: Arc<str>,
    pub(crate) version: Arc<str>,
    pub(crate) connected_at: Timestamp,
    pub(crate) heard: Moment,
    pub(crate) heard_at: Timestamp,
    /// When its lease is looked at next: one timer an agent, however often it says hello.
    pub(crate) lease_due: Option<Moment>,
    /// What it says of itself; the default until it has said hello to us.
    pub(crate) traits: Arc<Traits>,
    /// How what it ran ended lately.
    pub(crate) lately: Lately,
    /// What of that is in use.
    pub(crate) supply: Supply,
}

/// A boot and a lock, as short as it is on record with each attempt: FNV-1a. It tells an agent from its clones, which do not choose
/// what theirs is; it is no proof against anybody who does.
pub(crate) fn boot_mark(boot_id: &str) -> u64 {
    let mix = |mark: u64, byte: u8| (mark ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    boot_id.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}

impl Agent {
    pub(crate) fn held_count(&self) -> u32 {
        u32::try_from(self.held.len()).unwrap_or(u32::MAX)
    }

    /// Whether it gets anything new, where it has room.
    pub(crate) fn is_open(&self) -> bool {
        let active = self.scheduling == Scheduling::Active && self.order.is_none() && !self.stuck.is_quarantined();
        self.state == AgentState::Connected && active
    }

    /// Whether work of a class gets room here now, whatever else it asks for.
    pub(crate) fn takes(&self, class: Class) -> bool {
        self.is_open() && self.rooms.get(self.rooms.place(class)).has_room()
    }

    /// Whether work of the shape could ever run here, were there nothing else.
    pub(crate) fn could(&self, shape: &Shape) -> bool {
        let holds = |constraint: &Constraint| self.meets(constraint);
        let labels = shape.key.placement.constraints.iter().all(holds);
        labels && self.rooms.offers(shape.key.class) && self.supply.could(&shape.needs)
    }

    /// Whether work of the shape can be handed to it now, if it could ever.
    pub(crate) fn fits(&self, shape: &Shape, wall: Timestamp) -> bool {
        self.takes(shape.key.class) && self.stays(shape, wall) && self.supply.lacks(&shape.needs).is_none()
    }

    pub(crate) fn meets(&self, constraint: &Constraint) -> bool {
        constraint.must.holds(self.traits.labels.get(&constraint.label).map(|value| &**value))
    }

    /// Whether it is there for as long as work of the shape asks, by its own word.
    pub(crate) fn stays(&self, shape: &Shape, wall: Timestamp) -> bool {
        let Some((leaves, least)) = self.traits.leaves_at.zip(shape.key.placement.min_lifetime) else { return true };
        leaves >= wall.after(least)
    }

    /// What speaks for it among those that work of the shape could run on.
    pub(crate) fn affinity(&self, shape: &Shape) -> i32 {
        let affinities = shape.key.placement.affinities.iter().filter(|affinity| self.meets(&affinity.constraint));
        affinities.map(|affinity| i32::from(affinity.weight)).sum()
    }

    /// From now on it is this; what it holds of what it has goes on being in use.
    pub(crate) fn become_what_it_says(&mut self, traits: Arc<Traits>, jobs: &mut Jobs) {
        let before = std::mem::replace(&mut self.supply, Supply::of(&traits, &mut jobs.names));
        before.forget(&mut jobs.names);
        for slot in &self.held {
            if let Some(held) = &jobs.get(*slot).held {
                self.supply.note(&held.needs, &held.grants, &jobs.names, true);
            }
        }
        self.traits = traits;
        self.matched = false;
    }

    /// How well it does, as of its last end or heartbeat.
    pub(crate) fn health(&self) -> Health {
        health::judge(&self.lately, self.stuck.count)
    }

    /// Whether its name and id are its own still.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state, AgentState::Connected | AgentState::Suspect)
    }

    /// Its own word and the operator's as one.
    fn shown_scheduling(&self) -> Scheduling {
        match (self.order.as_ref().map(|standing| standing.order.kind), self.scheduling) {
            (Some(OrderKind::Drain(_)), _) if self.held.is_empty() => Scheduling::Drained,
            (Some(OrderKind::Drain(_)), _) | (Some(OrderKind::Cordon), Scheduling::Draining) => Scheduling::Draining,
            (Some(OrderKind::Cordon), _) => Scheduling::Cordoned,
            (None, Scheduling::Active) if self.stuck.is_quarantined() => Scheduling::Quarantined,
            (None, own) => own,
        }
    }

    fn record(&self, names: &Names) -> AgentRecord {
        let (slots, capacity) = self.rooms.totals();
        AgentRecord {
            id: self.id,
            name: self.name.clone(),
            state: self.state,
            scheduling: self.shown_scheduling(),
            slots,
            capacity,
            held: self.held_count(),
            running: self.running,
            host: self.host.clone(),
            version: self.version.clone(),
            connected_at: self.connected_at,
            heard_at: self.heard_at,
            pools: self.rooms.pools(names),
            reason: match &self.order {
                Some(standing) => standing.order.reason.clone(),
                None => self.stuck.reason(),
            },
            stuck: self.stuck.count,
            quarantined_at: self.stuck.since(),
            drain_at: self.order.as_ref().and_then(|standing| match standing.order.kind {
                OrderKind::Drain(until) => until,
                OrderKind::Cordon => None,
            }),
            traits: self.traits.clone(),
            health: self.health(),
            ends: self.lately.ends,
            failures: self.lately.failures,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Agents {
    /// By seat.
    table: Vec<Option<(u32, Agent)>>,
    free: Vec<u32>,
    lives: u32,
    by_id: BTreeMap<AgentId, AgentIx>,
    by_session: BTreeMap<SessionId, AgentIx>,
}

impl Agents {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    fn look(&self, ix: AgentIx) -> Option<&Agent> {
        let (life, agent) = self.table.get(ix.seat as usize)?.as_ref()?;
        (*life == ix.life).then_some(agent)
    }

    pub(crate) fn get(&self, ix: AgentIx) -> &Agent {
        self.look(ix).expect("an agent that holds leases or a timer is not forgotten")
    }

    pub(crate) fn get_mut(&mut self, ix: AgentIx) -> &mut Agent {
        let seated = self.table.get_mut(ix.seat as usize).and_then(Option::as_mut);
        let (_, agent) = seated.filter(|(life, _)| *life == ix.life).expect("an agent that is named is not forgotten");
        agent
    }

    /// Who has a seat.
    pub(crate) fn seated(&self, seat: u32) -> Option<(AgentIx, &Agent)> {
        let (life, agent) = self.table.get(seat as usize)?.as_ref()?;
        Some((AgentIx { seat, life: *life }, agent))
    }

    pub(crate) fn find(&self, id: AgentId) -> Option<AgentIx> {
        self.by_id.get(&id).copied()
    }

    pub(crate) fn speaker(&self, session: SessionId) -> Option<AgentIx> {
        self.by_session.get(&session).copied()
    }

    /// Whether a live agent other than `id` has the name. O(agents), once a hello.
    pub(crate) fn name_taken(&self, name: &str, id: AgentId) -> bool {
        self.iter().any(|(_, agent)| agent.is_live() && &*agent.name == name && agent.id != id)
    }

    pub(crate) fn insert(&mut self, agent: Agent) -> AgentIx {
        let seat = self.free.pop().unwrap_or_else(|| {
            self.table.push(None);
            u32::try_from(self.table.len() - 1).expect("agents_max is far below 2^32")
        });
        self.lives += 1;
        let ix = AgentIx { seat, life: self.lives };
        self.by_id.insert(agent.id, ix);
        self.table[seat as usize] = Some((ix.life, agent));
        ix
    }

    /// Makes `session` speak for the agent; returns the one that did.
    pub(crate) fn bind(&mut self, ix: AgentIx, session: SessionId) -> Option<SessionId> {
        let old = self.get_mut(ix).session.replace(session);
        if let Some(old) = old {
            self.by_session.remove(&old);
        }
        self.by_session.insert(session, ix);
        old
    }

    /// Makes nobody speak for the agent; returns the session that did.
    pub(crate) fn unbind(&mut self, ix: AgentIx) -> Option<SessionId> {
        let old = self.get_mut(ix).session.take();
        if let Some(old) = old {
            self.by_session.remove(&old);
        }
        old
    }

    /// Forgets the agent that has been away longest, where one is away and holds nothing. One that an operator has given an order
    /// is not forgotten: the order is for when it comes back.
    pub(crate) fn forget_one(&mut self, names: &mut Names) -> Option<AgentIx> {
        let away = self.iter().filter(|(_, agent)| !agent.is_live() && agent.held.is_empty() && agent.order.is_none());
        let (ix, agent) = away.min_by_key(|(ix, agent)| (agent.heard, ix.life))?;
        let id = agent.id;
        self.by_id.remove(&id);
        self.free.push(ix.seat);
        let (_, agent) = self.table[ix.seat as usize].take()?;
        agent.rooms.forget(names);
        agent.supply.forget(names);
        Some(ix)
    }

    /// Seats there are, taken or not.
    pub(crate) fn seats(&self) -> u32 {
        u32::try_from(self.table.len()).unwrap_or(u32::MAX)
    }

    /// By seat.
    pub(crate) fn ids(&self) -> Vec<AgentIx> {
        self.iter().map(|(ix, _)| ix).collect()
    }

    pub(crate) fn knows(&self, ix: AgentIx) -> bool {
        self.look(ix).is_some()
    }

    /// Those of which `wanted` holds, by id, after `after`.
    pub(crate) fn records(
        &self,
        after: Option<AgentId>,
        names: &Names,
        wanted: impl Fn(&Traits) -> bool,
    ) -> impl Iterator<Item = AgentRecord> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let agents = self.by_id.range((from, Bound::Unbounded)).map(|(_, ix)| self.get(*ix));
        agents.filter(move |agent| wanted(&agent.traits)).map(|agent| agent.record(names))
    }

    pub(crate) fn record(&self, ix: AgentIx, names: &Names) -> AgentRecord {
        self.get(ix).record(names)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (AgentIx, &Agent)> {
        let seated = self.table.iter().zip(0u32..);
        seated.filter_map(|(seated, seat)| {
            let (life, agent) = seated.as_ref()?;
            Some((AgentIx { seat, life: *life }, agent))
        })
    }
}

impl Core {
    /// Changes an agent, and what the scheduler knows of it with it.
    pub(crate) fn with_agent<T>(&mut self, ix: AgentIx, change: impl FnOnce(&mut Agent, &mut Jobs) -> T) -> T {
        let agent = self.agents.get_mut(ix);
        let before = agent.rooms.all_classes();
        let answer = change(agent, &mut self.jobs);
        let after = agent.rooms.all_classes();
        if before != after || !agent.matched {
            self.match_agent(ix);
        }
        before.into_iter().for_each(|class| self.scheduler.set_open(class, ix.seat, false));
        let agent = self.agents.get(ix);
        for class in after {
            self.scheduler.set_open(class, ix.seat, agent.takes(class));
        }
        if agent.is_open() {
            self.scheduler.refresh(ix);
        }
        answer
    }

    /// A job takes its place in a room.
    pub(crate) fn occupy(&mut self, ix: AgentIx, room: RoomId, slot: Slot, started: bool) {
        let agent = self.agents.get_mut(ix);
        agent.held.insert(slot);
        agent.running += u32::from(started);
        agent.rooms.get_mut(room).held += 1;
        self.show_room(ix, room);
        self.note_busy(slot, true);
    }

    /// And leaves it, with all that it took.
    pub(crate) fn vacate(&mut self, held: &Held, slot: Slot) {
        let ix = held.agent;
        let agent = self.agents.get_mut(ix);
        agent.held.remove(&slot);
        agent.running -= u32::from(held.started_at.is_some());
        agent.rooms.get_mut(held.room).held -= 1;
        agent.supply.note(&held.needs, &held.grants, &self.jobs.names, false);
        self.show_room(ix, held.room);
        let agent = self.agents.get_mut(ix);
        agent.rooms.tidy();
        if agent.is_open() {
            self.scheduler.refresh(ix);
        }
        self.note_busy(slot, false);
    }

    fn show_room(&mut self, ix: AgentIx, room: RoomId) {
        let agent = self.agents.get(ix);
        let is_open = agent.is_open() && agent.rooms.get(room).has_room();
        for class in agent.rooms.classes(room) {
            self.scheduler.set_open(class, ix.seat, is_open);
        }
    }

    /// Which shapes the agent could ever run. O(shapes), where what it is has changed.
    fn match_agent(&mut self, ix: AgentIx) {
        let agent = self.agents.get_mut(ix);
        agent.matches.clear();
        for (id, shape) in self.scheduler.shapes.iter() {
            agent.matches.put(id.0, agent.could(shape));
        }
        agent.matched = true;
        self.scheduler.shapes.seat(ix.seat, &agent.matches);
    }

    /// Which agents could ever run a shape that is new. O(agents).
    pub(crate) fn match_shape(&mut self, id: ShapeId) {
        for ix in self.agents.ids() {
            let shape = self.scheduler.shapes.get_mut(id);
            let agent = self.agents.get_mut(ix);
            let could = agent.could(shape);
            agent.matches.put(id.0, could);
            shape.able.put(ix.seat, could);
        }
    }

    pub(crate) fn alive(&mut self, now: Now, session: SessionId, at: Moment) {
        let Some(ix) = self.agents.speaker(session) else { return };
        let agent = self.agents.get_mut(ix);
        if at > agent.heard {
            agent.heard = at;
            agent.heard_at = now.wall;
        }
        agent.lately.forget(now.mono);
        let fresh = now.mono.since(at) < self.options.lease_ttl;
        // Said by every heartbeat of every agent, and rarely news.
        if fresh && agent.state != AgentState::Connected {
            self.with_agent(ix, |agent, _| agent.state = AgentState::Connected);
        }
    }

    pub(crate) fn credit(&mut self, now: Now, session: SessionId, credit: &Credit) {
        let Some(ix) = self.agents.speaker(session) else { return };
        self.with_agent(ix, |agent, jobs| {
            agent.rooms.offer(credit, &mut jobs.names);
            if let Some(traits) = credit.traits.as_ref().filter(|traits| **traits != agent.traits) {
                agent.become_what_it_says(traits.clone(), jobs);
            }
        });
        self.note_stuck(now, ix, credit.stuck);
    }

    pub(crate) fn draining(&mut self, session: SessionId) {
        let Some(ix) = self.agents.speaker(session) else { return };
        self.with_agent(ix, |agent, _| agent.scheduling = Scheduling::Draining);
    }

    /// A stream that ended says nothing about the attempts: they run on until the lease runs out.
    pub(crate) fn closed(&mut self, session: SessionId) {
        let Some(ix) = self.agents.speaker(session) else { return };
        self.agents.unbind(ix);
        self.with_agent(ix, |agent, _| agent.state = AgentState::Suspect);
    }

    pub(crate) fn watch_lease(&mut self, ix: AgentIx, at: Moment) {
        if let Some(before) = self.agents.get_mut(ix).lease_due.replace(at) {
            self.timers.unset(before, Timer::Lease(ix));
        }
        self.timers.set(at, Timer::Lease(ix));
    }
}
