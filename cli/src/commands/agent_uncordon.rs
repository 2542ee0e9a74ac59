//! `windlass agent uncordon`: gives agents work again; also ends a drain.

use windlass_shared::pb;

use crate::agents::{self, AgentArgs};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::{agent_table, print_agents};

/// Uncordons the agents and shows how each stands now.
pub(crate) async fn uncordon(client: &Client, global: &Global, args: &AgentArgs) -> Result<Exit, Failure> {
    let mut done: Vec<pb::Agent> = Vec::new();
    for id in agents::resolve(client, args).await? {
        done.push(client.patiently("uncordon the agent", || client.uncordon_agent(&id)).await?);
    }
    print_agents(global.output, &done, agent_table)?;
    Ok(Exit::OK)
}
