//! `windlass agent cordon`: gives agents nothing new; what runs there goes on.

use windlass_shared::pb;

use crate::agents::{self, AgentArgs};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::{agent_table, print_agents};

/// Which agents, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: AgentArgs,
    /// Why, for whoever looks at the agent later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Cordons the agents and shows how each stands now.
pub(crate) async fn cordon(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let mut done: Vec<pb::Agent> = Vec::new();
    for id in agents::resolve(client, &args.which).await? {
        done.push(client.patiently("cordon the agent", || client.cordon_agent(&id, &args.reason)).await?);
    }
    print_agents(global.output, &done, agent_table)?;
    Ok(Exit::OK)
}
