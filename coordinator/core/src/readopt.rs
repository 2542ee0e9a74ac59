//! An attempt that was given up as LOST and is there after all. As long as no other was begun in its place, it goes on: the
//! work it has done is worth more than the order of our notes.

use windlass_shared::domain::{AttemptState, JobState, Lease};
use windlass_shared::time::Now;

use crate::keys::{AgentIx, Slot};
use crate::retry;
use crate::timers::Timer;
use crate::{Change, Core, Effect};

impl Core {
    /// Takes the attempt back, where the lease is the very one it was lost under and no successor was cut.
    pub(crate) fn readopt(&mut self, now: Now, ix: AgentIx, lease: &Lease, out: &mut Vec<Effect>) -> Option<Slot> {
        let slot = self.jobs.find(lease.job)?;
        let job = self.jobs.get(slot);
        let lost = job.lost.as_ref()?;
        if lost.agent != ix || job.lease_under(lost, self.options.incarnation) != *lease {
            return None;
        }
        let ready = job.ready.as_ref().map(|ready| ready.0);
        self.take_out(slot);
        if let Some(ready) = ready {
            self.timers.unset(ready, Timer::Ready(slot));
        }
        self.take_back(now, slot, ix, out);
        Some(slot)
    }

    fn take_back(&mut self, now: Now, slot: Slot, ix: AgentIx, out: &mut Vec<Effect>) {
        let (agent, room) = (self.agents.get(ix).id, self.agents.get(ix).rooms.place(self.class_of(slot)));
        let job = self.jobs.get_mut(slot);
        job.held = job.lost.take();
        job.ready = None;
        job.reason = None;
        retry::forgive_loss(job, agent);
        let started = job.held.as_mut().is_some_and(|held| {
            held.room = room;
            held.started_at.is_some()
        });
        if let Some(held) = &self.jobs.get(slot).held {
            // The very devices it has: nobody was lent any while its agent was lost.
            self.agents.get_mut(ix).supply.note(&held.needs, &held.grants, &self.jobs.names, true);
        }
        self.occupy(ix, room, slot, started);
        self.hold_limits(slot);
        let (state, attempt) =
            if started { (JobState::Running, AttemptState::Running) } else { (JobState::Leased, AttemptState::Leased) };
        self.move_to(now, slot, state);
        out.push(Effect::Record(Box::new(Change {
            job: self.record(slot),
            attempt: self.attempt_record(slot, attempt),
        })));
    }
}
