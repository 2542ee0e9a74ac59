//! `windlass agent list`: the agents the coordinator knows.

use windlass_shared::pb;

use crate::cli::Global;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Json, agent_table, print};

/// Lists all agents.
pub(crate) async fn list(client: &Client, global: &Global) -> Result<Exit, Failure> {
    let agents = client.patiently("list the agents", || client.list_agents()).await?;
    match global.output {
        Format::Table => print(&agent_table(&agents))?,
        Format::Id => print(&agents.iter().map(|agent| format!("{}\n", agent.id)).collect::<String>())?,
        Format::Jsonl => print(&Json::new()?.lines(&agents)?)?,
        Format::Json => {
            let all = pb::ListAgentsResponse { agents, next_page_token: String::new() };
            print(&Json::new()?.document(&all)?)?;
        }
    }
    Ok(Exit::OK)
}
