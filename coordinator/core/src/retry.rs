//! Whether a job is tried again after an attempt that went wrong, when, and on what terms: its counters, its rules, its waits.
//!
//! ```text
//!   FAILED, TIMED_OUT ─► failures ─┐                         ┌─ RETRY, while attempts are left ─► Again
//!   REJECTED (by a rule only) ─────┼─► the first rule that ──┼─ FAIL ─► Final
//!   LOST, host's faults ─► losses ─┘   matches, or none      └─ DEAD_LETTER ─► DeadLetter
//!   INTERRUPTED ─► interruptions, free, asks no rule
//! ```
//!
//! Whatever rules say: 5 losses are poison, 3 dead workers are (unless a rule names memory and they died of that), a permanent error
//! is never tried again, and a cancel is the end.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::{AttemptState, Exit, ExitStatus, JobState, Outcome, Preset, Proof, Reason};
use windlass_shared::ids::AgentId;
use windlass_shared::limits::RETRY_AFTER_MAX;
use windlass_shared::resilience::delay::Delay;
use windlass_shared::resilience::rules::{Action, Again, Failure, RetryRule};

use crate::jobs::Job;

/// Attempts lost to hosts and supervision before the job itself is the suspect.
const INFRA_LOSSES_MAX: u8 = 5;
/// Workers that died with a job before it is kept from killing more of them.
const WORKER_DEATHS_MAX: u8 = 3;

/// What becomes of a job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Final(JobState, Option<Reason>),
    /// FAILED, and kept for a person to look at and requeue.
    DeadLetter(Option<Reason>),
    Again(Reason, Duration),
}

/// The same, with the rule that decided, for people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) next: Next,
    pub(crate) rule: Option<Arc<str>>,
}

impl From<Next> for Decision {
    fn from(next: Next) -> Self {
        Self { next, rule: None }
    }
}

/// What was tried, and what decides with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Try {
    pub(crate) agent: AgentId,
    /// What the job asks of the resource "memory", in thousandths.
    pub(crate) memory: Option<u64>,
    /// Drawn from `0.0..1.0`.
    pub(crate) random: f64,
}

/// What an attempt ended by that was not well.
struct Case<'a> {
    tried: Try,
    failure: Failure<'a>,
    /// Nobody wants another attempt, or none can help.
    hopeless: bool,
    /// The wait that its handler asked for.
    asked: Option<Duration>,
    /// The wait where no rule says another.
    wait: Duration,
}

pub(crate) fn after_outcome(job: &mut Job, tried: Try, outcome: &Outcome) -> Decision {
    let unproven = outcome.exit.as_ref().is_some_and(|exit| exit.proof == Proof::None);
    match outcome.state {
        AttemptState::Succeeded if !unproven => Next::Final(JobState::Succeeded, None).into(),
        // Something of it may still run, so nothing may run again.
        _ if unproven => Next::Final(JobState::Failed, Some(Reason::Unproven)).into(),
        AttemptState::Failed | AttemptState::TimedOut => failure(job, tried, outcome),
        AttemptState::Rejected => refusal(job, tried, outcome),
        _ if job.cancel_requested => Next::Final(JobState::Cancelled, Some(Reason::CancelRequested)).into(),
        _ => interruption(job, tried, outcome.reason.unwrap_or(Reason::Shutdown)),
    }
}

fn failure(job: &mut Job, tried: Try, outcome: &Outcome) -> Decision {
    job.failures = job.failures.saturating_add(1);
    let reason = outcome.reason.unwrap_or(Reason::ExitCode);
    let failure = failure_of(reason, outcome, job.failures);
    if reason.is_worker_death() && !answers_for_memory(job, &failure) {
        job.worker_deaths = job.worker_deaths.saturating_add(1);
    }
    if job.worker_deaths >= WORKER_DEATHS_MAX {
        return Next::DeadLetter(Some(Reason::Poison)).into();
    }
    let error = outcome.error.as_ref();
    let case = Case {
        tried,
        failure,
        hopeless: job.cancel_requested || error.is_some_and(|error| error.permanent),
        asked: error.and_then(|error| error.retry_after),
        wait: policy_wait(job, tried.random),
    };
    decide(job, &case)
}

/// A host that does not take the work says so of itself, not of the job; but only a rule knows that another may.
fn refusal(job: &mut Job, tried: Try, outcome: &Outcome) -> Decision {
    let failure = failure_of(Reason::Rejected, outcome, job.failures.saturating_add(1));
    let ruled = job.plan().is_some_and(|plan| plan.rule_for(&failure).is_some());
    if !ruled {
        return Next::Final(JobState::Failed, Some(Reason::Rejected)).into();
    }
    job.failures = job.failures.saturating_add(1);
    let wait = policy_wait(job, tried.random);
    let case = Case { tried, failure, hopeless: job.cancel_requested, asked: None, wait };
    decide(job, &case)
}

fn interruption(job: &mut Job, tried: Try, reason: Reason) -> Decision {
    if matches!(reason, Reason::SupervisorLost | Reason::AgentFault | Reason::OutOfTouch) {
        // The host may fail the next one at once too: pace it, or five losses would be the work of a millisecond.
        let nth = u32::from(job.infra_losses) + 1;
        let wait = Delay::of(Preset::Default).after(nth, Duration::ZERO, tried.random);
        return loss(job, tried, reason, wait);
    }
    job.interruptions = job.interruptions.saturating_add(1);
    Next::Again(reason, Duration::ZERO).into()
}

/// The attempt was lost to its host. `wait`: where no rule says another.
pub(crate) fn loss(job: &mut Job, tried: Try, reason: Reason, wait: Duration) -> Decision {
    job.infra_losses = job.infra_losses.saturating_add(1);
    let failure = loss_of(job, reason);
    let case = Case { tried, failure, hopeless: false, asked: None, wait };
    let decision = decide(job, &case);
    if job.infra_losses >= INFRA_LOSSES_MAX && matches!(decision.next, Next::Again(..)) {
        return Next::DeadLetter(Some(Reason::Poison)).into();
    }
    decision
}

/// A lost attempt is back: it was no loss after all, and no rule was needed.
pub(crate) fn forgive_loss(job: &mut Job, agent: AgentId) {
    let failure = loss_of(job, Reason::AgentLost);
    let number = job.plan().and_then(|plan| plan.rule_for(&failure)).map(|(number, _)| number);
    job.infra_losses = job.infra_losses.saturating_sub(1);
    let Some(tried) = job.tried().cloned() else { return };
    let mut tried = Arc::unwrap_or_clone(tried);
    tried.agents.retain(|other| *other != agent);
    if let Some(number) = number {
        let uses = tried.uses(number);
        tried.set_uses(number, uses.saturating_sub(1));
    }
    *job.tried_mut() = Some(Arc::new(tried));
}

fn loss_of(job: &Job, reason: Reason) -> Failure<'static> {
    Failure { reason, exit_code: None, signal: None, error_code: None, nth: job.infra_losses.into() }
}

fn failure_of(reason: Reason, outcome: &Outcome, nth: u16) -> Failure<'_> {
    // What Windlass stopped has an exit status too, which says nothing of the job.
    let own = matches!(reason, Reason::ExitCode | Reason::Signal | Reason::WorkerDied);
    let (exit_code, signal) = match outcome.exit.as_ref().filter(|_| own) {
        Some(Exit { status: ExitStatus::Code(code), .. }) => (Some(*code), None),
        Some(Exit { status: ExitStatus::Signal { number, .. }, .. }) => (None, Some(*number)),
        _ => (None, None),
    };
    let error_code = outcome.error.as_ref().and_then(|error| error.code.as_deref());
    Failure { reason, exit_code, signal, error_code, nth: nth.into() }
}

/// Whether a rule has the job tried again that names the memory it died of: such a job knows that it may need more.
fn answers_for_memory(job: &Job, failure: &Failure<'_>) -> bool {
    let memory = matches!(failure.reason, Reason::MemoryLimit | Reason::OomKilled);
    let ruled = job.plan().and_then(|plan| plan.rule_for(failure));
    let answers =
        |rule: &RetryRule| rule.when.reasons.contains(failure.reason) && matches!(rule.action, Action::Retry(_));
    memory && ruled.is_some_and(|(_, rule)| answers(rule))
}

/// By the first rule that matches; without one the job is tried again while it has attempts left.
fn decide(job: &mut Job, case: &Case<'_>) -> Decision {
    let plan = job.plan().cloned();
    let ruled = plan.as_ref().and_then(|plan| plan.rule_for(&case.failure));
    let said = ruled.map(|(number, rule)| format!("rule {number}: {rule}"));
    let reason = Some(case.failure.reason);
    match ruled.map(|(number, rule)| (number, &rule.action)) {
        Some((_, Action::Fail)) => Decision { next: Next::Final(JobState::Failed, reason), rule: text(said) },
        Some((_, Action::DeadLetter)) => Decision { next: Next::DeadLetter(reason), rule: text(said) },
        Some((number, Action::Retry(again))) => {
            let left = has_times_left(job, number, again, case.failure.reason);
            let next = if left && !case.hopeless {
                Next::Again(case.failure.reason, note(job, case, Some((number, again))))
            } else {
                for_good(job, reason)
            };
            Decision { rule: text(said.map(|said| outcome_of(said, case, left))), next }
        }
        None if case.hopeless || !has_attempts_left(job, case.failure.reason) => for_good(job, reason).into(),
        None => Next::Again(case.failure.reason, note(job, case, None)).into(),
    }
}

fn text(said: Option<String>) -> Option<Arc<str>> {
    said.map(Arc::from)
}

fn outcome_of(mut said: String, case: &Case<'_>, left: bool) -> String {
    if case.hopeless {
        said.push_str("; not tried again, whatever it says: cancelled, or the error is permanent");
    } else if !left {
        let _ = write!(said, "; not tried again: its attempts are used up");
    }
    said
}

/// A failed job is cancelled by nobody, so it may be a dead letter; what somebody cancelled is what he wanted.
fn for_good(job: &Job, reason: Option<Reason>) -> Next {
    let kept = job.plan().is_some_and(|plan| plan.dead_letter) && !job.cancel_requested;
    if kept { Next::DeadLetter(reason) } else { Next::Final(JobState::Failed, reason) }
}

fn has_times_left(job: &Job, number: usize, again: &Again, reason: Reason) -> bool {
    match again.times_max {
        Some(most) => job.tried().map_or(0, |tried| tried.uses(number)) < most,
        None => has_attempts_left(job, reason),
    }
}

/// Losses to hosts have a bound of their own.
fn has_attempts_left(job: &Job, reason: Reason) -> bool {
    is_loss(reason) || charged(job) < job.retry.attempts_max
}

const fn is_loss(reason: Reason) -> bool {
    matches!(reason, Reason::AgentLost | Reason::SupervisorLost | Reason::AgentFault | Reason::OutOfTouch)
}

/// Failures that count against the policy's attempts: those that a rule with a number of its own answered for do not.
fn charged(job: &Job) -> u16 {
    job.failures.saturating_sub(job.tried().map_or(0, |tried| tried.uncharged))
}

fn policy_wait(job: &Job, random: f64) -> Duration {
    let delay = job.plan().and_then(|plan| plan.delay.as_ref());
    let previous = job.tried().map_or(Duration::ZERO, |tried| tried.wait);
    let after = |delay: &Delay| delay.after(job.failures.into(), previous, random);
    delay.map_or_else(|| after(&Delay::of(job.retry.preset)), after)
}

/// Another attempt follows: what must be known for it, and for the rules to come, is noted. The wait before it.
fn note(job: &mut Job, case: &Case<'_>, ruled: Option<(usize, &Again)>) -> Duration {
    let mut tried = job.tried().cloned().unwrap_or_default();
    let noted = Arc::make_mut(&mut tried);
    let mut wait = case.wait;
    noted.other_agent = ruled.is_some_and(|(_, again)| again.other_agent);
    if let Some((number, again)) = ruled {
        let uses = noted.uses(number).saturating_add(1);
        noted.set_uses(number, uses);
        if again.times_max.is_some() && !is_loss(case.failure.reason) {
            noted.uncharged = noted.uncharged.saturating_add(1);
        }
        if let Some(delay) = &again.delay {
            // A rule's own waits grow with its own failures.
            wait = delay.after(uses.into(), noted.wait, case.tried.random);
        }
        if let (Some(more), Some(now)) = (again.memory, noted.memory.or(case.tried.memory)) {
            noted.memory = Some(more.after(now));
        }
    }
    if let Some(asked) = case.asked {
        wait = asked.min(RETRY_AFTER_MAX);
    }
    noted.failed_on(case.tried.agent);
    noted.wait = wait;
    *job.tried_mut() = Some(tried);
    wait
}
