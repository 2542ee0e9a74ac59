//! Why a job waits, filter by filter: how many agents each of them takes out, in the order they are asked.
//!
//! ```text
//!   connected ─► class ─► constraints, one by one ─► resources, one by one ─► lifetime ─► open ─► allowed ─► room ─► free
//! ```

use std::sync::Arc;

use windlass_shared::domain::{AgentState, Constraint, Explanation, Filter, Must, show_amount};
use windlass_shared::ids::JobId;
use windlass_shared::time::Now;

use crate::Core;
use crate::agents::Agent;
use crate::keys::{AgentIx, Slot};
use crate::scheduling::{Class, Shape};

/// Jobs of its own kind that are counted before a job: whoever is behind that many knows enough.
const AHEAD_MAX: usize = 10_000;

/// Agents that no filter has taken out yet.
pub(crate) struct Sieve<'a> {
    pub(crate) left: Vec<(AgentIx, &'a Agent)>,
    pub(crate) gone: Vec<(Filter, usize)>,
}

impl<'a> Sieve<'a> {
    fn keep(&mut self, filter: Filter, keep: impl Fn(AgentIx, &Agent) -> bool) {
        let before = self.left.len();
        self.left.retain(|(ix, agent)| keep(*ix, agent));
        if before > self.left.len() {
            self.gone.push((filter, before - self.left.len()));
        }
    }
}

impl Core {
    /// Why a job waits; none where there is no live job of this id. O(agents).
    #[must_use]
    pub fn explain(&self, now: Now, job: JobId) -> Option<Explanation> {
        let slot = self.jobs.find(job)?;
        let (lane, place) = self.place_of(slot);
        let sieve = self.sieve(slot, now);
        Some(Explanation {
            waiting_for: self.why_waiting(now, job),
            ahead: self.scheduler.lanes.get(lane).ready().range(..place).take(AHEAD_MAX).count(),
            agents: self.agents.len(),
            left: sieve.left.len(),
            filters: sieve.gone,
        })
    }

    /// The agents that could run a job now, and what takes out the others.
    pub(crate) fn sieve(&self, slot: Slot, now: Now) -> Sieve<'_> {
        let lane = self.scheduler.lanes.get(self.jobs.get(slot).lane);
        let (shape, profile) = (self.scheduler.shapes.get(lane.shape), &lane.profile);
        let name = |id| self.jobs.names.get(id).clone();
        let mut sieve = Sieve { left: self.agents.iter().collect(), gone: Vec::new() };
        sieve.keep(Filter::NotConnected, |_, agent| agent.state == AgentState::Connected);
        sieve.keep(Filter::Class, |_, agent| agent.rooms.offers(profile.class));
        for constraint in &shape.key.placement.constraints {
            sieve.keep(Filter::Constraint(constraint.clone()), |_, agent| agent.meets(constraint));
        }
        for need in shape.needs.iter() {
            let one = std::slice::from_ref(need);
            sieve.keep(Filter::Resource(name(need.0), need.1), |_, agent| agent.supply.could(one));
        }
        sieve.keep(Filter::Lifetime, |_, agent| agent.stays(shape, now.wall));
        sieve.keep(Filter::Closed, |_, agent| agent.is_open());
        sieve.keep(Filter::Barred, |_, agent| !profile.avoid.contains(&agent.id));
        sieve.keep(Filter::Room, |_, agent| agent.takes(profile.class));
        for need in shape.needs.iter() {
            let one = std::slice::from_ref(need);
            sieve.keep(Filter::Busy(name(need.0), need.1), |_, agent| agent.supply.lacks(one).is_none());
        }
        sieve
    }

    /// Why no agent gets it, in a sentence; none where one does. The filter that took out the last says it.
    pub(crate) fn why_not_placed(&self, slot: Slot, now: Now) -> Option<String> {
        let lane = self.scheduler.lanes.get(self.jobs.get(slot).lane);
        let (class, shape) = (lane.profile.class, self.scheduler.shapes.get(lane.shape));
        let sieve = self.sieve(slot, now);
        if !sieve.left.is_empty() {
            return None;
        }
        let what = match class {
            Class::Exec => "slots".to_owned(),
            Class::Call(handler) => format!("workers of {}", self.jobs.names.get(handler)),
        };
        let Some((last, agents)) = sieve.gone.last() else { return Some("no agent is connected".to_owned()) };
        Some(match last {
            Filter::NotConnected => "no agent is connected".to_owned(),
            Filter::Class => match class {
                Class::Exec => "no agent takes commands: all slots are their pools'".to_owned(),
                Class::Call(handler) => format!("no agent offers the handler {}", self.jobs.names.get(handler)),
            },
            Filter::Constraint(constraint) => format!("no agent with {what} {}", shown(constraint)),
            Filter::Resource(name, milli) => {
                format!("no agent that could run it has {} of {name}, even with nothing in use", show_amount(*milli))
            }
            Filter::Lifetime => format!("every agent that could run it leaves too soon ({agents})"),
            Filter::Closed => self.why_closed(&what, class),
            Filter::Barred => "every agent that could run it is one that it must not go to again".to_owned(),
            Filter::Room => self.why_taken(&what, class, shape, now),
            Filter::Busy(name, milli) => {
                format!("{} of {name} is nowhere free where it could run ({agents} agents)", show_amount(*milli))
            }
        })
    }

    fn why_closed(&self, what: &str, class: Class) -> String {
        let able = self.agents.iter().filter(|(_, agent)| agent.rooms.offers(class));
        let quarantined = able.filter(|(_, agent)| agent.stuck.is_quarantined()).count() > 0;
        if quarantined {
            return format!("every agent with {what} is cordoned, draining or quarantined");
        }
        format!("every agent with {what} is cordoned or draining")
    }

    fn why_taken(&self, what: &str, class: Class, shape: &Shape, now: Now) -> String {
        let able = self.agents.iter().filter(|(_, agent)| agent.could(shape) && agent.is_open());
        let able = able.filter(|(_, agent)| agent.stays(shape, now.wall));
        let rooms = able.map(|(_, agent)| agent.rooms.get(agent.rooms.place(class)));
        let (taken, all) = rooms.fold((0, 0), |(taken, all), room| (taken + room.taken(), all + room.width()));
        if all == 0 { format!("none of the {what} is up") } else { format!("all {what} are taken ({taken} of {all})") }
    }
}

/// What a constraint asks, after "no agent".
fn shown(constraint: &Constraint) -> String {
    let label = &constraint.label;
    let list = |values: &[Arc<str>]| values.iter().map(|value| &**value).collect::<Vec<_>>().join(" or ");
    match &constraint.must {
        Must::In(values) => format!("has {label} {}", list(values)),
        Must::NotIn(values) => format!("has {label} other than {}", list(values)),
        Must::Exist => format!("has a label {label}"),
        Must::NotExist => format!("is without a label {label}"),
        Must::Exceed(than) => format!("has {label} above {than}"),
        Must::StayBelow(than) => format!("has {label} below {than}"),
    }
}
