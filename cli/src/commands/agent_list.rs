//! `windlass agent list`: the agents the coordinator knows.

use windlass_shared::pb;

use super::job_list::parse_label;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::{Format, Json, agent_table, print, print_agents};

/// Which of them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only agents with this label, whatever its value where none is given; repeat for more, of which agents have all
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = parse_label)]
    label: Vec<(String, String)>,
}

/// Lists the agents.
pub(crate) async fn list(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let agents = client.patiently("list the agents", || client.agents_with(&args.label)).await?;
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
