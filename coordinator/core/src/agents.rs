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

use windlass_shared::domain::{AgentRecord, AgentState, Credit, OrderKind, Scheduling, Traits};
use windlass_shared::ids::{AgentId, SessionId};
use windlass_shared::time::{Moment, Now, Timestamp};

use crate::jobs::Jobs;
use crate::keys::{AgentIx, Slot};
use crate::names::Names;
use crate::orders::Standing;
use crate::quarantine::Stuck;
use crate::rooms::{Room, RoomId, Rooms};
use crate::scheduling::Classes;
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

    /// Whether a room of it gets anything new now.
    pub(crate) fn takes(&self, room: &Room) -> bool {
        self.is_open() && room.has_room()
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
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Agents {
    table: BTreeMap<AgentIx, Agent>,
    by_id: BTreeMap<AgentId, AgentIx>,
    by_session: BTreeMap<SessionId, AgentIx>,
    next: u32,
}

impl Agents {
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn get(&self, ix: AgentIx) -> &Agent {
        self.table.get(&ix).expect("an agent that holds leases or a timer is not forgotten")
    }

    pub(crate) fn get_mut(&mut self, ix: AgentIx) -> &mut Agent {
        self.table.get_mut(&ix).expect("an agent that holds leases or a timer is not forgotten")
    }

    pub(crate) fn find(&self, id: AgentId) -> Option<AgentIx> {
        self.by_id.get(&id).copied()
    }

    pub(crate) fn speaker(&self, session: SessionId) -> Option<AgentIx> {
        self.by_session.get(&session).copied()
    }

    /// Whether a live agent other than `id` has the name. O(agents), once a hello.
    pub(crate) fn name_taken(&self, name: &str, id: AgentId) -> bool {
        self.table.values().any(|agent| agent.is_live() && &*agent.name == name && agent.id != id)
    }

    pub(crate) fn insert(&mut self, agent: Agent) -> AgentIx {
        let ix = AgentIx(self.next);
        self.next += 1;
        self.by_id.insert(agent.id, ix);
        self.table.insert(ix, agent);
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
    pub(crate) fn forget_one(&mut self, names: &mut Names) -> bool {
        let away =
            self.table.iter().filter(|(_, agent)| !agent.is_live() && agent.held.is_empty() && agent.order.is_none());
        let Some((&ix, agent)) = away.min_by_key(|(ix, agent)| (agent.heard, **ix)) else { return false };
        self.by_id.remove(&agent.id);
        if let Some(agent) = self.table.remove(&ix) {
            agent.rooms.forget(names);
        }
        true
    }

    pub(crate) fn knows(&self, ix: AgentIx) -> bool {
        self.table.contains_key(&ix)
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
        self.table.iter().map(|(ix, agent)| (*ix, agent))
    }
}

impl Core {
    /// Changes an agent, its rooms closed meanwhile.
    pub(crate) fn with_agent<T>(&mut self, ix: AgentIx, change: impl FnOnce(&mut Agent, &mut Jobs) -> T) -> T {
        let agent = self.agents.get_mut(ix);
        close(&mut self.classes, ix, agent, None);
        let answer = change(agent, &mut self.jobs);
        open(&mut self.classes, ix, agent, None);
        answer
    }

    /// The same, where nothing changes but what one of its rooms holds.
    fn with_room(&mut self, ix: AgentIx, room: RoomId, change: impl FnOnce(&mut Agent)) {
        let agent = self.agents.get_mut(ix);
        close(&mut self.classes, ix, agent, Some(room));
        change(agent);
        open(&mut self.classes, ix, agent, Some(room));
    }

    /// A job takes its place in a room.
    pub(crate) fn occupy(&mut self, ix: AgentIx, room: RoomId, slot: Slot, started: bool) {
        self.with_room(ix, room, |agent| {
            agent.held.insert(slot);
            agent.running += u32::from(started);
            agent.rooms.get_mut(room).held += 1;
        });
    }

    /// And leaves it.
    pub(crate) fn vacate(&mut self, ix: AgentIx, room: RoomId, slot: Slot, started: bool) {
        self.with_room(ix, room, |agent| {
            agent.held.remove(&slot);
            agent.running -= u32::from(started);
            agent.rooms.get_mut(room).held -= 1;
            agent.rooms.tidy();
        });
    }

    pub(crate) fn alive(&mut self, now: Now, session: SessionId, at: Moment) {
        let Some(ix) = self.agents.speaker(session) else { return };
        let agent = self.agents.get_mut(ix);
        if at > agent.heard {
            agent.heard = at;
            agent.heard_at = now.wall;
        }
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
            if let Some(traits) = &credit.traits {
                agent.traits = traits.clone();
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

/// Takes the agent's rooms, or one of them, out of the choice.
fn close(classes: &mut Classes, ix: AgentIx, agent: &Agent, only: Option<RoomId>) {
    for (id, room) in agent.rooms.iter().filter(|(id, _)| only.is_none_or(|only| only == *id)) {
        for class in agent.rooms.classes(id) {
            classes.close(class, room.load(), ix);
        }
    }
}

/// Puts those with room back into it.
fn open(classes: &mut Classes, ix: AgentIx, agent: &Agent, only: Option<RoomId>) {
    let takes = |room: &(RoomId, &Room)| only.is_none_or(|only| only == room.0) && agent.takes(room.1);
    for (id, room) in agent.rooms.iter().filter(takes) {
        for class in agent.rooms.classes(id) {
            classes.open(class, room.load(), ix);
        }
    }
}
