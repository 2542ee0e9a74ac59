//! A finished job is taken in again, by a person's word: one generation more on the same id, counters at nothing, its attempts kept.

use windlass_shared::domain::{JobRecord, JobState, OnConflict, Unique};
use windlass_shared::time::Now;

use crate::{Change, Core, Effect, Refusal, Reply, Ticket};

impl Core {
    /// Jobs as they are on record. That they are finished there says little of now, so it is looked for here first.
    pub(crate) fn requeue(&mut self, now: Now, ticket: Ticket, jobs: Vec<JobRecord>, out: &mut Vec<Effect>) {
        let answers = jobs.into_iter().map(|job| self.requeue_one(now, job, out)).collect();
        out.push(Effect::Reply(ticket, Reply::Requeued(answers)));
    }

    fn requeue_one(&mut self, now: Now, job: JobRecord, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        let live = self.jobs.find(job.id).map(|slot| self.jobs.get(slot).state);
        if let Some(state) = live.or_else(|| (!job.state.is_final()).then_some(job.state)) {
            return Err(Refusal::JobNotFinal { job: job.id, state });
        }
        let limit = self.options.jobs_live_max;
        if self.jobs.len() >= limit {
            return Err(Refusal::JobsFull { limit });
        }
        // Whatever a submit would do to another that has the key: whoever requeues has not seen that one.
        let unique = job.header.demand.as_ref().and_then(|demand| demand.unique.as_ref());
        let unique = unique.map(|unique| Unique { on_conflict: OnConflict::Reject, ..unique.clone() });
        self.claim(unique.as_ref())?;
        self.check_room(&job.header.queue, job.spec_bytes)?;
        let job = self.begin_again(now, job);
        let slot = self.restore_job(job, None);
        self.join_chain(slot);
        self.take_key(slot);
        self.line_up(slot);
        out.push(Effect::Record(Box::new(Change { job: self.record(slot), attempt: None })));
        Ok(())
    }

    /// Everything as it was at submit but the id, the attempts and the number of the generation: what failed, or was cancelled, in
    /// another life is no reason for anything in this one. Its place is behind all that wait.
    fn begin_again(&mut self, now: Now, job: JobRecord) -> JobRecord {
        let revision = self.next_revision();
        JobRecord {
            state: JobState::Queued,
            generation: job.generation.saturating_add(1),
            revision,
            order: revision,
            updated_at: now.wall,
            ended_at: None,
            ready_at: None,
            reason: None,
            detail: None,
            cancel_requested: false,
            failures: 0,
            infra_losses: 0,
            interruptions: 0,
            worker_deaths: 0,
            tried: None,
            dead_lettered: false,
            ..job
        }
    }
}
