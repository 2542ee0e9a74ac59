//! `windlass pool list`: the pools of the fleet, as their agents answer.

use windlass_shared::pb;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::humane::one_line;
use crate::output::{Format, Json, interject, pool_table, print};
use crate::pools::OnArgs;

/// Lists the pools; an agent that does not answer is named, and what the others have is shown all the same.
pub(crate) async fn list(client: &Client, global: &Global, args: &OnArgs) -> Result<Exit, Failure> {
    let agent = args.resolve(client).await?;
    let agents = client.patiently("list the pools", || client.list_pools(agent.as_deref())).await?;
    for agent in &agents {
        if let Some(error) = &agent.error {
            interject(&format!("{}: {}", agent.agent_name, one_line(&error.message, usize::MAX)));
        }
    }
    let pools = || agents.iter().flat_map(|agent| &agent.pools);
    match global.output {
        Format::Table => print(&pool_table(&agents))?,
        Format::Id => print(&pools().map(|pool| format!("{}\n", pool.name)).collect::<String>())?,
        Format::Jsonl => print(&Json::new()?.lines(&agents)?)?,
        Format::Json => {
            let all = pb::ListPoolsResponse { agents, next_page_token: String::new() };
            print(&Json::new()?.document(&all)?)?;
        }
    }
    Ok(Exit::OK)
}
