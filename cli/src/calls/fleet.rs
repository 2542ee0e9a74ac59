//! Calls about agents.

use std::time::Duration;

use windlass_shared::limits::PAGE_MAX;
use windlass_shared::pb;

use super::{Answer, owed, timed};
use crate::client::Client;
use crate::spec::span;

impl Client {
    /// All agents, page by page.
    pub(crate) async fn list_agents(&self) -> Answer<Vec<pb::Agent>> {
        self.agents_with(&[]).await
    }

    /// Those with all of these labels; an empty value stands for any.
    pub(crate) async fn agents_with(&self, labels: &[(String, String)]) -> Answer<Vec<pb::Agent>> {
        let mut agents = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListAgentsRequest {
                page_size: PAGE_MAX as i32,
                page_token,
                labels: labels.iter().cloned().collect(),
            };
            let page = self.fleet().list_agents(timed(request)).await?.into_inner();
            agents.extend(page.agents);
            if page.next_page_token.is_empty() {
                return Ok(agents);
            }
            page_token = page.next_page_token;
        }
    }

    pub(crate) async fn get_agent(&self, id: &str) -> Answer<pb::Agent> {
        let request = pb::GetAgentRequest { agent_id: id.to_owned() };
        owed(self.fleet().get_agent(timed(request)).await?.into_inner().agent)
    }

    pub(crate) async fn cordon_agent(&self, id: &str, reason: &str) -> Answer<pb::Agent> {
        let (agent_id, reason) = (id.to_owned(), reason.to_owned());
        let request = pb::CordonAgentRequest { agent_id, reason, request_id: String::new() };
        owed(self.fleet().cordon_agent(timed(request)).await?.into_inner().agent)
    }

    pub(crate) async fn uncordon_agent(&self, id: &str) -> Answer<pb::Agent> {
        let request = pb::UncordonAgentRequest { agent_id: id.to_owned(), request_id: String::new() };
        owed(self.fleet().uncordon_agent(timed(request)).await?.into_inner().agent)
    }

    pub(crate) async fn force_lost(&self, id: &str, reason: &str, request: &str) -> Answer<pb::Agent> {
        let (agent_id, reason, request_id) = (id.to_owned(), reason.to_owned(), request.to_owned());
        let request = pb::ForceLostAgentRequest { agent_id, reason, request_id };
        owed(self.fleet().force_lost_agent(timed(request)).await?.into_inner().agent)
    }

    /// The coordinator's counters, or, by its id, those of an agent.
    pub(crate) async fn counters(&self, agent: &str) -> Answer<Vec<pb::Counter>> {
        let request = pb::GetCountersRequest { agent_id: agent.to_owned() };
        Ok(self.fleet().get_counters(timed(request)).await?.into_inner().counters)
    }

    pub(crate) async fn drain_agent(&self, id: &str, deadline: Option<Duration>, reason: &str) -> Answer<pb::Agent> {
        let request = pb::DrainAgentRequest {
            agent_id: id.to_owned(),
            deadline: deadline.map(span),
            reason: reason.to_owned(),
            request_id: String::new(),
        };
        owed(self.fleet().drain_agent(timed(request)).await?.into_inner().agent)
    }
}
