//! Looks at trees every half second, and tells who waits for it how much memory each has.
//!
//! One look serves all trees, and none is taken while nobody watches.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::memory::{Look, Tree};

/// Time from one look to the next. A process that takes a gigabyte a second is half a gigabyte over by then; looking more often
/// costs hosts with thousands of processes more than that is worth.
pub const SAMPLE_EVERY: Duration = Duration::from_millis(500);

/// The same while few trees are watched: then each may have much of the host, and soon have all of it.
pub const SAMPLE_OFTEN: Duration = Duration::from_millis(250);
/// Trees from which on there are many.
const FEW: usize = 16;

/// Looks at the memory of trees. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Sampler(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    watched: Mutex<Trees>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Trees {
    next: u64,
    /// As many as somebody holds a [`Watched`] of.
    all: BTreeMap<u64, (Tree, watch::Sender<u64>)>,
}

impl Sampler {
    /// A sampler, and the task that must run beside it; the task ends when it is dropped.
    pub fn start() -> (Self, impl Future<Output = ()> + Send + 'static) {
        let sampler = Self::default();
        let shared = Arc::clone(&sampler.0);
        (sampler, async move { shared.run().await })
    }

    /// Watches a tree for as long as the result is held.
    #[must_use]
    pub fn watch(&self, tree: Tree) -> Watched {
        let (bytes, seen) = watch::channel(0);
        let mut trees = self.0.lock();
        trees.next += 1;
        let number = trees.next;
        trees.all.insert(number, (tree, bytes));
        self.0.more.notify_one();
        Watched { bytes: seen, _held: Held { number, shared: Arc::clone(&self.0) } }
    }
}

/// The memory of one tree.
#[derive(Debug)]
pub struct Watched {
    bytes: watch::Receiver<u64>,
    _held: Held,
}

impl Watched {
    /// What the tree had at the last look, in bytes; 0 before the first.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        *self.bytes.borrow()
    }

    /// Waits for a look that finds the tree above `limit` bytes, and gives what it found. Cancelling it loses nothing; it never
    /// ends for a tree that stays below.
    pub async fn above(&mut self, limit: u64) -> u64 {
        match self.bytes.wait_for(|bytes| *bytes > limit).await.map(|bytes| *bytes) {
            Ok(bytes) => bytes,
            // Nobody looks any more.
            Err(_gone) => std::future::pending().await,
        }
    }
}

/// Dropped, the tree is not looked at any more.
#[derive(Debug)]
struct Held {
    number: u64,
    shared: Arc<Shared>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.lock().all.remove(&self.number);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Trees> {
        // Whoever holds the lock leaves the list whole.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>) {
        loop {
            while self.lock().all.is_empty() {
                self.more.notified().await;
            }
            let few = self.lock().all.len() < FEW;
            tokio::time::sleep(if few { SAMPLE_OFTEN } else { SAMPLE_EVERY }).await;
            let shared = Arc::clone(&self);
            // A look reads a file for each process of the host: too long for a thread that others wait for. A panic in there is
            // the program's end anyway.
            let _ = tokio::task::spawn_blocking(move || shared.look()).await;
        }
    }

    fn look(&self) {
        let look = match Look::take() {
            Ok(look) => look,
            Err(error) => return tracing::warn!(%error, "processes cannot be listed: memory limits do not hold"),
        };
        // Not under the lock: for each tree, a file of its own is read.
        let trees: Vec<_> = self.lock().all.iter().map(|(number, (tree, _))| (*number, tree.clone())).collect();
        for (number, tree) in trees {
            let bytes = look.bytes_of(&tree).unwrap_or(0);
            if let Some((_, told)) = self.lock().all.get(&number) {
                told.send_replace(bytes);
            }
        }
    }
}
