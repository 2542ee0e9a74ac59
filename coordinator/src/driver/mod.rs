//! One task owns the core.
//!
//! ```text
//!  submits ──► inbox ─┐                                   ┌─► replies
//!  sessions ─► inbox ─┼─► tick ─► core ─► store.commit ───┼─► assignments, stops, acks
//!  deadline ──────────┘   (collects while a commit runs)  └─► events
//! ```
//!
//! Two inboxes, so that a flood of submits cannot starve results. Nothing leaves before the commit of its tick: what nobody
//! may lose, nobody may see early. The task awaits only its inboxes, its next deadline and the store.

mod crash;
mod error;
mod finished;
mod handle;
mod message;
mod operators;
mod places;
mod repeats;
mod story;
mod tick;
mod words;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use windlass_core::{Core, Refusal, Ticket};
use windlass_shared::clock;
use windlass_shared::domain::{AgentRecord, LimitRecord, QueueRecord};

pub use crash::CrashAt;
pub(crate) use error::{Stopping, SubmitError, WordError};
pub(crate) use finished::Requeued;
pub(crate) use handle::{DriverHandle, Progress};
pub(crate) use message::{About, Control, Incoming, LimitWish, RequestKey, Said, Submit, Wish};

use message::Taken;
use repeats::Resolved;

use crate::counters::Counters;
use crate::sessions::Registry;
use crate::store::{CommitError, Store};
use crate::watch::Watch;

/// Messages waiting to be driven; past it, senders wait. A message is at most one report of 1,024 items.
const CONTROL_INBOX: usize = 4_096;
/// Submit calls waiting; past it, submits are shed.
const SUBMIT_INBOX: usize = 4_096;
/// Messages taken into one tick: bounds the commit, and with it the wait of whoever comes next.
const TICK_MESSAGES_MAX: usize = 1_024;
/// Jobs taken into one tick, one call's 10,000 beyond it at most: results must not wait long behind submits.
const TICK_JOBS_MAX: usize = 8_192;

/// What the driver works with.
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) counters: Arc<Counters>,
}

/// Everything the task owns.
pub(crate) struct Driver {
    core: Core,
    store: Arc<dyn Store>,
    registry: Arc<Registry>,
    watch: Arc<Watch>,
    counters: Arc<Counters>,
    control: mpsc::Receiver<Control>,
    submits: mpsc::Receiver<Submit>,
    progress: Arc<Progress>,
    beat: Duration,
    crash_at: Option<CrashAt>,
    waiting: HashMap<Ticket, Waiting>,
    next_ticket: u64,
}

/// Who waits for a reply.
enum Waiting {
    /// With what is known already of each job, in order.
    Submit(Vec<Resolved>, oneshot::Sender<Taken>, OwnedSemaphorePermit),
    Cancel(oneshot::Sender<bool>),
    Updated(oneshot::Sender<Result<bool, Refusal>>),
    Purged(oneshot::Sender<(usize, bool)>),
    Queue(oneshot::Sender<Result<QueueRecord, Refusal>>),
    Agent(oneshot::Sender<Option<Box<AgentRecord>>>),
    Limit(oneshot::Sender<Result<Box<LimitRecord>, Refusal>>),
    Word(oneshot::Sender<Result<Said, WordError>>),
    /// With what became of each job.
    Requeue(Vec<Result<bool, WordError>>, oneshot::Sender<Result<Requeued, WordError>>),
}

impl Driver {
    /// The task, and the handle everyone else holds. `beat`: time between ticks when nothing happens.
    pub(crate) fn new(core: Core, parts: Parts, beat: Duration, crash_at: Option<CrashAt>) -> (Self, DriverHandle) {
        let (control_tx, control) = mpsc::channel(CONTROL_INBOX);
        let (submit_tx, submits) = mpsc::channel(SUBMIT_INBOX);
        let progress = Arc::new(Progress::new());
        let handle = DriverHandle::new(control_tx, submit_tx, parts.store.clone(), progress.clone());
        let Parts { store, registry, watch, counters } = parts;
        let waiting = HashMap::new();
        let driver = Self {
            core,
            store,
            registry,
            watch,
            counters,
            control,
            submits,
            progress,
            beat,
            crash_at,
            waiting,
            next_ticket: 0,
        };
        (driver, handle)
    }

    /// Drives until `stop`.
    ///
    /// # Errors
    /// Where a commit failed: the core has no undo, so the process must end.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), CommitError> {
        let (mut control, mut submits) = (Vec::new(), Vec::new());
        loop {
            let due = self.core.next_deadline().map(clock::instant);
            let beat = tokio::time::Instant::now() + self.beat;
            let wake = due.map_or(beat, |due| due.min(beat));
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                _ = self.control.recv_many(&mut control, TICK_MESSAGES_MAX) => {}
                _ = self.submits.recv_many(&mut submits, 1) => {}
                () = tokio::time::sleep_until(wake) => {}
            }
            // Whatever else is there comes along: one commit for all of it.
            drain(&mut self.control, &mut control, |_| 1, TICK_MESSAGES_MAX);
            drain(&mut self.submits, &mut submits, |submit| submit.jobs.len(), TICK_JOBS_MAX);
            self.tick(&mut control, &mut submits).await?;
        }
    }
}

/// Takes messages until they weigh `max`; the one that passes it comes along.
fn drain<T>(inbox: &mut mpsc::Receiver<T>, into: &mut Vec<T>, weight: impl Fn(&T) -> usize, max: usize) {
    let mut taken: usize = into.iter().map(&weight).sum();
    while taken < max {
        let Ok(message) = inbox.try_recv() else { return };
        taken += weight(&message);
        into.push(message);
    }
}
