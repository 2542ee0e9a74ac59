//! Work that no agent there is could ever run. It waits for one that can, for ever unless its queue says otherwise
//! (`unsatisfiable_after`): then it ends FAILED (UNSCHEDULABLE) once it has waited that long and there was nobody all that time.
//!
//! An agent counts as long as it is not lost: a cordon or a full agent is no reason to give up. After a start nobody is given up
//! before all agents had time to say hello.

use windlass_shared::domain::{JobState, Reason};
use windlass_shared::time::{Moment, Now};

use crate::keys::Slot;
use crate::scheduling::ShapeId;
use crate::{Core, Effect};

/// Jobs that one tick gives up: as many changes as a commit takes without being felt. The others follow with the next tick.
const GIVEN_UP_MAX: usize = 1_000;

impl Core {
    /// Gives up what has waited too long for an agent that is not there. O(shapes that wait), where any queue asks for it.
    pub(crate) fn give_up_hopeless(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.rules.values().all(|rules| rules.unsatisfiable_after.is_none()) {
            return;
        }
        let mut over = Vec::new();
        for at in self.scheduler.waiting.iter().collect::<Vec<_>>() {
            let since = self.hopeless_since(now, ShapeId(at));
            self.scheduler.shapes.get_mut(ShapeId(at)).hopeless_since = since;
            if let Some(since) = since {
                self.find_overdue(now, ShapeId(at), since, &mut over);
            }
        }
        for slot in over {
            let why = self.why_waiting(now, self.jobs.get(slot).id);
            self.take_out(slot);
            self.jobs.get_mut(slot).detail = why.map(Into::into);
            self.finish(now, slot, JobState::Failed, Some(Reason::Unschedulable), None, out);
        }
    }

    fn hopeless_since(&self, now: Now, id: ShapeId) -> Option<Moment> {
        let shape = self.scheduler.shapes.get(id);
        let mut able = shape.able.iter().filter_map(|seat| self.agents.seated(seat));
        let hope = able.any(|(_, agent)| agent.is_live() && agent.stays(shape, now.wall));
        (!hope).then(|| shape.hopeless_since.unwrap_or(now.mono.max(self.judge_from)))
    }

    fn find_overdue(&self, now: Now, id: ShapeId, since: Moment, over: &mut Vec<Slot>) {
        for (_, lane) in self.scheduler.shapes.get(id).waiting.lanes() {
            let lane = self.scheduler.lanes.get(lane);
            let rules = self.rules_of(self.jobs.names.get(lane.profile.queue));
            let Some(after) = rules.unsatisfiable_after.filter(|after| now.mono.since(since) >= *after) else {
                continue;
            };
            let has_waited = |slot: &Slot| self.jobs.get(*slot).updated_at.after(after) <= now.wall;
            let left = GIVEN_UP_MAX.saturating_sub(over.len());
            over.extend(lane.ready().iter().map(|place| place.slot).filter(has_waited).take(left));
        }
    }
}
