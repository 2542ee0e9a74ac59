//! Quarantine: an agent on which something cannot be killed for a while has a host that is not well, and gets nothing new.
//!
//! ```text
//!   stuck > 0 ──► [ quarantine_after ] ──► QUARANTINED ──► stuck = 0, or uncordoned by an operator ──► ACTIVE
//!        └── stuck = 0 in time: nothing happened
//! ```
//!
//! It follows from what the agent says, so it is on no record: after a restart of ours it begins with the agent's hello. What runs
//! there goes on.

use std::sync::Arc;
use std::time::Duration;

use windlass_shared::time::{Moment, Now, Timestamp};

use crate::keys::AgentIx;
use crate::timers::Timer;
use crate::{Core, Options};

/// What cannot be killed on an agent, and what follows from it.
#[derive(Debug, Default)]
pub(crate) struct Stuck {
    /// Slots and workers that it cannot prove to be free, by its own word.
    pub(crate) count: u32,
    /// When the quarantine begins.
    due: Option<Moment>,
    /// Since when it is quarantined.
    since: Option<Timestamp>,
    /// An operator knows of this many: only more of them are news.
    pardoned: u32,
}

impl Stuck {
    /// Whether the agent gets nothing for it.
    pub(crate) fn is_quarantined(&self) -> bool {
        self.since.is_some()
    }

    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// Why, for people; none where the agent is not quarantined.
    pub(crate) fn reason(&self) -> Option<Arc<str>> {
        let what = if self.count == 1 { "slot or worker" } else { "slots or workers" };
        let why = format!("quarantined: {} {what} cannot be killed; its host needs a look", self.count);
        self.since.map(|_| why.into())
    }

    fn note(&mut self, now: Now, count: u32, after: Duration) {
        self.count = count;
        if count == 0 {
            *self = Self::default();
        } else if count > self.pardoned && self.since.is_none() {
            self.due.get_or_insert(now.mono.after(after));
        }
    }

    fn quarantine(&mut self, now: Now) {
        (self.due, self.since) = (None, Some(now.wall));
    }

    fn pardon(&mut self) {
        self.pardoned = self.count;
        (self.due, self.since) = (None, None);
    }
}

impl Core {
    /// The agent says how much of it is stuck.
    pub(crate) fn note_stuck(&mut self, now: Now, ix: AgentIx, count: u32) {
        let after = self.options.quarantine_after;
        let before = self.agents.get(ix).stuck.due;
        self.with_agent(ix, |agent, _| agent.stuck.note(now, count, after));
        self.set_quarantine_timer(ix, before);
    }

    /// It was stuck for too long.
    pub(crate) fn quarantine(&mut self, now: Now, ix: AgentIx) {
        if self.agents.knows(ix) {
            self.with_agent(ix, |agent, _| agent.stuck.quarantine(now));
        }
    }

    /// An operator takes the agent back into service as it is.
    pub(crate) fn pardon(&mut self, ix: AgentIx) {
        let before = self.agents.get(ix).stuck.due;
        self.with_agent(ix, |agent, _| agent.stuck.pardon());
        self.set_quarantine_timer(ix, before);
    }

    fn set_quarantine_timer(&mut self, ix: AgentIx, before: Option<Moment>) {
        let due = self.agents.get(ix).stuck.due;
        if let Some(before) = before.filter(|_| before != due) {
            self.timers.unset(before, Timer::Quarantine(ix));
        }
        if let Some(due) = due {
            self.timers.set(due, Timer::Quarantine(ix));
        }
    }
}

impl Options {
    /// Time that something may be stuck before its agent is quarantined: three times what a kill takes that a busy disk holds up.
    pub const QUARANTINE_AFTER: Duration = Duration::from_secs(60);
}
