//! Pools and workers, as their agents show them.

use std::sync::Arc;

use super::{timestamp, timestamp_from};
use crate::domain::{
    Breaker, BreakerState, CurrentCall, ExitCounts, Mode, PoolHealth, PoolState, WorkerCounts, WorkerExit, WorkerLogs,
    WorkerState, WorkerStatus,
};
use crate::ids::JobId;
use crate::limits;
use crate::pb;

// No `_` arm towards the wire: a new state must choose its number here. What is newer than we are reads as what asks for least care.
macro_rules! enums {
    ($($to:ident $from:ident $own:ident $wire:path { $($variant:ident),* $(,)? } else $other:ident)*) => {
        $(fn $to(own: $own) -> i32 {
            use $wire as Wire;
            match own { $($own::$variant => Wire::$variant),* }.into()
        }

        fn $from(number: i32) -> $own {
            use $wire as Wire;
            match Wire::try_from(number) {
                $(Ok(Wire::$variant) => $own::$variant,)*
                Ok(Wire::Unspecified) | Err(_) => $own::$other,
            }
        })*
    };
}

enums! {
    mode_to_wire mode Mode pb::pool_state::Mode { Static, Dynamic, Ondemand } else Dynamic
    health_to_wire health PoolHealth pb::pool_state::Health { Ok, Degraded, Broken, Draining } else Degraded
    breaker_to_wire breaker BreakerState pb::breaker::State { Closed, Open, HalfOpen } else Closed
    status_to_wire status WorkerStatus pb::worker_state::Status {
        Off, Starting, Idle, Busy, Retiring, Stopping, Backoff, Barred, Stuck
    } else Stuck
}

/// A pool as its agent shows it.
#[must_use]
pub fn pool_to_wire(pool: &PoolState) -> pb::PoolState {
    let count =
        |status: WorkerStatus| pb::WorkerCount { status: status_to_wire(status), workers: pool.workers.of(status) };
    let ended = |(exit, workers): (WorkerExit, u64)| pb::WorkerExitCount { reason: exit.name().into(), workers };
    pb::PoolState {
        name: pool.name.to_string(),
        mode: mode_to_wire(pool.mode),
        health: health_to_wire(pool.health),
        min_workers: pool.min,
        max_workers: pool.max,
        workers: WorkerStatus::ALL.into_iter().map(count).filter(|count| count.workers > 0).collect(),
        handlers: pool.handlers.iter().map(ToString::to_string).collect(),
        held: pool.held,
        generation: pool.generation,
        breaker: Some(pb::Breaker {
            state: breaker_to_wire(pool.breaker.state),
            open_time: pool.breaker.opened_at.map(timestamp),
            probe_time: pool.breaker.probe_at.map(timestamp),
            reason: pool.breaker.reason.as_deref().unwrap_or_default().to_owned(),
            stderr_lines: pool.breaker.stderr_lines.iter().map(ToString::to_string).collect(),
        }),
        starts: pool.starts,
        exits: pool.exits.iter().map(ended).collect(),
    }
}

/// What an agent showed of a pool, cut to what the contract allows.
pub(super) fn pool_from(wire: pb::PoolState) -> PoolState {
    let mut workers = WorkerCounts::default();
    for count in wire.workers {
        workers.add(status(count.status), count.workers);
    }
    let mut exits = ExitCounts::default();
    for count in wire.exits {
        // A reason newer than we are has no place here; the agent's own counters have it.
        if let Some(exit) = WorkerExit::ALL.into_iter().find(|exit| exit.name() == count.reason) {
            exits.add(exit, count.workers);
        }
    }
    let breaker = wire.breaker.unwrap_or_default();
    PoolState {
        name: wire.name.into(),
        mode: mode(wire.mode),
        health: health(wire.health),
        min: wire.min_workers,
        max: wire.max_workers,
        workers,
        handlers: wire.handlers.into_iter().take(limits::HANDLERS_MAX).map(Arc::from).collect(),
        held: wire.held,
        generation: wire.generation,
        breaker: Breaker {
            state: self::breaker(breaker.state),
            opened_at: breaker.open_time.as_ref().map(timestamp_from),
            probe_at: breaker.probe_time.as_ref().map(timestamp_from),
            reason: (!breaker.reason.is_empty()).then(|| breaker.reason.into()),
            stderr_lines: breaker.stderr_lines.into_iter().take(limits::BREAKER_LINES_MAX).map(Arc::from).collect(),
        },
        starts: wire.starts,
        exits,
    }
}

/// A worker as its pool shows it.
#[must_use]
pub fn worker_to_wire(worker: &WorkerState) -> pb::WorkerState {
    let current = |call: CurrentCall| pb::CurrentCall {
        job_id: call.job.to_string(),
        attempt: call.attempt,
        start_time: call.started_at.map(timestamp),
    };
    pb::WorkerState {
        id: worker.id.to_string(),
        slot: worker.slot,
        status: status_to_wire(worker.status),
        since_time: worker.since.map(timestamp),
        pid: worker.pid,
        jobs_done: worker.jobs_done,
        rss_bytes: worker.rss_bytes,
        current: worker.current.map(current),
        waiting: worker.waiting,
        generation: worker.generation,
    }
}

pub(super) fn worker_from(wire: pb::WorkerState) -> WorkerState {
    let current = |call: pb::CurrentCall| {
        let job: JobId = call.job_id.parse().ok()?;
        Some(CurrentCall { job, attempt: call.attempt, started_at: call.start_time.as_ref().map(timestamp_from) })
    };
    WorkerState {
        id: wire.id.into(),
        slot: wire.slot,
        status: status(wire.status),
        since: wire.since_time.as_ref().map(timestamp_from),
        pid: wire.pid,
        jobs_done: wire.jobs_done,
        rss_bytes: wire.rss_bytes,
        current: wire.current.and_then(current),
        waiting: wire.waiting,
        generation: wire.generation,
    }
}

/// What a worker wrote.
#[must_use]
pub fn worker_logs_to_wire(logs: WorkerLogs) -> pb::WorkerLogs {
    pb::WorkerLogs { data: logs.data, bytes_before: logs.bytes_before }
}

pub(super) fn worker_logs_from(wire: pb::WorkerLogs) -> WorkerLogs {
    WorkerLogs { data: wire.data, bytes_before: wire.bytes_before }
}
