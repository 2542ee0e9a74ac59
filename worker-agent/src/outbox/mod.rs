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
//! The disk has a thread of its own ([`writer`]): whoever pushes, takes or acknowledges touches memory alone, so that a disk
//! that hangs holds up neither heartbeats nor orders. What is not on disk yet is not said.
//!
//! - [`queue`] all of it in memory · [`journal`] the file · [`record`] what that is made of · [`writer`] when it is written.
//!
//! What is lost, and when: nothing that was said, by kill -9; the last seconds by power loss ([`journal`]); nothing by a full disk, which
//! keeps results in memory, stops new work ([`Outbox::is_closed`]) and is tried again. The *logs* of an attempt live in memory
//! alone: its former life's report names as their end what the coordinator has of them.

mod journal;
mod queue;
mod record;
mod writer;

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use windlass_shared::domain::{Lease, ReportItem};

use crate::config::{OUTBOX_BYTES_MAX, OUTBOX_ITEMS_MAX};
use crate::logs::Offsets;
use journal::Journal;
use queue::Queue;

/// Reports until they are acknowledged. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Outbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Never waited for by anybody but whoever writes.
    journal: Mutex<Journal>,
    news: Notify,
    emptied: Notify,
    /// Wakes whoever writes.
    unsaved: Condvar,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    /// Records of what came after news that are on disk: acknowledgements, and how far logs are.
    later: Vec<u8>,
    writer: Writer,
    /// The disk refused, and has not shown since that it has room.
    stuck: bool,
}

/// What whoever writes is there for.
#[derive(Debug, Clone, Copy, Default)]
struct Writer {
    /// There is something that is not said before it is written.
    news: bool,
    /// Of the file something is past, which can wait.
    past: bool,
    /// It waits until it is woken, whatever for.
    rests: bool,
    /// It is to end, and to write all there is before.
    stop: bool,
}

/// What is to be written at a time.
struct Work {
    clear: bool,
    /// Numbers of the news, whose records come first, and their lengths.
    news: Vec<(u64, usize)>,
    bytes: Vec<u8>,
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
        let writer = Writer::default();
        let state = Mutex::new(State { queue, later: Vec::new(), writer, stuck: false });
        let (journal, unsaved) = (Mutex::new(journal), Condvar::new());
        Ok(Self(Arc::new(Shared { state, journal, news: Notify::new(), emptied: Notify::new(), unsaved })))
    }

    /// Keeps an item until it is acknowledged. `shipped`: how far the attempt's logs are.
    pub(crate) fn push(&self, item: ReportItem, shipped: Offsets) {
        let mut state = self.state();
        state.queue.push(item, shipped);
        self.wake_for_news(state);
    }

    /// The coordinator has this much of the attempt's logs.
    pub(crate) fn shipped(&self, lease: &Lease, shipped: Offsets) {
        let mut state = self.state();
        if let Some(record) = state.queue.shipped(lease, shipped) {
            state.later.extend(record);
            self.wake_for_news(state);
        }
    }

    /// Writes everything that is not on disk. Blocks for as long as the disk does.
    fn save(&self) {
        let mut journal = self.0.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let Work { clear, news, bytes } = self.state().work();
        if clear {
            journal.clear();
        }
        let saved = if bytes.is_empty() { Ok(()) } else { journal.append(&bytes) };
        let mut state = self.state();
        match saved {
            Ok(()) => state.note_saved(&news, &journal),
            Err(error) => state.note_refused(&error),
        }
        let wasteful = journal.is_wasteful(state.queue.live()).then(|| state.queue.records());
        drop(state);
        if let Some(records) = wasteful {
            journal.compact(&records);
        }
        self.0.news.notify_one();
    }

    /// Whether new work is not to be asked for: the disk refuses reports, and an agent that goes on would promise what it
    /// cannot keep; or the coordinator is behind with the results there are, and more would be more memory.
    pub(crate) fn is_closed(&self) -> bool {
        let state = self.state();
        state.stuck || state.queue.live() >= OUTBOX_BYTES_MAX
    }

    /// Whether an agent that goes on like this would not know where to put its reports: it takes no new work.
    pub(crate) fn is_full(&self) -> bool {
        self.state().queue.len() >= OUTBOX_ITEMS_MAX
    }

    /// Everything that waits and fits one report, with its number. None: nothing waits, it is not on disk yet, or too much is
    /// unacknowledged. While the disk refuses, what is not on it is said all the same: the coordinator's disk may be better.
    pub(crate) fn take_batch(&self) -> Option<(u64, Vec<ReportItem>)> {
        let mut state = self.state();
        let unsaved_too = state.stuck;
        state.queue.take_batch(unsaved_too)
    }

    /// Everything up to this number is on record.
    pub(crate) fn ack(&self, number: u64) {
        self.change(|state| {
            if let Some(last) = state.queue.ack(number) {
                // Lost with a kill, it costs the next life a repetition, which hears that all of it is on record.
                state.later.extend(record::acked(last));
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
        let empty = state.queue.len() == 0;
        if empty || !state.later.is_empty() {
            self.note_past(state);
        }
        if empty {
            self.0.emptied.notify_waiters();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half-way.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is to be written: news in order, then what came after them. Where nothing is kept, nothing in the file matters.
    fn work(&mut self) -> Work {
        (self.writer.news, self.writer.past) = (false, false);
        let clear = self.queue.len() == 0;
        if clear {
            self.later.clear();
        }
        let mut bytes = Vec::new();
        let news = self.queue.write_unsaved(&mut bytes);
        bytes.append(&mut self.later);
        Work { clear, news, bytes }
    }

    fn note_saved(&mut self, news: &[(u64, usize)], journal: &Journal) {
        news.iter().for_each(|(number, bytes)| self.queue.note_saved(*number, *bytes));
        if self.stuck && journal.has_room() {
            self.stuck = false;
            tracing::info!("reports are written again");
        }
    }

    // The words that came after news are lost with it: each costs the next life no more than a repetition, or the end of a log.
    fn note_refused(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.stuck, true) {
            tracing::error!(%error, "reports cannot be written to --data: no new work until they can; nothing is dropped");
        }
    }
}

#[cfg(test)]
mod tests;
