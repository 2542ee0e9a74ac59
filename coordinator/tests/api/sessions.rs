//! The agent's stream: hello comes first, heartbeats are answered, and who breaks the protocol is told how.

use std::time::Duration;

use tonic::Code;
use windlass_coordinator::Options;
use windlass_shared::convert::{self, FromCoordinator};
use windlass_shared::domain::{AttemptState, Lease, Reason, ReportItem};
use windlass_shared::ids::JobId;
use windlass_shared::limits::INVENTORY_ITEMS_MAX;
use windlass_shared::pb;

use crate::rig::{Rig, ended, hello, reason, started};

#[tokio::test]
async fn a_stream_that_does_not_begin_with_hello_is_closed_and_told_why() {
    let rig = Rig::start().await;
    let mut stream = rig.stream().await;
    stream.say(convert::heartbeat(1)).await;
    let status = stream.hear().await.expect_err("closed");
    assert_eq!((status.code(), &*reason(&status)), (Code::FailedPrecondition, "HELLO_REQUIRED"));
    assert!(
        rig.fleet().list_agents(pb::ListAgentsRequest::default()).await.expect("ok").into_inner().agents.is_empty()
    );
}

#[tokio::test]
async fn a_second_hello_on_one_stream_closes_it() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    agent.say(convert::hello(&hello(1, 1))).await;
    let status = agent.hear().await.expect_err("closed");
    assert_eq!((status.code(), &*reason(&status)), (Code::FailedPrecondition, "HELLO_REPEATED"));
}

fn offer(pool: &str, handler: &str) -> pb::PoolOffer {
    pb::PoolOffer { pool: pool.into(), handlers: vec![handler.into()], workers: 1, capacity: 1 }
}

fn traits(wire: &mut pb::Hello) -> &mut pb::Traits {
    wire.traits.get_or_insert_default()
}

fn gpus(ids: &[&str]) -> pb::DeviceSet {
    pb::DeviceSet { name: "gpu".into(), ids: ids.iter().map(|id| (*id).to_owned()).collect() }
}

#[tokio::test]
async fn a_hello_that_makes_no_sense_is_refused_by_field() {
    let rig = Rig::start().await;
    for (spoil, field) in [
        ((|wire: &mut pb::Hello| wire.agent_id = "me".into()) as fn(&mut pb::Hello), "hello.agent_id"),
        (|wire| wire.name = "two words".into(), "hello.name"),
        (|wire| wire.slots = 0, "hello.slots"),
        (|wire| wire.capacity = 1_000_000, "hello.capacity"),
        (|wire| wire.inventory = vec![pb::Lease::default(); INVENTORY_ITEMS_MAX + 1], "hello.inventory"),
        (|wire| wire.pools = vec![offer("p", "h"), offer("q", "h")], "hello.pools"),
        (|wire| wire.pools = vec![offer("p", "h"), offer("p", "i")], "hello.pools"),
        (|wire| wire.pools = vec![offer("a b", "h")], "hello.pools[0].pool"),
        (|wire| traits(wire).labels.extend((0..10_001).map(|n| (n.to_string(), String::new()))), "hello.traits.labels"),
        (|wire| traits(wire).resources = [("cpu".to_owned(), u64::MAX)].into(), "hello.traits.resources[cpu]"),
        (|wire| traits(wire).devices = vec![gpus(&["0", "0"])], "hello.traits.devices[gpu]"),
        (|wire| traits(wire).devices = vec![gpus(&["0"]), gpus(&["1"])], "hello.traits.devices"),
        (|wire| traits(wire).weight = 1_001, "hello.traits.weight"),
    ] {
        let mut message = convert::hello(&hello(1, 2));
        let Some(pb::connect_request::Message::Hello(wire)) = &mut message.message else { unreachable!() };
        spoil(wire);
        let mut stream = rig.stream().await;
        stream.say(message).await;
        let status = stream.hear().await.expect_err("refused");
        assert_eq!((status.code(), crate::rig::fields(&status)), (Code::InvalidArgument, vec![field.to_owned()]));
    }
}

#[tokio::test]
async fn a_heartbeat_is_answered_with_its_own_number() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    agent.say(convert::heartbeat(41)).await;
    assert_eq!(agent.hear().await.expect("an answer"), FromCoordinator::HeartbeatAck(41));
}

#[tokio::test]
async fn two_agents_with_one_name_do_not_fight() {
    let rig = Rig::start().await;
    let mut first = rig.agent(1, 1).await;
    let mut namesake = hello(2, 1);
    namesake.name = "a1".into();
    let mut stream = rig.stream().await;
    stream.say(convert::hello(&namesake)).await;
    let status = stream.hear().await.expect_err("refused");
    assert_eq!((status.code(), &*reason(&status)), (Code::AlreadyExists, "AGENT_NAME_TAKEN"));
    assert!(status.message().contains("--name"), "names the remedy: {}", status.message());
    first.say(convert::heartbeat(1)).await;
    assert_eq!(first.hear().await.expect("goes on"), FromCoordinator::HeartbeatAck(1));
}

#[tokio::test]
async fn a_newer_session_of_an_agent_takes_over_with_what_it_holds() {
    let rig = Rig::start().await;
    let mut old = rig.agent(1, 1).await;
    let id = rig.submit().await;
    let (lease, _) = old.assigned().await.remove(0);
    let mut again = hello(1, 1);
    again.session = 2;
    again.inventory = vec![lease];
    let (mut new, welcome) = rig.greet(again).await;
    assert!(matches!(welcome, Some(FromCoordinator::Welcome(_))));
    let status = old.hear().await.expect_err("evicted");
    assert_eq!(&*reason(&status), "SESSION_SUPERSEDED");
    new.report(lease, ended(AttemptState::Succeeded, None, 0)).await;
    assert_eq!(rig.wait(&id).await.attempts.len(), 1, "the one attempt ran on");
}

#[tokio::test]
async fn a_silent_agents_work_goes_to_another_and_its_late_word_is_stale() {
    let rig = Rig::start_with(Options { lease_ttl: Duration::from_millis(500), ..Default::default() }).await;
    let mut silent = rig.agent(1, 1).await;
    let id = rig.submit().await;
    let (lost, _) = silent.assigned().await.remove(0);
    let status = silent.hear().await.expect_err("the lease ran out");
    assert_eq!((status.code(), &*reason(&status)), (Code::Unavailable, "LEASE_EXPIRED"));
    let mut other = rig.agent(2, 1).await;
    let (lease, _) = other.assigned().await.remove(0);
    assert_eq!((lease.job, lease.attempt), (lost.job, 2));
    other.report(lease, ended(AttemptState::Succeeded, None, 0)).await;
    let job = rig.wait(&id).await;
    assert_eq!((job.infra_losses, job.failures), (1, 0));
    assert_eq!(job.attempts[0].state(), pb::attempt::State::Lost);
    let mut back = hello(1, 1);
    back.session = 2;
    back.inventory = vec![lost];
    let (mut again, _) = rig.greet(back).await;
    match again.hear().await {
        Ok(FromCoordinator::Stop(orders)) => assert_eq!((orders[0].lease, orders[0].reason), (lost, Reason::AgentLost)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_agent_that_does_not_read_its_stream_is_let_go_and_told_so() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let lease = Lease {
        job: JobId::from_bytes([1; 16]),
        generation: 1,
        attempt: 1,
        incarnation: 1,
        epoch: 1,
        fencing_token: 1,
    };
    let item = ReportItem { lease, news: started() };
    // Each is answered, and none of the answers is read: what may wait fills, and then what is kept. Then nobody takes more.
    let mut sent = 0_u64;
    let taken = loop {
        sent += 1;
        let report = convert::report(sent, std::slice::from_ref(&item));
        match tokio::time::timeout(Duration::from_secs(2), agent.up.send(report)).await {
            Ok(Ok(())) if sent < 300_000 => {}
            ended => break ended,
        }
    };
    assert!(!matches!(taken, Ok(Ok(()))), "every report was taken, and no answer read");
    let status = loop {
        if let Err(status) = agent.hear().await {
            break status;
        }
    };
    assert_eq!((status.code(), &*reason(&status)), (Code::Unavailable, "AGENT_TOO_SLOW"), "{status:?} after {sent}");
}

#[tokio::test]
async fn an_agent_whose_whole_inventory_is_stale_hears_of_all_of_it_on_one_stream() {
    let rig = Rig::start().await;
    let mut all = hello(1, 1);
    let lease = |n: usize| {
        let (job, n) = (JobId::from_bytes([1; 16]), n as u64);
        Lease { job, generation: 1, attempt: 1, incarnation: 1, epoch: 1, fencing_token: n }
    };
    all.inventory = (0..INVENTORY_ITEMS_MAX).map(lease).collect();
    let (mut agent, welcome) = rig.greet(all).await;
    assert!(matches!(welcome, Some(FromCoordinator::Welcome(_))), "{welcome:?}");
    let mut told = 0;
    while told < INVENTORY_ITEMS_MAX {
        match agent.hear().await {
            Ok(FromCoordinator::Stop(orders)) => told += orders.len(),
            other => panic!("after {told}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_agent_that_says_goodbye_is_gone_and_its_name_is_free() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    agent.say(convert::draining(Reason::Drain)).await;
    agent.say(convert::goodbye()).await;
    assert!(agent.hear().await.is_err(), "the stream ends, so the agent knows that it was heard");
    let gone = async {
        loop {
            let listed = rig.fleet().list_agents(pb::ListAgentsRequest::default()).await.expect("ok").into_inner();
            if listed.agents[0].state() == pb::agent::State::Gone {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::rig::PATIENCE, gone).await.expect("goodbye is taken in");
    let mut heir = hello(2, 1);
    heir.name = "a1".into();
    let (_, welcome) = rig.greet(heir).await;
    assert!(matches!(welcome, Some(FromCoordinator::Welcome(_))));
}
