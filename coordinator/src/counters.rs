//! What happened since this coordinator started, as numbers: counted from the changes of each tick, once they are durable, so that
//! no number shows what no record has.

use std::sync::atomic::{AtomicU64, Ordering};

use windlass_core::Change;
use windlass_shared::domain::{AttemptState, Counter, JobState, Reason};

/// Names of supervision: `_total` only grows.
const SUBMITTED: &str = "windlass_jobs_submitted_total";
const FINISHED: &str = "windlass_jobs_finished_total";
const ATTEMPTS: &str = "windlass_job_attempts_total";
const REQUEUED: &str = "windlass_jobs_requeued_total";

/// Ends of jobs that are counted apart.
const OUTCOMES: [(JobState, &str); 4] = [
    (JobState::Succeeded, "succeeded"),
    (JobState::Failed, "failed"),
    (JobState::Cancelled, "cancelled"),
    (JobState::Expired, "expired"),
];

/// One number a reason, and one for none: that a process ended as it should.
const REASONS: usize = Reason::ALL.len() + 1;

/// The numbers. Clones of the handle are the same numbers.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    submitted: AtomicU64,
    finished: [AtomicU64; OUTCOMES.len()],
    attempts: [AtomicU64; REASONS],
    requeued: [AtomicU64; REASONS],
}

/// What a tick adds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    submitted: u64,
    finished: [u64; OUTCOMES.len()],
    attempts: [u64; REASONS],
    requeued: [u64; REASONS],
}

impl Tally {
    /// Of these changes.
    pub(crate) fn of(changes: &[Change]) -> Self {
        let mut tally = Self::default();
        changes.iter().for_each(|change| tally.add(change));
        tally
    }

    fn add(&mut self, Change { job, attempt }: &Change) {
        // A job's place is the revision of its submit.
        self.submitted += u64::from(job.revision == job.order);
        if let Some(at) = OUTCOMES.iter().position(|(state, _)| *state == job.state) {
            self.finished[at] += 1;
        }
        let Some(ended) = attempt.as_ref().filter(|attempt| attempt.state.is_final()) else { return };
        let reason = ended.outcome.as_ref().and_then(|outcome| outcome.reason);
        self.attempts[place(reason)] += 1;
        if matches!(job.state, JobState::Queued | JobState::Delayed) && ended.state != AttemptState::Returned {
            self.requeued[place(job.reason)] += 1;
        }
    }
}

fn place(reason: Option<Reason>) -> usize {
    reason.and_then(|reason| Reason::ALL.iter().position(|one| *one == reason)).map_or(0, |at| at + 1)
}

impl Counters {
    /// It is on record.
    pub(crate) fn count(&self, tally: &Tally) {
        add(&self.submitted, tally.submitted);
        self.finished.iter().zip(tally.finished).for_each(|(counter, more)| add(counter, more));
        self.attempts.iter().zip(tally.attempts).for_each(|(counter, more)| add(counter, more));
        self.requeued.iter().zip(tally.requeued).for_each(|(counter, more)| add(counter, more));
    }

    /// All that have a number, in a fixed order.
    pub(crate) fn read(&self) -> Vec<Counter> {
        let mut all = vec![Counter::new(SUBMITTED, &[], get(&self.submitted))];
        let finished = OUTCOMES.iter().zip(&self.finished);
        all.extend(finished.map(|((_, name), counter)| Counter::new(FINISHED, &[("outcome", *name)], get(counter))));
        all.extend(by_reason(ATTEMPTS, &self.attempts));
        all.extend(by_reason(REQUEUED, &self.requeued));
        all
    }
}

fn by_reason(name: &'static str, counters: &[AtomicU64; REASONS]) -> impl Iterator<Item = Counter> {
    let names = ["none"].into_iter().chain(Reason::ALL.into_iter().map(Reason::name));
    let counted = names.zip(counters).map(move |(reason, counter)| (reason, get(counter))).filter(|(_, n)| *n > 0);
    counted.map(move |(reason, value)| Counter::new(name, &[("reason", &reason.replace(' ', "_"))], value))
}

fn add(counter: &AtomicU64, more: u64) {
    if more > 0 {
        counter.fetch_add(more, Ordering::Relaxed);
    }
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
