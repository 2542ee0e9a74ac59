//! What agents tell of attempts. Only the holder of the very lease on record is believed.

use windlass_shared::domain::{AttemptState, JobState, Lease, News, ReportItem};
use windlass_shared::ids::SessionId;
use windlass_shared::time::{Now, Timestamp};

use crate::keys::AgentIx;
use crate::keys::Slot;
use crate::settle::End;
use crate::{Change, Core, Effect};

impl Core {
    pub(crate) fn report(
        &mut self,
        now: Now,
        session: SessionId,
        sequence: u64,
        items: Vec<ReportItem>,
        out: &mut Vec<Effect>,
    ) {
        // A session that speaks for nobody any more gets no answer: its agent says it again on the next one.
        let Some(ix) = self.agents.speaker(session) else { return };
        let mut stale = Vec::new();
        for ReportItem { lease, news } in items {
            let Some(slot) = self.holder(ix, &lease) else {
                // A late word: acknowledge it, change nothing. Unacknowledged, it would be said for ever. A lost attempt is not
                // taken back here: its agent was without a session, and the hello that gave it one told all that it holds.
                stale.push(lease);
                continue;
            };
            match news {
                News::Started(at) => self.started(now, slot, at, out),
                News::Ended(mut outcome) => {
                    // What was over too soon to be told in two pieces still ran: watchers see it start and end.
                    if let Some(at) = outcome.started_at.take() {
                        self.started(now, slot, at, out);
                    }
                    self.settle(now, slot, End::Outcome(outcome), out);
                }
                // Given back after it began? Whatever the agent means, the work began, and how it ended nobody said.
                News::Returned(_) if self.has_started(slot) => self.settle(now, slot, End::Lost, out),
                News::Returned(reason) => self.settle(now, slot, End::Returned(reason), out),
            }
        }
        out.push(Effect::Ack(session, sequence, stale));
    }

    fn has_started(&self, slot: Slot) -> bool {
        self.jobs.get(slot).held.as_ref().is_some_and(|held| held.started_at.is_some())
    }

    /// The job held under exactly this lease by exactly this agent.
    pub(crate) fn holder(&self, ix: AgentIx, lease: &Lease) -> Option<Slot> {
        let slot = self.jobs.find(lease.job)?;
        let job = self.jobs.get(slot);
        let held = job.held.as_ref()?;
        (held.agent == ix && job.lease(self.options.incarnation)? == *lease).then_some(slot)
    }

    fn started(&mut self, now: Now, slot: Slot, at: Timestamp, out: &mut Vec<Effect>) {
        let job = self.jobs.get_mut(slot);
        let (cancelling, held) = (job.state == JobState::Cancelling, job.held.as_mut());
        let Some(held) = held.filter(|held| held.started_at.is_none()) else { return };
        held.started_at = Some(at);
        let ix = held.agent;
        self.agents.get_mut(ix).running += 1;
        // A start that crossed with a cancel stays CANCELLING: the stop order is on its way.
        let (job, attempt) = if cancelling {
            (JobState::Cancelling, AttemptState::Stopping)
        } else {
            (JobState::Running, AttemptState::Running)
        };
        self.move_to(now, slot, job);
        out.push(Effect::Record(Box::new(Change {
            job: self.record(slot),
            attempt: self.attempt_record(slot, attempt),
        })));
    }
}
