//! Jobs come in, become ready, and are handed out.

use windlass_shared::domain::{AttemptState, JobState};
use windlass_shared::time::Now;

use crate::jobs::Job;
use crate::keys::{AgentIx, Slot};
use crate::lease::Held;
use crate::uniques::Claim;
use crate::{Admitted, Change, Core, Effect, Refusal, Reply, Submission, Ticket};

impl Core {
    pub(crate) fn submit(&mut self, now: Now, ticket: Ticket, jobs: Vec<Submission>, out: &mut Vec<Effect>) {
        let answers = jobs.into_iter().map(|job| self.submit_one(now, job, out)).collect();
        out.push(Effect::Reply(ticket, Reply::Submitted(answers)));
    }

    fn submit_one(&mut self, now: Now, submission: Submission, out: &mut Vec<Effect>) -> Result<Admitted, Refusal> {
        let limit = self.options.jobs_live_max;
        if self.jobs.len() >= limit {
            return Err(Refusal::JobsFull { limit });
        }
        let Submission { job: id, header, spec_bytes } = submission;
        let unique = header.demand.as_ref().and_then(|demand| demand.unique.as_ref());
        let claim = self.claim(unique)?;
        match claim {
            Claim::There(job) => return Ok(Admitted::Existing(job)),
            // It leaves the place it takes.
            Claim::Instead(replaced) if *self.jobs.names.get(self.queue_of(replaced)) == header.queue => {}
            _ => self.check_room(&header.queue, spec_bytes)?,
        }
        let (lane, extra) = self.join_lane(&header, self.options.shapes_max)?;
        self.make_way(now, &claim, id, out);
        let state = self.state_under(unique);
        let revision = self.next_revision();
        let queue = self.scheduler.lanes.get(lane).profile.queue;
        let slot = self.jobs.insert(Job {
            id,
            revision,
            order: revision,
            created_at: now.wall,
            updated_at: now.wall,
            ready: None,
            held: None,
            lost: None,
            detail: None,
            extra,
            lane,
            spec_bytes,
            generation: 1,
            attempts: 0,
            retry: header.retry,
            failures: 0,
            infra_losses: 0,
            interruptions: 0,
            priority: header.priority,
            execution: header.execution,
            on_agent_lost: header.on_agent_lost,
            state,
            reason: None,
            cancel_requested: false,
            worker_deaths: 0,
        });
        self.queues.moved(queue, spec_bytes, None, Some(state));
        self.join_chain(slot);
        self.take_key(slot);
        if state == JobState::Queued {
            self.line_up(slot);
        }
        out.push(Effect::Record(Box::new(Change { job: self.record(slot), attempt: None })));
        Ok(Admitted::New)
    }

    /// A delayed job's time has come.
    pub(crate) fn make_ready(&mut self, now: Now, slot: Slot, out: &mut Vec<Effect>) {
        self.jobs.get_mut(slot).ready = None;
        self.move_to(now, slot, JobState::Queued);
        self.line_up(slot);
        out.push(Effect::Record(Box::new(Change { job: self.record(slot), attempt: None })));
    }

    pub(crate) fn assign(&mut self, now: Now, slot: Slot, ix: AgentIx, out: &mut Vec<Effect>) {
        let fencing_token = self.issuer.fencing_token();
        let (class, needs) = (self.class_of(slot), self.needs_of(slot));
        let agent = self.agents.get_mut(ix);
        let grants = agent.supply.take(&needs, &self.jobs.names);
        let job = self.jobs.get_mut(slot);
        let (instance, boot, room) = (agent.instance, agent.boot, agent.rooms.place(class));
        job.attempts += 1;
        job.lost = None;
        let leased_at = now.wall;
        job.held = Some(Box::new(Held {
            agent: ix,
            room,
            class,
            instance,
            boot,
            fencing_token,
            leased_at,
            started_at: None,
            needs,
            grants,
        }));
        self.move_to(now, slot, JobState::Leased);
        self.occupy(ix, room, slot, false);
        out.push(Effect::Record(Box::new(Change {
            job: self.record(slot),
            attempt: self.attempt_record(slot, AttemptState::Leased),
        })));
        let job = self.jobs.get(slot);
        let lease = job.lease(self.options.incarnation);
        if let (Some(session), Some(lease), Some(held)) = (self.agents.get(ix).session, lease, &job.held) {
            out.push(Effect::Assign(session, lease, held.grants.clone()));
        }
    }

    pub(crate) fn move_to(&mut self, now: Now, slot: Slot, state: JobState) {
        let revision = self.next_revision();
        let job = self.jobs.get_mut(slot);
        job.revision = revision;
        job.updated_at = now.wall;
        let queue = self.scheduler.lanes.get(job.lane).profile.queue;
        self.queues.moved(queue, job.spec_bytes, Some(job.state), Some(state));
        job.state = state;
    }
}
