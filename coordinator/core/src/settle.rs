//! An attempt is over: what becomes of its job. Whether it is tried again is decided in [`retry`].

use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::{
    AttemptRecord, AttemptState, Execution, Exit, JobRecord, JobState, OnAgentLost, Outcome, Proof, Reason,
};
use windlass_shared::ids::AgentId;
use windlass_shared::resilience::rules::MEMORY_RESOURCE;
use windlass_shared::time::Now;

use crate::jobs::Job;
use crate::keys::Slot;
use crate::lease::Held;
use crate::retry::{self, Decision, Next, Try};
use crate::timers::Timer;
use crate::{Change, Core, Effect};

/// How an attempt ended.
pub(crate) enum End {
    /// By its agent's word.
    Outcome(Box<Outcome>),
    /// Given back before it started; counts nowhere.
    Returned(Reason),
    /// Its agent is silent past its lease, or came back without it.
    Lost,
    /// By an operator's word, and why.
    Word(Word, Option<Arc<str>>),
}

/// What an operator says of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// Give its job up.
    Abandon,
    /// Its agent is gone.
    ForceLost,
}

impl Core {
    pub(crate) fn settle(&mut self, now: Now, slot: Slot, end: End, out: &mut Vec<Effect>) {
        let Some(held) = self.jobs.get_mut(slot).held.take() else { return };
        self.vacate(&held, slot);
        self.free_limits(slot);
        if let End::Outcome(outcome) = &end {
            self.agents.get_mut(held.agent).lately.note(now.mono, outcome.state);
        }
        let agent = self.agents.get(held.agent).id;
        if let End::Outcome(outcome) = &end
            && let Some(error) = &outcome.error
        {
            self.cool_as_answered(now, self.jobs.get(slot).id, error, out);
        }
        let Decision { next, rule } = self.next_step(slot, agent, &end);
        let lost = matches!(end, End::Lost);
        let detail = match &end {
            End::Outcome(outcome) => outcome.detail.clone(),
            End::Word(_, why) => why.clone(),
            End::Returned(_) | End::Lost => None,
        };
        let mut attempt = self.ended_attempt(now, slot, &held, end);
        if next != Next::Final(JobState::Succeeded, None) {
            attempt.drop_result();
        }
        attempt.retry_rule = rule;
        let attempt = Some(attempt);
        let job = self.jobs.get_mut(slot);
        job.lost = lost.then_some(held);
        // The client's word for a cancel stays; an outcome's word is about what became of the job now.
        if !job.cancel_requested {
            job.detail = detail;
        }
        match next {
            Next::Final(state, reason) => self.finish(now, slot, state, reason, attempt, out),
            Next::DeadLetter(reason) => self.end(now, slot, (JobState::Failed, true), reason, attempt, out),
            Next::Again(reason, wait) => self.put_back(now, slot, reason, wait, attempt, out),
        }
    }

    fn next_step(&mut self, slot: Slot, agent: AgentId, end: &End) -> Decision {
        let tried = Try { agent, memory: self.memory_asked(slot), random: self.random.f64() };
        let job = self.jobs.get_mut(slot);
        let mut decision = match end {
            End::Returned(_) | End::Lost | End::Word(..) if job.cancel_requested => {
                Next::Final(JobState::Cancelled, Some(Reason::CancelRequested)).into()
            }
            End::Returned(reason) => Next::Again(*reason, Duration::ZERO).into(),
            End::Word(Word::Abandon, _) => Next::Final(JobState::Failed, Some(Reason::Abandoned)).into(),
            End::Lost | End::Word(Word::ForceLost, _) if job.on_agent_lost == OnAgentLost::Fail => {
                Next::Final(JobState::Failed, Some(Reason::AgentLost)).into()
            }
            End::Lost | End::Word(Word::ForceLost, _) => retry::loss(job, tried, Reason::AgentLost, Duration::ZERO),
            End::Outcome(outcome) => retry::after_outcome(job, tried, outcome),
        };
        // It began, or may have: only an attempt that is known not to have begun may be followed by another.
        if let Next::Again(reason, _) = decision.next
            && job.execution == Execution::AtMostOnce
            && !matches!(end, End::Returned(_))
        {
            decision.next = Next::Final(JobState::Failed, Some(reason));
        }
        decision
    }

    /// What the job asks of the resource "memory", in thousandths, where it may come to have more.
    fn memory_asked(&self, slot: Slot) -> Option<u64> {
        let job = self.jobs.get(slot);
        job.plan()?;
        let demand = job.demand().or(self.scheduler.lanes.get(job.lane).profile.demand.as_ref())?;
        let memory = demand.placement.resources.iter().find(|(name, _)| **name == *MEMORY_RESOURCE)?;
        Some(memory.1)
    }

    /// The job is over.
    pub(crate) fn finish(
        &mut self,
        now: Now,
        slot: Slot,
        state: JobState,
        reason: Option<Reason>,
        attempt: Option<AttemptRecord>,
        out: &mut Vec<Effect>,
    ) {
        self.end(now, slot, (state, false), reason, attempt, out);
    }

    fn end(
        &mut self,
        now: Now,
        slot: Slot,
        (state, dead_lettered): (JobState, bool),
        reason: Option<Reason>,
        attempt: Option<AttemptRecord>,
        out: &mut Vec<Effect>,
    ) {
        let job = self.jobs.get_mut(slot);
        job.reason = reason;
        job.ready = None;
        self.move_to(now, slot, state);
        let job = JobRecord { dead_lettered, ..self.record(slot) };
        out.push(Effect::Record(Box::new(Change { job, attempt })));
        self.pass_key(now, slot, out);
        self.forget(slot);
    }

    fn put_back(
        &mut self,
        now: Now,
        slot: Slot,
        reason: Reason,
        wait: Duration,
        attempt: Option<AttemptRecord>,
        out: &mut Vec<Effect>,
    ) {
        self.jobs.get_mut(slot).reason = Some(reason);
        if wait.is_zero() {
            self.move_to(now, slot, JobState::Queued);
            self.line_up(slot);
        } else {
            let at = now.mono.after(wait);
            self.jobs.get_mut(slot).ready = Some(Box::new((at, now.wall.after(wait))));
            self.move_to(now, slot, JobState::Delayed);
            self.timers.set(at, Timer::Ready(slot));
        }
        out.push(Effect::Record(Box::new(Change { job: self.record(slot), attempt })));
    }

    /// The attempt that is held, as it is on record from now on.
    pub(crate) fn attempt_record(&self, slot: Slot, state: AttemptState) -> Option<AttemptRecord> {
        let job = self.jobs.get(slot);
        job.held.as_ref().map(|held| self.attempt(job, held, state))
    }

    fn attempt(&self, job: &Job, held: &Held, state: AttemptState) -> AttemptRecord {
        let agent = self.agents.get(held.agent);
        AttemptRecord {
            number: job.attempts,
            state,
            agent: agent.id,
            agent_name: agent.name.clone(),
            agent_instance: held.instance,
            agent_boot: held.boot,
            fencing_token: held.fencing_token,
            leased_at: held.leased_at,
            started_at: held.started_at,
            ended_at: None,
            grants: held.grants.clone(),
            result_bytes: 0,
            retry_rule: None,
            outcome: None,
        }
    }

    fn ended_attempt(&self, now: Now, slot: Slot, held: &Held, end: End) -> AttemptRecord {
        let outcome = match end {
            End::Outcome(outcome) => outcome,
            End::Returned(reason) => bare(AttemptState::Returned, reason, None),
            End::Lost => {
                let started = held.started_at.is_some();
                bare(AttemptState::Lost, Reason::AgentLost, started.then(|| unseen(Proof::LeaseExpired)))
            }
            End::Word(word, detail) => {
                let reason = match word {
                    Word::Abandon => Reason::Abandoned,
                    Word::ForceLost => Reason::AgentLost,
                };
                // Also where no start was told: that it is by word is what keeps it from being taken back.
                let end = bare(AttemptState::Lost, reason, Some(unseen(Proof::Operator)));
                Box::new(Outcome { detail, ..*end })
            }
        };
        let mut attempt = self.attempt(self.jobs.get(slot), held, outcome.state);
        attempt.ended_at = Some(now.wall);
        attempt.result_bytes = outcome.result.as_ref().map_or(0, |result| result.value.len() as u64);
        attempt.outcome = Some(outcome);
        attempt
    }
}

fn bare(state: AttemptState, reason: Reason, exit: Option<Exit>) -> Box<Outcome> {
    Box::new(Outcome { exit, ..Outcome::bare(state, Some(reason)) })
}

// All that is known of a process whose agent fell silent: why nobody may believe it any more.
fn unseen(proof: Proof) -> Exit {
    Exit::unknown(proof, Duration::ZERO)
}
