//! Streams come and go; what runs does not care.

use std::time::Duration;

use tonic::{Code, Status};
use windlass_shared::domain::{AttemptState, News};

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
    stream.stop(lease(1), windlass_shared::domain::Reason::CancelRequested).await;
    assert_eq!(stream.ended(lease(1)).await.state, AttemptState::Cancelled);
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn reports_that_wait_go_in_one_message() {
    let (mut fake, agent, stream) = cluster(&["--slots", "8"]).await;
    let hello = {
        for number in 1..=8 {
            stream.assign(lease(number), &bytes(&sh("echo done"))).await;
        }
        for number in 1..=8 {
            fake.logs.full(lease(number), windlass_shared::domain::LogStream::Stdout, 5).await;
        }
        drop(stream);
        fake.hello().await
    };
    // What ends while nobody listens gathers; by the welcome all of it waits.
    assert!(hello.hello.inventory.len() <= 8);
    hello.welcome(Duration::from_secs(60)).await;
    let mut stream = hello;
    let mut ended = 0;
    while ended < 8 {
        if let News::Ended(_) = stream.news().await.news {
            ended += 1;
        }
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
