//! The agents' streams. Sessions know agents and the driver, never the core.
//!
//! ```text
//!   agent ══ stream ══► Session ──► driver      hello, reports, credit
//!         ◄═ stream ══          ◄── Registry    welcome, assignments, stops, acks (bounded: who does not read is let go)
//! ```
//!
//! Heartbeats end here: the session stamps one when it is read and acknowledges it itself, without waiting for the driver.

mod outgoing;
mod session;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;
use windlass_core::Refusal;
use windlass_shared::clock;
use windlass_shared::convert::ReportAck;
use windlass_shared::domain::{Lease, StopOrder, Welcome};
use windlass_shared::ids::SessionId;
use windlass_shared::time::Moment;

pub(crate) use session::Session;

/// Messages waiting for one agent: more than it may hold attempts twice over, so only one that does not read fills it.
const OUTBOX: usize = 2 * windlass_shared::limits::AGENT_CAPACITY_MAX as usize;

/// What the driver has for an agent.
#[derive(Debug)]
pub(crate) enum ToAgent {
    Welcome(Welcome),
    Assign(Lease, Bytes),
    Stop(StopOrder),
    Recall(Vec<Lease>),
    Ack(ReportAck),
    Close(Refusal),
}

/// The open sessions, by their number.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    sessions: Mutex<HashMap<SessionId, Entry>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    outbox: mpsc::Sender<ToAgent>,
    heard: Arc<Stamp>,
    taken: Moment,
}

/// When a session was heard last.
#[derive(Debug, Default)]
pub(crate) struct Stamp(AtomicU64);

impl Stamp {
    pub(crate) fn mark(&self) {
        self.0.store(clock::moment().0, Ordering::Relaxed);
    }

    /// When that was.
    pub(crate) fn get(&self) -> Moment {
        Moment(self.0.load(Ordering::Relaxed))
    }
}

impl Registry {
    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Entry>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session: its number, what the driver has for it, and its stamp.
    pub(crate) fn open(&self) -> (SessionId, mpsc::Receiver<ToAgent>, Arc<Stamp>) {
        let session = SessionId(self.next.fetch_add(1, Ordering::Relaxed) + 1);
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let heard = Arc::new(Stamp::default());
        let entry = Entry { outbox, heard: heard.clone(), taken: Moment::default() };
        self.sessions().insert(session, entry);
        (session, inbox, heard)
    }

    pub(crate) fn forget(&self, session: SessionId) {
        self.sessions().remove(&session);
    }

    /// Gives an agent something. One that does not read is let go: what it was to get is found missing at its next hello.
    pub(crate) fn deliver(&self, session: SessionId, message: ToAgent) {
        let mut sessions = self.sessions();
        let Some(entry) = sessions.get(&session) else { return };
        if entry.outbox.try_send(message).is_err() {
            tracing::warn!(session = session.0, "agent does not read its stream; closing it");
            // The session sees its inbox end and closes.
            sessions.remove(&session);
        }
    }

    pub(crate) fn close(&self, session: SessionId, why: Refusal) {
        self.deliver(session, ToAgent::Close(why));
        self.forget(session);
    }

    /// Who was heard since the last time this was asked, and when.
    pub(crate) fn take_stamps(&self) -> Vec<(SessionId, Moment)> {
        let mut sessions = self.sessions();
        let fresh = sessions.iter_mut().filter_map(|(session, entry)| {
            let heard = entry.heard.get();
            (heard > entry.taken).then(|| {
                entry.taken = heard;
                (*session, heard)
            })
        });
        let mut stamps: Vec<_> = fresh.collect();
        stamps.sort_unstable(); // the map's order is random, the core's inputs must not be
        stamps
    }
}
