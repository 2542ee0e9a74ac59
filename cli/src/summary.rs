//! What a `run` of several jobs came to, on one line.

use std::collections::BTreeSet;
use std::time::Duration;

use windlass_shared::domain::JobState;
use windlass_shared::{convert, pb};

use crate::exit::Exit;
use crate::humane::{count, show_duration};

/// Counts finished jobs.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    states: Vec<Option<JobState>>,
    agents: BTreeSet<String>,
    retries: usize,
}

impl Tally {
    /// A job that is over.
    pub(crate) fn add(&mut self, job: &pb::Job) {
        // An attempt that was given back never ran: it is no work of its agent, and no retry.
        let ran = job.attempts.iter().filter(|attempt| attempt.state() != pb::attempt::State::Returned);
        self.agents.extend(ran.clone().map(|attempt| attempt.agent_id.clone()));
        self.retries += ran.count().saturating_sub(1);
        self.states.push(convert::job_state(job.state));
    }

    /// A job that the coordinator would not take.
    pub(crate) fn add_refused(&mut self) {
        self.states.push(Some(JobState::Failed));
    }

    /// What the exit code says of all of them.
    pub(crate) fn exit(&self) -> Exit {
        Exit::of_jobs(self.states.iter().copied())
    }

    /// `200 jobs on 2 agents: 0 failures, 0 retries, 3.1 s`.
    pub(crate) fn line(&self, elapsed: Duration) -> String {
        let of = |wanted: &[JobState]| self.states.iter().flatten().filter(|state| wanted.contains(state)).count();
        let cancelled = of(&[JobState::Cancelled]);
        let failures = self.states.len() - of(&[JobState::Succeeded]) - cancelled;
        let cancelled = if cancelled > 0 { format!("{cancelled} cancelled, ") } else { String::new() };
        let retries = if self.retries == 1 { "1 retry".into() } else { format!("{} retries", self.retries) };
        format!(
            "{} on {}: {}, {cancelled}{retries}, {}",
            count(self.states.len(), "job"),
            count(self.agents.len(), "agent"),
            count(failures, "failure"),
            show_duration(elapsed),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pb::attempt::State as Attempt;
    use pb::job::State as Job;

    fn job(state: Job, attempts: &[(Attempt, &str)]) -> pb::Job {
        let attempts = attempts.iter().map(|(state, agent)| pb::Attempt {
            state: (*state).into(),
            agent_id: (*agent).into(),
            ..pb::Attempt::default()
        });
        pb::Job { state: state.into(), attempts: attempts.collect(), ..pb::Job::default() }
    }

    #[test]
    fn the_line_names_jobs_agents_failures_retries_and_time() {
        let mut tally = Tally::default();
        tally.add(&job(Job::Succeeded, &[(Attempt::Succeeded, "a")]));
        tally.add(&job(Job::Succeeded, &[(Attempt::Failed, "a"), (Attempt::Succeeded, "b")]));
        assert_eq!(tally.line(Duration::from_millis(412)), "2 jobs on 2 agents: 0 failures, 1 retry, 412 ms");
        assert_eq!(tally.exit(), Exit::OK);
    }

    #[test]
    fn what_was_given_back_is_no_agents_work_and_no_retry() {
        let mut tally = Tally::default();
        tally.add(&job(Job::Succeeded, &[(Attempt::Returned, "a"), (Attempt::Succeeded, "b")]));
        assert_eq!(tally.line(Duration::ZERO), "1 job on 1 agent: 0 failures, 0 retries, 0 ms");
    }

    #[test]
    fn refused_jobs_count_as_failures_and_cancelled_ones_apart() {
        let mut tally = Tally::default();
        tally.add(&job(Job::Cancelled, &[]));
        assert_eq!(tally.exit(), Exit::JOB_CANCELLED);
        tally.add_refused();
        assert_eq!(tally.line(Duration::ZERO), "2 jobs on 0 agents: 1 failure, 1 cancelled, 0 retries, 0 ms");
        assert_eq!(tally.exit(), Exit::JOB_FAILED);
    }
}
