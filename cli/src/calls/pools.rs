//! Calls about pools and workers.

use std::time::Duration;

use windlass_shared::limits::PAGE_MAX;
use windlass_shared::pb;

use super::{Answer, owed, timed};
use crate::client::Client;
use crate::pools::Place;
use crate::spec::span;

impl Client {
    /// The pools of all agents, or of one, page by page.
    pub(crate) async fn list_pools(&self, agent: Option<&str>) -> Answer<Vec<pb::AgentPools>> {
        let mut agents = Vec::new();
        let mut page_token = String::new();
        loop {
            let agent_id = agent.unwrap_or_default().to_owned();
            let request = pb::ListPoolsRequest { agent_id, page_size: 0, page_token };
            let page = self.pools().list_pools(timed(request)).await?.into_inner();
            agents.extend(page.agents);
            if page.next_page_token.is_empty() {
                return Ok(agents);
            }
            page_token = page.next_page_token;
        }
    }

    pub(crate) async fn get_pool(&self, place: &Place) -> Answer<pb::PoolState> {
        let Place { agent_id, pool } = place.clone();
        owed(self.pools().get_pool(timed(pb::GetPoolRequest { agent_id, pool })).await?.into_inner().pool)
    }

    pub(crate) async fn scale_pool(&self, place: &Place, min: u32, max: u32) -> Answer<pb::PoolState> {
        let Place { agent_id, pool } = place.clone();
        let (min_workers, max_workers, request_id) = (Some(min), Some(max), String::new());
        let request = pb::ScalePoolRequest { agent_id, pool, min_workers, max_workers, request_id };
        owed(self.pools().scale_pool(timed(request)).await?.into_inner().pool)
    }

    pub(crate) async fn recycle_pool(&self, place: &Place, force: bool, request: &str) -> Answer<pb::PoolState> {
        let Place { agent_id, pool } = place.clone();
        let request = pb::RecyclePoolRequest { agent_id, pool, force, request_id: request.to_owned() };
        owed(self.pools().recycle_pool(timed(request)).await?.into_inner().pool)
    }

    pub(crate) async fn reset_pool(&self, place: &Place) -> Answer<pb::PoolState> {
        let Place { agent_id, pool } = place.clone();
        let request = pb::ResetPoolRequest { agent_id, pool, request_id: String::new() };
        owed(self.pools().reset_pool(timed(request)).await?.into_inner().pool)
    }

    /// The workers of one pool, page by page.
    pub(crate) async fn list_workers(&self, place: &Place) -> Answer<Vec<pb::WorkerState>> {
        let mut workers = Vec::new();
        let mut page_token = String::new();
        loop {
            let Place { agent_id, pool } = place.clone();
            let request = pb::ListWorkersRequest { agent_id, pool, page_size: PAGE_MAX as i32, page_token };
            let page = self.pools().list_workers(timed(request)).await?.into_inner();
            workers.extend(page.workers);
            if page.next_page_token.is_empty() {
                return Ok(workers);
            }
            page_token = page.next_page_token;
        }
    }

    pub(crate) async fn get_worker(&self, agent: &str, worker: &str) -> Answer<pb::WorkerState> {
        let request = pb::GetWorkerRequest { agent_id: agent.to_owned(), worker_id: worker.to_owned() };
        owed(self.pools().get_worker(timed(request)).await?.into_inner().worker)
    }

    pub(crate) async fn kill_worker(
        &self,
        (agent, worker): (&str, &str),
        (signal, grace): (Option<u32>, Option<Duration>),
        request: &str,
    ) -> Answer<pb::WorkerState> {
        let request = pb::KillWorkerRequest {
            agent_id: agent.to_owned(),
            worker_id: worker.to_owned(),
            signal,
            grace: grace.map(span),
            request_id: request.to_owned(),
        };
        owed(self.pools().kill_worker(timed(request)).await?.into_inner().worker)
    }

    pub(crate) async fn worker_logs(&self, agent: &str, worker: &str, tail: Option<u32>) -> Answer<pb::WorkerLogs> {
        let request =
            pb::GetWorkerLogsRequest { agent_id: agent.to_owned(), worker_id: worker.to_owned(), tail_bytes: tail };
        owed(self.pools().get_worker_logs(timed(request)).await?.into_inner().logs)
    }
}
