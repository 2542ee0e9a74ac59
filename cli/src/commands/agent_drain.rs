//! `windlass agent drain`: gives agents nothing new, takes back what has not started, and at the deadline stops the rest.

use std::time::Duration;

use tokio::time::sleep;
use windlass_shared::pb::{self, agent::Scheduling};

use crate::agents::{self, ReasonedArgs};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::humane::{count, parse_duration, show_instant};
use crate::output::{agent_table, interject, print_agents};

/// How often we look. A drain takes as long as the jobs do, so nobody notices half a second.
const POLL: Duration = Duration::from_millis(500);

/// Which agents, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    of: ReasonedArgs,
    /// Time that what runs gets to finish, such as 10m; then it is stopped and begins again elsewhere [default: no end]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    deadline: Option<Duration>,
    /// Show what is still held until nothing is; Ctrl-C ends the wait, not the drain
    #[arg(long)]
    wait: bool,
}

/// Drains the agents and shows how each stands now, or, where it waits, then.
pub(crate) async fn drain(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let mut drained: Vec<pb::Agent> = Vec::new();
    for id in agents::resolve(client, &args.of.which).await? {
        let asked = client.patiently("drain the agent", || client.drain_agent(&id, args.deadline, &args.of.reason));
        drained.push(asked.await?);
    }
    if args.wait {
        // One after the other: all of them drain meanwhile.
        for agent in &mut drained {
            *agent = wait(client, agent.clone()).await?;
        }
    }
    print_agents(global.output, &drained, agent_table)?;
    Ok(Exit::OK)
}

async fn wait(client: &Client, mut agent: pb::Agent) -> Result<pb::Agent, Failure> {
    let mut told = String::new();
    while !is_over(&agent)? {
        let line = holds(&agent);
        if line != told {
            interject(&line);
            told = line;
        }
        sleep(POLL).await;
        agent = client.patiently("look at the agent", || client.get_agent(&agent.id)).await?;
    }
    Ok(agent)
}

// One that left holds nothing, whatever it was doing before.
fn is_over(agent: &pb::Agent) -> Result<bool, Failure> {
    match agent.scheduling() {
        Scheduling::Drained => Ok(true),
        _ if agent.state() == pb::agent::State::Gone => Ok(true),
        Scheduling::Draining => Ok(false),
        Scheduling::Active | Scheduling::Cordoned | Scheduling::Quarantined | Scheduling::Unspecified => {
            let what = format!("the drain of {} was ended before it was done", agent.name);
            Err(Failure::new(Exit::PRECONDITION, "DRAIN_ENDED", what).remedy("windlass agent get"))
        }
    }
}

fn holds(agent: &pb::Agent) -> String {
    // With nothing held, only the record of it is still to come.
    let limit = agent.drain_time.as_ref().filter(|_| agent.held > 0);
    let until = limit.map(|at| format!(", which may run until {}", show_instant(Some(at))));
    let held = if agent.held == 0 { "nothing".into() } else { count(agent.held as usize, "job") };
    let verb = if agent.held == 0 { "holds" } else { "still holds" };
    let lost = if agent.state() == pb::agent::State::Connected { "" } else { "; it is out of reach" };
    format!("{} {verb} {held}{}{lost}", agent.name, until.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pb::agent::State;

    fn agent(scheduling: Scheduling, state: State, held: u32) -> pb::Agent {
        let (scheduling, state) = (scheduling.into(), state.into());
        pb::Agent { name: "a1".into(), scheduling, state, held, ..pb::Agent::default() }
    }

    #[test]
    fn a_drain_is_over_once_nothing_is_held_or_the_agent_left() {
        assert_eq!(is_over(&agent(Scheduling::Draining, State::Connected, 0)), Ok(false), "the record says when");
        assert_eq!(is_over(&agent(Scheduling::Drained, State::Connected, 0)), Ok(true));
        assert_eq!(is_over(&agent(Scheduling::Draining, State::Gone, 0)), Ok(true));
    }

    #[test]
    fn a_drain_that_somebody_ended_is_no_success() {
        let failure = is_over(&agent(Scheduling::Active, State::Connected, 1)).expect_err("ended");
        assert_eq!(failure.exit, Exit::PRECONDITION);
        assert!(failure.what.contains("a1"), "{failure}");
    }

    #[test]
    fn what_is_still_held_is_told_with_how_long_it_may_run() {
        assert_eq!(holds(&agent(Scheduling::Draining, State::Connected, 1)), "a1 still holds 1 job");
        let drain_time = Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 });
        let late = pb::Agent { drain_time, ..agent(Scheduling::Draining, State::Suspect, 2) };
        assert_eq!(
            holds(&late),
            "a1 still holds 2 jobs, which may run until 2023-11-14T22:13:20.000Z; it is out of reach"
        );
        assert_eq!(holds(&pb::Agent { held: 0, state: State::Connected.into(), ..late }), "a1 holds nothing");
    }
}
