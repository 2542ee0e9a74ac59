//! A hand on a pool.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use windlass_shared::domain::{PoolAsk, PoolOffer, PoolReply};

use super::asks::Asker;
use super::mailbox::Mailbox;
use super::{Order, PoolOptions};

/// A hand on a pool. Ordering never waits: what is ordered is bounded by what the executor holds. Clones are the same hand, and a pool
/// that nobody has a hand on any more ends when it has nothing left to do.
#[derive(Debug, Clone)]
pub(crate) struct PoolHandle(Arc<Hand>);

/// What it is made of.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) name: Arc<str>,
    /// Which pool of this agent's life it is; never used twice.
    pub(super) number: u64,
    pub(super) fenced: bool,
    pub(super) orders: Mailbox<Vec<Order>>,
    pub(super) asker: Asker,
    pub(super) offer: watch::Receiver<PoolOffer>,
    /// Workers that live.
    pub(super) living: watch::Receiver<usize>,
    /// Workers that were killed and are not proven gone.
    pub(super) stuck: watch::Receiver<u32>,
    /// What it was last configured as.
    pub(super) options: Mutex<PoolOptions>,
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.orders.put(|orders| orders.push(Order::Forget));
    }
}

impl PoolHandle {
    pub(super) fn new(hand: Hand) -> Self {
        Self(Arc::new(hand))
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    pub(crate) fn number(&self) -> u64 {
        self.0.number
    }

    /// Whether it has workers for this handler.
    pub(super) fn has(&self, handler: &str) -> bool {
        self.0.offer.borrow().handlers.iter().any(|own| &**own == handler)
    }

    /// Whether its workers are killed when the lease runs out.
    pub(crate) fn is_fenced(&self) -> bool {
        self.0.fenced
    }

    pub(super) fn offer(&self) -> PoolOffer {
        self.0.offer.borrow().clone()
    }

    /// Workers that were killed and are not proven gone.
    pub(super) fn stuck(&self) -> u32 {
        *self.0.stuck.borrow()
    }

    pub(super) fn living(&self) -> watch::Receiver<usize> {
        self.0.living.clone()
    }

    /// Notes what it is configured as from now on; whether that is anything new.
    pub(super) fn configured(&self, options: &PoolOptions) -> bool {
        let mut former = self.0.options.lock().unwrap_or_else(PoisonError::into_inner);
        let new = *former != *options;
        former.clone_from(options);
        new
    }

    /// Orders something.
    pub(crate) fn order(&self, order: Order) {
        self.0.orders.put(|orders| orders.push(order));
    }

    /// Orders all of these, which wakes the pool once.
    pub(crate) fn order_many(&self, many: Vec<Order>) {
        self.0.orders.put(|orders| orders.extend(many));
    }

    /// Asks, and waits for the answer, which is a step of the pool away.
    pub(super) async fn ask(&self, ask: PoolAsk) -> PoolReply {
        self.0.asker.ask(ask).await
    }
}
