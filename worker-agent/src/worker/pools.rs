//! All pools of an agent.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use windlass_shared::domain::{Lease, PoolAnswer, PoolAsk, PoolOffer, PoolRefusal, PoolReply, PoolState};
use windlass_shared::limits;

use super::runner::{Parts, Runner};
use super::{News, Order, PoolHandle, PoolOptions};
use crate::confine::Confined;

/// Batches of news from pools that wait for the executor.
const NEWS_INBOX: usize = 64;
/// Calls that all pools together ask for: hundreds for each of a few workers, and half of what an agent may hold.
const CALLS_MAX: u32 = limits::AGENT_CAPACITY_MAX / 2;

/// News of calls, by pools.
pub(crate) type Called = mpsc::Receiver<Vec<(Lease, News)>>;

/// Hands on all pools of an agent. Clones are the same hands.
#[derive(Debug, Clone)]
pub(crate) struct Pools(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    handles: Vec<PoolHandle>,
    changed: Arc<Notify>,
    calls_max: u32,
}

impl Pools {
    /// Starts a pool for each of `options`, with what its workers may do, beside so many slots for commands.
    pub(crate) fn start(options: Vec<(PoolOptions, Confined)>, slots: u32, parts: &Parts) -> (Self, Called) {
        let (news, called) = mpsc::channel(NEWS_INBOX);
        let changed = Arc::new(Notify::new());
        let pools = u32::try_from(options.len()).unwrap_or(u32::MAX);
        let calls_max = CALLS_MAX.min(limits::AGENT_CAPACITY_MAX.saturating_sub(slots)) / pools.max(1);
        let start = |options: (PoolOptions, Confined)| {
            let changed = Arc::clone(&changed);
            let (runner, handle) = Runner::new(options, parts.clone(), news.clone(), calls_max, changed);
            parts.tasks.spawn("pool", runner.run());
            handle
        };
        let handles = options.into_iter().map(start).collect();
        (Self(Arc::new(Inner { handles, changed, calls_max: calls_max * pools })), called)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.handles.is_empty()
    }

    /// Calls that they ask for at most.
    pub(crate) fn calls_max(&self) -> usize {
        self.0.calls_max as usize
    }

    /// The pool with workers for this handler.
    pub(crate) fn find(&self, handler: &str) -> Option<(usize, &PoolHandle)> {
        self.0.handles.iter().enumerate().find(|(_, pool)| pool.has(handler))
    }

    /// Orders something of one.
    pub(crate) fn order(&self, pool: usize, order: Order) {
        self.0.handles[pool].order(order);
    }

    /// Orders something of all.
    pub(crate) fn order_all(&self, order: impl Fn() -> Order) {
        self.0.handles.iter().for_each(|pool| pool.order(order()));
    }

    /// What they take, as the coordinator is told. A handler that two of them announce is the first one's.
    pub(crate) fn offers(&self) -> Vec<PoolOffer> {
        let mut taken: Vec<Arc<str>> = Vec::new();
        let mut offers = Vec::with_capacity(self.0.handles.len());
        for pool in &self.0.handles {
            let mut offer = pool.offer.borrow().clone();
            offer.handlers.retain(|handler| !taken.contains(handler));
            taken.extend(offer.handlers.iter().cloned());
            offers.push(offer);
        }
        offers
    }

    /// Workers that were killed and are not proven gone.
    pub(crate) fn stuck(&self) -> u32 {
        self.0.handles.iter().map(|pool| *pool.stuck.borrow()).fold(0, u32::saturating_add)
    }

    /// Asks the pool of this name, which answers between two steps of its work.
    pub(crate) async fn ask(&self, pool: &str, ask: PoolAsk) -> PoolReply {
        let named = self.0.handles.iter().find(|handle| *handle.offer.borrow().pool == *pool);
        match named.map(|handle| handle.asker.clone()) {
            Some(asker) => asker.ask(ask).await,
            None => Err(PoolRefusal::NoPool(pool.into())),
        }
    }

    /// How each of them stands, in the order of the configuration; without those that are too busy to say.
    pub(crate) async fn states(&self) -> Vec<PoolState> {
        let mut states = Vec::with_capacity(self.0.handles.len());
        for handle in &self.0.handles {
            if let Ok(PoolAnswer::State(state)) = handle.asker.ask(PoolAsk::State).await {
                states.push(*state);
            }
        }
        states
    }

    /// Returns when no worker lives, which is after all that is due to one that was told to end, and to be killed if it does not.
    pub(crate) async fn rested(&self) {
        for pool in &self.0.handles {
            // Its runner is gone only with the agent.
            let _ = pool.living.clone().wait_for(|lives| *lives == 0).await;
        }
    }

    /// Returns when what they take has changed.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}
