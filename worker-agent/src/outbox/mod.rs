//! Reports until the coordinator has them on record, over the lives of the agent.
//!
//! ```text
//!  executor ─ push ─► [ 5 6 7 | 8 9 ] ─ take_batch ─► stream ─► coordinator ─ ack(7) ─► gone
//!               │       sent    waits                     a new stream: rewind, everything is said again
//!               └─► journal, before anything is said ─► the next life of a killed agent begins with it
//! ```
//! Every item has a number; a report carries the number of its last item, so a repeated one is known for what it is and an
//! acknowledgement covers everything before it.
//!
//! - [`queue`] all of it in memory · [`journal`] the file · [`record`] what that is made of.
//!
//! What is lost, and when: nothing by kill -9; the last seconds by power loss ([`journal`]); nothing by a full disk, which
//! keeps results in memory, stops new work ([`Outbox::is_closed`]) and is tried again. The *logs* of an attempt live in memory
//! alone: its former life's report names as their end what the coordinator has of them.

mod journal;
mod queue;
mod record;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use windlass_shared::domain::{Lease, ReportItem};

use crate::config::{OUTBOX_BYTES_MAX, OUTBOX_ITEMS_MAX};
use crate::logs::Offsets;
use journal::Journal;
use queue::Queue;

/// Time between two tries on a disk that refused: space comes back by somebody's doing.
const SAVE_AGAIN: Duration = Duration::from_secs(1);

/// Reports until they are acknowledged. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Outbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    // Written to under the lock: what is offered is on disk. A write is a copy into the kernel's memory.
    state: Mutex<State>,
    news: Notify,
    emptied: Notify,
    /// The disk refused.
    stuck: Notify,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    journal: Journal,
    /// The disk refused, and has not shown since that it has room.
    stuck: bool,
}

impl Outbox {
    /// Opens the file at `path` with what a former life left in it.
    ///
    /// # Errors
    /// Where it cannot be opened. What cannot be *read* in it is set aside, or cut off where it is the tail.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let (mut journal, records) = Journal::open(path)?;
        let queue = Queue::restore(records);
        if queue.len() == 0 {
            journal.clear();
        } else {
            tracing::info!(reports = queue.len(), "a former life left reports that are not on record");
        }
        let state = Mutex::new(State { queue, journal, stuck: false });
        Ok(Self(Arc::new(Shared { state, news: Notify::new(), emptied: Notify::new(), stuck: Notify::new() })))
    }

    /// Keeps an item until it is acknowledged. `shipped`: how far the attempt's logs are.
    pub(crate) fn push(&self, item: ReportItem, shipped: Offsets) {
        let mut state = self.state();
        state.queue.push(item, shipped);
        let saved = state.save();
        let news = saved.is_err() && !std::mem::replace(&mut state.stuck, true);
        drop(state);
        if let (Err(error), true) = (saved, news) {
            tracing::error!(%error, "reports cannot be written to --data: no new work until they can; nothing is dropped");
            self.0.stuck.notify_one();
        }
        self.0.news.notify_one();
    }

    /// The coordinator has this much of the attempt's logs.
    pub(crate) fn shipped(&self, lease: &Lease, shipped: Offsets) {
        let mut state = self.state();
        if let Some(record) = state.queue.shipped(lease, shipped) {
            // Not written, it costs the end of a log, and only if the agent is killed next.
            let _ = state.journal.append(&record);
        }
    }

    /// Tries again what the disk refused, until `stop`.
    pub(crate) async fn tend(self, stop: CancellationToken) {
        let tend = async {
            loop {
                self.0.stuck.notified().await;
                while self.is_stuck() {
                    tokio::time::sleep(SAVE_AGAIN).await;
                    self.save_again();
                }
            }
        };
        let _: Option<()> = stop.run_until_cancelled(tend).await;
        self.save_again();
    }

    fn save_again(&self) {
        let mut state = self.state();
        if state.stuck && state.save().is_ok() && state.journal.has_room() {
            state.stuck = false;
            drop(state);
            tracing::info!("reports are written again");
            self.0.news.notify_one();
        }
    }

    /// Whether new work is not to be asked for: the disk refuses reports, and an agent that goes on would promise what it
    /// cannot keep; or the coordinator is behind with the results there are, and more would be more memory.
    pub(crate) fn is_closed(&self) -> bool {
        let state = self.state();
        state.stuck || state.queue.live() >= OUTBOX_BYTES_MAX
    }

    fn is_stuck(&self) -> bool {
        self.state().stuck
    }

    /// Whether an agent that goes on like this would not know where to put its reports: it takes no new work.
    pub(crate) fn is_full(&self) -> bool {
        self.state().queue.len() >= OUTBOX_ITEMS_MAX
    }

    /// Everything that waits and fits one report, with its number. None: nothing waits, or too much is unacknowledged.
    pub(crate) fn take_batch(&self) -> Option<(u64, Vec<ReportItem>)> {
        self.state().queue.take_batch()
    }

    /// Everything up to this number is on record.
    pub(crate) fn ack(&self, number: u64) {
        self.change(|state| {
            if let Some(last) = state.queue.ack(number) {
                state.forget_up_to(last);
            }
        });
        // Room in the window is news for whoever sends.
        self.0.news.notify_one();
    }

    /// Nobody wants to hear of this attempt any more. The file is not told: said again by another life, it is stale again.
    pub(crate) fn forget(&self, lease: &Lease) {
        self.change(|state| state.queue.forget(lease));
    }

    /// A new stream: everything is said again.
    pub(crate) fn rewind(&self) {
        self.state().queue.rewind();
        self.0.news.notify_one();
    }

    /// Attempts that are over, without that being on record.
    pub(crate) fn ended(&self) -> Vec<Lease> {
        self.state().queue.ended()
    }

    /// Returns when there may be something new to take.
    pub(crate) async fn news(&self) {
        self.0.news.notified().await;
    }

    /// Returns when everything is acknowledged.
    pub(crate) async fn emptied(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if self.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Whether everything is acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.state().queue.len() == 0
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        if state.queue.len() == 0 {
            state.journal.clear();
            self.0.emptied.notify_waiters();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half-way.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Writes what is not on disk yet, in order.
    fn save(&mut self) -> io::Result<()> {
        while let Some(record) = self.queue.first_unsaved() {
            self.journal.append(&record)?;
            self.queue.note_saved(record.len());
        }
        Ok(())
    }

    fn forget_up_to(&mut self, number: u64) {
        if self.queue.len() == 0 {
            return;
        }
        // Not written, a killed agent's next life says these again, and hears that they are on record.
        let _ = self.journal.append(&record::acked(number));
        if self.journal.is_wasteful(self.queue.live()) {
            let records = self.queue.records();
            self.journal.compact(&records);
        }
    }
}

#[cfg(test)]
mod tests;
