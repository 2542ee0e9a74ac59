//! Drain: in good order, in a hurry, at once.

use std::time::{Duration, Instant};

use windlass_shared::convert::FromAgent;
use windlass_shared::domain::{AttemptState, ExitStatus, News, Reason};

use crate::{Tether, bytes, cluster, exec, fifo, lease, millis, open_gate, sh};

#[tokio::test]
async fn a_drain_gives_back_what_waits_and_interrupts_at_its_deadline_what_runs() {
    let (_fake, mut agent, mut stream) = cluster(&["--slots", "1", "--drain-timeout", "300ms"]).await;
    stream.assign(lease(1), &bytes(&exec(&["sleep", "1000"]))).await;
    stream.started(lease(1)).await;
    stream.assign(lease(2), &bytes(&exec(&["true"]))).await;
    // A reply that proves the second assignment arrived: the third is refused before anything runs.
    stream.assign(lease(3), &bytes(&exec(&[]))).await;
    assert_eq!(stream.ended(lease(3)).await.state, AttemptState::Rejected);

    let asked = Instant::now();
    agent.terminate();
    assert_eq!(stream.next().await, Some(FromAgent::Draining(Reason::Drain)));
    let returned = stream.news().await;
    assert_eq!((returned.lease, returned.news), (lease(2), News::Returned(Reason::Drain)));
    // What crossed with the drain comes back as well.
    stream.assign(lease(4), &bytes(&exec(&["true"]))).await;
    let returned = stream.news().await;
    assert_eq!((returned.lease, returned.news), (lease(4), News::Returned(Reason::Drain)));
    let outcome = stream.ended(lease(1)).await;
    assert!(asked.elapsed() >= Duration::from_millis(300));
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Interrupted, Some(Reason::Drain)));
    stream.goodbye().await;
    assert_eq!(agent.exit().await.code(), Some(0));
}

#[tokio::test]
async fn an_agent_leaves_in_order_when_it_said_it_would() {
    let (_fake, mut agent, mut stream) = cluster(&["--lifetime", "2s", "--drain-timeout", "1s"]).await;
    assert!(stream.hello.traits.leaves_at.is_some());
    stream.assign(lease(1), &bytes(&exec(&["sleep", "1000"]))).await;
    stream.started(lease(1)).await;
    assert_eq!(stream.next().await, Some(FromAgent::Draining(Reason::Drain)));
    let outcome = stream.ended(lease(1)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Interrupted, Some(Reason::Drain)));
    stream.goodbye().await;
    assert_eq!(agent.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_drain_lets_what_runs_finish_within_its_time() {
    let (fake, mut agent, mut stream) = cluster(&["--drain-timeout", "1h"]).await;
    let gate = fifo(&agent, "gate");
    stream.assign(lease(1), &bytes(&sh(&format!("cat {}; echo done", gate.display())))).await;
    stream.started(lease(1)).await;
    agent.terminate();
    assert_eq!(stream.next().await, Some(FromAgent::Draining(Reason::Drain)));
    open_gate(gate).await;
    assert_eq!(stream.ended(lease(1)).await.state, AttemptState::Succeeded);
    fake.logs.says(lease(1), "done").await;
    stream.goodbye().await;
    assert_eq!(agent.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_word_stops_what_runs_at_once_and_a_third_kills_it() {
    let (fake, mut agent, mut stream) = cluster(&["--drain-timeout", "1h"]).await;
    let mut spec = sh("trap 'echo no' TERM; echo ready; while :; do sleep 0.05; done");
    spec.stop_grace = Some(millis(3_600_000));
    stream.assign(lease(1), &bytes(&spec)).await;
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "ready").await;
    agent.terminate();
    assert_eq!(stream.next().await, Some(FromAgent::Draining(Reason::Drain)));
    agent.terminate();
    fake.logs.says(lease(1), "no").await;
    agent.terminate();
    let outcome = stream.ended(lease(1)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Interrupted, Some(Reason::Drain)));
    assert_eq!(outcome.exit.unwrap().status, ExitStatus::Signal { number: 9, core_dumped: false });
    stream.goodbye().await;
    assert_eq!(agent.exit().await.code(), Some(0));
}

#[tokio::test]
async fn without_a_coordinator_a_drain_ends_in_bounded_time_and_leaves_no_process() {
    let (fake, mut agent, mut stream) = cluster(&["--drain-timeout", "100ms"]).await;
    let tether = Tether::new(&agent);
    let cut = tether.cut();
    stream.assign(lease(1), &bytes(&tether.hold("sleep 1000"))).await;
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "held").await;
    drop(stream);
    fake.shut_down().await;
    let asked = Instant::now();
    agent.terminate();
    cut.await;
    assert_eq!(agent.exit().await.code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(12), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn an_agent_whose_starter_is_gone_kills_everything_and_leaves_nothing_on_disk() {
    let (fake, mut agent, mut stream) = cluster(&["--lifeline", "--ephemeral"]).await;
    let tether = Tether::new(&agent);
    let cut = tether.cut();
    stream.assign(lease(1), &bytes(&tether.hold("trap '' TERM; sleep 1000"))).await;
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "held").await;
    agent.cut_lifeline();
    assert_eq!(stream.next().await, Some(FromAgent::Draining(Reason::Shutdown)));
    let outcome = stream.ended(lease(1)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Interrupted, Some(Reason::Shutdown)));
    cut.await;
    stream.goodbye().await;
    assert_eq!(agent.exit().await.code(), Some(0));
    assert!(!agent.dir().join("parent").exists());
}

#[tokio::test]
async fn an_agent_that_is_killed_outright_leaves_no_process() {
    let (fake, mut agent, mut stream) = cluster(&[]).await;
    let tether = Tether::new(&agent);
    let cut = tether.cut();
    stream.assign(lease(1), &bytes(&tether.hold("trap '' TERM; setsid sleep 1000 & sleep 1000"))).await;
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "held").await;
    agent.kill();
    cut.await;
    assert_eq!(agent.exit().await.code(), None);
}
