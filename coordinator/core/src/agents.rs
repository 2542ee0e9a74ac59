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
use std::sync::Arc;

use windlass_shared::domain::{AgentRecord, AgentState, Scheduling};
use windlass_shared::ids::{AgentId, SessionId};
use windlass_shared::time::{Moment, Now, Timestamp};

use crate::keys::{AgentIx, Slot};
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
    pub(crate) scheduling: Scheduling,
    pub(crate) slots: u32,
    pub(crate) capacity: u32,
    pub(crate) held: BTreeSet<Slot>,
    pub(crate) running: u32,
    pub(crate) host: Arc<str>,
    pub(crate) version: Arc<str>,
    pub(crate) connected_at: Timestamp,
    pub(crate) heard: Moment,
    pub(crate) heard_at: Timestamp,
    /// When its lease is looked at next: one timer an agent, however often it says hello.
    pub(crate) lease_due: Option<Moment>,
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

    pub(crate) fn has_room(&self) -> bool {
        self.state == AgentState::Connected
            && self.scheduling == Scheduling::Active
            && self.held_count() < self.capacity
    }

    /// Whether its name and id are its own still.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state, AgentState::Connected | AgentState::Suspect)
    }

    fn record(&self) -> AgentRecord {
        AgentRecord {
            id: self.id,
            name: self.name.clone(),
            state: self.state,
            scheduling: self.scheduling,
            slots: self.slots,
            capacity: self.capacity,
            held: self.held_count(),
            running: self.running,
            host: self.host.clone(),
            version: self.version.clone(),
            connected_at: self.connected_at,
            heard_at: self.heard_at,
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

    /// Forgets the agent that has been away longest, where one is away and holds nothing.
    pub(crate) fn forget_one(&mut self) -> bool {
        let away = self.table.iter().filter(|(_, agent)| !agent.is_live() && agent.held.is_empty());
        let Some((&ix, agent)) = away.min_by_key(|(ix, agent)| (agent.heard, **ix)) else { return false };
        self.by_id.remove(&agent.id);
        self.table.remove(&ix);
        true
    }

    pub(crate) fn knows(&self, ix: AgentIx) -> bool {
        self.table.contains_key(&ix)
    }

    pub(crate) fn records(&self) -> Vec<AgentRecord> {
        self.by_id.values().map(|ix| self.get(*ix).record()).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (AgentIx, &Agent)> {
        self.table.iter().map(|(ix, agent)| (*ix, agent))
    }
}

impl Core {
    /// Changes an agent, with the balancer told before and after.
    pub(crate) fn with_agent<T>(&mut self, ix: AgentIx, change: impl FnOnce(&mut Agent) -> T) -> T {
        let agent = self.agents.get_mut(ix);
        self.balancer.remove(ix, agent);
        let answer = change(agent);
        self.balancer.insert(ix, agent);
        answer
    }

    pub(crate) fn alive(&mut self, now: Now, session: SessionId, at: Moment) {
        let Some(ix) = self.agents.speaker(session) else { return };
        let fresh = now.mono.since(at) < self.options.lease_ttl;
        self.with_agent(ix, |agent| {
            if at > agent.heard {
                agent.heard = at;
                agent.heard_at = now.wall;
            }
            if fresh {
                agent.state = AgentState::Connected;
            }
        });
    }

    pub(crate) fn credit(&mut self, session: SessionId, capacity: u32) {
        let Some(ix) = self.agents.speaker(session) else { return };
        self.with_agent(ix, |agent| agent.capacity = capacity);
    }

    pub(crate) fn draining(&mut self, session: SessionId) {
        let Some(ix) = self.agents.speaker(session) else { return };
        self.with_agent(ix, |agent| agent.scheduling = Scheduling::Draining);
    }

    /// A stream that ended says nothing about the attempts: they run on until the lease runs out.
    pub(crate) fn closed(&mut self, session: SessionId) {
        let Some(ix) = self.agents.speaker(session) else { return };
        self.agents.unbind(ix);
        self.with_agent(ix, |agent| agent.state = AgentState::Suspect);
    }

    pub(crate) fn watch_lease(&mut self, ix: AgentIx, at: Moment) {
        if let Some(before) = self.agents.get_mut(ix).lease_due.replace(at) {
            self.timers.unset(before, Timer::Lease(ix));
        }
        self.timers.set(at, Timer::Lease(ix));
    }
}
