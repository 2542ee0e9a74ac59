//! Out of touch: what is fenced dies with the lease, and the rest at the agent's own limit.

use std::time::{Duration, Instant};

use windlass_shared::domain::{AttemptState, ExitStatus, Outcome, Reason};
use windlass_shared::pb;

use crate::fake::{Fake, Stream};
use crate::{Agent, Tether, bytes, exec, lease};

/// Long enough for its margin, a second, to be more than this machine's hiccups.
const TTL: Duration = Duration::from_secs(3);
const MARGIN: Duration = Duration::from_secs(1);

fn fenced(spec: pb::JobSpec) -> pb::JobSpec {
    pb::JobSpec { on_disconnect: pb::job_spec::OnDisconnect::Fence.into(), ..spec }
}

fn assert_fenced(outcome: &Outcome) {
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Interrupted, Some(Reason::OutOfTouch)));
    let status = outcome.exit.as_ref().unwrap().status;
    assert_eq!(status, ExitStatus::Signal { number: 9, core_dumped: false });
}

/// An agent with a job that is fenced and one that is not.
async fn two_jobs(tether: impl FnOnce(&Agent) -> Tether) -> (Fake, Agent, Stream, Tether) {
    let mut fake = Fake::start().await;
    let agent = Agent::start(&fake.url, &["--slots", "2"]);
    let tether = tether(&agent);
    let mut stream = fake.hello().await;
    stream.welcome(TTL).await;
    stream.assign(lease(2), &bytes(&exec(&["sleep", "1000"]))).await;
    stream.started(lease(2)).await;
    stream.withhold_acks();
    stream.assign(lease(1), &bytes(&fenced(tether.hold("trap '' TERM; sleep 1000")))).await;
    (fake, agent, stream, tether)
}

/// The next session: the fenced one was killed, the other one runs.
async fn assert_only_the_fenced_one_died(mut fake: Fake, agent: Agent) {
    let mut stream = fake.session().await;
    assert_eq!(stream.hello.session, 2);
    let mut inventory = stream.hello.inventory.clone();
    inventory.sort();
    assert_eq!(inventory, [lease(1), lease(2)]);
    assert_fenced(&stream.ran(lease(1)).await);
    stream.stop(lease(2), Reason::CancelRequested).await;
    assert_eq!(stream.ended(lease(2)).await.state, AttemptState::Cancelled);
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_fenced_job_dies_with_the_lease_when_heartbeats_are_not_acknowledged_and_others_run_on() {
    let (fake, agent, mut stream, tether) = two_jobs(Tether::new).await;
    let cut = tether.cut();
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "held").await;
    stream.mute();
    let muted = Instant::now();
    cut.await;
    let took = muted.elapsed();
    assert!(took > TTL - TTL / 5 - MARGIN && took < TTL + MARGIN, "{took:?}");
    drop(stream);
    assert_only_the_fenced_one_died(fake, agent).await;
}

#[tokio::test]
async fn a_fenced_job_dies_with_the_lease_while_its_agent_is_stopped() {
    let (fake, agent, mut stream, tether) = two_jobs(Tether::new).await;
    let cut = tether.cut();
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "held").await;
    agent.pause();
    let paused = Instant::now();
    cut.await;
    let took = paused.elapsed();
    assert!(took > TTL - TTL / 5 - MARGIN && took < TTL + MARGIN, "{took:?}");
    drop(stream);
    agent.go_on();
    assert_only_the_fenced_one_died(fake, agent).await;
}

#[tokio::test]
async fn a_fenced_job_outlives_many_leases_whose_heartbeats_are_acknowledged() {
    let mut fake = Fake::start().await;
    let agent = Agent::start(&fake.url, &[]);
    let mut stream = fake.hello().await;
    stream.welcome(Duration::from_millis(500)).await;
    stream.assign(lease(1), &bytes(&fenced(exec(&["sleep", "2"])))).await;
    let outcome = stream.ran(lease(1)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Succeeded, None));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_job_that_may_run_on_is_stopped_at_the_agents_own_limit() {
    let mut fake = Fake::start().await;
    let agent = Agent::start(&fake.url, &["--detach-max", "2s"]);
    let tether = Tether::new(&agent);
    let cut = tether.cut();
    let mut stream = fake.hello().await;
    stream.welcome(Duration::from_millis(500)).await;
    stream.assign(lease(1), &bytes(&tether.hold("exec sleep 1000"))).await;
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "held").await;
    // Heard, and never welcomed again until it is over.
    drop(stream);
    let gone = Instant::now();
    cut.await;
    assert!(gone.elapsed() > Duration::from_millis(1500), "{:?}", gone.elapsed());

    let mut stream = fake.session().await;
    assert_eq!(stream.hello.inventory, [lease(1)]);
    let outcome = stream.ended(lease(1)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Interrupted, Some(Reason::OutOfTouch)));
    assert_eq!(outcome.exit.unwrap().status, ExitStatus::Signal { number: 15, core_dumped: false });
    agent.finish(&mut stream).await;
}
