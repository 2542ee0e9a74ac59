//! Which agents a person means: a full id, the unique beginning of one, or a name.

use windlass_shared::pb;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::output::{agent_table, print_agents};

/// Which agents.
#[derive(Debug, clap::Args)]
pub(crate) struct AgentArgs {
    /// Name of the agent, its id, or the unique beginning of its id
    #[arg(required = true, value_name = "AGENT")]
    pub(crate) agents: Vec<String>,
}

/// Which agents, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct ReasonedArgs {
    #[command(flatten)]
    pub(crate) which: AgentArgs,
    /// Why, for whoever looks at the agent or its jobs later
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
}

/// Asks the same of every agent that was meant, and shows how each stands then.
pub(crate) async fn each(
    client: &Client,
    global: &Global,
    which: &AgentArgs,
    ask: impl AsyncFn(&str) -> Result<pb::Agent, Failure>,
) -> Result<Exit, Failure> {
    let mut asked: Vec<pb::Agent> = Vec::new();
    for id in resolve(client, which).await? {
        asked.push(ask(&id).await?);
    }
    print_agents(global.output, &asked, agent_table)?;
    Ok(Exit::OK)
}

/// The ids of the agents that were meant, each once, in the order they were named.
pub(crate) async fn resolve(client: &Client, args: &AgentArgs) -> Result<Vec<String>, Failure> {
    let known = client.patiently("look the agents up", || client.list_agents()).await?;
    let mut ids: Vec<String> = Vec::new();
    for text in &args.agents {
        let id = choose(text, &known)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

// A name is exact and comes first: whoever calls an agent `c0ffee` means that one. Of several with one name, those that
// left or fell silent are history while another is there.
fn choose(text: &str, known: &[pb::Agent]) -> Result<String, Failure> {
    let lower = text.to_ascii_lowercase();
    let mut found: Vec<&pb::Agent> = known.iter().filter(|agent| agent.name == text).collect();
    if found.iter().filter(|agent| is_there(agent)).count() == 1 {
        found.retain(|agent| is_there(agent));
    }
    if found.is_empty() && !lower.is_empty() {
        found = known.iter().filter(|agent| agent.id.starts_with(&lower)).collect();
    }
    match *found {
        [agent] => Ok(agent.id.clone()),
        [] => Err(Failure::new(Exit::NOT_FOUND, "NOT_FOUND", format!("no agent has the name or the id {text:?}"))
            .remedy("windlass agent list")),
        _ => {
            let lines = found.iter().map(|agent| format!("{}  {}", agent.id, agent.name));
            Err(Failure::usage(format!("{text:?} means several agents")).because(lines))
        }
    }
}

/// Whether the coordinator counts on it.
pub(crate) fn is_there(agent: &pb::Agent) -> bool {
    matches!(agent.state(), pb::agent::State::Connected | pb::agent::State::Suspect)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pb::agent::State;

    fn agent(id: &str, name: &str, state: State) -> pb::Agent {
        pb::Agent { id: id.into(), name: name.into(), state: state.into(), ..pb::Agent::default() }
    }

    #[test]
    fn an_agent_goes_by_its_name_its_id_or_the_beginning_of_it() {
        let known = [agent("c0ffee-1", "a1", State::Connected), agent("c0de-2", "c0ffee", State::Lost)];
        assert_eq!(choose("a1", &known), Ok("c0ffee-1".into()));
        assert_eq!(choose("C0DE-2", &known), Ok("c0de-2".into()));
        assert_eq!(choose("c0d", &known), Ok("c0de-2".into()));
        assert_eq!(choose("c0ffee", &known), Ok("c0de-2".into()), "a name comes before an id");
        assert_eq!(choose("", &known).expect_err("nobody").exit, Exit::NOT_FOUND);
        assert_eq!(choose("a", &known).expect_err("names are whole").exit, Exit::NOT_FOUND);
        let failure = choose("c0", &known).expect_err("two");
        assert_eq!((failure.exit, failure.why.len()), (Exit::USAGE, 2));
    }

    #[test]
    fn of_several_with_one_name_the_one_that_is_there_is_meant() {
        let known = [agent("1", "a", State::Gone), agent("2", "a", State::Connected), agent("3", "a", State::Lost)];
        assert_eq!(choose("a", &known), Ok("2".into()));
        let gone = [agent("1", "a", State::Gone), agent("3", "a", State::Lost)];
        assert_eq!(choose("a", &gone).expect_err("two").exit, Exit::USAGE);
    }
}
