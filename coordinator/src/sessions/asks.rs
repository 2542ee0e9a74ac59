//! Asks: what operators want of an agent, said on its stream and answered there.
//!
//! ```text
//!   api ── begin ──► Registry ── ToAgent::Ask n ──► agent
//!    ▲                  │ pending: n ► who waits
//!    └──── Waiting ◄────┴──────── Answer n ◄─────── agent      or 10 s, or the end of the stream
//! ```
//! An ask is on no record: what comes too late, or for a stream that is gone, is dropped.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use windlass_shared::domain::{AgentAnswer, AgentAsk};
use windlass_shared::fault::{Fault, Kind};
use windlass_shared::ids::SessionId;
use windlass_shared::limits::AGENT_ASKS_MAX;

use super::{Registry, ToAgent};

/// Time for an answer: an agent answers within milliseconds, and one that takes longer than this has a host that hangs.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Why an agent was not asked, or did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AskError {
    #[error("the agent is out of reach; ask again when it is back")]
    Away,
    #[error("this agent is too old to be asked about its pools and workers: update it")]
    TooOld,
    #[error("{AGENT_ASKS_MAX} asks wait for this agent already; ask again")]
    Full,
    #[error("the agent did not answer within {} s; what was asked of it may have been done", ANSWER_WITHIN.as_secs())]
    TimedOut,
}

impl Fault for AskError {
    fn kind(&self) -> Kind {
        match self {
            Self::Away => Kind::Unavailable,
            Self::TooOld => Kind::Conflict,
            Self::Full => Kind::Busy,
            Self::TimedOut => Kind::TimedOut,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Away => "AGENT_AWAY",
            Self::TooOld => "AGENT_TOO_OLD",
            Self::Full => "AGENT_ASKS_FULL",
            Self::TimedOut => "AGENT_NOT_ANSWERING",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::Full).then_some(Duration::from_secs(1))
    }
}

/// What one session is asked.
#[derive(Debug, Default)]
pub(super) struct Asks {
    /// Its hello said that it answers.
    pub(super) answered: bool,
    /// At most [`AGENT_ASKS_MAX`], by number.
    pending: HashMap<u64, oneshot::Sender<AgentAnswer>>,
}

/// Numbers of asks; never one twice within a coordinator's life.
#[derive(Debug, Default)]
pub(super) struct Numbers(AtomicU64);

/// An ask that was said. Dropped, it is given up.
#[derive(Debug)]
pub(crate) struct Waiting {
    registry: Arc<Registry>,
    session: SessionId,
    id: u64,
    until: Instant,
    answer: oneshot::Receiver<AgentAnswer>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.registry.give_up(self.session, self.id);
    }
}

impl Waiting {
    /// The answer.
    ///
    /// # Errors
    /// Where it does not come in time, or the stream ends first.
    pub(crate) async fn answer(mut self) -> Result<AgentAnswer, AskError> {
        match tokio::time::timeout_at(self.until, &mut self.answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(AskError::Away),
            Err(_) => Err(AskError::TimedOut),
        }
    }
}

impl Registry {
    /// The agent's hello says that it answers.
    pub(super) fn answers(&self, session: SessionId) {
        if let Some(entry) = self.sessions().get_mut(&session) {
            entry.asks.answered = true;
        }
    }

    /// Asks an agent something, at once; its answer is for whoever waits.
    ///
    /// # Errors
    /// Where it is gone, too old, or asked too much already.
    pub(crate) fn begin(self: &Arc<Self>, session: SessionId, ask: AgentAsk) -> Result<Waiting, AskError> {
        let id = self.numbers.0.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, answer) = oneshot::channel();
        {
            let mut sessions = self.sessions();
            let asks = &mut sessions.get_mut(&session).ok_or(AskError::Away)?.asks;
            if !asks.answered {
                return Err(AskError::TooOld);
            }
            if asks.pending.len() >= AGENT_ASKS_MAX {
                return Err(AskError::Full);
            }
            asks.pending.insert(id, sender);
        }
        self.deliver(session, ToAgent::Ask(id, ask));
        let until = Instant::now() + ANSWER_WITHIN;
        Ok(Waiting { registry: Arc::clone(self), session, id, until, answer })
    }

    /// An agent answered. To an ask that nobody waits for any more it is nothing.
    pub(super) fn on_answer(&self, session: SessionId, id: u64, answer: AgentAnswer) {
        let sender = self.sessions().get_mut(&session).and_then(|entry| entry.asks.pending.remove(&id));
        if let Some(sender) = sender {
            // Whoever waited may have left in this moment.
            let _ = sender.send(answer);
        }
    }

    fn give_up(&self, session: SessionId, id: u64) {
        if let Some(entry) = self.sessions().get_mut(&session) {
            entry.asks.pending.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(names: usize) -> AgentAnswer {
        assert_eq!(names, 0);
        AgentAnswer::Pools(Vec::new(), Vec::new())
    }

    fn open(answered: bool) -> (Arc<Registry>, super::super::Opened) {
        let registry = Arc::new(Registry::default());
        let opened = registry.open();
        if answered {
            registry.answers(opened.session);
        }
        (registry, opened)
    }

    fn said(opened: &mut super::super::Opened) -> u64 {
        match opened.inbox.try_recv() {
            Ok(ToAgent::Ask(id, AgentAsk::Pools)) => id,
            other => panic!("expected an ask, got {other:?}"),
        }
    }

    #[tokio::test]
    async fn answers_find_their_asks_in_any_order_and_one_of_another_session_does_not() {
        let (registry, mut opened) = open(true);
        let session = opened.session;
        let first = registry.begin(session, AgentAsk::Pools).expect("asked");
        let second = registry.begin(session, AgentAsk::Pools).expect("asked");
        let ids = (said(&mut opened), said(&mut opened));
        let other = registry.open().session;
        registry.on_answer(other, ids.0, pools(0));
        registry.on_answer(session, 999, pools(0));
        registry.on_answer(session, ids.1, pools(0));
        assert_eq!(second.answer().await, Ok(pools(0)));
        registry.on_answer(session, ids.0, pools(0));
        assert_eq!(first.answer().await, Ok(pools(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_does_not_answer_is_given_up_after_ten_seconds_and_its_room_is_free_again() {
        let (registry, opened) = open(true);
        let ask = || registry.begin(opened.session, AgentAsk::Pools);
        let waiting: Vec<_> = (0..AGENT_ASKS_MAX).map(|_| ask().expect("room")).collect();
        assert_eq!(ask().err(), Some(AskError::Full));
        let began = Instant::now();
        for one in waiting {
            assert_eq!(one.answer().await, Err(AskError::TimedOut));
        }
        assert_eq!(began.elapsed(), ANSWER_WITHIN, "they wait at the same time");
        assert!(ask().is_ok());
    }

    #[tokio::test]
    async fn an_agent_that_leaves_or_is_too_old_is_told_apart() {
        let (registry, opened) = open(true);
        let waiting = registry.begin(opened.session, AgentAsk::Pools).expect("asked");
        registry.forget(opened.session);
        assert_eq!(waiting.answer().await, Err(AskError::Away));
        assert_eq!(registry.begin(opened.session, AgentAsk::Pools).err(), Some(AskError::Away));
        let (registry, opened) = open(false);
        assert_eq!(registry.begin(opened.session, AgentAsk::Pools).err(), Some(AskError::TooOld));
    }
}
