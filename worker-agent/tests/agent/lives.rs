//! One agent, several lives: what a killed one leaves to the next.

use std::fs;
use std::io::Write;
use std::time::Duration;

use tonic::Status;
use windlass_shared::domain::{AttemptState, News, Outcome, Seen};
use windlass_shared::pb;

use crate::fake::{Fake, Stream};
use crate::{Agent, Tether, bytes, cluster, eventually, exec, lease, sh};

/// An agent killed outright after its job's end was told and before anybody acknowledged it.
async fn killed_before_the_ack(spec: &pb::JobSpec) -> (Fake, Agent, Outcome) {
    let (fake, mut agent, mut stream) = cluster(&[]).await;
    fake.logs.stall(true);
    stream.withhold_acks();
    stream.assign(lease(1), &bytes(spec)).await;
    let outcome = stream.ran(lease(1)).await;
    agent.kill();
    agent.exit().await;
    (fake, agent, outcome)
}

async fn finish_with_nothing_left(agent: Agent, stream: &mut Stream) {
    let dir = agent.keep_dir();
    agent.finish(stream).await;
    assert_eq!(fs::metadata(dir.path().join("parent/data/outbox")).unwrap().len(), 0);
}

#[tokio::test]
async fn a_result_of_a_killed_agent_is_told_by_its_next_life_once() {
    let (mut fake, agent, told) = killed_before_the_ack(&exec(&["true"])).await;
    let agent = agent.again(&fake.url);
    let mut stream = fake.session().await;
    assert_eq!((stream.hello.session, &stream.hello.inventory[..]), (1, &[lease(1)][..]));
    assert_eq!(stream.ran(lease(1)).await, told);
    // Assigned again by mistake, it does not run again: nothing more is said of it.
    stream.assign(lease(1), &bytes(&exec(&["true"]))).await;
    stream.assign(lease(2), &bytes(&exec(&["false"]))).await;
    assert_eq!(stream.ran(lease(2)).await.state, AttemptState::Failed);
    finish_with_nothing_left(agent, &mut stream).await;
}

#[tokio::test]
async fn a_log_that_died_with_its_agent_ends_where_the_coordinator_has_it() {
    let (mut fake, agent, told) = killed_before_the_ack(&sh("echo lost; echo oops >&2; exit 3")).await;
    assert_eq!((told.stdout_bytes, told.stderr_bytes), (5, 5));
    let agent = agent.again(&fake.url);
    let mut stream = fake.session().await;
    let outcome = stream.ran(lease(1)).await;
    assert_eq!((outcome.stdout_bytes, outcome.stderr_bytes), (0, 0));
    assert_eq!((outcome.state, outcome.exit), (told.state, told.exit));
    finish_with_nothing_left(agent, &mut stream).await;
}

#[tokio::test]
async fn a_torn_tail_of_the_reports_costs_nothing_but_itself() {
    let (mut fake, agent, told) = killed_before_the_ack(&exec(&["true"])).await;
    let outbox = agent.dir().join("parent/data/outbox");
    let half: Vec<u8> = fs::read(&outbox).unwrap().into_iter().skip(8).take(40).collect();
    fs::File::options().append(true).open(&outbox).unwrap().write_all(&half).unwrap();
    let agent = agent.again(&fake.url);
    let mut stream = fake.session().await;
    assert_eq!(stream.hello.inventory, [lease(1)]);
    assert_eq!(stream.ran(lease(1)).await, told);
    finish_with_nothing_left(agent, &mut stream).await;
}

#[tokio::test]
async fn what_is_not_acknowledged_when_an_agent_leaves_waits_for_the_next() {
    let (mut fake, mut agent, mut stream) = cluster(&[]).await;
    stream.withhold_acks();
    stream.assign(lease(1), &bytes(&exec(&["true"]))).await;
    let told = stream.ran(lease(1)).await;
    // And never welcomed again: it might as well not be there.
    drop(stream);
    agent.terminate();
    assert_eq!(agent.exit().await.code(), Some(0));
    let agent = agent.again(&fake.url);
    let mut stream = fake.hello().await;
    while stream.hello.session != 1 {
        // One that the former life said.
        stream = fake.hello().await;
    }
    stream.welcome(Duration::from_secs(60)).await;
    assert_eq!(stream.hello.inventory, [lease(1)]);
    assert_eq!(stream.ran(lease(1)).await, told);
    finish_with_nothing_left(agent, &mut stream).await;
}

#[tokio::test]
async fn how_far_the_coordinator_was_seen_is_said_again_after_a_restart() {
    let (mut fake, mut agent, mut stream) = cluster(&[]).await;
    assert_eq!(stream.hello.seen, None);
    stream.assign(lease(1), &bytes(&exec(&["true"]))).await;
    stream.ran(lease(1)).await;
    stream.ack(41, &[]).await;
    let seen = agent.dir().join("parent/data/seen");
    eventually("it is on disk", || fs::read_to_string(&seen).is_ok_and(|text| text == "1 1 42\n")).await;
    agent.kill();
    agent.exit().await;

    let agent = agent.again(&fake.url);
    let stream = fake.hello().await;
    assert_eq!(stream.hello.seen, Some(Seen { incarnation: 1, epoch: 1, revision: 42 }));
    // A coordinator that lost something says so; the agent says what to do, and goes on asking.
    stream.refuse(Status::data_loss("behind")).await;
    let mut stream = fake.session().await;
    assert_eq!(stream.hello.session, 2);
    assert!(agent.log().contains("older copy"), "{}", agent.log());
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn what_outlives_the_agent_its_warden_and_its_keeper_is_gone_before_the_next_hello() {
    let (mut fake, mut agent, mut stream) = cluster(&[]).await;
    let tether = Tether::new(&agent);
    let cut = tether.cut();
    let survivor = format!("setsid sh -c 'echo $$; {}' & wait", tether.hold_script("trap \"\" TERM; sleep 1000"));
    stream.assign(lease(1), &bytes(&sh(&survivor))).await;
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "held").await;
    let pid: u32 = fake.logs.text(lease(1)).await.lines().next().unwrap().parse().unwrap();
    let runs = || fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| !environ.is_empty());
    agent.kill_with_all_supervision();
    agent.exit().await;
    assert!(runs());

    let agent = agent.again(&fake.url);
    let hello = fake.hello().await;
    assert!(!runs());
    assert_eq!(hello.hello.inventory, []);
    cut.await;
    hello.welcome(Duration::from_secs(60)).await;
    let mut stream = hello;
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_successor_waits_until_the_former_agent_is_gone() {
    let (mut fake, mut former, mut stream) = cluster(&[]).await;
    stream.assign(lease(1), &bytes(&exec(&["sleep", "1000"]))).await;
    assert!(matches!(stream.news().await.news, News::Started(_)));
    let agent = former.beside(&fake.url);
    agent.says("waiting for a former agent").await;
    former.kill();
    former.exit().await;
    let mut stream = fake.session().await;
    assert_eq!((stream.hello.session, &stream.hello.inventory[..]), (1, &[][..]));
    agent.finish(&mut stream).await;
}
