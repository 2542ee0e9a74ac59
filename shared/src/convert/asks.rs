//! Asks and their answers, both ways.

use std::time::Duration;

use super::counters::{counts_from, counts_to_wire};
use super::pools::{pool_from, pool_to_wire, worker_from, worker_logs_from, worker_logs_to_wire, worker_to_wire};
use super::{span, span_from};
use crate::domain::{AgentAnswer, AgentAsk, PoolAnswer, PoolAsk, PoolRefusal, WorkerKill};
use crate::fault::Invalid;
use crate::limits;
use crate::pb;
use pb::answer::Answer as Said;
use pb::ask::Ask as Asked;
use pb::pool_ask::Ask as OfPool;
use pb::pool_refusal::Refusal;

/// Fields that a pool may find out of range, as it names them.
const FIELDS: [&str; 5] = ["min", "max", "signal", "grace", "tail_bytes"];

pub(super) fn ask_to_wire(id: u64, ask: &AgentAsk) -> pb::Ask {
    let ask = match ask {
        AgentAsk::Pools => Some(Asked::Pools(pb::AskPools {})),
        AgentAsk::Pool(pool, ask) => {
            let request_id = match ask {
                PoolAsk::Once { request, .. } => request.to_string(),
                _ => String::new(),
            };
            Some(Asked::Pool(pb::PoolAsk { pool: pool.to_string(), request_id, ask: Some(of_pool(ask)) }))
        }
        AgentAsk::Unknown => None,
    };
    pb::Ask { id, ask }
}

fn of_pool(ask: &PoolAsk) -> OfPool {
    match ask {
        PoolAsk::Once { ask, .. } => of_pool(ask),
        PoolAsk::State => OfPool::State(pb::AskState {}),
        PoolAsk::Workers => OfPool::Workers(pb::AskWorkers {}),
        PoolAsk::ScaleTo { min, max } => OfPool::ScaleTo(pb::ScaleTo { min: *min, max: *max }),
        PoolAsk::Recycle { force } => OfPool::Recycle(pb::Recycle { force: *force }),
        PoolAsk::Reset => OfPool::Reset(pb::Reset {}),
        PoolAsk::KillWorker(WorkerKill { worker, signal, grace }) => OfPool::KillWorker(pb::WorkerKill {
            worker: worker.to_string(),
            signal: (*signal).into(),
            grace: Some(span(*grace)),
        }),
        PoolAsk::WorkerLogs { worker, tail_bytes } => {
            OfPool::WorkerLogs(pb::AskWorkerLogs { worker: worker.to_string(), tail_bytes: *tail_bytes })
        }
    }
}

/// What was asked. What is newer than we are is an ask still, to be refused.
pub(super) fn ask_from(wire: pb::Ask) -> (u64, AgentAsk) {
    let ask = match wire.ask {
        Some(Asked::Pools(pb::AskPools {})) => AgentAsk::Pools,
        Some(Asked::Pool(pb::PoolAsk { pool, request_id, ask: Some(ask) })) => match pool_ask_from(ask) {
            // What is harmless to repeat is not remembered.
            Some(ask) if request_id.is_empty() || !matters_once(&ask) => AgentAsk::Pool(pool.into(), ask),
            // An id is as long as clients may make it, or is none of theirs.
            Some(_) if request_id.len() > limits::REQUEST_ID_BYTES_MAX => AgentAsk::Unknown,
            Some(ask) => AgentAsk::Pool(pool.into(), PoolAsk::Once { request: request_id.into(), ask: Box::new(ask) }),
            None => AgentAsk::Unknown,
        },
        Some(Asked::Pool(pb::PoolAsk { ask: None, .. })) | None => AgentAsk::Unknown,
    };
    (wire.id, ask)
}

fn matters_once(ask: &PoolAsk) -> bool {
    matches!(ask, PoolAsk::Recycle { .. } | PoolAsk::KillWorker(_))
}

fn pool_ask_from(ask: OfPool) -> Option<PoolAsk> {
    Some(match ask {
        OfPool::State(pb::AskState {}) => PoolAsk::State,
        OfPool::Workers(pb::AskWorkers {}) => PoolAsk::Workers,
        OfPool::ScaleTo(pb::ScaleTo { min, max }) => PoolAsk::ScaleTo { min, max },
        OfPool::Recycle(pb::Recycle { force }) => PoolAsk::Recycle { force },
        OfPool::Reset(pb::Reset {}) => PoolAsk::Reset,
        OfPool::KillWorker(kill) => PoolAsk::KillWorker(WorkerKill {
            worker: kill.worker.into(),
            // 0 and what is too large are no signals: an ask that cannot be read is one that we do not know.
            signal: u8::try_from(kill.signal).ok().filter(|signal| (1..=31).contains(signal))?,
            grace: kill.grace.as_ref().and_then(span_from).unwrap_or(Duration::ZERO).min(limits::STOP_GRACE_MAX),
        }),
        OfPool::WorkerLogs(pb::AskWorkerLogs { worker, tail_bytes }) => {
            PoolAsk::WorkerLogs { worker: worker.into(), tail_bytes: tail_bytes.min(limits::WORKER_LOG_TAIL_BYTES_MAX) }
        }
    })
}

pub(super) fn answer_to_wire(id: u64, answer: AgentAnswer) -> pb::Answer {
    let answer = match answer {
        AgentAnswer::Pools(pools, counts) => Said::Pools(pb::PoolStates {
            pools: pools.iter().map(pool_to_wire).collect(),
            counts: counts_to_wire(&counts),
        }),
        AgentAnswer::Pool(Ok(PoolAnswer::State(pool))) => Said::Pool(pool_to_wire(&pool)),
        AgentAnswer::Pool(Ok(PoolAnswer::Workers(workers))) => {
            Said::Workers(pb::WorkerStates { workers: workers.iter().map(worker_to_wire).collect() })
        }
        AgentAnswer::Pool(Ok(PoolAnswer::Worker(worker))) => Said::Worker(worker_to_wire(&worker)),
        AgentAnswer::Pool(Ok(PoolAnswer::Logs(logs))) => Said::WorkerLogs(worker_logs_to_wire(logs)),
        AgentAnswer::Pool(Err(refusal)) => Said::Refusal(refusal_to_wire(&refusal)),
    };
    pb::Answer { id, answer: Some(answer) }
}

fn refusal_to_wire(refusal: &PoolRefusal) -> pb::PoolRefusal {
    let refusal = match refusal {
        PoolRefusal::NoPool(pool) => Refusal::NoPool(pool.to_string()),
        PoolRefusal::NoWorker(worker) => Refusal::NoWorker(worker.to_string()),
        PoolRefusal::OutOfRange { field, limit } => {
            Refusal::OutOfRange(pb::FieldOutOfRange { field: (*field).into(), limit: limit.to_string() })
        }
        PoolRefusal::NotNow(why) => Refusal::NotNow(why.to_string()),
        PoolRefusal::Unsupported(what) => Refusal::Unsupported(what.to_string()),
        PoolRefusal::Busy => Refusal::Busy(true),
        PoolRefusal::RequestIdTaken(id) => Refusal::RequestIdTaken(id.to_string()),
    };
    pb::PoolRefusal { refusal: Some(refusal) }
}

/// What was answered, to which ask.
///
/// # Errors
/// Where the answer holds nothing, or more than the contract allows.
pub(super) fn answer_from(wire: pb::Answer) -> Result<(u64, AgentAnswer), Invalid> {
    let said = wire.answer.ok_or_else(|| Invalid::one("answer.answer", "is required"))?;
    let answer = match said {
        Said::Pools(pb::PoolStates { pools, counts }) => {
            at_most("answer.pools", pools.len(), limits::POOLS_MAX)?;
            at_most("answer.counts", counts.len(), limits::AGENT_COUNTS_MAX)?;
            AgentAnswer::Pools(pools.into_iter().map(pool_from).collect(), counts_from(counts))
        }
        Said::Pool(pool) => AgentAnswer::Pool(Ok(PoolAnswer::State(Box::new(pool_from(pool))))),
        Said::Workers(pb::WorkerStates { workers }) => {
            at_most("answer.workers", workers.len(), limits::WORKERS_MAX)?;
            AgentAnswer::Pool(Ok(PoolAnswer::Workers(workers.into_iter().map(worker_from).collect())))
        }
        Said::Worker(worker) => AgentAnswer::Pool(Ok(PoolAnswer::Worker(Box::new(worker_from(worker))))),
        Said::WorkerLogs(logs) => AgentAnswer::Pool(Ok(PoolAnswer::Logs(worker_logs_from(logs)))),
        Said::Refusal(pb::PoolRefusal { refusal }) => AgentAnswer::Pool(Err(refusal_from(refusal))),
    };
    Ok((wire.id, answer))
}

fn at_most(field: &str, have: usize, max: usize) -> Result<(), Invalid> {
    if have > max { Err(Invalid::one(field, format!("holds {have}, the limit is {max}"))) } else { Ok(()) }
}

fn refusal_from(wire: Option<Refusal>) -> PoolRefusal {
    match wire {
        Some(Refusal::NoPool(pool)) => PoolRefusal::NoPool(pool.into()),
        Some(Refusal::NoWorker(worker)) => PoolRefusal::NoWorker(worker.into()),
        Some(Refusal::OutOfRange(pb::FieldOutOfRange { field, limit })) => {
            let field = FIELDS.into_iter().find(|known| *known == field).unwrap_or("request");
            PoolRefusal::OutOfRange { field, limit: limit.into() }
        }
        Some(Refusal::NotNow(why)) => PoolRefusal::NotNow(why.into()),
        Some(Refusal::Unsupported(what)) => PoolRefusal::Unsupported(what.into()),
        Some(Refusal::Busy(_)) => PoolRefusal::Busy,
        Some(Refusal::RequestIdTaken(id)) => PoolRefusal::RequestIdTaken(id.into()),
        None => PoolRefusal::Unsupported("its refusal is newer than this coordinator".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        AgentCounter, Breaker, BreakerState, CurrentCall, ExitCounts, Mode, PoolHealth, PoolState, WorkerCounts,
        WorkerExit, WorkerLogs, WorkerState, WorkerStatus,
    };
    use crate::fault::Fault;
    use crate::ids::JobId;
    use crate::time::Timestamp;

    fn state() -> PoolState {
        let mut exits = ExitCounts::default();
        exits.add(WorkerExit::RecycledRss, 3);
        exits.add(WorkerExit::OomKilled, 1);
        PoolState {
            name: "p".into(),
            mode: Mode::Ondemand,
            health: PoolHealth::Broken,
            min: 0,
            max: 4,
            workers: WorkerStatus::ALL.into_iter().collect::<WorkerCounts>(),
            handlers: vec!["h".into()],
            held: 2,
            generation: 7,
            breaker: Breaker {
                state: BreakerState::HalfOpen,
                opened_at: Some(Timestamp(1_500_000_000)),
                probe_at: Some(Timestamp(2)),
                reason: Some("5 boots failed within 60 s".into()),
                stderr_lines: vec!["no module".into()],
            },
            starts: 9,
            exits,
        }
    }

    fn worker() -> WorkerState {
        let current = CurrentCall { job: JobId::new(1, &[1; 10]), attempt: 2, started_at: Some(Timestamp(3)) };
        WorkerState {
            id: "p-3".into(),
            slot: 3,
            status: WorkerStatus::Busy,
            since: Some(Timestamp(4)),
            pid: Some(5),
            jobs_done: 6,
            rss_bytes: Some(7),
            current: Some(current),
            waiting: 8,
            generation: 9,
        }
    }

    #[test]
    fn every_ask_is_understood_as_it_was_meant() {
        let kill = WorkerKill { worker: "p-1".into(), signal: 15, grace: Duration::from_millis(1_500) };
        let asks = [
            PoolAsk::State,
            PoolAsk::Workers,
            PoolAsk::ScaleTo { min: 1, max: 2 },
            PoolAsk::Recycle { force: true },
            PoolAsk::Reset,
            PoolAsk::Once { request: "r-1".into(), ask: Box::new(PoolAsk::Recycle { force: false }) },
            PoolAsk::KillWorker(kill),
            PoolAsk::WorkerLogs { worker: "p-1".into(), tail_bytes: 5 },
        ];
        for ask in
            asks.map(|ask| AgentAsk::Pool("p".into(), ask)).into_iter().chain([AgentAsk::Pools, AgentAsk::Unknown])
        {
            assert_eq!(ask_from(ask_to_wire(3, &ask)), (3, ask));
        }
    }

    #[test]
    fn every_answer_and_every_refusal_comes_back_as_it_was_said() {
        let answers = [
            Ok(PoolAnswer::State(Box::new(state()))),
            Ok(PoolAnswer::Workers(vec![worker()])),
            Ok(PoolAnswer::Worker(Box::new(worker()))),
            Ok(PoolAnswer::Logs(WorkerLogs { data: "x".into(), bytes_before: 2 })),
            Err(PoolRefusal::NoPool("p".into())),
            Err(PoolRefusal::NoWorker("p-9".into())),
            Err(PoolRefusal::OutOfRange { field: "max", limit: "1 to 8".into() }),
            Err(PoolRefusal::NotNow("it has no process".into())),
            Err(PoolRefusal::Unsupported("no breaker".into())),
            Err(PoolRefusal::Busy),
            Err(PoolRefusal::RequestIdTaken("r-1".into())),
        ];
        let counts = AgentCounter::ALL.into_iter().zip(1..).collect();
        let pools = [AgentAnswer::Pools(vec![state()], counts), AgentAnswer::Pools(Vec::new(), Vec::new())];
        for answer in answers.map(AgentAnswer::Pool).into_iter().chain(pools) {
            assert_eq!(answer_from(answer_to_wire(4, answer.clone())), Ok((4, answer)));
        }
    }

    #[test]
    fn a_counter_that_is_newer_than_we_are_is_passed_over_and_the_others_are_read() {
        let count = |kind, value| pb::AgentCount { kind, value };
        let counts = vec![count(999, 1), count(pb::agent_count::Kind::Spawns.into(), 2), count(0, 3)];
        let answer = Some(Said::Pools(pb::PoolStates { pools: Vec::new(), counts }));
        let read = AgentAnswer::Pools(Vec::new(), vec![(AgentCounter::Spawns, 2)]);
        assert_eq!(answer_from(pb::Answer { id: 1, answer }), Ok((1, read)));
    }

    #[test]
    fn an_answer_past_its_bounds_is_refused_by_field() {
        let workers = vec![pb::WorkerState::default(); limits::WORKERS_MAX + 1];
        let answer = Some(Said::Workers(pb::WorkerStates { workers }));
        let invalid = answer_from(pb::Answer { id: 1, answer }).expect_err("too many");
        assert_eq!(invalid.violations()[0].field, "answer.workers");
        let counts = vec![pb::AgentCount::default(); limits::AGENT_COUNTS_MAX + 1];
        let answer = Some(Said::Pools(pb::PoolStates { pools: Vec::new(), counts }));
        let invalid = answer_from(pb::Answer { id: 1, answer }).expect_err("too many");
        assert_eq!(invalid.violations()[0].field, "answer.counts");
        assert!(answer_from(pb::Answer { id: 1, answer: None }).is_err());
    }
}
