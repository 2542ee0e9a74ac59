//! Streams come and go; what runs does not care.

use std::time::Duration;

use tonic::{Code, Status};
use windlass_shared::convert::FromAgent;
use windlass_shared::domain::{AttemptState, LogStream, News, Reason, Seen};

use crate::fake::Fake;
use crate::{Agent, bytes, cluster, exec, fifo, lease, open_gate, sh};

#[tokio::test]
async fn a_job_outlives_its_stream_and_its_end_is_told_until_it_is_acknowledged() {
    let (mut fake, agent, mut stream) = cluster(&["--slots", "2"]).await;
    let gate = fifo(&agent, "gate");
    stream.assign(lease(1), &bytes(&sh(&format!("cat {}", gate.display())))).await;
    stream.started(lease(1)).await;
    drop(stream);

    let mut stream = fake.session().await;
    assert_eq!((stream.hello.session, &stream.hello.inventory[..]), (2, &[lease(1)][..]));
    assert_eq!(stream.hello.seen, Some(Seen { incarnation: 1, epoch: 1, revision: 2 }));
    stream.withhold_acks();
    open_gate(gate).await;
    let told = stream.ended(lease(1)).await;
    assert_eq!(told.state, AttemptState::Succeeded);
    drop(stream);

    // The end was told, but for all the agent knows nobody heard.
    let mut stream = fake.session().await;
    assert_eq!((stream.hello.session, &stream.hello.inventory[..]), (3, &[lease(1)][..]));
    assert_eq!(stream.ended(lease(1)).await, told);
    stream.assign(lease(2), &bytes(&exec(&["true"]))).await;
    stream.ran(lease(2)).await;
    drop(stream);

    let mut stream = fake.session().await;
    assert_eq!((stream.hello.session, &stream.hello.inventory[..]), (4, &[][..]));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_start_that_nobody_acknowledged_is_told_again() {
    let (mut fake, agent, mut stream) = cluster(&[]).await;
    stream.withhold_acks();
    stream.assign(lease(1), &bytes(&exec(&["sleep", "1000"]))).await;
    stream.started(lease(1)).await;
    drop(stream);
    let mut stream = fake.session().await;
    stream.started(lease(1)).await;
    stream.stop(lease(1), Reason::CancelRequested).await;
    assert_eq!(stream.ended(lease(1)).await.state, AttemptState::Cancelled);
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn an_end_that_is_on_record_already_is_forgotten_and_its_output_is_shipped_all_the_same() {
    let (mut fake, agent, mut stream) = cluster(&[]).await;
    fake.logs.stall(true);
    stream.withhold_acks();
    stream.assign(lease(1), &bytes(&sh("echo done"))).await;
    assert_eq!(stream.ran(lease(1)).await.stdout_bytes, 5);
    drop(stream);

    // Only the word that it is on record was lost; to this coordinator the lease is one of the past.
    let mut stream = fake.session().await;
    stream.withhold_acks();
    assert_eq!(stream.hello.inventory, [lease(1)]);
    stream.stop(lease(1), Reason::AgentLost).await;
    // Answered after the order was carried out.
    stream.assign(lease(2), &bytes(&exec(&[]))).await;
    while stream.news().await.lease != lease(2) {}
    drop(stream);

    let mut stream = fake.session().await;
    assert_eq!(stream.hello.inventory, [lease(2)]);
    assert_eq!(stream.ended(lease(2)).await.state, AttemptState::Rejected);
    fake.logs.stall(false);
    assert_eq!(fake.logs.full(lease(1), LogStream::Stdout, 5).await.data, b"done\n");
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn reports_that_wait_go_in_one_message() {
    let (mut fake, agent, stream) = cluster(&["--slots", "8"]).await;
    for number in 1..=8 {
        stream.assign(lease(number), &bytes(&sh("echo done"))).await;
    }
    for number in 1..=8 {
        fake.logs.full(lease(number), LogStream::Stdout, 5).await;
    }
    drop(stream);
    // Nothing was acknowledged, so all eight starts are said again, in one message with whatever ended meanwhile.
    let mut stream = fake.session().await;
    assert_eq!(stream.hello.inventory.len(), 8);
    let Some(FromAgent::Report(number, items)) = stream.next().await else { panic!("no report") };
    assert!(number >= 8 && items.len() >= 8, "{number}: {items:?}");
    let mut ended = items.iter().filter(|item| matches!(item.news, News::Ended(_))).count();
    stream.ack(number, &[]).await;
    while ended < 8 {
        assert!(matches!(stream.news().await.news, News::Ended(_)));
        ended += 1;
    }
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_coordinator_that_acknowledges_no_heartbeats_for_a_lease_is_dialled_anew() {
    let mut fake = Fake::start().await;
    let agent = Agent::start(&fake.url, &[]);
    let deaf = fake.hello().await;
    deaf.mute();
    deaf.welcome(Duration::from_millis(500)).await;
    let mut stream = fake.session().await;
    assert_eq!(stream.hello.session, 2);
    assert_eq!(stream.hello.instance, deaf.hello.instance);
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_name_that_another_agent_has_is_asked_for_again_and_the_log_says_what_to_do() {
    let mut fake = Fake::start().await;
    let agent = Agent::start(&fake.url, &[]);
    fake.hello().await.refuse(Status::already_exists("the name a1 is taken")).await;
    let mut stream = fake.session().await;
    assert!(agent.log().contains("--name"), "{}", agent.log());
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_hello_that_can_never_be_right_ends_the_agent() {
    let mut fake = Fake::start().await;
    let mut agent = Agent::start(&fake.url, &[]);
    fake.hello().await.refuse(Status::new(Code::InvalidArgument, "hello.name is odd")).await;
    assert_eq!(agent.exit().await.code(), Some(1));
    assert!(agent.log().contains("hello.name is odd"), "{}", agent.log());
}
