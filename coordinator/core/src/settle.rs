//! An attempt is over: what becomes of its job. The three counters are never mixed: own failures, losses to hosts and
//! supervision, interruptions.

use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::{
    AttemptRecord, AttemptState, Execution, Exit, JobState, OnAgentLost, Outcome, Preset, Proof, Reason,
};
use windlass_shared::limits::RETRY_AFTER_MAX;
use windlass_shared::resilience::delay::Delay;
use windlass_shared::time::Now;

use crate::jobs::Job;
use crate::keys::Slot;
use crate::lease::Held;
use crate::timers::Timer;
use crate::{Change, Core, Effect};

/// Attempts lost to hosts and supervision before the job itself is the suspect.
const INFRA_LOSSES_MAX: u8 = 5;
/// Workers that died with a job before it is kept from killing more of them.
const WORKER_DEATHS_MAX: u8 = 3;

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

/// What becomes of the job.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Final(JobState, Option<Reason>),
    Again(Reason, Duration),
}

impl Core {
    pub(crate) fn settle(&mut self, now: Now, slot: Slot, end: End, out: &mut Vec<Effect>) {
        let Some(held) = self.jobs.get_mut(slot).held.take() else { return };
        self.vacate(&held, slot);
        let next = self.next_step(slot, &end);
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
        let attempt = Some(attempt);
        let job = self.jobs.get_mut(slot);
        job.lost = lost.then_some(held);
        // The client's word for a cancel stays; an outcome's word is about what became of the job now.
        if !job.cancel_requested {
            job.detail = detail;
        }
        match next {
            Next::Final(state, reason) => self.finish(now, slot, state, reason, attempt, out),
            Next::Again(reason, wait) => self.put_back(now, slot, reason, wait, attempt, out),
        }
    }

    fn next_step(&mut self, slot: Slot, end: &End) -> Next {
        let random = self.random.f64();
        let job = self.jobs.get_mut(slot);
        let next = match end {
            End::Returned(_) | End::Lost | End::Word(..) if job.cancel_requested => {
                Next::Final(JobState::Cancelled, Some(Reason::CancelRequested))
            }
            End::Returned(reason) => Next::Again(*reason, Duration::ZERO),
            End::Word(Word::Abandon, _) => Next::Final(JobState::Failed, Some(Reason::Abandoned)),
            End::Lost | End::Word(Word::ForceLost, _) if job.on_agent_lost == OnAgentLost::Fail => {
                Next::Final(JobState::Failed, Some(Reason::AgentLost))
            }
            End::Lost | End::Word(Word::ForceLost, _) => infra_loss(job, Reason::AgentLost, Duration::ZERO),
            End::Outcome(outcome) => after_outcome(job, outcome, random),
        };
        match next {
            // It began, or may have: only an attempt that is known not to have begun may be followed by another.
            Next::Again(reason, _) if job.execution == Execution::AtMostOnce && !matches!(end, End::Returned(_)) => {
                Next::Final(JobState::Failed, Some(reason))
            }
            next => next,
        }
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
        let job = self.jobs.get_mut(slot);
        job.reason = reason;
        job.ready = None;
        self.move_to(now, slot, state);
        out.push(Effect::Record(Box::new(Change { job: self.record(slot), attempt })));
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

fn after_outcome(job: &mut Job, outcome: &Outcome, random: f64) -> Next {
    let unproven = outcome.exit.as_ref().is_some_and(|exit| exit.proof == Proof::None);
    match outcome.state {
        AttemptState::Succeeded if !unproven => Next::Final(JobState::Succeeded, None),
        // Something of it may still run, so nothing may run again.
        _ if unproven => Next::Final(JobState::Failed, Some(Reason::Unproven)),
        AttemptState::Failed | AttemptState::TimedOut => failure(job, outcome, random),
        AttemptState::Rejected => Next::Final(JobState::Failed, Some(Reason::Rejected)),
        _ if job.cancel_requested => Next::Final(JobState::Cancelled, Some(Reason::CancelRequested)),
        _ => interruption(job, outcome.reason.unwrap_or(Reason::Shutdown), random),
    }
}

fn failure(job: &mut Job, outcome: &Outcome, random: f64) -> Next {
    let reason = outcome.reason;
    job.failures = job.failures.saturating_add(1);
    job.worker_deaths = job.worker_deaths.saturating_add(u8::from(reason.is_some_and(Reason::is_worker_death)));
    if job.worker_deaths >= WORKER_DEATHS_MAX {
        return Next::Final(JobState::Failed, Some(Reason::Poison));
    }
    let permanent = outcome.error.as_ref().is_some_and(|error| error.permanent);
    if permanent || job.cancel_requested || job.failures >= job.retry.attempts_max {
        return Next::Final(JobState::Failed, reason);
    }
    let asked = outcome.error.as_ref().and_then(|error| error.retry_after);
    let wait = asked.map_or_else(
        || Delay::of(job.retry.preset).after(job.failures.into(), Duration::ZERO, random),
        |asked| asked.min(RETRY_AFTER_MAX),
    );
    Next::Again(reason.unwrap_or(Reason::ExitCode), wait)
}

fn interruption(job: &mut Job, reason: Reason, random: f64) -> Next {
    if matches!(reason, Reason::SupervisorLost | Reason::AgentFault | Reason::OutOfTouch) {
        // The host may fail the next one at once too: pace it, or five losses would be the work of a millisecond.
        let wait = Delay::of(Preset::Default).after(u32::from(job.infra_losses) + 1, Duration::ZERO, random);
        return infra_loss(job, reason, wait);
    }
    job.interruptions = job.interruptions.saturating_add(1);
    Next::Again(reason, Duration::ZERO)
}

fn infra_loss(job: &mut Job, reason: Reason, wait: Duration) -> Next {
    job.infra_losses = job.infra_losses.saturating_add(1);
    if job.infra_losses >= INFRA_LOSSES_MAX {
        return Next::Final(JobState::Failed, Some(Reason::Poison));
    }
    Next::Again(reason, wait)
}
