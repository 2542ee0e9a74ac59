//! All pools of an agent: which there are, who finds them, and what becomes of them when the configuration is read again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::{Notify, mpsc, watch};
use windlass_shared::domain::{Lease, PoolAnswer, PoolAsk, PoolOffer, PoolRefusal, PoolReply, PoolState, Reason};
use windlass_shared::limits;

use super::runner::{Parts, Runner, Share};
use super::slots::Slots;
use super::{News, Order, PoolHandle, PoolOptions, Reloaded};
use crate::config::ConfigError;
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
    /// In the order of the configuration.
    handles: RwLock<Vec<PoolHandle>>,
    /// Of pools that are configured no more: workers that live still.
    leaving: Mutex<Vec<watch::Receiver<usize>>>,
    slots: Slots,
    calls_max: u32,
    parts: Parts,
    news: mpsc::Sender<Vec<(Lease, News)>>,
    changed: Arc<Notify>,
    numbers: AtomicU64,
    /// Every name that a pool has had.
    names: Mutex<BTreeSet<String>>,
}

/// What became of the pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Changes {
    pub(crate) changed: usize,
    pub(crate) added: usize,
    pub(crate) removed: usize,
}

impl Pools {
    /// Starts a pool for each of `options`, which have their slots of `slots`.
    pub(crate) fn start(options: Vec<(PoolOptions, Confined)>, slots: &Slots, parts: Parts) -> (Self, Called) {
        let (news, called) = mpsc::channel(NEWS_INBOX);
        let pool_slots: u32 = options.iter().map(|(pool, _)| pool.max).sum();
        let commands = slots.commands().borrow().saturating_sub(pool_slots);
        let pools = Self(Arc::new(Inner {
            handles: RwLock::default(),
            leaving: Mutex::default(),
            slots: slots.clone(),
            calls_max: CALLS_MAX.min(limits::AGENT_CAPACITY_MAX.saturating_sub(commands)),
            parts,
            news,
            changed: Arc::new(Notify::new()),
            numbers: AtomicU64::new(0),
            names: Mutex::default(),
        }));
        pools.put_in_place(options);
        (pools, called)
    }

    /// Takes these for what is configured from now on: new ones start, changed ones change, and those that are not among
    /// them finish what they have.
    ///
    /// # Errors
    /// What cannot change while the agent runs; then nothing has.
    pub(crate) fn reload(&self, options: Vec<(PoolOptions, Confined)>) -> Result<Changes, ConfigError> {
        for handle in &self.handles() {
            let new = options.iter().find(|(new, _)| *new.name == **handle.name());
            if new.is_some_and(|(new, _)| new.fence != handle.is_fenced()) {
                let problem = format!(
                    "[[pool]] {:?}: fence cannot change while the agent runs: restart it, or give the pool another name",
                    handle.name()
                );
                return Err(ConfigError::in_file(problem));
            }
        }
        Ok(self.put_in_place(options))
    }

    fn put_in_place(&self, options: Vec<(PoolOptions, Confined)>) -> Changes {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let calls_max = self.0.calls_max / u32::try_from(options.len()).unwrap_or(u32::MAX).max(1);
        let mut former: BTreeMap<Arc<str>, PoolHandle> =
            self.handles().into_iter().map(|handle| (Arc::clone(handle.name()), handle)).collect();
        let (mut handles, mut changes) = (Vec::with_capacity(options.len()), Changes::default());
        for (options, confined) in options {
            let policy = options.policy(cores);
            let reloaded = Reloaded { options, confined, policy, calls_max };
            match former.remove(reloaded.options.name.as_str()) {
                Some(handle) => {
                    changes.changed += usize::from(handle.configured(&reloaded.options));
                    handle.order(Order::Reload(Box::new(reloaded)));
                    handles.push(handle);
                }
                None => {
                    changes.added += 1;
                    handles.push(self.start_one(reloaded));
                }
            }
        }
        changes.removed = former.len();
        former.into_values().for_each(|handle| self.dismiss(&handle));
        *self.0.handles.write().unwrap_or_else(PoisonError::into_inner) = handles;
        self.0.changed.notify_one();
        changes
    }

    fn start_one(&self, reloaded: Reloaded) -> PoolHandle {
        let Inner { slots, parts, news, changed, numbers, .. } = &*self.0;
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let (slots, news, changed) = (slots.clone(), news.clone(), Arc::clone(changed));
        // No name has an @: one that comes back while its former workers end does not empty their directories.
        let name = &reloaded.options.name;
        let dir = if self.was_there(name) { format!("{name}@{number}") } else { name.clone() };
        let share = Share { number, slots, news, changed, scratch: parts.scratch.join(dir) };
        // In this step, and not in the pool's first: the hello that is about to be said tells what is left for commands.
        share.slots.set(number, reloaded.options.max);
        let (runner, handle) = Runner::new(reloaded, parts.clone(), share);
        parts.tasks.spawn("pool", runner.run());
        handle
    }

    /// Whether a pool of this name was configured before, in this life of the agent.
    fn was_there(&self, name: &str) -> bool {
        !self.0.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned())
    }

    /// It takes nothing more, and ends after what it has.
    fn dismiss(&self, handle: &PoolHandle) {
        tracing::info!(pool = &**handle.name(), "the pool is configured no more: it finishes what it has");
        handle.order(Order::GiveBack(Reason::Returned, true));
        let mut leaving = self.0.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.retain(|living| living.has_changed().is_ok());
        leaving.push(handle.living());
    }

    fn handles(&self) -> Vec<PoolHandle> {
        self.0.handles.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.handles.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Calls that they ask for at most.
    pub(crate) fn calls_max(&self) -> usize {
        self.0.calls_max as usize
    }

    /// The pool with workers for this handler.
    pub(crate) fn find(&self, handler: &str) -> Option<PoolHandle> {
        let handles = self.0.handles.read().unwrap_or_else(PoisonError::into_inner);
        handles.iter().find(|pool| pool.has(handler)).cloned()
    }

    /// Orders something of all.
    pub(crate) fn order_all(&self, order: impl Fn() -> Order) {
        self.handles().iter().for_each(|pool| pool.order(order()));
    }

    /// What they take, as the coordinator is told. A handler that two of them announce is the first one's.
    pub(crate) fn offers(&self) -> Vec<PoolOffer> {
        let handles = self.handles();
        let mut taken: Vec<Arc<str>> = Vec::new();
        let mut offers = Vec::with_capacity(handles.len());
        for pool in &handles {
            let mut offer = pool.offer();
            offer.handlers.retain(|handler| !taken.contains(handler));
            taken.extend(offer.handlers.iter().cloned());
            offers.push(offer);
        }
        offers
    }

    /// Workers that were killed and are not proven gone.
    pub(crate) fn stuck(&self) -> u32 {
        self.handles().iter().map(PoolHandle::stuck).fold(0, u32::saturating_add)
    }

    /// Asks the pool of this name, which answers between two steps of its work.
    pub(crate) async fn ask(&self, pool: &str, ask: PoolAsk) -> PoolReply {
        let Some(handle) = self.handles().into_iter().find(|handle| **handle.name() == *pool) else {
            return Err(PoolRefusal::NoPool(pool.into()));
        };
        let PoolAsk::ScaleTo { max, .. } = ask else { return handle.ask(ask).await };
        let before = self.0.slots.take(handle.number(), max).map_err(|most| PoolRefusal::OutOfRange {
            field: "max",
            limit: format!("1 to {most}, the slots of the agent that no other pool has").into(),
        })?;
        let reply = handle.ask(ask).await;
        if reply.is_err() {
            self.0.slots.set(handle.number(), before);
        }
        self.0.changed.notify_one();
        reply
    }

    /// How each of them stands, in the order of the configuration; without those that are too busy to say.
    pub(crate) async fn states(&self) -> Vec<PoolState> {
        let handles = self.handles();
        let mut states = Vec::with_capacity(handles.len());
        for handle in &handles {
            if let Ok(PoolAnswer::State(state)) = handle.ask(PoolAsk::State).await {
                states.push(*state);
            }
        }
        states
    }

    /// Returns when no worker lives, which is after all that is due to one that was told to end, and to be killed if it does not.
    pub(crate) async fn rested(&self) {
        let leaving = self.0.leaving.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let living = self.handles().iter().map(PoolHandle::living).chain(leaving).collect::<Vec<_>>();
        for mut living in living {
            // A runner that is gone left nobody.
            let _ = living.wait_for(|lives| *lives == 0).await;
        }
    }

    /// Returns when what they take has changed.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}
