//! What an operator asks of a pool: answered by the pool's own task, between two steps of its work, so that what is told was so.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use windlass_shared::domain::{
    self, BreakerState, CurrentCall, Mode, PoolAnswer, PoolAsk, PoolHealth, PoolRefusal, PoolReply, PoolState,
    WorkerCounts, WorkerExit, WorkerKill, WorkerLogs, WorkerState, WorkerStatus,
};
use windlass_shared::limits;
use windlass_shared::time::Timestamp;

use super::bounds::WORKERS_MAX;
use super::breaker::{Breaker, Stand};
use super::pool::Pool;
use super::seat::{Seat, State};
use super::sizing;
use super::step::Now;

/// The last of the signals that are not of real time.
const SIGNAL_MAX: u8 = 31;

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

impl Pool {
    /// What an operator asked.
    pub(super) fn on_ask(&mut self, ask: &PoolAsk, now: Now) -> PoolReply {
        match ask {
            PoolAsk::State => {}
            PoolAsk::Once { request, ask } => return self.once(request, ask, now),
            PoolAsk::Workers => return Ok(PoolAnswer::Workers(self.workers(now))),
            PoolAsk::ScaleTo { min, max } => self.scale_to(*min, *max)?,
            PoolAsk::Recycle { force } => {
                self.recycle();
                if *force {
                    let ready = self.seats.iter_mut().filter(|seat| seat.state == State::Ready);
                    ready.for_each(|seat| seat.kill(WorkerExit::RecycledAsked));
                }
            }
            PoolAsk::Reset => {
                self.breaker_hears(Breaker::reset);
                self.end_waits(now);
            }
            PoolAsk::KillWorker(kill) => return self.kill_worker(kill, now),
            PoolAsk::WorkerLogs { worker, tail_bytes } => {
                let seat = &self.seats[self.seat_of(worker)?];
                let (data, bytes_before) = seat.tail.last(*tail_bytes as usize);
                return Ok(PoolAnswer::Logs(WorkerLogs { data, bytes_before }));
            }
        }
        // As of now, also where nothing was settled since what was asked for.
        self.census = self.take_census(now.at);
        Ok(PoolAnswer::State(Box::new(self.state(now))))
    }

    /// Does what was not done under this id yet. What was refused changed nothing, so it may be asked again.
    fn once(&mut self, request: &Arc<str>, ask: &PoolAsk, now: Now) -> PoolReply {
        if let Some(known) = self.repeats.find(request, ask, now.at) {
            return known;
        }
        let answer = self.on_ask(ask, now)?;
        self.repeats.keep(Arc::clone(request), ask.clone(), answer.clone(), now.at);
        Ok(answer)
    }

    fn scale_to(&mut self, min: u32, max: u32) -> Result<(), PoolRefusal> {
        let range = |field, limit: String| Err(PoolRefusal::OutOfRange { field, limit: limit.into() });
        if !(1..=WORKERS_MAX).contains(&max) {
            return range("max", format!("1 to {WORKERS_MAX}"));
        }
        match self.policy.mode {
            sizing::Mode::Static if min != max => {
                return range("min", "as large as max: the pool is static".into());
            }
            sizing::Mode::Ondemand if min > 0 => return range("min", "0: the pool is ondemand".into()),
            sizing::Mode::Dynamic if min == 0 && self.handlers.is_empty() => {
                return range("min", "at least 1 while nobody has announced a handler".into());
            }
            _ if min > max => return range("min", "at most max".into()),
            _ => {}
        }
        (self.policy.min, self.policy.max) = (min as usize, max as usize);
        tracing::info!(pool = &*self.name, min, max, "the pool is scaled");
        Ok(())
    }

    fn kill_worker(&mut self, kill: &WorkerKill, now: Now) -> PoolReply {
        let WorkerKill { worker, signal, grace } = kill;
        let ix = self.seat_of(worker)?;
        if !(1..=SIGNAL_MAX).contains(signal) {
            return Err(PoolRefusal::OutOfRange { field: "signal", limit: format!("1 to {SIGNAL_MAX}").into() });
        }
        let seat = &mut self.seats[ix];
        match seat.state {
            State::Off | State::Backoff(_) => {
                return Err(PoolRefusal::NotNow(format!("{worker} has no process: there is nothing to kill").into()));
            }
            State::Stuck => {
                let why = format!("{worker} was killed and is not gone: its host has to end it");
                return Err(PoolRefusal::NotNow(why.into()));
            }
            State::Dying => {}
            State::Starting(_) => seat.kill(WorkerExit::Killed),
            State::Ready | State::Retiring(_) if i32::from(*signal) == libc::SIGKILL => {
                seat.life.told = Some(WorkerExit::Killed);
                seat.kill(WorkerExit::Killed);
            }
            State::Ready | State::Retiring(_) => {
                let until = now.at + (*grace).min(limits::STOP_GRACE_MAX);
                seat.end_by(i32::from(*signal), until, WorkerExit::Killed);
            }
        }
        let slot = u32::try_from(ix).unwrap_or(u32::MAX);
        tracing::warn!(pool = &*self.name, worker = ix, signal, "an operator ends a worker");
        Ok(PoolAnswer::Worker(Box::new(self.worker(slot, &self.seats[ix], now))))
    }

    fn state(&self, now: Now) -> PoolState {
        let calls = self.waiting.len() + self.seats.iter().map(|seat| seat.window.len()).sum::<usize>();
        let workers = self.shown().map(|(_, seat)| self.status(seat)).collect();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        PoolState {
            name: Arc::clone(&self.name),
            mode: match self.policy.mode {
                sizing::Mode::Static => Mode::Static,
                sizing::Mode::Dynamic => Mode::Dynamic,
                sizing::Mode::Ondemand => Mode::Ondemand,
            },
            health: self.health(&workers),
            min: number(self.policy.min),
            max: number(self.policy.max),
            workers,
            handlers: self.handlers.to_vec(),
            held: number(calls),
            generation: self.generation,
            breaker: self.breaker_state(now),
            starts: self.starts_total,
            exits: self.exits,
        }
    }

    fn breaker_state(&self, now: Now) -> domain::Breaker {
        let state = match self.breaker.stand() {
            Stand::Closed => BreakerState::Closed,
            Stand::Open(..) => BreakerState::Open,
            Stand::HalfOpen(_) => BreakerState::HalfOpen,
        };
        domain::Breaker {
            state,
            opened_at: self.opened_at(),
            probe_at: self.breaker.probe_at().map(|at| wall(now, at)),
            reason: self.opened.as_ref().map(|opened| Arc::clone(&opened.why)),
            stderr_lines: self.opened.as_ref().map(|opened| opened.lines.clone()).unwrap_or_default(),
        }
    }

    fn health(&self, workers: &WorkerCounts) -> PoolHealth {
        let failed = workers.of(WorkerStatus::Backoff) + workers.of(WorkerStatus::Stuck);
        let open = self.breaker.stand() != Stand::Closed;
        if self.leaving.is_some() {
            PoolHealth::Draining
        } else if open && self.takers() == 0 || failed as usize >= self.policy.max || self.elsewhere {
            PoolHealth::Broken
        } else if failed > 0 || open {
            PoolHealth::Degraded
        } else {
            PoolHealth::Ok
        }
    }

    /// Its places, but those that only replacing needed and nobody has now.
    fn shown(&self) -> impl Iterator<Item = (u32, &Seat)> {
        let max = self.policy.max;
        (0..).zip(&self.seats).filter(move |(slot, seat)| (*slot as usize) < max || seat.state != State::Off)
    }

    fn workers(&self, now: Now) -> Vec<WorkerState> {
        self.shown().map(|(slot, seat)| self.worker(slot, seat, now)).collect()
    }

    fn worker(&self, slot: u32, seat: &Seat, now: Now) -> WorkerState {
        let status = self.status(seat);
        let there = !matches!(seat.state, State::Off | State::Backoff(_));
        let running = seat.window.front().filter(|flight| flight.began.is_some());
        let started_at = running.and_then(|flight| flight.began).map(|began| wall(now, began.at));
        let current = seat.window.front().map(|flight| CurrentCall::of(&flight.lease(), started_at));
        let waiting = u32::try_from(seat.window.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let since = match status {
            WorkerStatus::Idle => Some(wall(now, seat.idle_since)),
            WorkerStatus::Busy => started_at,
            _ => Some(seat.since).filter(|since| since.0 > 0),
        };
        WorkerState {
            id: format!("{}-{slot}", self.name).into(),
            slot,
            status,
            since,
            pid: seat.life.pid.filter(|_| there),
            jobs_done: if there { seat.life.done } else { 0 },
            rss_bytes: seat.life.rss.filter(|_| there),
            current,
            waiting,
            generation: if there { seat.life.generation } else { self.generation },
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

/// An instant on the other clock.
fn wall(now: Now, at: Instant) -> Timestamp {
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    let (ago, ahead) = (now.at.saturating_duration_since(at), at.saturating_duration_since(now.at));
    Timestamp(now.wall.0.saturating_sub(nanos(ago)).saturating_add(nanos(ahead)))
}
