//! Jobs that wait are given another priority or another queue, or a queue is emptied of them. What an agent has is left alone: that
//! ends by a cancel, not by a change of mind about its order.

use std::sync::Arc;

use windlass_shared::domain::{JobHeader, JobState};
use windlass_shared::ids::JobId;
use windlass_shared::time::Now;

use crate::keys::Slot;
use crate::{Change, Core, Effect, Refusal, Reply, Ticket};

/// Jobs that one purge cancels: as many changes as one commit takes. Whoever wants more asks again.
const PURGED_MAX: usize = 8_000;

impl Core {
    pub(crate) fn update(
        &mut self,
        now: Now,
        ticket: Ticket,
        job: JobId,
        (priority, queue): (Option<i8>, Option<&Arc<str>>),
        out: &mut Vec<Effect>,
    ) {
        let answer = match self.jobs.find(job) {
            None => Ok(false),
            Some(slot) => self.update_one(now, slot, priority, queue, out).map(|()| true),
        };
        out.push(Effect::Reply(ticket, Reply::Updated(answer)));
    }

    fn update_one(
        &mut self,
        now: Now,
        slot: Slot,
        priority: Option<i8>,
        queue: Option<&Arc<str>>,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let before = self.record(slot);
        if !matches!(before.state, JobState::Queued | JobState::Delayed) {
            return Err(Refusal::JobNotWaiting { job: before.id, state: before.state });
        }
        let priority = priority.unwrap_or(before.header.priority);
        let queue = queue.unwrap_or(&before.header.queue);
        if (priority, queue) == (before.header.priority, &before.header.queue) {
            return Ok(());
        }
        if *queue != before.header.queue {
            self.check_room(queue, before.spec_bytes)?;
        }
        let (lane, _) =
            self.join_lane(&JobHeader { queue: queue.clone(), ..before.header }, self.options.shapes_max)?;
        self.take_out(slot);
        self.leave_chain(slot);
        self.queues.moved(self.queue_of(slot), before.spec_bytes, Some(before.state), None);
        let job = self.jobs.get_mut(slot);
        job.priority = priority;
        let left = std::mem::replace(&mut job.lane, lane);
        self.queues.moved(self.queue_of(slot), before.spec_bytes, None, Some(before.state));
        self.leave_lane(left);
        self.join_chain(slot);
        self.move_to(now, slot, before.state);
        if before.state == JobState::Queued {
            self.line_up(slot);
        }
        out.push(Effect::Record(Box::new(Change { job: self.record(slot), attempt: None })));
        Ok(())
    }

    /// Cancels what waits in a queue, up to a bound; O(live jobs), as any operator's word may be.
    pub(crate) fn purge(
        &mut self,
        now: Now,
        ticket: Ticket,
        queue: &str,
        detail: Option<&Arc<str>>,
        out: &mut Vec<Effect>,
    ) {
        let mut found = self.jobs_waiting_in(queue, PURGED_MAX + 1);
        let more = found.len() > PURGED_MAX;
        found.truncate(PURGED_MAX);
        let purged = found.len();
        for slot in found {
            self.request_cancel(now, slot, detail.cloned(), out);
        }
        out.push(Effect::Reply(ticket, Reply::Purged { purged, more }));
    }

    fn jobs_waiting_in(&self, queue: &str, max: usize) -> Vec<Slot> {
        let Some(name) = self.jobs.names.find(queue) else { return Vec::new() };
        let waits = |state| matches!(state, JobState::Queued | JobState::Delayed);
        let waiting = self.jobs.iter().filter(|(slot, job)| waits(job.state) && self.queue_of(*slot) == name);
        waiting.map(|(slot, _)| slot).take(max).collect()
    }
}
