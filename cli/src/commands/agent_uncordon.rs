//! `windlass agent uncordon`: gives agents work again; also ends a drain.

use crate::agents::{self, AgentArgs};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;

/// Uncordons the agents and shows how each stands now.
pub(crate) async fn uncordon(client: &Client, global: &Global, args: &AgentArgs) -> Result<Exit, Failure> {
    agents::each(client, global, args, async |id| {
        client.patiently("uncordon the agent", || client.uncordon_agent(id)).await
    })
    .await
}
