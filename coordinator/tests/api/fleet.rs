//! Agents are taken out of service and put back.

use std::sync::Arc;

use windlass_coordinator::Options;
use windlass_shared::convert::{self, FromCoordinator};
use windlass_shared::domain::{AgentHello, AttemptState, Credit, News, Reason, Traits};
use windlass_shared::pb;
use windlass_shared::pb::agent::Scheduling;
use windlass_shared::time::Timestamp;

use crate::rig::{Agent, Rig, ended, hello, hello_with, pool, started};

fn id(n: u8) -> String {
    hello(n, 1).id.to_string()
}

async fn cordon(rig: &Rig, n: u8) -> pb::Agent {
    let request = pb::CordonAgentRequest { agent_id: id(n), reason: "new disk".into(), ..Default::default() };
    rig.fleet().cordon_agent(request).await.expect("cordoned").into_inner().agent.expect("the agent")
}

async fn drain(rig: &Rig, n: u8, seconds: Option<i64>) -> pb::Agent {
    let deadline = seconds.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
    let request = pb::DrainAgentRequest { agent_id: id(n), deadline, ..Default::default() };
    rig.fleet().drain_agent(request).await.expect("drained").into_inner().agent.expect("the agent")
}

async fn uncordon(rig: &Rig, n: u8) -> pb::Agent {
    let request = pb::UncordonAgentRequest { agent_id: id(n), ..Default::default() };
    rig.fleet().uncordon_agent(request).await.expect("uncordoned").into_inner().agent.expect("the agent")
}

async fn get(rig: &Rig, n: u8) -> pb::Agent {
    let request = pb::GetAgentRequest { agent_id: id(n) };
    rig.fleet().get_agent(request).await.expect("shown").into_inner().agent.expect("the agent")
}

/// Two places, one slot: job 1 runs, job 2 waits there.
async fn busy(rig: &Rig) -> (Agent, Vec<windlass_shared::domain::Lease>) {
    let mut two = hello(1, 1);
    two.credit = Credit { capacity: 2, ..Credit::default() };
    let (mut agent, _) = rig.greet(two).await;
    let mut leases = Vec::new();
    for _ in 0..2 {
        rig.submit().await;
        leases.push(agent.assigned().await.remove(0).0);
    }
    agent.report(leases[0], started()).await;
    (agent, leases)
}

/// What an agent could say of itself.
fn traits(zone: &str, gpus: &[&str]) -> Traits {
    Traits {
        labels: [("zone".into(), zone.into())].into(),
        resources: [("memory".into(), 1_500)].into(),
        devices: [("gpu".into(), gpus.iter().map(|id| Arc::from(*id)).collect())].into(),
        leaves_at: Some(Timestamp(1_800_000_000_000_000_000)),
        weight: 7,
    }
}

async fn with_labels(rig: &Rig, labels: &[(&str, &str)]) -> Vec<String> {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let request = pb::ListAgentsRequest { labels, ..pb::ListAgentsRequest::default() };
    let agents = rig.fleet().list_agents(request).await.expect("listed").into_inner().agents;
    agents.into_iter().map(|agent| agent.name).collect()
}

#[tokio::test]
async fn what_an_agent_says_of_itself_is_shown_and_changes_with_its_credit() {
    let rig = Rig::start().await;
    let said = AgentHello { traits: Arc::new(traits("a", &["0", "1"])), ..hello(1, 1) };
    let (mut agent, _) = rig.greet(said).await;
    let shown = get(&rig, 1).await.traits.expect("traits");
    assert_eq!((&*shown.labels["zone"], shown.resources["memory"], shown.weight), ("a", 1_500, 7));
    assert_eq!(shown.devices, [pb::DeviceSet { name: "gpu".into(), ids: vec!["0".into(), "1".into()] }]);
    assert_eq!(shown.leave_time, Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 0 }));

    let credit = |traits| Credit { capacity: 1, traits, ..Credit::default() };
    agent.say(convert::credit(&credit(None))).await;
    agent.say(convert::credit(&credit(Some(Arc::new(traits("b", &["1"])))))).await;
    // A job that is given out tells that both were read.
    agent.say(convert::credit(&credit(None))).await;
    rig.submit().await;
    agent.assigned().await;
    let changed = get(&rig, 1).await.traits.expect("traits");
    assert_eq!((&*changed.labels["zone"], &*changed.devices[0].ids), ("b", &["1".to_owned()][..]));
}

#[tokio::test]
async fn agents_are_listed_by_their_labels() {
    let rig = Rig::start().await;
    for (n, zone) in [(1, "a"), (2, "b"), (3, "b")] {
        rig.greet(AgentHello { traits: Arc::new(traits(zone, &["0"])), ..hello(n, 1) }).await;
    }
    rig.agent(4, 1).await;
    assert_eq!(with_labels(&rig, &[("zone", "b")]).await, ["a2", "a3"]);
    assert_eq!(with_labels(&rig, &[("zone", "")]).await, ["a1", "a2", "a3"], "with the label, whatever its value");
    assert_eq!(with_labels(&rig, &[("rack", "")]).await, [""; 0]);
    assert_eq!(with_labels(&rig, &[]).await.len(), 4);

    let page = async |page_token| {
        let labels = [("zone".to_owned(), "b".to_owned())].into();
        let request = pb::ListAgentsRequest { page_size: 1, page_token, labels };
        rig.fleet().list_agents(request).await.expect("listed").into_inner()
    };
    let first = page(String::new()).await;
    let second = page(first.next_page_token).await;
    assert_eq!((&*first.agents[0].name, &*second.agents[0].name), ("a2", "a3"));
    assert_eq!(second.next_page_token, "");
}

#[tokio::test]
async fn a_cordoned_agent_gets_nothing_until_it_is_uncordoned() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let shown = cordon(&rig, 1).await;
    assert_eq!((shown.scheduling(), &*shown.reason), (Scheduling::Cordoned, "new disk"));
    let job = rig.submit().await;
    assert_eq!(rig.job(&job).await.waiting_for, "every agent with slots is cordoned or draining");
    let shown = uncordon(&rig, 1).await;
    assert_eq!((shown.scheduling(), &*shown.reason), (Scheduling::Active, ""));
    assert_eq!(agent.assigned().await[0].0.job.to_string(), job);
}

#[tokio::test]
async fn a_drained_agent_gives_back_what_waits_and_its_running_work_is_stopped_at_the_deadline() {
    let rig = Rig::start().await;
    let (mut agent, leases) = busy(&rig).await;
    let shown = drain(&rig, 1, Some(3_600)).await;
    assert_eq!(shown.scheduling(), Scheduling::Draining);
    assert!(shown.drain_time.is_some());
    assert_eq!(agent.hear().await.expect("a word"), FromCoordinator::Recall(vec![leases[1]]));
    agent.report(leases[1], News::Returned(Reason::Returned)).await;
    assert_eq!(drain(&rig, 1, Some(0)).await.scheduling(), Scheduling::Draining);
    match agent.hear().await.expect("a word") {
        FromCoordinator::Stop(orders) => assert_eq!((orders[0].lease, orders[0].reason), (leases[0], Reason::Drain)),
        other => panic!("{other:?}"),
    }
    agent.report(leases[0], ended(AttemptState::Interrupted, Some(Reason::Drain), 0)).await;
    assert_eq!(get(&rig, 1).await.scheduling(), Scheduling::Drained);
    let mut other = rig.agent(2, 2).await;
    let mut again: Vec<_> = other.assigned().await.into_iter().map(|(lease, _)| (lease.job, lease.attempt)).collect();
    while again.len() < 2 {
        again.extend(other.assigned().await.into_iter().map(|(lease, _)| (lease.job, lease.attempt)));
    }
    assert_eq!(again, [(leases[0].job, 2), (leases[1].job, 2)], "in their order");
    let job = rig.job(&leases[0].job.to_string()).await;
    assert_eq!((job.interruptions, job.failures, job.infra_losses), (1, 0, 0));
}

#[tokio::test]
async fn a_cordon_outlives_the_agents_process_and_the_coordinator() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let options = || Options { data: Some(dir.path().into()), ..Options::default() };
    let rig = Rig::start_with(options()).await;
    let _agent = rig.agent(1, 1).await;
    cordon(&rig, 1).await;
    rig.stop.cancel();
    assert!(rig.running.done().await);
    let rig = Rig::start_with(options()).await;
    let shown = get(&rig, 1).await;
    assert_eq!((&*shown.name, shown.scheduling(), shown.state()), ("a1", Scheduling::Cordoned, pb::agent::State::Lost));
    let mut reborn = hello(1, 1);
    reborn.instance = 2;
    let (mut agent, welcome) = rig.greet(reborn).await;
    assert!(matches!(welcome, Some(FromCoordinator::Welcome(_))));
    let job = rig.submit().await;
    assert_eq!(rig.job(&job).await.state(), pb::job::State::Queued);
    uncordon(&rig, 1).await;
    assert_eq!(agent.assigned().await[0].0.job.to_string(), job);
    rig.stop.cancel();
    assert!(rig.running.done().await);
    let rig = Rig::start_with(options()).await;
    assert_eq!(get(&rig, 1).await.scheduling(), Scheduling::Active, "taken back for good");
}

#[tokio::test]
async fn an_agent_is_shown_with_its_pools() {
    let rig = Rig::start().await;
    let mut both = hello_with(1, &[pool("q", "crop", 2), pool("p", "resize", 3)]);
    (both.slots, both.credit.capacity) = (1, 4);
    let _agent = rig.greet(both).await;
    rig.submit_spec(crate::rig::call("crop", "1")).await;
    let shown = get(&rig, 1).await;
    assert_eq!((shown.slots, shown.capacity, shown.held, shown.running), (6, 9, 1, 0));
    let pools: Vec<_> = shown.pools.iter().map(|pool| (&*pool.name, pool.workers, pool.held)).collect();
    assert_eq!(pools, [("p", 3, 0), ("q", 2, 1)]);
    assert_eq!(shown.pools[0].handlers, ["resize"]);
}
