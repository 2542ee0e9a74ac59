//! `windlass agent force-lost`: agents out of touch are taken for lost at once, with all that they ran.

use windlass_shared::pb;

use crate::agents::{self, AgentArgs};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::{agent_table, print_agents};
use crate::submit::request_id;

/// Which agents, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: AgentArgs,
    /// Why, for whoever looks at the jobs later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Takes the agents for lost and shows how each stands now.
pub(crate) async fn force_lost(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let mut done: Vec<pb::Agent> = Vec::new();
    for id in agents::resolve(client, &args.which).await? {
        // One id for all tries: an answer that got lost is asked for again without saying the word twice.
        let request = request_id()?;
        let asked = client.patiently("take the agent for lost", || client.force_lost(&id, &args.reason, &request));
        done.push(asked.await?);
    }
    print_agents(global.output, &done, agent_table)?;
    Ok(Exit::OK)
}
