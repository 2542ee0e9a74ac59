//! `FleetService`.

use std::time::Duration;

use tonic::{Request, Response, Status};
use windlass_shared::convert::{self, LabelFilter};
use windlass_shared::domain::AgentRecord;
use windlass_shared::fault::Invalid;
use windlass_shared::ids::AgentId;
use windlass_shared::limits::DRAIN_DEADLINE_MAX;
use windlass_shared::pb;
use windlass_shared::pb::fleet_service_server::FleetService;
use windlass_shared::status::to_status;

use super::error::ApiError;
use super::{Api, page};
use crate::driver::Wish;

const AGENTS_PAGE: usize = 100;

fn cordon_request(request: &pb::CordonAgentRequest) -> Result<(AgentId, Wish), Invalid> {
    convert::request_id("request_id", &request.request_id)?;
    let reason = convert::detail("reason", &request.reason)?;
    Ok((convert::agent_id("agent_id", &request.agent_id)?, Wish::Cordon { reason }))
}

fn drain_request(request: &pb::DrainAgentRequest) -> Result<(AgentId, Wish), Invalid> {
    convert::request_id("request_id", &request.request_id)?;
    let reason = convert::detail("reason", &request.reason)?;
    let given = |wire| convert::duration("deadline", Some(wire), Duration::ZERO, DRAIN_DEADLINE_MAX);
    let deadline = request.deadline.as_ref().map(given).transpose()?;
    Ok((convert::agent_id("agent_id", &request.agent_id)?, Wish::Drain { deadline, reason }))
}

fn uncordon_request(request: &pb::UncordonAgentRequest) -> Result<(AgentId, Wish), Invalid> {
    convert::request_id("request_id", &request.request_id)?;
    Ok((convert::agent_id("agent_id", &request.agent_id)?, Wish::Uncordon))
}

impl Api {
    async fn order(&self, asked: Result<(AgentId, Wish), Invalid>) -> Result<Option<pb::Agent>, Status> {
        let (id, wish) = asked.map_err(|err| to_status(&err))?;
        let agent = self.driver.order(id, wish).await.map_err(|err| to_status(&err))?;
        let agent = agent.ok_or_else(|| to_status(&ApiError::NoSuchAgent(id)))?;
        Ok(Some(convert::agent_to_wire(&agent)))
    }
}

/// A page that was asked for.
struct Page {
    limit: usize,
    labels: Vec<LabelFilter>,
    after: Option<AgentId>,
}

fn list_request(request: &pb::ListAgentsRequest) -> Result<Page, Invalid> {
    let limit = convert::page_size("page_size", request.page_size, AGENTS_PAGE)?;
    let labels = convert::label_filters("labels", &request.labels)?;
    let after = page::read_token("page_token", &request.page_token, &labels)?;
    Ok(Page { limit, labels, after })
}

/// A page, of one agent more than it shows where there is more.
fn page_of(mut agents: Vec<AgentRecord>, limit: usize, labels: &[LabelFilter]) -> pb::ListAgentsResponse {
    let more = agents.len() > limit;
    agents.truncate(limit);
    pb::ListAgentsResponse {
        next_page_token: page::token(agents.last().filter(|_| more).map(|agent| agent.id), &labels),
        agents: agents.iter().map(convert::agent_to_wire).collect(),
    }
}

#[tonic::async_trait]
impl FleetService for Api {
    async fn list_agents(
        &self,
        request: Request<pb::ListAgentsRequest>,
    ) -> Result<Response<pb::ListAgentsResponse>, Status> {
        let Page { limit, labels, after } = list_request(request.get_ref()).map_err(|err| to_status(&err))?;
        let agents = self.driver.agents(after, labels.clone(), limit + 1).await.map_err(|err| to_status(&err))?;
        Ok(Response::new(page_of(agents, limit, &labels)))
    }

    async fn get_agent(&self, request: Request<pb::GetAgentRequest>) -> Result<Response<pb::GetAgentResponse>, Status> {
        let id = convert::agent_id("agent_id", &request.get_ref().agent_id).map_err(|err| to_status(&err))?;
        let agent = self.driver.agent(id).await.map_err(|err| to_status(&err))?;
        let agent = agent.ok_or_else(|| to_status(&ApiError::NoSuchAgent(id)))?;
        Ok(Response::new(pb::GetAgentResponse { agent: Some(convert::agent_to_wire(&agent)) }))
    }

    async fn cordon_agent(
        &self,
        request: Request<pb::CordonAgentRequest>,
    ) -> Result<Response<pb::CordonAgentResponse>, Status> {
        let agent = self.order(cordon_request(request.get_ref())).await?;
        Ok(Response::new(pb::CordonAgentResponse { agent }))
    }

    async fn uncordon_agent(
        &self,
        request: Request<pb::UncordonAgentRequest>,
    ) -> Result<Response<pb::UncordonAgentResponse>, Status> {
        let agent = self.order(uncordon_request(request.get_ref())).await?;
        Ok(Response::new(pb::UncordonAgentResponse { agent }))
    }

    async fn drain_agent(
        &self,
        request: Request<pb::DrainAgentRequest>,
    ) -> Result<Response<pb::DrainAgentResponse>, Status> {
        let agent = self.order(drain_request(request.get_ref())).await?;
        Ok(Response::new(pb::DrainAgentResponse { agent }))
    }

    async fn force_lost_agent(
        &self,
        request: Request<pb::ForceLostAgentRequest>,
    ) -> Result<Response<pb::ForceLostAgentResponse>, Status> {
        self.force_lost(request.get_ref()).await.map(Response::new)
    }

    async fn get_counters(
        &self,
        request: Request<pb::GetCountersRequest>,
    ) -> Result<Response<pb::GetCountersResponse>, Status> {
        self.counters(request.get_ref()).await.map(Response::new)
    }
}
