//! What a step of a pool counts: plain numbers, added to the agent's own when the step is over.

use std::ops::AddAssign;

use windlass_shared::domain::AgentCounter;

use crate::counters::Counters;

/// What a step counts; see [`AgentCounter`] for what each number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) cancels: u64,
    pub(super) terms: u64,
    pub(super) kills: u64,
    pub(super) stuck: u64,
    pub(super) frames_in: u64,
    pub(super) frames_out: u64,
    pub(super) protocol_errors: u64,
    pub(super) stray_bytes: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        let Self { cancels, terms, kills, stuck, frames_in, frames_out, protocol_errors, stray_bytes } = more;
        self.cancels += cancels;
        self.terms += terms;
        self.kills += kills;
        self.stuck += stuck;
        self.frames_in += frames_in;
        self.frames_out += frames_out;
        self.protocol_errors += protocol_errors;
        self.stray_bytes += stray_bytes;
    }
}

impl Tally {
    /// Adds it to the agent's numbers.
    pub(super) fn count(self, counters: &Counters) {
        let Self { cancels, terms, kills, stuck, frames_in, frames_out, protocol_errors, stray_bytes } = self;
        counters.add(AgentCounter::KillsByCancel, cancels);
        counters.add(AgentCounter::KillsByTerm, terms);
        counters.add(AgentCounter::KillsByKill, kills);
        counters.add(AgentCounter::KillsStuck, stuck);
        counters.add(AgentCounter::FramesIn, frames_in);
        counters.add(AgentCounter::FramesOut, frames_out);
        counters.add(AgentCounter::ProtocolErrors, protocol_errors);
        counters.add(AgentCounter::StrayOutputBytes, stray_bytes);
    }
}
