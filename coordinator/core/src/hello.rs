//! Agents come and go: hello, goodbye, and silence.

use std::collections::BTreeSet;
use std::sync::Arc;

use windlass_shared::domain::{
    AgentHello, AgentState, JobState, Lease, OnAgentLost, Reason, Scheduling, StopOrder, Welcome,
};
use windlass_shared::ids::SessionId;
use windlass_shared::time::Now;

use crate::agents::{Agent, boot_mark};
use crate::health::Lately;
use crate::jobs::Jobs;
use crate::keys::{AgentIx, Slot};
use crate::quarantine::Stuck;
use crate::rooms::Rooms;
use crate::scheduling::Bits;
use crate::settle::End;
use crate::supply::Supply;
use crate::{Core, Effect, Refusal};

impl Core {
    pub(crate) fn hello(&mut self, now: Now, session: SessionId, hello: &AgentHello, out: &mut Vec<Effect>) {
        let known = self.agents.find(hello.id);
        if let Err(refusal) = self.may_enter(known, hello) {
            out.push(Effect::Close(session, refusal));
            return;
        }
        let same_instance = known.is_some_and(|ix| self.agents.get(ix).instance == hello.instance);
        let ix = self.enter(now, known, hello);
        if let Some(old) = self.agents.bind(ix, session) {
            out.push(Effect::Close(old, Refusal::Superseded));
        }
        out.push(Effect::Welcome(session, self.welcome(hello.session)));
        self.take_inventory(now, ix, session, same_instance, &hello.inventory, out);
        self.note_stuck(now, ix, hello.credit.stuck);
        self.enforce(ix, out);
        self.watch_lease(ix, now.mono.after(self.options.lease_ttl));
    }

    fn may_enter(&mut self, known: Option<AgentIx>, hello: &AgentHello) -> Result<(), Refusal> {
        let ours = hello.seen.filter(|seen| seen.incarnation == self.options.incarnation);
        if ours.is_some_and(|seen| seen.epoch > self.options.epoch || seen.revision > self.revision) {
            return Err(Refusal::Behind { revision: self.revision });
        }
        if self.agents.name_taken(&hello.name, hello.id) {
            return Err(Refusal::NameTaken { name: hello.name.clone() });
        }
        let Some(ix) = known else {
            let full = self.agents.len() >= self.options.agents_max && !self.forget_agent();
            return if full { Err(Refusal::AgentsFull { limit: self.options.agents_max }) } else { Ok(()) };
        };
        let agent = self.agents.get(ix);
        if agent.instance == hello.instance {
            // Two streams of one process: the later one counts, whichever arrives first.
            return if hello.session > agent.session_number { Ok(()) } else { Err(Refusal::Superseded) };
        }
        // Another process under the same id. With the same lock on the same boot it proves that the former one is gone; else it
        // may be a clone, and only the end of the lease proves anything. Two that name no boot have nothing in common.
        let succeeds = !hello.boot_id.is_empty() && agent.boot == boot_mark(&hello.boot_id);
        if agent.is_live() && !succeeds { Err(Refusal::AgentIdInUse) } else { Ok(()) }
    }

    fn enter(&mut self, now: Now, known: Option<AgentIx>, hello: &AgentHello) -> AgentIx {
        let fresh = |rooms, held, running| Agent {
            id: hello.id,
            name: hello.name.clone(),
            instance: hello.instance,
            boot: boot_mark(&hello.boot_id),
            session_number: hello.session,
            session: None,
            state: AgentState::Connected,
            scheduling: Scheduling::Active,
            order: None,
            stuck: Stuck::default(),
            rooms,
            matches: Bits::default(),
            matched: false,
            held,
            running,
            host: hello.host.clone(),
            version: hello.version.clone(),
            connected_at: now.wall,
            heard: now.mono,
            heard_at: now.wall,
            lease_due: None,
            traits: Arc::default(),
            lately: Lately::default(),
            supply: Supply::default(),
        };
        let ix = known.unwrap_or_else(|| self.agents.insert(fresh(Rooms::default(), BTreeSet::new(), 0)));
        self.with_agent(ix, |agent, jobs| {
            let (session, lease_due, before) = (agent.session, agent.lease_due, agent.scheduling);
            // A process that drains goes on draining, whatever happens to its streams.
            let draining = agent.instance == hello.instance && before == Scheduling::Draining;
            let (rooms, held) = (std::mem::take(&mut agent.rooms), std::mem::take(&mut agent.held));
            let (order, stuck) = (agent.order.take(), std::mem::take(&mut agent.stuck));
            let supply = std::mem::take(&mut agent.supply);
            // A new process begins without a past: somebody has most likely seen to its host.
            let past = (agent.instance == hello.instance).then(|| std::mem::take(&mut agent.lately));
            *agent = fresh(rooms, held, agent.running);
            agent.lately = past.unwrap_or_default();
            agent.supply = supply;
            agent.order = order;
            agent.stuck = stuck;
            agent.session = session;
            agent.lease_due = lease_due;
            if draining {
                agent.scheduling = before;
            }
            agent.rooms.set_slots(hello.slots);
            agent.rooms.offer(&hello.credit, &mut jobs.names);
            place_anew(agent, jobs);
            agent.become_what_it_says(hello.traits.clone(), jobs);
        });
        ix
    }

    fn welcome(&self, session: u64) -> Welcome {
        Welcome {
            session,
            lease_ttl: self.options.lease_ttl,
            heartbeat_interval: self.options.heartbeat_interval(),
            incarnation: self.options.incarnation,
            epoch: self.options.epoch,
            revision: self.revision,
        }
    }

    /// Compares what the agent holds with what we gave it.
    fn take_inventory(
        &mut self,
        now: Now,
        ix: AgentIx,
        session: SessionId,
        same_instance: bool,
        inventory: &[Lease],
        out: &mut Vec<Effect>,
    ) {
        let (mut present, mut of_other_records) = (BTreeSet::new(), BTreeSet::new());
        for lease in inventory {
            match self.holder(ix, lease).or_else(|| self.readopt(now, ix, lease, out)) {
                Some(slot) => {
                    present.insert(slot);
                    self.remind_of_cancel(session, slot, out);
                }
                None => {
                    out.push(Effect::Stop(session, StopOrder { lease: *lease, reason: Reason::AgentLost }));
                    if lease.incarnation != self.options.incarnation {
                        of_other_records.insert(lease.job);
                    }
                }
            }
        }
        let missing: Vec<Slot> = self.agents.get(ix).held.difference(&present).copied().collect();
        for slot in missing {
            let job = self.jobs.get(slot);
            // Ours may be an older copy of the record that its lease is of: then it got it, and may have begun since.
            let never_delivered = same_instance
                && job.held.as_ref().is_some_and(|held| held.started_at.is_none())
                && !of_other_records.contains(&job.id);
            // The same process says it never got it, so nothing ran. A new process cannot say what the former one did.
            let end = if never_delivered { End::Returned(Reason::Returned) } else { End::Lost };
            self.settle(now, slot, end, out);
        }
    }

    fn remind_of_cancel(&self, session: SessionId, slot: Slot, out: &mut Vec<Effect>) {
        let job = self.jobs.get(slot);
        if let (JobState::Cancelling, Some(lease)) = (job.state, job.lease(self.options.incarnation)) {
            out.push(Effect::Stop(session, StopOrder { lease, reason: Reason::CancelRequested }));
        }
    }

    /// The agent holds nothing, by its own word.
    pub(crate) fn goodbye(&mut self, now: Now, session: SessionId, out: &mut Vec<Effect>) {
        let Some(ix) = self.agents.speaker(session) else { return };
        self.agents.unbind(ix);
        self.with_agent(ix, |agent, _| {
            agent.state = AgentState::Gone;
            agent.scheduling = Scheduling::Drained;
        });
        for slot in self.agents.get(ix).held.clone() {
            // Unstarted: our assignment and its goodbye crossed. Started: it went without a word about it.
            let started = self.jobs.get(slot).held.as_ref().is_some_and(|held| held.started_at.is_some());
            let end = if started { End::Lost } else { End::Returned(Reason::Drain) };
            self.settle(now, slot, end, out);
        }
    }

    /// Looks at an agent's silence, when its timer says so.
    pub(crate) fn judge(&mut self, now: Now, ix: AgentIx, out: &mut Vec<Effect>) {
        if !self.agents.knows(ix) || !self.agents.get(ix).is_live() {
            return;
        }
        let suspect_at = self.agents.get(ix).heard.after(self.options.lease_ttl).max(self.judge_from);
        let lost_at = suspect_at.after(self.options.lease_margin());
        if now.mono < suspect_at {
            self.watch_lease(ix, suspect_at);
        } else if now.mono < lost_at {
            self.with_agent(ix, |agent, _| agent.state = AgentState::Suspect);
            self.watch_lease(ix, lost_at);
        } else {
            self.lose(now, ix, out);
        }
    }

    fn lose(&mut self, now: Now, ix: AgentIx, out: &mut Vec<Effect>) {
        if let Some(session) = self.agents.unbind(ix) {
            out.push(Effect::Close(session, Refusal::LeaseExpired));
        }
        self.with_agent(ix, |agent, _| agent.state = AgentState::Lost);
        for slot in self.agents.get(ix).held.clone() {
            // One that waits is neither lost nor given away: its agent comes back and tells, or a person decides. One that is
            // to be cancelled has nothing to wait for.
            let job = self.jobs.get(slot);
            if job.on_agent_lost != OnAgentLost::Wait || job.cancel_requested {
                self.settle(now, slot, End::Lost, out);
            }
        }
    }
}

/// What the agent held before it says hello belongs where its class is offered now: its pools may have other names, and after a
/// restart of ours nobody knew them.
fn place_anew(agent: &mut Agent, jobs: &mut Jobs) {
    agent.rooms.clear_held();
    for slot in &agent.held {
        let Some(held) = &mut jobs.get_mut(*slot).held else { continue };
        held.room = agent.rooms.place(held.class);
        agent.rooms.get_mut(held.room).held += 1;
    }
}
