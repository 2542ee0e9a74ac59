//! `PoolService`: whatever is asked here is asked of the agent that has the pool.

use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status};
use windlass_shared::convert;
use windlass_shared::domain::{PoolAnswer, PoolAsk, WorkerKill, WorkerState};
use windlass_shared::fault::Invalid;
use windlass_shared::ids::AgentId;
use windlass_shared::limits::{STOP_GRACE_MAX, WORKER_LOG_TAIL_BYTES_MAX, WORKERS_MAX};
use windlass_shared::pb;
use windlass_shared::pb::pool_service_server::PoolService;
use windlass_shared::status::to_status;

use super::error::ApiError;
use super::{Api, page};

const WORKERS_PAGE: usize = 100;
const TAIL_BYTES: u32 = 8_192;
const KILL_GRACE: Duration = Duration::from_secs(5);
const SIGTERM: u8 = 15;

/// What is asked of which pool.
struct Asked {
    agent: AgentId,
    pool: Arc<str>,
    ask: PoolAsk,
}

/// The same of one of its workers.
struct AskedOfWorker {
    asked: Asked,
    worker: Arc<str>,
}

fn of_pool(agent: &str, pool: &str, ask: PoolAsk) -> Result<Asked, Invalid> {
    let (agent, pool) = (convert::agent_id("agent_id", agent)?, convert::required_name("pool", pool)?);
    Ok(Asked { agent, pool, ask })
}

/// The same under the caller's own id, which the pool remembers.
fn once(request_id: &str, mut asked: Asked) -> Asked {
    if !request_id.is_empty() {
        asked.ask = PoolAsk::Once { request: request_id.into(), ask: Box::new(asked.ask) };
    }
    asked
}

fn of_worker(agent: &str, worker: &str, ask: impl FnOnce(Arc<str>) -> PoolAsk) -> Result<AskedOfWorker, Invalid> {
    let agent = convert::agent_id("agent_id", agent)?;
    let (pool, worker) = convert::worker_id("worker_id", worker)?;
    Ok(AskedOfWorker { asked: Asked { agent, pool, ask: ask(worker.clone()) }, worker })
}

fn scale_request(request: &pb::ScalePoolRequest) -> Result<Asked, Invalid> {
    convert::request_id("request_id", &request.request_id)?;
    let all = u32::try_from(WORKERS_MAX).unwrap_or(u32::MAX);
    let max = request.max_workers.filter(|max| (1..=all).contains(max));
    let max = max.ok_or_else(|| Invalid::one("max_workers", format!("is required and must be 1 to {all}")))?;
    let min = request.min_workers.filter(|min| *min <= max);
    let min = min.ok_or_else(|| Invalid::one("min_workers", "is required and must be at most max_workers"))?;
    of_pool(&request.agent_id, &request.pool, PoolAsk::ScaleTo { min, max })
}

fn recycle_request(request: &pb::RecyclePoolRequest) -> Result<Asked, Invalid> {
    convert::request_id("request_id", &request.request_id)?;
    let asked = of_pool(&request.agent_id, &request.pool, PoolAsk::Recycle { force: request.force })?;
    Ok(once(&request.request_id, asked))
}

fn reset_request(request: &pb::ResetPoolRequest) -> Result<Asked, Invalid> {
    convert::request_id("request_id", &request.request_id)?;
    of_pool(&request.agent_id, &request.pool, PoolAsk::Reset)
}

fn kill_request(request: &pb::KillWorkerRequest) -> Result<Asked, Invalid> {
    convert::request_id("request_id", &request.request_id)?;
    let signal = convert::signal("signal", request.signal, SIGTERM)?;
    let grace = convert::duration("grace", request.grace.as_ref(), KILL_GRACE, STOP_GRACE_MAX)?;
    let kill = |worker| PoolAsk::KillWorker(WorkerKill { worker, signal, grace });
    let asked = of_worker(&request.agent_id, &request.worker_id, kill)?.asked;
    Ok(once(&request.request_id, asked))
}

fn logs_request(request: &pb::GetWorkerLogsRequest) -> Result<AskedOfWorker, Invalid> {
    let tail_bytes = request.tail_bytes.unwrap_or(TAIL_BYTES);
    if !(1..=WORKER_LOG_TAIL_BYTES_MAX).contains(&tail_bytes) {
        return Err(Invalid::one("tail_bytes", format!("must be 1 to {WORKER_LOG_TAIL_BYTES_MAX}")));
    }
    of_worker(&request.agent_id, &request.worker_id, |worker| PoolAsk::WorkerLogs { worker, tail_bytes })
}

fn workers_request(request: &pb::ListWorkersRequest) -> Result<(Asked, usize, Option<u32>), Invalid> {
    let limit = convert::page_size("page_size", request.page_size, WORKERS_PAGE)?;
    let asked = of_pool(&request.agent_id, &request.pool, PoolAsk::Workers)?;
    let after = page::read_token("page_token", &request.page_token, &(&request.agent_id, &request.pool))?;
    Ok((asked, limit, after))
}

fn worker_page(request: &pb::ListWorkersRequest, workers: Vec<WorkerState>, limit: usize) -> pb::ListWorkersResponse {
    let more = workers.len() > limit;
    let shown: Vec<_> = workers.into_iter().take(limit).collect();
    let filter = (&request.agent_id, &request.pool);
    pb::ListWorkersResponse {
        next_page_token: page::token(shown.last().filter(|_| more).map(|worker| worker.slot), &filter),
        workers: shown.iter().map(convert::worker_to_wire).collect(),
    }
}

impl Api {
    async fn state_after(&self, asked: Result<Asked, Invalid>) -> Result<Option<pb::PoolState>, Status> {
        let Asked { agent, pool, ask } = asked.map_err(|err| to_status(&err))?;
        let state = self.pool_state(agent, &pool, ask).await?;
        Ok(Some(convert::pool_to_wire(&state)))
    }
}

#[tonic::async_trait]
impl PoolService for Api {
    async fn list_pools(
        &self,
        request: Request<pb::ListPoolsRequest>,
    ) -> Result<Response<pb::ListPoolsResponse>, Status> {
        self.pools_page(request.get_ref()).await.map(Response::new)
    }

    async fn get_pool(&self, request: Request<pb::GetPoolRequest>) -> Result<Response<pb::GetPoolResponse>, Status> {
        let request = request.get_ref();
        let pool = self.state_after(of_pool(&request.agent_id, &request.pool, PoolAsk::State)).await?;
        Ok(Response::new(pb::GetPoolResponse { pool }))
    }

    async fn scale_pool(
        &self,
        request: Request<pb::ScalePoolRequest>,
    ) -> Result<Response<pb::ScalePoolResponse>, Status> {
        let pool = self.state_after(scale_request(request.get_ref())).await?;
        Ok(Response::new(pb::ScalePoolResponse { pool }))
    }

    async fn recycle_pool(
        &self,
        request: Request<pb::RecyclePoolRequest>,
    ) -> Result<Response<pb::RecyclePoolResponse>, Status> {
        let pool = self.state_after(recycle_request(request.get_ref())).await?;
        Ok(Response::new(pb::RecyclePoolResponse { pool }))
    }

    async fn reset_pool(
        &self,
        request: Request<pb::ResetPoolRequest>,
    ) -> Result<Response<pb::ResetPoolResponse>, Status> {
        let pool = self.state_after(reset_request(request.get_ref())).await?;
        Ok(Response::new(pb::ResetPoolResponse { pool }))
    }

    async fn list_workers(
        &self,
        request: Request<pb::ListWorkersRequest>,
    ) -> Result<Response<pb::ListWorkersResponse>, Status> {
        let request = request.get_ref();
        let (Asked { agent, pool, .. }, limit, after) = workers_request(request).map_err(|err| to_status(&err))?;
        let mut workers = self.workers(agent, &pool).await?;
        workers.retain(|worker| after.is_none_or(|after| worker.slot > after));
        Ok(Response::new(worker_page(request, workers, limit)))
    }

    async fn get_worker(
        &self,
        request: Request<pb::GetWorkerRequest>,
    ) -> Result<Response<pb::GetWorkerResponse>, Status> {
        let request = request.get_ref();
        let asked = of_worker(&request.agent_id, &request.worker_id, |_| PoolAsk::Workers);
        let AskedOfWorker { asked: Asked { agent, pool, .. }, worker } = asked.map_err(|err| to_status(&err))?;
        let workers = self.workers(agent, &pool).await?;
        let found = workers.iter().find(|one| one.id == worker).map(convert::worker_to_wire);
        let found = found.ok_or_else(|| to_status(&ApiError::NoSuchWorker(worker)))?;
        Ok(Response::new(pb::GetWorkerResponse { worker: Some(found) }))
    }

    async fn kill_worker(
        &self,
        request: Request<pb::KillWorkerRequest>,
    ) -> Result<Response<pb::KillWorkerResponse>, Status> {
        let Asked { agent, pool, ask } = kill_request(request.get_ref()).map_err(|err| to_status(&err))?;
        match self.ask_pool(agent, &pool, ask).await? {
            PoolAnswer::Worker(worker) => {
                Ok(Response::new(pb::KillWorkerResponse { worker: Some(convert::worker_to_wire(&worker)) }))
            }
            _ => Err(to_status(&ApiError::StrangeAnswer(agent))),
        }
    }

    async fn get_worker_logs(
        &self,
        request: Request<pb::GetWorkerLogsRequest>,
    ) -> Result<Response<pb::GetWorkerLogsResponse>, Status> {
        let asked = logs_request(request.get_ref()).map_err(|err| to_status(&err))?;
        let Asked { agent, pool, ask } = asked.asked;
        match self.ask_pool(agent, &pool, ask).await? {
            PoolAnswer::Logs(logs) => {
                let logs = Some(convert::worker_logs_to_wire(logs));
                Ok(Response::new(pb::GetWorkerLogsResponse { logs }))
            }
            _ => Err(to_status(&ApiError::StrangeAnswer(agent))),
        }
    }
}
