//! `windlass agent list`: the agents the coordinator knows.

use windlass_shared::pb;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::{Format, Json, agent_table, print, print_agents};

/// Lists all agents.
pub(crate) async fn list(client: &Client, global: &Global) -> Result<Exit, Failure> {
    let agents = client.patiently("list the agents", || client.list_agents()).await?;
    match global.output {
        // Always the list here, even of one, so that its shape does not depend on what it holds.
        Format::Json => {
            let all = pb::ListAgentsResponse { agents, next_page_token: String::new() };
            print(&Json::new()?.document(&all)?)?;
        }
        format => print_agents(format, &agents, agent_table)?,
    }
    Ok(Exit::OK)
}
