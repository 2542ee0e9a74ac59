//! Rows of `PoolService`.

use tonic::Code;
use windlass_shared::limits;
use windlass_shared::pb;

use super::{NOBODY, Row, invalid, row, seconds};

pub(super) fn pool_rows() -> Vec<Row> {
    let long = "x".repeat(limits::REQUEST_ID_BYTES_MAX + 1);
    let list = |agent: &str, page_size, token: &str| pb::ListPoolsRequest {
        agent_id: agent.into(),
        page_size,
        page_token: token.into(),
    };
    let get = |agent_id: &str, name: &str| pb::GetPoolRequest { agent_id: agent_id.into(), pool: name.into() };
    let scale = |name: &str, min_workers, max_workers, request: &str| pb::ScalePoolRequest {
        agent_id: NOBODY.into(),
        pool: name.into(),
        min_workers,
        max_workers,
        request_id: request.into(),
    };
    let recycle = |agent_id: &str, request: &str| pb::RecyclePoolRequest {
        agent_id: agent_id.into(),
        pool: "p".into(),
        force: false,
        request_id: request.into(),
    };
    let reset = |name: &str, request: &str| pb::ResetPoolRequest {
        agent_id: NOBODY.into(),
        pool: name.into(),
        request_id: request.into(),
    };
    vec![
        invalid("PoolService/ListPools", list("7", 0, ""), &["agent_id"]),
        invalid("PoolService/ListPools", list("", -1, ""), &["page_size"]),
        invalid("PoolService/ListPools", list("", 0, "x"), &["page_token"]),
        row("PoolService/ListPools", list(NOBODY, 0, ""), Code::NotFound, &[]),
        invalid("PoolService/GetPool", get("7", "p"), &["agent_id"]),
        invalid("PoolService/GetPool", get(NOBODY, ""), &["pool"]),
        row("PoolService/GetPool", get(NOBODY, "p"), Code::NotFound, &[]),
        invalid("PoolService/ScalePool", scale("p", Some(1), None, ""), &["max_workers"]),
        invalid("PoolService/ScalePool", scale("p", Some(1), Some(0), ""), &["max_workers"]),
        invalid("PoolService/ScalePool", scale("p", Some(1), Some(1_025), ""), &["max_workers"]),
        invalid("PoolService/ScalePool", scale("p", None, Some(2), ""), &["min_workers"]),
        invalid("PoolService/ScalePool", scale("p", Some(3), Some(2), ""), &["min_workers"]),
        invalid("PoolService/ScalePool", scale("a b", Some(1), Some(2), ""), &["pool"]),
        invalid("PoolService/ScalePool", scale("p", Some(1), Some(2), &long), &["request_id"]),
        row("PoolService/ScalePool", scale("p", Some(1), Some(2), ""), Code::NotFound, &[]),
        invalid("PoolService/RecyclePool", recycle("", ""), &["agent_id"]),
        invalid("PoolService/RecyclePool", recycle(NOBODY, &long), &["request_id"]),
        row("PoolService/RecyclePool", recycle(NOBODY, ""), Code::NotFound, &[]),
        invalid("PoolService/ResetPool", reset("", ""), &["pool"]),
        invalid("PoolService/ResetPool", reset("p", &long), &["request_id"]),
        row("PoolService/ResetPool", reset("p", ""), Code::NotFound, &[]),
    ]
}

pub(super) fn worker_rows() -> Vec<Row> {
    let list = |agent: &str, pool: &str, page_size, token: &str| pb::ListWorkersRequest {
        agent_id: agent.into(),
        pool: pool.into(),
        page_size,
        page_token: token.into(),
    };
    let get = |agent: &str, worker: &str| pb::GetWorkerRequest { agent_id: agent.into(), worker_id: worker.into() };
    let kill = |worker: &str, signal, grace, request: usize| pb::KillWorkerRequest {
        agent_id: NOBODY.into(),
        worker_id: worker.into(),
        signal,
        grace,
        request_id: "x".repeat(request),
    };
    let logs = |worker: &str, tail_bytes| pb::GetWorkerLogsRequest {
        agent_id: NOBODY.into(),
        worker_id: worker.into(),
        tail_bytes,
    };
    vec![
        invalid("PoolService/ListWorkers", list("7", "p", 0, ""), &["agent_id"]),
        invalid("PoolService/ListWorkers", list(NOBODY, "", 0, ""), &["pool"]),
        invalid("PoolService/ListWorkers", list(NOBODY, "p", -1, ""), &["page_size"]),
        invalid("PoolService/ListWorkers", list(NOBODY, "p", 0, "x"), &["page_token"]),
        row("PoolService/ListWorkers", list(NOBODY, "p", 0, ""), Code::NotFound, &[]),
        invalid("PoolService/GetWorker", get("7", "p-0"), &["agent_id"]),
        invalid("PoolService/GetWorker", get(NOBODY, "p"), &["worker_id"]),
        invalid("PoolService/GetWorker", get(NOBODY, "p-"), &["worker_id"]),
        invalid("PoolService/GetWorker", get(NOBODY, "-0"), &["worker_id"]),
        invalid("PoolService/GetWorker", get(NOBODY, "p-99999"), &["worker_id"]),
        row("PoolService/GetWorker", get(NOBODY, "p-0"), Code::NotFound, &[]),
        invalid("PoolService/KillWorker", kill("", None, None, 0), &["worker_id"]),
        invalid("PoolService/KillWorker", kill("p-0", Some(0), None, 0), &["signal"]),
        invalid("PoolService/KillWorker", kill("p-0", Some(32), None, 0), &["signal"]),
        invalid("PoolService/KillWorker", kill("p-0", None, seconds(3_601, 0), 0), &["grace"]),
        invalid("PoolService/KillWorker", kill("p-0", None, seconds(-1, 0), 0), &["grace"]),
        invalid("PoolService/KillWorker", kill("p-0", None, None, 37), &["request_id"]),
        row("PoolService/KillWorker", kill("p-0", None, None, 0), Code::NotFound, &[]),
        invalid("PoolService/GetWorkerLogs", logs("p", None), &["worker_id"]),
        invalid("PoolService/GetWorkerLogs", logs("p-0", Some(0)), &["tail_bytes"]),
        invalid("PoolService/GetWorkerLogs", logs("p-0", Some(65_537)), &["tail_bytes"]),
        row("PoolService/GetWorkerLogs", logs("p-0", None), Code::NotFound, &[]),
    ]
}
