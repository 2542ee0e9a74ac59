//! `GetCounters`: the coordinator's own, or those of one agent, which are asked of it.

use tonic::Status;
use windlass_shared::convert;
use windlass_shared::domain::{AgentAnswer, AgentAsk, AgentCounter, BreakerState, Counter, PoolState, WorkerStatus};
use windlass_shared::pb;
use windlass_shared::status::to_status;

use super::Api;
use super::error::ApiError;

impl Api {
    pub(super) async fn counters(&self, request: &pb::GetCountersRequest) -> Result<pb::GetCountersResponse, Status> {
        let counters = if request.agent_id.is_empty() {
            self.counters.read()
        } else {
            let agent = convert::agent_id("agent_id", &request.agent_id).map_err(|err| to_status(&err))?;
            match self.ask_agent(agent, AgentAsk::Pools).await? {
                AgentAnswer::Pools(pools, counts) => of_agent(&agent.to_string(), &pools, &counts),
                AgentAnswer::Pool(_) => return Err(to_status(&ApiError::StrangeAnswer(agent))),
            }
        };
        Ok(pb::GetCountersResponse { counters: counters.into_iter().map(convert::counter_to_wire).collect() })
    }
}

/// Its own, then those of its pools; all name it, so that those of several agents can be put together.
fn of_agent(agent: &str, pools: &[PoolState], counts: &[(AgentCounter, u64)]) -> Vec<Counter> {
    let own = counts.iter().map(|(counter, value)| {
        let (name, label) = counter.metric();
        let labels: Vec<_> = [("agent", agent)].into_iter().chain(label).collect();
        Counter::new(name, &labels, *value)
    });
    let mut of_pools: Vec<_> = pools.iter().flat_map(of_pool).collect();
    of_pools.iter_mut().for_each(|counter| counter.labels.insert(0, ("agent", agent.into())));
    own.chain(of_pools).collect()
}

/// Names as agents have them. Recycles and crashes are apart by their reason.
fn of_pool(pool: &PoolState) -> Vec<Counter> {
    let name = &*pool.name;
    let open = u64::from(pool.breaker.state != BreakerState::Closed);
    let mut all = vec![
        Counter::new("windlass_agent_worker_starts_total", &[("pool", name)], pool.starts),
        Counter::new("windlass_agent_pool_breaker_open", &[("pool", name)], open),
    ];
    let stuck = u64::from(pool.workers.of(WorkerStatus::Stuck));
    all.push(Counter::new("windlass_agent_stuck_workers", &[("pool", name)], stuck));
    let exits = pool.exits.iter().map(|(exit, processes)| {
        Counter::new("windlass_agent_worker_exits_total", &[("pool", name), ("reason", exit.name())], processes)
    });
    all.extend(exits);
    all
}
