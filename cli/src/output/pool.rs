//! Pools and workers for people: a line each, or in full.

use windlass_shared::pb::{self, worker_state::Status};

use super::table::render;
use crate::humane::{one_line, show_age, show_instant};

/// Room for the handlers of a pool on its line; the sheet has them whole.
const HANDLERS_CHARS_MAX: usize = 40;

/// Pools, a line each, under their agents' names.
pub(crate) fn pool_table(agents: &[pb::AgentPools]) -> String {
    let all = agents.iter().flat_map(|agent| agent.pools.iter().map(move |pool| (agent, pool)));
    let rows = all.map(|(agent, pool)| {
        [
            agent.agent_name.clone(),
            pool.name.clone(),
            mode(pool),
            health(pool),
            format!("{}/{}", of(pool, Status::Busy), of(pool, Status::Busy) + of(pool, Status::Idle)),
            format!("{}..{}", pool.min_workers, pool.max_workers),
            pool.held.to_string(),
            breaker(pool),
            one_line(&pool.handlers.join(", "), HANDLERS_CHARS_MAX),
        ]
    });
    render(["AGENT", "POOL", "MODE", "HEALTH", "BUSY", "SIZE", "HELD", "BREAKER", "HANDLERS"], rows)
}

/// One pool in full.
pub(crate) fn pool_sheet(pool: &pb::PoolState) -> String {
    let mut sheet = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() && value != "-" {
            sheet += &format!("{name:<12}{value}\n");
        }
    };
    line("pool", &pool.name);
    line("mode", &mode(pool));
    line("health", &health(pool));
    line("size", &format!("{} to {} workers", pool.min_workers, pool.max_workers));
    line("workers", &counts(pool));
    line("held", &format!("{} calls", pool.held));
    line("handlers", &one_line(&pool.handlers.join(", "), usize::MAX));
    line("generation", &pool.generation.to_string());
    line("started", &format!("{} processes", pool.starts));
    line("ended", &exits(pool));
    line("breaker", &breaker(pool));
    if let Some(open) = &pool.breaker {
        line("opened", &show_instant(open.open_time.as_ref()));
        line("probes at", &show_instant(open.probe_time.as_ref()));
        line("because", &one_line(&open.reason, usize::MAX));
        for said in &open.stderr_lines {
            sheet += &format!("  | {}\n", one_line(said, usize::MAX));
        }
    }
    sheet
}

/// Workers, a line each.
pub(crate) fn worker_table(workers: &[pb::WorkerState]) -> String {
    let rows = workers.iter().map(|worker| {
        [
            worker.id.clone(),
            worker_status(worker),
            show_age(worker.since_time.as_ref()),
            worker.pid.map_or_else(|| "-".into(), |pid| pid.to_string()),
            worker.jobs_done.to_string(),
            worker.rss_bytes.map_or_else(|| "-".into(), |bytes| format!("{} MiB", bytes >> 20)),
            worker.generation.to_string(),
            call(worker),
        ]
    });
    render(["ID", "STATUS", "SINCE", "PID", "DONE", "RSS", "GENERATION", "CALL"], rows)
}

/// Counters, a line each.
pub(crate) fn counter_table(counters: &[pb::Counter]) -> String {
    let rows = counters.iter().map(|counter| {
        let labels = counter.labels.iter().map(|(label, text)| format!("{label}={}", one_line(text, usize::MAX)));
        [counter.name.clone(), labels.collect::<Vec<_>>().join(" "), counter.value.to_string()]
    });
    render(["NAME", "LABELS", "VALUE"], rows)
}

fn call(worker: &pb::WorkerState) -> String {
    let Some(current) = &worker.current else { return "-".into() };
    let waiting = if worker.waiting == 0 { String::new() } else { format!(", {} wait", worker.waiting) };
    format!("{} attempt {}{waiting}", current.job_id, current.attempt)
}

fn of(pool: &pb::PoolState, status: Status) -> u32 {
    pool.workers.iter().filter(|count| count.status() == status).map(|count| count.workers).sum()
}

fn counts(pool: &pb::PoolState) -> String {
    let told = pool.workers.iter().map(|count| {
        let status = count.status().as_str_name().trim_start_matches("STATUS_").to_lowercase();
        format!("{} {status}", count.workers)
    });
    told.collect::<Vec<_>>().join(", ")
}

fn exits(pool: &pb::PoolState) -> String {
    let told = pool.exits.iter().map(|exit| format!("{} {}", exit.workers, one_line(&exit.reason, usize::MAX)));
    told.collect::<Vec<_>>().join(", ")
}

fn mode(pool: &pb::PoolState) -> String {
    pool.mode().as_str_name().trim_start_matches("MODE_").to_owned()
}

fn health(pool: &pb::PoolState) -> String {
    pool.health().as_str_name().trim_start_matches("HEALTH_").to_owned()
}

fn breaker(pool: &pb::PoolState) -> String {
    let state = pool.breaker.as_ref().map_or(pb::breaker::State::Unspecified, pb::Breaker::state);
    state.as_str_name().trim_start_matches("STATE_").to_owned()
}

fn worker_status(worker: &pb::WorkerState) -> String {
    worker.status().as_str_name().trim_start_matches("STATUS_").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken() -> pb::PoolState {
        let count = |status: Status, workers| pb::WorkerCount { status: status.into(), workers };
        let exit = |reason: &str, workers| pb::WorkerExitCount { reason: reason.into(), workers };
        pb::PoolState {
            name: "img".into(),
            mode: 2,
            health: 3,
            min_workers: 1,
            max_workers: 4,
            workers: vec![count(Status::Idle, 1), count(Status::Busy, 2)],
            handlers: vec!["resize".into()],
            held: 3,
            generation: 2,
            breaker: Some(pb::Breaker {
                state: 2,
                reason: "5 boots failed within 60 s".into(),
                stderr_lines: vec!["ModuleNotFoundError: PIL".into()],
                ..pb::Breaker::default()
            }),
            starts: 9,
            exits: vec![exit("recycled_jobs", 4), exit("boot_failed", 5)],
        }
    }

    #[test]
    fn pools_are_told_under_their_agents_with_what_works_and_what_does_not() {
        let agents = [pb::AgentPools { agent_name: "a1".into(), pools: vec![broken()], ..pb::AgentPools::default() }];
        let wanted = concat!(
            "AGENT  POOL  MODE     HEALTH  BUSY  SIZE  HELD  BREAKER  HANDLERS\n",
            "a1     img   DYNAMIC  BROKEN  2/3   1..4  3     OPEN     resize\n",
        );
        assert_eq!(pool_table(&agents), wanted);
    }

    #[test]
    fn the_sheet_shows_why_the_breaker_opened_and_keeps_recycles_and_crashes_apart() {
        let sheet = pool_sheet(&broken());
        assert!(sheet.contains("ended       4 recycled_jobs, 5 boot_failed\n"), "{sheet}");
        assert!(sheet.contains("workers     1 idle, 2 busy\n"), "{sheet}");
        assert!(sheet.ends_with("because     5 boots failed within 60 s\n  | ModuleNotFoundError: PIL\n"), "{sheet}");
    }

    #[test]
    fn workers_show_their_process_and_their_call() {
        let current = Some(pb::CurrentCall { job_id: "j".into(), attempt: 2, start_time: None });
        let busy = pb::WorkerState {
            id: "img-0".into(),
            status: Status::Busy.into(),
            pid: Some(7),
            rss_bytes: Some(5 << 20),
            current,
            waiting: 3,
            ..pb::WorkerState::default()
        };
        let table = worker_table(&[busy]);
        assert!(
            table.ends_with("img-0  BUSY    -      7    0     5 MiB  0           j attempt 2, 3 wait\n"),
            "{table}"
        );
    }
}
