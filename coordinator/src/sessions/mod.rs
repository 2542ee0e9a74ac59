//! The agents' streams. Sessions know agents and the driver, never the core.
//!
//! ```text
//!   agent ══ stream ══► Session ──► driver      hello, reports, credit
//!         ◄═ stream ══          ◄── Registry    welcome, assignments, stops, acks (bounded: who does not read is let go)
//! ```
//!
//! Heartbeats end here: the session stamps one when it is read and acknowledges it itself, without waiting for the driver.

mod asks;
mod let_go;
mod outgoing;
mod session;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use windlass_shared::clock;
use windlass_shared::convert::ReportAck;
use windlass_shared::domain::{AgentAsk, Assignment, Lease, StopOrder, Welcome};
use windlass_shared::ids::SessionId;
use windlass_shared::limits::{AGENT_CAPACITY_MAX, INVENTORY_ITEMS_MAX};
use windlass_shared::time::Moment;

pub(crate) use asks::{AskError, Waiting};
pub(crate) use let_go::LetGo;
pub(crate) use session::Session;

/// Messages waiting for one agent. A hello may be answered at once by a stop for each of its inventory and by as many assignments as
/// the agent takes, and what follows must have room too, so only one that does not read fills it. Room that is not used costs nothing.
const OUTBOX: usize = INVENTORY_ITEMS_MAX + 2 * AGENT_CAPACITY_MAX as usize;

/// What the driver has for an agent.
#[derive(Debug)]
pub(crate) enum ToAgent {
    Welcome(Welcome),
    Assign(Assignment),
    Stop(StopOrder),
    Recall(Vec<Lease>),
    Ack(ReportAck),
    Ask(u64, AgentAsk),
    Close(LetGo),
}

/// The open sessions, by their number.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    sessions: Mutex<HashMap<SessionId, Entry>>,
    next: AtomicU64,
    numbers: asks::Numbers,
}

#[derive(Debug)]
struct Entry {
    outbox: mpsc::Sender<ToAgent>,
    heard: Arc<Stamp>,
    taken: Moment,
    too_slow: CancellationToken,
    asks: asks::Asks,
}

/// A session's end of what the registry keeps of it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) session: SessionId,
    /// What the driver has for it.
    pub(crate) inbox: mpsc::Receiver<ToAgent>,
    pub(crate) heard: Arc<Stamp>,
    /// Cancelled when more waits than is kept.
    pub(crate) too_slow: CancellationToken,
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

    /// Opens a session.
    pub(crate) fn open(&self) -> Opened {
        let session = SessionId(self.next.fetch_add(1, Ordering::Relaxed) + 1);
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let (heard, too_slow) = (Arc::<Stamp>::default(), CancellationToken::new());
        let (taken, asks) = (Moment::default(), asks::Asks::default());
        let entry = Entry { outbox, heard: heard.clone(), taken, too_slow: too_slow.clone(), asks };
        self.sessions().insert(session, entry);
        Opened { session, inbox, heard, too_slow }
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
            // By a word of its own: a session that has too much to write does not look into its inbox.
            entry.too_slow.cancel();
            sessions.remove(&session);
        }
    }

    pub(crate) fn close(&self, session: SessionId, why: impl Into<LetGo>) {
        self.deliver(session, ToAgent::Close(why.into()));
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
