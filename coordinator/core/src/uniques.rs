//! Unique keys: at most one unfinished job has a key, and one more may wait to take its place.
//!
//! ```text
//!   key           holder            successor
//!   "daily:eu"    12 (CANCELLING)   19 (BLOCKED)    19 is QUEUED once 12 is over
//!   "daily:us"    14 (RUNNING)
//! ```
//!
//! What becomes of a submit whose key is taken is decided in one step with the submit: a job that is cancelled for it is over, or on its way
//! to be, by the same commit that puts the new one on record.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_shared::domain::{JobState, OnConflict, Unique};
use windlass_shared::ids::JobId;
use windlass_shared::time::Now;

use crate::keys::Slot;
use crate::{Change, Core, Effect, Refusal};

/// Who has a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holders {
    pub(crate) holder: Slot,
    /// Takes its place when it is over.
    pub(crate) successor: Option<Slot>,
}

#[derive(Debug, Default)]
pub(crate) struct Uniques(BTreeMap<Arc<str>, Holders>);

/// What becomes of a submit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nobody has its key.
    Free,
    /// It takes the place of a job that no agent has.
    Instead(Slot),
    /// It waits until this one is over, which is asked to stop.
    After(Slot),
    /// This job has the key, and is the answer.
    There(JobId),
}

impl Uniques {
    /// For checks.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, Holders)> {
        self.0.iter().map(|(key, holders)| (key, *holders))
    }
}

impl Core {
    /// What becomes of a submit with this key.
    ///
    /// # Errors
    /// Where another job has it, and is not to be replaced.
    pub(crate) fn claim(&self, unique: Option<&Unique>) -> Result<Claim, Refusal> {
        let Some(unique) = unique else { return Ok(Claim::Free) };
        let Some(Holders { holder, successor }) = self.uniques.0.get(&unique.key).copied() else {
            return Ok(Claim::Free);
        };
        let newest = self.jobs.get(successor.unwrap_or(holder));
        match unique.on_conflict {
            OnConflict::ReturnExisting => Ok(Claim::There(newest.id)),
            OnConflict::ReplaceQueued | OnConflict::CancelRunning if newest.held.is_none() => {
                Ok(Claim::Instead(successor.unwrap_or(holder)))
            }
            OnConflict::CancelRunning => Ok(Claim::After(holder)),
            OnConflict::Reject | OnConflict::ReplaceQueued => {
                Err(Refusal::UniqueTaken { key: unique.key.clone(), job: newest.id, state: newest.state })
            }
        }
    }

    /// Asks the job that is to be replaced to stop; one that no agent has is over at once.
    pub(crate) fn make_way(&mut self, now: Now, claim: &Claim, by: JobId, out: &mut Vec<Effect>) {
        if let Claim::Instead(replaced) | Claim::After(replaced) = claim {
            let detail = format!("replaced by job {by}, which has the same unique key");
            self.request_cancel(now, *replaced, Some(detail.into()), out);
        }
    }

    /// The state that a job with this key begins in: it waits where another has it still.
    pub(crate) fn state_under(&self, unique: Option<&Unique>) -> JobState {
        let is_taken = unique.is_some_and(|unique| self.uniques.0.contains_key(&unique.key));
        if is_taken { JobState::Blocked } else { JobState::Queued }
    }

    /// The job has its key from now on, or is the next to have it.
    pub(crate) fn take_key(&mut self, slot: Slot) {
        let Some(key) = self.unique_key(slot) else { return };
        let holders = self.uniques.0.entry(key).or_insert(Holders { holder: slot, successor: None });
        if holders.holder != slot {
            holders.successor = Some(slot);
        }
    }

    /// A job is about to be forgotten: whoever waits for its key has it from now on.
    pub(crate) fn pass_key(&mut self, now: Now, slot: Slot, out: &mut Vec<Effect>) {
        let Some(key) = self.unique_key(slot) else { return };
        let Some(holders) = self.uniques.0.get_mut(&key) else { return };
        if holders.successor == Some(slot) {
            holders.successor = None;
        } else if holders.holder == slot {
            match holders.successor.take() {
                None => drop(self.uniques.0.remove(&key)),
                Some(next) => {
                    holders.holder = next;
                    self.unblock(now, next, out);
                }
            }
        }
    }

    fn unblock(&mut self, now: Now, slot: Slot, out: &mut Vec<Effect>) {
        self.move_to(now, slot, JobState::Queued);
        self.line_up(slot);
        out.push(Effect::Record(Box::new(Change { job: self.record(slot), attempt: None })));
    }

    /// A job on record has its key again; they come in submit order, so whoever another waits for is there before it.
    pub(crate) fn restore_key(&mut self, slot: Slot) {
        self.take_key(slot);
        if self.jobs.get(slot).state == JobState::Blocked && self.waits_for_key(slot).is_none() {
            // Never so on record: both are in one commit. But a job that waits for nobody would wait for ever.
            self.jobs.get_mut(slot).state = JobState::Queued;
        }
    }

    /// The job that has the key before this one, which waits for it.
    pub(crate) fn waits_for_key(&self, slot: Slot) -> Option<Slot> {
        let holders = self.uniques.0.get(&self.unique_key(slot)?)?;
        (holders.successor == Some(slot)).then_some(holders.holder)
    }

    pub(crate) fn unique_key(&self, slot: Slot) -> Option<Arc<str>> {
        let demand = self.jobs.get(slot).extra.as_ref()?.demand.as_ref()?;
        demand.unique.as_ref().map(|unique| unique.key.clone())
    }
}
