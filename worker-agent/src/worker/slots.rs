//! The agent's slots: what its pools have of them, and what that leaves to commands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Who has which of the slots. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Slots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// All that the agent was given, and those of them that something unkillable has.
    total: u32,
    withheld: u32,
    pools: Mutex<BTreeMap<u64, u32>>,
    commands: watch::Sender<u32>,
}

impl Slots {
    /// No pool has any.
    pub(crate) fn new(total: u32, withheld: u32) -> Self {
        let commands = watch::Sender::new(total.saturating_sub(withheld));
        Self(Arc::new(Inner { total, withheld, pools: Mutex::default(), commands }))
    }

    /// What commands have, now and whenever that changes.
    pub(crate) fn commands(&self) -> watch::Receiver<u32> {
        self.0.commands.subscribe()
    }

    /// Gives a pool so many, where all pools together then have no more than there are; what it had before.
    ///
    /// # Errors
    /// The most that it may have.
    pub(super) fn take(&self, pool: u64, slots: u32) -> Result<u32, u32> {
        let mut pools = self.lock();
        let others: u32 = pools.iter().filter(|(other, _)| **other != pool).map(|(_, slots)| slots).sum();
        let most = self.0.total.saturating_sub(others);
        if slots > most {
            return Err(most);
        }
        let before = pools.insert(pool, slots).unwrap_or(0);
        self.tell(&pools);
        Ok(before)
    }

    /// A pool has so many, whatever others have: one that ends may have its own for a while beside its successor's.
    pub(super) fn set(&self, pool: u64, slots: u32) {
        let mut pools = self.lock();
        pools.insert(pool, slots);
        self.tell(&pools);
    }

    /// A pool is gone.
    pub(super) fn free(&self, pool: u64) {
        let mut pools = self.lock();
        pools.remove(&pool);
        self.tell(&pools);
    }

    fn tell(&self, pools: &BTreeMap<u64, u32>) {
        let left = self.0.total.saturating_sub(pools.values().sum()).saturating_sub(self.0.withheld);
        self.0.commands.send_if_modified(|commands| std::mem::replace(commands, left) != left);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, u32>> {
        // Nothing that holds the lock leaves the numbers half changed.
        self.0.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_take_from_commands_and_from_each_other_nothing() {
        let slots = Slots::new(8, 1);
        let commands = slots.commands();
        assert_eq!(*commands.borrow(), 7);
        assert_eq!((slots.take(1, 3), slots.take(2, 4)), (Ok(0), Ok(0)));
        assert_eq!(*commands.borrow(), 0);
        assert_eq!(slots.take(1, 5), Err(4));
        assert_eq!(slots.take(1, 2), Ok(3));
        assert_eq!(*commands.borrow(), 1);
        slots.free(2);
        assert_eq!(*commands.borrow(), 5);
        // One that ends beside its successor.
        slots.set(3, 8);
        assert_eq!(*commands.borrow(), 0);
    }
}
