//! Chains: the jobs of a queue that have the same ordering key go one at a time, strictly in submit order.
//!
//! ```text
//!   chain ("etl", "user:7"):  12 (running)   15   19        only the head lines up, and only while none of them is with an agent
//! ```
//!
//! The head keeps its place over retries and their delays: nothing passes it but by its own end.

use std::collections::{BTreeMap, BTreeSet};

use windlass_shared::domain::JobState;

use crate::Core;
use crate::jobs::Extra;
use crate::keys::Slot;
use crate::names::NameId;

/// A queue and an ordering key.
pub(crate) type ChainKey = (NameId, NameId);

#[derive(Debug, Default)]
struct Chain {
    /// Unfinished jobs, by submit order.
    members: BTreeSet<(u64, Slot)>,
    /// Those of them that an agent has.
    busy: u32,
}

/// Each keeps the name of its key once; that of its queue is kept by its jobs' lanes.
#[derive(Debug, Default)]
pub(crate) struct Chains(BTreeMap<ChainKey, Chain>);

impl Chains {
    fn head(&self, key: ChainKey) -> Option<Slot> {
        self.0.get(&key)?.members.first().map(|(_, slot)| *slot)
    }

    /// Names that are kept, for checks.
    pub(crate) fn names(&self) -> impl Iterator<Item = NameId> {
        self.0.keys().map(|(_, name)| *name)
    }

    /// For checks.
    pub(crate) fn busy(&self, key: ChainKey) -> u32 {
        self.0.get(&key).map_or(0, |chain| chain.busy)
    }
}

impl Core {
    /// The chain of a job that has an ordering key.
    pub(crate) fn chain_of(&self, slot: Slot) -> Option<ChainKey> {
        let name = self.jobs.get(slot).extra.as_ref()?.ordering?;
        Some((self.queue_of(slot), name))
    }

    /// A job that was submitted or moved here joins the chain of its ordering key, if it has one.
    pub(crate) fn join_chain(&mut self, slot: Slot) {
        let demand = self.jobs.get(slot).extra.as_ref().and_then(|extra| extra.demand.clone());
        let Some(key) = demand.as_ref().and_then(|demand| demand.ordering_key.as_ref()) else { return };
        let name = self.jobs.names.add(key);
        let (chain, order) = ((self.queue_of(slot), name), self.jobs.get(slot).order);
        if self.chains.0.contains_key(&chain) {
            self.jobs.names.remove(name);
        }
        let before = self.chains.head(chain);
        self.chains.0.entry(chain).or_default().members.insert((order, slot));
        self.jobs.get_mut(slot).extra.get_or_insert_with(Box::<Extra>::default).ordering = Some(name);
        if let Some(before) = before.filter(|before| self.chains.head(chain) != Some(*before)) {
            self.take_out(before);
        }
    }

    /// A job is final, or moves away.
    pub(crate) fn leave_chain(&mut self, slot: Slot) {
        let Some(key) = self.chain_of(slot) else { return };
        let order = self.jobs.get(slot).order;
        let Some(chain) = self.chains.0.get_mut(&key) else { return };
        chain.members.remove(&(order, slot));
        if chain.members.is_empty() {
            self.chains.0.remove(&key);
            self.jobs.names.remove(key.1);
        }
        if let Some(extra) = &mut self.jobs.get_mut(slot).extra {
            extra.ordering = None;
        }
        self.move_chain(key);
    }

    /// An agent has one of the chain, or no longer has it.
    pub(crate) fn note_busy(&mut self, slot: Slot, is_busy: bool) {
        let Some(key) = self.chain_of(slot) else { return };
        if let Some(chain) = self.chains.0.get_mut(&key) {
            chain.busy = if is_busy { chain.busy + 1 } else { chain.busy.saturating_sub(1) };
        }
        self.move_chain(key);
    }

    /// Lines the head up if it may go, and takes it out if it may not.
    pub(crate) fn move_chain(&mut self, key: ChainKey) {
        let Some(head) = self.chains.head(key) else { return };
        if self.jobs.get(head).state == JobState::Queued && self.may_line_up(head) {
            let (lane, place) = self.place_of(head);
            self.scheduler.enter(lane, place);
        } else {
            self.take_out(head);
        }
    }

    /// Whether nothing of its chain is before it, or with an agent.
    pub(crate) fn may_line_up(&self, slot: Slot) -> bool {
        let Some(key) = self.chain_of(slot) else { return true };
        self.chains.busy(key) == 0 && self.chains.head(key) == Some(slot)
    }

    /// Who is before it in its chain, if anybody is.
    pub(crate) fn waits_behind(&self, slot: Slot) -> Option<Slot> {
        let head = self.chains.head(self.chain_of(slot)?)?;
        (head != slot).then_some(head)
    }
}
