//! What operators want of agents: cordon, drain, and the end of both. It holds for the agent's id, over every stream, process and
//! restart, and has nothing to do with a drain of the agent's own, which ends with its process.
//!
//! ```text
//!   drain ──► nothing new ──► unstarted leases: recall ──► RETURNED, given out again
//!                        └──► deadline ──► all it holds: stop (DRAIN) ──► INTERRUPTED, given out again
//! ```
//!
//! Nothing is given out again before its agent has told, or is lost: taking an order back can never make a second attempt.

use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::{AgentRecord, JobState, Lease, Order, OrderKind, Reason, StopOrder};
use windlass_shared::ids::{AgentId, SessionId};
use windlass_shared::time::{Moment, Now};

use crate::keys::AgentIx;
use crate::timers::Timer;
use crate::{Core, Effect, Mark, Reply, Ticket};

/// An order, and when it is due by the clock that it is judged by.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) order: Order,
    pub(crate) due: Due,
}

/// When what runs is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Never,
    At(Moment),
    Passed,
}

impl Core {
    pub(crate) fn cordon(&mut self, ticket: Ticket, agent: AgentId, reason: Option<Arc<str>>, out: &mut Vec<Effect>) {
        if let Some(ix) = self.agents.find(agent) {
            let agent_name = self.agents.get(ix).name.clone();
            self.give_order(ix, Order { kind: OrderKind::Cordon, reason, agent_name }, Due::Never, out);
        }
        self.reply_agent(ticket, agent, out);
    }

    pub(crate) fn drain(
        &mut self,
        now: Now,
        ticket: Ticket,
        agent: AgentId,
        deadline: Option<Duration>,
        reason: Option<Arc<str>>,
        out: &mut Vec<Effect>,
    ) {
        if let Some(ix) = self.agents.find(agent) {
            let agent_name = self.agents.get(ix).name.clone();
            let until = deadline.map(|deadline| now.wall.after(deadline));
            let due = deadline.map_or(Due::Never, |deadline| Due::At(now.mono.after(deadline)));
            self.give_order(ix, Order { kind: OrderKind::Drain(until), reason, agent_name }, due, out);
            self.enforce(ix, out);
        }
        self.reply_agent(ticket, agent, out);
    }

    pub(crate) fn uncordon(&mut self, ticket: Ticket, agent: AgentId, out: &mut Vec<Effect>) {
        let found = self.agents.find(agent).filter(|ix| self.agents.get(*ix).order.is_some());
        if let Some(ix) = found {
            self.set_order(ix, None);
            out.push(Effect::Mark(Mark::Agent { id: agent, order: None }));
        }
        if let Some(ix) = self.agents.find(agent) {
            self.pardon(ix);
        }
        self.reply_agent(ticket, agent, out);
    }

    fn give_order(&mut self, ix: AgentIx, order: Order, due: Due, out: &mut Vec<Effect>) {
        let id = self.agents.get(ix).id;
        out.push(Effect::Mark(Mark::Agent { id, order: Some(order.clone()) }));
        self.set_order(ix, Some(Standing { order, due }));
    }

    /// Replaces the order, and with it its deadline.
    pub(crate) fn set_order(&mut self, ix: AgentIx, order: Option<Standing>) {
        let due = order.as_ref().map(|standing| standing.due);
        let before = self.with_agent(ix, |agent, _| std::mem::replace(&mut agent.order, order));
        if let Some(Standing { due: Due::At(at), .. }) = before {
            self.timers.unset(at, Timer::Drain(ix));
        }
        if let Some(Due::At(at)) = due {
            self.timers.set(at, Timer::Drain(ix));
        }
    }

    /// A drain's time is over.
    pub(crate) fn drain_due(&mut self, ix: AgentIx, out: &mut Vec<Effect>) {
        if let Some(standing) = &mut self.agents.get_mut(ix).order {
            standing.due = Due::Passed;
        }
        self.enforce(ix, out);
    }

    /// Tells a draining agent what to give back, or to stop. Without a stream it is told with its next hello.
    pub(crate) fn enforce(&mut self, ix: AgentIx, out: &mut Vec<Effect>) {
        let agent = self.agents.get(ix);
        let (Some(session), Some(standing)) = (agent.session, &agent.order) else { return };
        if !matches!(standing.order.kind, OrderKind::Drain(_)) {
            return;
        }
        let overdue = standing.due == Due::Passed;
        let mut recall = Vec::new();
        for slot in &agent.held {
            let job = self.jobs.get(*slot);
            // One that is to be cancelled is being stopped already.
            let Some(lease) = job.lease(self.options.incarnation).filter(|_| job.state != JobState::Cancelling) else {
                continue;
            };
            if overdue {
                out.push(Effect::Stop(session, StopOrder { lease, reason: Reason::Drain }));
            } else if job.state == JobState::Leased {
                recall.push(lease);
            }
        }
        self.recall(ix, recall, out);
    }

    fn recall(&self, ix: AgentIx, leases: Vec<Lease>, out: &mut Vec<Effect>) {
        if let Some(session) = self.agents.get(ix).session.filter(|_| !leases.is_empty()) {
            out.push(Effect::Recall(session, leases));
        }
    }

    fn reply_agent(&self, ticket: Ticket, agent: AgentId, out: &mut Vec<Effect>) {
        out.push(Effect::Reply(ticket, Reply::Agent(self.agent(agent).map(Box::new))));
    }

    /// The stream that speaks for an agent; none where it is away; none at all where there is no such agent.
    #[must_use]
    pub fn stream_of(&self, id: AgentId) -> Option<Option<SessionId>> {
        Some(self.agents.get(self.agents.find(id)?).session)
    }

    /// An agent by its id.
    #[must_use]
    pub fn agent(&self, id: AgentId) -> Option<AgentRecord> {
        Some(self.agents.record(self.agents.find(id)?, &self.jobs.names))
    }
}
