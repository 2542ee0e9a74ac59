//! `windlass agent get`: agents in full, with their pools.

use windlass_shared::pb;

use crate::agents::{self, AgentArgs};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::{agent_sheet, print_agents};

/// Shows the agents.
pub(crate) async fn get(client: &Client, global: &Global, args: &AgentArgs) -> Result<Exit, Failure> {
    let mut found: Vec<pb::Agent> = Vec::new();
    for id in agents::resolve(client, args).await? {
        found.push(client.patiently("show the agent", || client.get_agent(&id)).await?);
    }
    print_agents(global.output, &found, |agents| agents.iter().map(agent_sheet).collect::<Vec<_>>().join("\n"))?;
    Ok(Exit::OK)
}
