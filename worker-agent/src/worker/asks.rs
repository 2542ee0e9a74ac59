//! What an operator asks of a pool: answered by the pool's own task, between two steps of its work, so that what is told was so.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use windlass_shared::domain::{
    Breaker, CurrentCall, ExitCounts, Mode, PoolAnswer, PoolAsk, PoolHealth, PoolRefusal, PoolReply, PoolState,
    WorkerCounts, WorkerState, WorkerStatus,
};
use windlass_shared::limits;
use windlass_shared::time::Timestamp;

use super::options;
use super::pool::Pool;
use super::seat::{Seat, State};
use super::step::Now;

/// An ask, and where its answer goes.
pub(super) type Asked = (PoolAsk, oneshot::Sender<PoolReply>);

/// A hand on a pool, to ask with.
#[derive(Debug, Clone)]
pub(super) struct Asker(mpsc::Sender<Asked>);

/// The asker's half, and the pool's.
pub(super) fn asks() -> (Asker, mpsc::Receiver<Asked>) {
    let (asker, asks) = mpsc::channel(limits::POOL_ASKS_MAX);
    (Asker(asker), asks)
}

impl Asker {
    /// Asks, and waits for the answer, which is a step of the pool away.
    pub(super) async fn ask(&self, ask: PoolAsk) -> PoolReply {
        let (reply, replied) = oneshot::channel();
        match self.0.try_send((ask, reply)) {
            Ok(()) => replied.await.unwrap_or_else(|_| stopping()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(PoolRefusal::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => stopping(),
        }
    }
}

fn stopping() -> PoolReply {
    Err(PoolRefusal::NotNow("the agent is stopping, and its pools with it".into()))
}

fn unsupported(what: &str) -> PoolReply {
    Err(PoolRefusal::Unsupported(what.into()))
}

impl Pool {
    /// What an operator asked.
    pub(super) fn on_ask(&mut self, ask: &PoolAsk, now: Now) -> PoolReply {
        match ask {
            PoolAsk::State => Ok(PoolAnswer::State(Box::new(self.state()))),
            PoolAsk::Workers => Ok(PoolAnswer::Workers(self.workers(now))),
            PoolAsk::ScaleTo { .. } => unsupported("its pools keep the size that [[pool]] says"),
            PoolAsk::Recycle { .. } => unsupported("its pools are not recycled"),
            PoolAsk::Reset => unsupported("its pools have no breaker"),
            PoolAsk::KillWorker(kill) => {
                self.seat_of(&kill.worker)?;
                unsupported("its workers are not killed one by one")
            }
            PoolAsk::WorkerLogs { worker, .. } => {
                self.seat_of(worker)?;
                unsupported("it keeps no logs of workers")
            }
        }
    }

    fn state(&self) -> PoolState {
        let calls = self.waiting.len() + self.seats.iter().map(|seat| seat.window.len()).sum::<usize>();
        let workers = self.seats.iter().map(status).collect();
        PoolState {
            name: Arc::clone(&self.name),
            mode: match self.policy.mode {
                options::Mode::Static => Mode::Static,
                options::Mode::Dynamic => Mode::Dynamic,
                options::Mode::Ondemand => Mode::Ondemand,
            },
            health: self.health(&workers),
            min: self.options.min(),
            max: self.options.max,
            workers,
            handlers: self.handlers.clone(),
            held: u32::try_from(calls).unwrap_or(u32::MAX),
            generation: 1,
            breaker: Breaker::default(),
            starts: 0,
            exits: ExitCounts::default(),
        }
    }

    fn health(&self, workers: &WorkerCounts) -> PoolHealth {
        let failed =
            [WorkerStatus::Backoff, WorkerStatus::Barred, WorkerStatus::Stuck].map(|status| workers.of(status));
        let failed: u32 = failed.into_iter().sum();
        if self.leaving.is_some() {
            PoolHealth::Draining
        } else if failed >= self.options.max || self.elsewhere {
            PoolHealth::Broken
        } else if failed > 0 {
            PoolHealth::Degraded
        } else {
            PoolHealth::Ok
        }
    }

    fn workers(&self, now: Now) -> Vec<WorkerState> {
        (0..).zip(&self.seats).map(|(slot, seat)| self.worker(slot, seat, now)).collect()
    }

    fn worker(&self, slot: u32, seat: &Seat, now: Now) -> WorkerState {
        let status = status(seat);
        let running = seat.window.front().filter(|flight| flight.began.is_some());
        let started_at = running.and_then(|flight| flight.began).map(|began| wall(now, began.at));
        let current = seat.window.front().map(|flight| CurrentCall::of(&flight.lease(), started_at));
        let waiting = u32::try_from(seat.window.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let since = match status {
            WorkerStatus::Idle => Some(wall(now, seat.idle_since)),
            WorkerStatus::Busy => started_at,
            _ => None,
        };
        let id = format!("{}-{slot}", self.name).into();
        WorkerState {
            id,
            slot,
            status,
            since,
            pid: None,
            jobs_done: 0,
            rss_bytes: None,
            current,
            waiting,
            generation: 1,
        }
    }

    /// The place of the worker of this name.
    ///
    /// # Errors
    /// `NoWorker`, where the pool has no such place.
    pub(super) fn seat_of(&self, worker: &Arc<str>) -> Result<usize, PoolRefusal> {
        let slot = worker.strip_prefix(&*self.name).and_then(|rest| rest.strip_prefix('-'));
        // One name for each: no sign, no leading zeros.
        let ix = slot.and_then(|slot| slot.parse().ok().filter(|ix: &usize| ix.to_string() == slot));
        ix.filter(|ix| *ix < self.seats.len()).ok_or_else(|| PoolRefusal::NoWorker(Arc::clone(worker)))
    }
}

fn status(seat: &Seat) -> WorkerStatus {
    match seat.state {
        State::Off => WorkerStatus::Off,
        State::Starting(_) => WorkerStatus::Starting,
        State::Ready if seat.window.is_empty() => WorkerStatus::Idle,
        State::Ready => WorkerStatus::Busy,
        State::Retiring(_) => WorkerStatus::Retiring,
        State::Dying => WorkerStatus::Stopping,
        State::Backoff(_) => WorkerStatus::Backoff,
        State::Barred => WorkerStatus::Barred,
        State::Stuck => WorkerStatus::Stuck,
    }
}

/// An instant of the past on the other clock.
fn wall(now: Now, at: Instant) -> Timestamp {
    let ago: Duration = now.at.saturating_duration_since(at);
    Timestamp(now.wall.0.saturating_sub(i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX)))
}
