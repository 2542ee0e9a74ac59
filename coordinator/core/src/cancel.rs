//! Cancel is sticky: from here on the job gets no further attempt, whatever becomes of the one that runs.

use std::sync::Arc;

use windlass_shared::domain::{AttemptState, JobState, Reason, StopOrder};
use windlass_shared::ids::JobId;
use windlass_shared::time::Now;

use crate::keys::Slot;
use crate::settle::End;
use crate::timers::Timer;
use crate::{Change, Core, Effect, Reply, Ticket};

impl Core {
    pub(crate) fn cancel(
        &mut self,
        now: Now,
        ticket: Ticket,
        job: JobId,
        detail: Option<Arc<str>>,
        out: &mut Vec<Effect>,
    ) {
        let found = self.jobs.find(job);
        if let Some(slot) = found {
            self.request_cancel(now, slot, detail, out);
        }
        out.push(Effect::Reply(ticket, Reply::Cancelled(found.is_some())));
    }

    /// The first word for it stays.
    pub(crate) fn request_cancel(&mut self, now: Now, slot: Slot, detail: Option<Arc<str>>, out: &mut Vec<Effect>) {
        let job = self.jobs.get_mut(slot);
        if !job.cancel_requested {
            (job.cancel_requested, job.detail) = (true, detail);
            self.carry_out_cancel(now, slot, out);
        }
    }

    fn carry_out_cancel(&mut self, now: Now, slot: Slot, out: &mut Vec<Effect>) {
        let job = self.jobs.get(slot);
        if job.held.is_some() {
            self.stop_held(now, slot, out);
            return;
        }
        let ready = job.ready.as_ref().map(|ready| ready.0);
        self.take_out(slot);
        if let Some(ready) = ready {
            self.timers.unset(ready, Timer::Ready(slot));
        }
        self.finish(now, slot, JobState::Cancelled, Some(Reason::CancelRequested), None, out);
    }

    fn stop_held(&mut self, now: Now, slot: Slot, out: &mut Vec<Effect>) {
        self.move_to(now, slot, JobState::Cancelling);
        out.push(Effect::Record(Box::new(Change {
            job: self.record(slot),
            attempt: self.attempt_record(slot, AttemptState::Stopping),
        })));
        let job = self.jobs.get(slot);
        let (Some(held), Some(lease)) = (&job.held, job.lease(self.options.incarnation)) else { return };
        let agent = self.agents.get(held.agent);
        if !agent.is_live() {
            // Kept for its agent's return, as the job asked; a job that is to be cancelled has nothing to wait for.
            self.settle(now, slot, End::Lost, out);
            return;
        }
        // No session: the order is given with the next hello that names the attempt.
        if let Some(session) = agent.session {
            out.push(Effect::Stop(session, StopOrder { lease, reason: Reason::CancelRequested }));
        }
    }
}
