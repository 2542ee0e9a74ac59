//! An agent on which most fails gets work only where no other can have it, until that is forgotten.

use std::time::Duration;

use windlass_shared::domain::{AgentHello, Health};

use crate::rig::{Rig, agent, hello};

fn assigned(lines: &[String]) -> Vec<&str> {
    lines.iter().filter_map(|line| line.strip_prefix("assign ")).collect()
}

fn health(rig: &Rig) -> Option<(Health, u32, u32)> {
    rig.core.agent(agent(1)).map(|agent| (agent.health, agent.ends, agent.failures))
}

/// Agent 1, on which twenty jobs failed, which are all there were.
fn ill() -> Rig {
    let mut rig = Rig::default();
    rig.join(1, 1);
    for n in 1..=20 {
        rig.submit(n);
        rig.started(1, n, 1);
        rig.failed(1, n, 1);
    }
    assert_eq!(health(&rig), Some((Health::Unhealthy, 20, 20)));
    rig
}

#[test]
fn an_agent_on_which_most_fails_is_the_last_resort_until_that_is_forgotten() {
    let mut rig = ill();
    assert_eq!(assigned(&rig.submit(21)), ["21.1 to a1/0"], "where there is no other");
    rig.succeeded(1, 21, 1);

    rig.join(2, 2);
    assert_eq!(assigned(&rig.submit(22)), ["22.1 to a2/0"]);
    assert_eq!(assigned(&rig.submit(23)), ["23.1 to a2/0"], "though it is the more loaded");
    assert_eq!(assigned(&rig.submit(24)), ["24.1 to a1/0"], "the other is full");
    [(2, 22), (2, 23), (1, 24)].iter().for_each(|(a, n)| drop(rig.succeeded(*a, *n, 1)));

    rig.pass_hearing(Duration::from_secs(301), &[10, 20]);
    assert_eq!(health(&rig), Some((Health::Healthy, 0, 0)));
    assert_eq!(assigned(&rig.submit(25)), ["25.1 to a1/0"], "equals go by their order again");
}

#[test]
fn a_new_process_of_an_agent_begins_without_a_past_and_a_new_stream_does_not() {
    let mut rig = ill();
    rig.greet(11, AgentHello { session: 2, ..hello(1, 1) });
    assert_eq!(health(&rig), Some((Health::Unhealthy, 20, 20)));
    rig.greet(12, AgentHello { instance: 2, ..hello(1, 1) });
    assert_eq!(health(&rig), Some((Health::Healthy, 0, 0)));
}
