//! What a job waits for, in a sentence a person can act on. It looks, and changes nothing.

use windlass_shared::domain::JobState;
use windlass_shared::ids::JobId;
use windlass_shared::time::Now;

use crate::Core;
use crate::keys::Slot;
use crate::names::NameId;
use crate::scheduling::LaneId;

impl Core {
    /// What the job waits for; none where it does not wait, or is about to be handed out. O(agents).
    #[must_use]
    pub fn why_waiting(&self, now: Now, job: JobId) -> Option<String> {
        let slot = self.jobs.find(job)?;
        let job = self.jobs.get(slot);
        match job.state {
            JobState::Delayed => {
                let wait = job.ready.as_ref()?.0.since(now.mono);
                Some(format!("a retry in {} s", wait.as_secs() + u64::from(wait.subsec_nanos() > 0)))
            }
            JobState::Blocked => {
                let holder = self.jobs.get(self.waits_for_key(slot)?);
                Some(format!(
                    "job {}, which has the same unique key, to be over; it is {}",
                    holder.id,
                    holder.state.name()
                ))
            }
            JobState::Queued => {
                let profile = &self.scheduler.lanes.get(job.lane).profile;
                self.paused(profile.queue)
                    .or_else(|| self.behind(slot))
                    .or_else(|| self.limited(now, job.lane))
                    .or_else(|| self.why_not_placed(slot, now))
            }
            _ => None,
        }
    }

    fn behind(&self, slot: Slot) -> Option<String> {
        let head = self.jobs.get(self.waits_behind(slot)?);
        Some(format!("job {} goes first by their ordering key, and is {}", head.id, head.state.name()))
    }

    fn paused(&self, queue: NameId) -> Option<String> {
        let pause = self.queues.pause_of(queue)?;
        let why = pause.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        Some(format!("queue {} is paused{why}", self.jobs.names.get(queue)))
    }

    /// What of its limits keeps a lane from going.
    fn limited(&self, now: Now, lane: LaneId) -> Option<String> {
        let takes = &self.scheduler.lanes.get(lane).takes;
        let blocked = self.limits.blocked(now.mono, takes)?;
        let take = takes.iter().find(|take| take.limit == blocked.limit)?;
        Some(self.limits.explain(now.mono, &blocked, take))
    }
}
