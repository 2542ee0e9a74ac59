//! Which pool, and on which agent: pools have names of their own on each, so a name that one agent has is enough.

use windlass_shared::pb;

use crate::agents::{self, AgentArgs};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;

/// Which pool.
#[derive(Debug, clap::Args)]
pub(crate) struct PoolArgs {
    /// Name of the pool
    #[arg(value_name = "POOL")]
    pub(crate) pool: String,
    #[command(flatten)]
    pub(crate) on: OnArgs,
}

/// Which worker.
#[derive(Debug, clap::Args)]
pub(crate) struct WorkerArgs {
    /// Id of the worker: its pool's name, a hyphen, and its slot, such as resize-0
    #[arg(value_name = "WORKER")]
    pub(crate) worker: String,
    #[command(flatten)]
    pub(crate) on: OnArgs,
}

/// Which agent.
#[derive(Debug, clap::Args)]
pub(crate) struct OnArgs {
    /// Name or id of the agent; needed where several agents have a pool of this name
    #[arg(long, value_name = "AGENT")]
    pub(crate) agent: Option<String>,
}

/// A pool on an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) agent_id: String,
    pub(crate) pool: String,
}

impl OnArgs {
    /// The agent's id; none where none was named.
    pub(crate) async fn resolve(&self, client: &Client) -> Result<Option<String>, Failure> {
        let Some(agent) = &self.agent else { return Ok(None) };
        let ids = agents::resolve(client, &AgentArgs { agents: vec![agent.clone()] }).await?;
        Ok(ids.into_iter().next())
    }
}

impl PoolArgs {
    /// Where the pool is.
    pub(crate) async fn resolve(&self, client: &Client) -> Result<Place, Failure> {
        place(client, &self.pool, &self.on).await
    }
}

impl WorkerArgs {
    /// Where the worker's pool is.
    pub(crate) async fn resolve(&self, client: &Client) -> Result<Place, Failure> {
        let pool = self.worker.rsplit_once('-').map(|(pool, _)| pool).filter(|pool| !pool.is_empty());
        let pool = pool.ok_or_else(|| {
            Failure::usage(format!("{:?} is no worker: it is named like resize-0", self.worker))
                .remedy("windlass worker list")
        })?;
        place(client, pool, &self.on).await
    }
}

async fn place(client: &Client, pool: &str, on: &OnArgs) -> Result<Place, Failure> {
    if let Some(agent_id) = on.resolve(client).await? {
        return Ok(Place { agent_id, pool: pool.to_owned() });
    }
    let known = client.patiently("look the pool up", || client.list_agents()).await?;
    choose(pool, &known)
}

fn choose(pool: &str, known: &[pb::Agent]) -> Result<Place, Failure> {
    let has = |agent: &&pb::Agent| agent.pools.iter().any(|one| one.name == pool);
    let mut found: Vec<&pb::Agent> = known.iter().filter(has).collect();
    // Those that left or fell silent are history while another is there.
    if found.iter().any(|agent| agents::is_there(agent)) {
        found.retain(|agent| agents::is_there(agent));
    }
    match *found {
        [agent] => Ok(Place { agent_id: agent.id.clone(), pool: pool.to_owned() }),
        [] => Err(Failure::new(Exit::NOT_FOUND, "POOL_NOT_FOUND", format!("no agent has a pool named {pool:?}"))
            .remedy("windlass pool list")),
        _ => {
            let lines = found.iter().map(|agent| format!("--agent {}", agent.name));
            Err(Failure::usage(format!("several agents have a pool named {pool:?}; say which one")).because(lines))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pb::agent::State;

    fn agent(id: &str, state: State) -> pb::Agent {
        let pools = vec![pb::Pool { name: "p".into(), ..pb::Pool::default() }];
        pb::Agent { id: id.into(), name: id.into(), state: state.into(), pools, ..pb::Agent::default() }
    }

    #[test]
    fn a_pool_that_one_agent_has_needs_no_agent_and_one_that_several_have_does() {
        let place = |agent_id: &str| Place { agent_id: agent_id.into(), pool: "p".into() };
        assert_eq!(choose("p", &[agent("a", State::Connected), agent("b", State::Lost)]), Ok(place("a")));
        assert_eq!(choose("p", &[agent("b", State::Lost)]), Ok(place("b")), "it may be asked for, and is away");
        assert_eq!(choose("q", &[agent("a", State::Connected)]).expect_err("none").exit, Exit::NOT_FOUND);
        let failure = choose("p", &[agent("a", State::Connected), agent("b", State::Connected)]).expect_err("two");
        assert_eq!((failure.exit, failure.why), (Exit::USAGE, vec!["--agent a".into(), "--agent b".into()]));
    }
}
