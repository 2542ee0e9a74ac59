//! Answers what operators ask, beside the session's stream, which awaits nothing but the stream.
//!
//! ```text
//!  session ── Asked ──► Answerer ──► pools
//!     ▲                    │
//!     └────── Said ◄───────┘       one after another: a pool answers between two steps of its work
//! ```
//! An answer names the session of its ask: to another one it would be an answer to something else.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use windlass_shared::domain::{AgentAnswer, AgentAsk, PoolAsk, PoolRefusal, PoolReply};
use windlass_shared::limits::AGENT_ASKS_MAX;

use crate::counters::Counters;
use crate::worker::Pools;

/// Time for a pool to answer: a step of its work takes milliseconds, and the coordinator waits 10 s for all of it.
const POOL_WITHIN: Duration = Duration::from_secs(5);

/// Something that was asked.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Number of the session that brought it.
    pub(crate) session: u64,
    pub(crate) id: u64,
    pub(crate) ask: AgentAsk,
}

/// What is to be said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) session: u64,
    pub(crate) id: u64,
    pub(crate) answer: AgentAnswer,
}

/// The session's end.
#[derive(Debug)]
pub(crate) struct Desk {
    asks: mpsc::Sender<Asked>,
    answers: mpsc::Receiver<Said>,
}

/// Whoever answers.
#[derive(Debug)]
pub(crate) struct Answerer {
    asks: mpsc::Receiver<Asked>,
    answers: mpsc::Sender<Said>,
    pools: Pools,
    counters: Counters,
}

/// The two of them. Each way holds as many as the coordinator lets wait.
pub(crate) fn desk(pools: Pools, counters: Counters) -> (Desk, Answerer) {
    let (asks, asked) = mpsc::channel(AGENT_ASKS_MAX);
    let (said, answers) = mpsc::channel(AGENT_ASKS_MAX);
    (Desk { asks, answers }, Answerer { asks: asked, answers: said, pools, counters })
}

impl Desk {
    /// Takes an ask without waiting; one too many is answered at once, with a refusal.
    pub(crate) fn take(&self, asked: Asked) -> Option<Said> {
        match self.asks.try_send(asked) {
            Ok(()) => None,
            Err(mpsc::error::TrySendError::Full(asked) | mpsc::error::TrySendError::Closed(asked)) => {
                let Asked { session, id, .. } = asked;
                Some(Said { session, id, answer: AgentAnswer::Pool(Err(PoolRefusal::Busy)) })
            }
        }
    }

    /// The next answer. Cancelling it loses nothing.
    pub(crate) async fn answer(&mut self) -> Option<Said> {
        self.answers.recv().await
    }
}

impl Answerer {
    /// Answers until the agent stops.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let work = async {
            while let Some(Asked { session, id, ask }) = self.asks.recv().await {
                let answer = self.answer(ask).await;
                if self.answers.send(Said { session, id, answer }).await.is_err() {
                    return;
                }
            }
        };
        stop.run_until_cancelled(work).await;
    }

    async fn answer(&self, ask: AgentAsk) -> AgentAnswer {
        match ask {
            AgentAsk::Pools => match tokio::time::timeout(POOL_WITHIN, self.pools.states()).await {
                Ok(states) => AgentAnswer::Pools(states, self.counters.read()),
                Err(_) => AgentAnswer::Pool(Err(PoolRefusal::Busy)),
            },
            AgentAsk::Pool(pool, ask) => AgentAnswer::Pool(ask_pool(&self.pools, &pool, ask).await),
            AgentAsk::Unknown => {
                AgentAnswer::Pool(Err(PoolRefusal::Unsupported("it does not know what was asked".into())))
            }
        }
    }
}

async fn ask_pool(pools: &Pools, pool: &Arc<str>, ask: PoolAsk) -> PoolReply {
    let asked = tokio::time::timeout(POOL_WITHIN, pools.ask(pool, ask)).await;
    asked.unwrap_or(Err(PoolRefusal::Busy))
}
