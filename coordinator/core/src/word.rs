//! An operator's word, where nothing can be proven: the agent that holds an attempt is out of touch, and a person knows better than
//! any timer that it is gone, or that nobody will wait for it.
//!
//! ```text
//!   abandon     one job ─────────► its attempt LOST, proof OPERATOR ──► FAILED (ABANDONED), nothing follows
//!   force lost  one agent, LOST ─► all it holds LOST, proof OPERATOR ─► as after any loss: again, or FAILED; also with WAIT
//! ```
//!
//! Only of an agent out of touch: what one in touch says is worth more than anybody's word about it. After the word the leases are
//! stale: an agent that comes back after all is told to kill what runs under them, and takes nothing back.

use std::sync::Arc;

use windlass_shared::domain::{AgentState, Lease, Reason, StopOrder};
use windlass_shared::ids::{AgentId, JobId};
use windlass_shared::time::Now;

use crate::keys::{AgentIx, Slot};
use crate::settle::{End, Word};
use crate::{Core, Effect, Refusal, Reply, Ticket};

impl Core {
    pub(crate) fn abandon(
        &mut self,
        now: Now,
        ticket: Ticket,
        job: JobId,
        detail: Option<Arc<str>>,
        out: &mut Vec<Effect>,
    ) {
        let answer = match self.jobs.find(job) {
            None => Ok(false),
            Some(slot) => self.abandonable(slot).map(|ix| {
                self.disown(ix, slot, out);
                self.settle(now, slot, End::Word(Word::Abandon, detail), out);
                true
            }),
        };
        out.push(Effect::Reply(ticket, Reply::Abandoned(answer)));
    }

    /// The agent out of touch that holds the job.
    fn abandonable(&self, slot: Slot) -> Result<AgentIx, Refusal> {
        let job = self.jobs.get(slot);
        let Some(held) = &job.held else { return Err(Refusal::JobNotHeld { job: job.id, state: job.state }) };
        let agent = self.agents.get(held.agent);
        if agent.state == AgentState::Connected {
            return Err(Refusal::JobInTouch { job: job.id, agent: agent.name.clone() });
        }
        Ok(held.agent)
    }

    pub(crate) fn force_lost(
        &mut self,
        now: Now,
        ticket: Ticket,
        agent: AgentId,
        detail: Option<&Arc<str>>,
        out: &mut Vec<Effect>,
    ) {
        let answer = match self.agents.find(agent) {
            None => Ok(None),
            Some(ix) => self.may_be_forced(ix).map(|()| {
                self.give_up(now, ix, detail, out);
                self.agent(agent).map(Box::new)
            }),
        };
        out.push(Effect::Reply(ticket, Reply::ForcedLost(answer)));
    }

    fn may_be_forced(&self, ix: AgentIx) -> Result<(), Refusal> {
        let agent = self.agents.get(ix);
        let name = || agent.name.clone();
        match agent.state {
            AgentState::Connected => Err(Refusal::AgentInTouch { agent: name() }),
            AgentState::Lost | AgentState::Gone if agent.held.is_empty() => {
                Err(Refusal::AgentHoldsNothing { agent: name() })
            }
            AgentState::Suspect | AgentState::Lost | AgentState::Gone => Ok(()),
        }
    }

    fn give_up(&mut self, now: Now, ix: AgentIx, detail: Option<&Arc<str>>, out: &mut Vec<Effect>) {
        if let Some(session) = self.agents.unbind(ix) {
            out.push(Effect::Close(session, Refusal::LeaseExpired));
        }
        self.with_agent(ix, |agent, _| agent.state = AgentState::Lost);
        for slot in self.agents.get(ix).held.clone() {
            self.settle(now, slot, End::Word(Word::ForceLost, detail.cloned()), out);
        }
    }

    /// A stream that is open still is told at once that the lease is nobody's; any other learns it from its next hello.
    fn disown(&self, ix: AgentIx, slot: Slot, out: &mut Vec<Effect>) {
        let lease: Option<Lease> = self.jobs.get(slot).lease(self.options.incarnation);
        if let (Some(session), Some(lease)) = (self.agents.get(ix).session, lease) {
            out.push(Effect::Stop(session, StopOrder { lease, reason: Reason::AgentLost }));
        }
    }
}
