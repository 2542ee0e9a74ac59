//! `FleetService`.

use tonic::{Request, Response, Status};
use windlass_shared::convert;
use windlass_shared::domain::AgentRecord;
use windlass_shared::fault::Invalid;
use windlass_shared::ids::AgentId;
use windlass_shared::pb;
use windlass_shared::pb::fleet_service_server::FleetService;
use windlass_shared::status::to_status;

use super::error::ApiError;
use super::{Api, page};

const AGENTS_PAGE: usize = 100;
const NO_FILTER: () = ();

fn no_operator_verbs(agent_id: &str) -> Status {
    match convert::agent_id("agent_id", agent_id) {
        Ok(_) => to_status(&ApiError::Unimplemented(
            "this coordinator does not cordon or drain agents; SIGTERM to the agent drains it",
        )),
        Err(invalid) => to_status(&invalid),
    }
}

fn list_request(request: &pb::ListAgentsRequest) -> Result<(usize, Option<AgentId>), Invalid> {
    let limit = convert::page_size("page_size", request.page_size, AGENTS_PAGE)?;
    Ok((limit, page::read_token("page_token", &request.page_token, &NO_FILTER)?))
}

fn page_of(agents: &[AgentRecord], limit: usize, after: Option<AgentId>) -> pb::ListAgentsResponse {
    let start = after.map_or(0, |after| agents.partition_point(|agent| agent.id <= after));
    let shown = &agents[start..agents.len().min(start + limit)];
    let more = start + shown.len() < agents.len();
    pb::ListAgentsResponse {
        agents: shown.iter().map(convert::agent_to_wire).collect(),
        next_page_token: page::token(shown.last().filter(|_| more).map(|agent| agent.id), &NO_FILTER),
    }
}

#[tonic::async_trait]
impl FleetService for Api {
    async fn list_agents(
        &self,
        request: Request<pb::ListAgentsRequest>,
    ) -> Result<Response<pb::ListAgentsResponse>, Status> {
        let (limit, after) = list_request(request.get_ref()).map_err(|err| to_status(&err))?;
        let agents = self.driver.agents().await.map_err(|err| to_status(&err))?;
        Ok(Response::new(page_of(&agents, limit, after)))
    }

    async fn get_agent(&self, request: Request<pb::GetAgentRequest>) -> Result<Response<pb::GetAgentResponse>, Status> {
        let id = convert::agent_id("agent_id", &request.get_ref().agent_id).map_err(|err| to_status(&err))?;
        let agents = self.driver.agents().await.map_err(|err| to_status(&err))?;
        let agent = agents.iter().find(|agent| agent.id == id);
        let agent = agent.ok_or_else(|| to_status(&ApiError::NoSuchAgent(id)))?;
        Ok(Response::new(pb::GetAgentResponse { agent: Some(convert::agent_to_wire(agent)) }))
    }

    async fn cordon_agent(
        &self,
        request: Request<pb::CordonAgentRequest>,
    ) -> Result<Response<pb::CordonAgentResponse>, Status> {
        Err(no_operator_verbs(&request.get_ref().agent_id))
    }

    async fn uncordon_agent(
        &self,
        request: Request<pb::UncordonAgentRequest>,
    ) -> Result<Response<pb::UncordonAgentResponse>, Status> {
        Err(no_operator_verbs(&request.get_ref().agent_id))
    }

    async fn drain_agent(
        &self,
        request: Request<pb::DrainAgentRequest>,
    ) -> Result<Response<pb::DrainAgentResponse>, Status> {
        Err(no_operator_verbs(&request.get_ref().agent_id))
    }
}
