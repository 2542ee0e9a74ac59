//! The life of a job as changes, told step by step.

use windlass_core::Change;
use windlass_shared::domain::{
    AttemptRecord, AttemptState, CallResult, JobHeader, JobRecord, JobState, Outcome, Reason,
};
use windlass_shared::ids::{AgentId, JobId};
use windlass_shared::time::Timestamp;

/// Numbers revisions and instants for all jobs of a test.
#[derive(Debug)]
pub(super) struct Script {
    revision: u64,
    /// Added to the instants that are told.
    pub(super) now: i64,
}

pub(super) fn id(n: u8) -> JobId {
    let mut bytes = [0; 16];
    (bytes[5], bytes[6], bytes[8], bytes[15]) = (n, 0x70, 0x80, n);
    JobId::from_bytes(bytes)
}

impl Default for Script {
    fn default() -> Self {
        Self { revision: 0, now: windlass_shared::clock::wall().0 }
    }
}

impl Script {
    pub(super) fn submit(&mut self, n: u8) -> Change {
        self.submit_to("default", n)
    }

    pub(super) fn submit_to(&mut self, queue: &str, n: u8) -> Change {
        self.revision += 1;
        let now = Timestamp(self.now);
        let header = JobHeader { queue: queue.into(), ..JobHeader::default() };
        let job = JobRecord {
            id: id(n),
            state: JobState::Queued,
            generation: 1,
            revision: self.revision,
            header,
            order: self.revision,
            created_at: now,
            updated_at: now,
            ended_at: None,
            ready_at: None,
            reason: None,
            detail: None,
            cancel_requested: false,
            failures: 0,
            infra_losses: 0,
            interruptions: 0,
            worker_deaths: 0,
            spec_bytes: 0,
            attempts: 0,
            tried: None,
            dead_lettered: false,
        };
        Change { job, attempt: None }
    }

    pub(super) fn submit_all(&mut self, numbers: std::ops::RangeInclusive<u8>) -> Vec<Change> {
        numbers.map(|n| self.submit(n)).collect()
    }

    fn next(&mut self, after: &Change, state: JobState) -> JobRecord {
        self.revision += 1;
        let now = Timestamp(self.now);
        let ended_at = state.is_final().then_some(now);
        JobRecord { state, revision: self.revision, updated_at: now, ended_at, ..after.job.clone() }
    }

    pub(super) fn lease(&mut self, after: &Change) -> Change {
        let mut job = self.next(after, JobState::Leased);
        job.attempts += 1;
        let attempt = AttemptRecord {
            number: job.attempts,
            state: AttemptState::Leased,
            agent: AgentId::from_bytes([9; 16]),
            agent_name: "a9".into(),
            agent_instance: u64::MAX - 1,
            agent_boot: 0,
            fencing_token: (3 << 40) + u64::from(job.attempts),
            leased_at: job.updated_at,
            started_at: None,
            ended_at: None,
            grants: Vec::new(),
            result_bytes: 0,
            retry_rule: None,
            outcome: None,
        };
        Change { job, attempt: Some(attempt) }
    }

    pub(super) fn start(&mut self, after: &Change) -> Change {
        let job = self.next(after, JobState::Running);
        let attempt = after.attempt.clone().map(|attempt| AttemptRecord {
            state: AttemptState::Running,
            started_at: Some(job.updated_at),
            ..attempt
        });
        Change { job, attempt }
    }

    /// The attempt ended, and the job is in `state` since.
    pub(super) fn end(&mut self, after: &Change, ended: AttemptState, state: JobState) -> Change {
        let job = self.next(after, state);
        let outcome = Outcome { stdout_bytes: 1, stderr_bytes: 2, ..Outcome::bare(ended, Some(Reason::ExitCode)) };
        let attempt = after.attempt.clone().map(|attempt| AttemptRecord {
            state: ended,
            ended_at: Some(job.updated_at),
            outcome: Some(Box::new(outcome)),
            ..attempt
        });
        Change { job, attempt }
    }

    pub(super) fn succeed(&mut self, after: &Change) -> Change {
        self.end(after, AttemptState::Succeeded, JobState::Succeeded)
    }

    pub(super) fn fail_and_go_on(&mut self, after: &Change) -> Change {
        self.end(after, AttemptState::Failed, JobState::Queued)
    }

    /// The attempt succeeded, and the job with it, by an answer.
    pub(super) fn answer(&mut self, after: &Change, result: CallResult) -> Change {
        let mut change = self.succeed(after);
        change.job.header.handler = Some("resize".into());
        let attempt = change.attempt.as_mut().expect("it ended");
        attempt.result_bytes = result.value.len() as u64;
        attempt.outcome.as_mut().expect("it ended").result = Some(result);
        change
    }

    /// From submit to an answer of so many bytes.
    pub(super) fn answered(&mut self, n: u8, bytes: usize) -> Vec<Change> {
        let submitted = self.submit(n);
        let leased = self.lease(&submitted);
        let result = CallResult { value: vec![n; bytes].into(), content_type: None };
        let done = self.answer(&leased, result);
        vec![submitted, leased, done]
    }

    /// A finished job begins again.
    pub(super) fn requeue(&mut self, after: &Change) -> Change {
        let mut job = self.next(after, JobState::Queued);
        (job.generation, job.order, job.cancel_requested, job.detail) = (job.generation + 1, job.revision, false, None);
        Change { job, attempt: None }
    }

    /// A change of the job that says nothing of attempts.
    pub(super) fn cancel_waiting(&mut self, after: &Change) -> Change {
        let mut job = self.next(after, JobState::Cancelled);
        job.cancel_requested = true;
        job.detail = Some("enough".into());
        Change { job, attempt: None }
    }

    /// From submit to success, each step a change.
    pub(super) fn whole_life(&mut self, n: u8) -> Vec<Change> {
        let submitted = self.submit(n);
        let leased = self.lease(&submitted);
        let started = self.start(&leased);
        let done = self.succeed(&started);
        vec![submitted, leased, started, done]
    }
}
