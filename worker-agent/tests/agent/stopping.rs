//! The ladder: signal to the whole tree, grace, kill, and the outcome that follows.

use std::time::{Duration, Instant};

use windlass_shared::domain::{AttemptState, ExitStatus, Proof, Reason};

use crate::{Tether, bytes, cluster, exec, lease, millis, sh};

const KILLED: ExitStatus = ExitStatus::Signal { number: 9, core_dumped: false };
const TERMED: ExitStatus = ExitStatus::Signal { number: 15, core_dumped: false };

#[tokio::test]
async fn a_cancelled_job_that_obeys_ends_by_the_signal_and_so_does_its_whole_tree() {
    let (fake, agent, mut stream) = cluster(&[]).await;
    let tether = Tether::new(&agent);
    let cut = tether.cut();
    stream.assign(lease(1), &bytes(&tether.hold("setsid sleep 1000 & echo ready; wait"))).await;
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "ready").await;
    stream.stop(lease(1), Reason::CancelRequested).await;
    let outcome = stream.ended(lease(1)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Cancelled, Some(Reason::CancelRequested)));
    let exit = outcome.exit.unwrap();
    assert_eq!((exit.status, exit.proof), (TERMED, Proof::Keeper));
    cut.await;
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_job_that_stops_its_own_keeper_ends_all_the_same() {
    let (_fake, agent, mut stream) = cluster(&[]).await;
    let tether = Tether::new(&agent);
    let cut = tether.cut();
    // The leader is gone before its keeper stands still; a survivor holds on.
    stream.assign(lease(1), &bytes(&tether.hold("K=$PPID; (sleep 0.3; kill -STOP $K; sleep 1000) & exit 0"))).await;
    stream.started(lease(1)).await;
    let outcome = stream.ended(lease(1)).await;
    assert_eq!(outcome.state, AttemptState::Succeeded);
    assert_ne!(outcome.exit.unwrap().proof, Proof::None);
    cut.await;
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_job_that_stands_still_hears_the_signal_too_and_need_not_be_killed() {
    let (fake, agent, mut stream) = cluster(&[]).await;
    let mut spec = sh("trap 'echo heard; exit 9' TERM; echo ready; kill -STOP $$; while :; do sleep 0.05; done");
    spec.stop_grace = Some(millis(20_000));
    stream.assign(lease(1), &bytes(&spec)).await;
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "ready").await;
    stream.stop(lease(1), Reason::CancelRequested).await;
    fake.logs.says(lease(1), "heard").await;
    let outcome = stream.ended(lease(1)).await;
    assert_eq!(outcome.exit.unwrap().status, ExitStatus::Code(9));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_cancelled_job_that_ignores_the_signal_is_killed_after_its_grace() {
    let (fake, agent, mut stream) = cluster(&[]).await;
    let mut spec = sh("trap 'echo no' TERM; echo ready; while :; do sleep 0.05; done");
    spec.stop_grace = Some(millis(400));
    stream.assign(lease(1), &bytes(&spec)).await;
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "ready").await;
    let asked = Instant::now();
    stream.stop(lease(1), Reason::CancelRequested).await;
    fake.logs.says(lease(1), "no").await;
    // Asked again, it is not signalled again and its grace does not begin anew.
    stream.stop(lease(1), Reason::CancelRequested).await;
    let outcome = stream.ended(lease(1)).await;
    assert!(asked.elapsed() >= Duration::from_millis(400));
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Cancelled, Some(Reason::CancelRequested)));
    assert_eq!(outcome.exit.unwrap().status, KILLED);
    assert_eq!(outcome.stdout_bytes, 9, "what it wrote while it was stopped counts: ready, no");
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_job_gets_the_signal_that_its_spec_names_and_its_own_exit_code_is_told() {
    let (fake, agent, mut stream) = cluster(&[]).await;
    let mut spec = sh("trap 'exit 0' USR1; echo ready; while :; do sleep 0.05; done");
    spec.stop_signal = Some(libc::SIGUSR1);
    stream.assign(lease(1), &bytes(&spec)).await;
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "ready").await;
    stream.stop(lease(1), Reason::CancelRequested).await;
    let outcome = stream.ended(lease(1)).await;
    assert_eq!(outcome.state, AttemptState::Cancelled);
    assert_eq!(outcome.exit.unwrap().status, ExitStatus::Code(0));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_job_that_runs_past_its_timeout_is_stopped_and_timed_out() {
    let (_fake, agent, mut stream) = cluster(&[]).await;
    let mut spec = exec(&["sleep", "1000"]);
    spec.run_timeout = Some(millis(200));
    stream.assign(lease(1), &bytes(&spec)).await;
    let outcome = stream.ran(lease(1)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::TimedOut, Some(Reason::RunTimeout)));
    let exit = outcome.exit.unwrap();
    assert_eq!(exit.status, TERMED);
    assert!(exit.wall_time >= Duration::from_millis(200));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn an_end_that_was_read_before_the_order_came_is_the_outcome() {
    let (fake, agent, mut stream) = cluster(&[]).await;
    // What survives says so once its leader is reaped, and only then the order is given.
    let survivor = "while test -d /proc/$0; do sleep 0.01; done; echo orphaned; sleep 1000";
    stream.assign(lease(1), &bytes(&sh(&format!("setsid sh -c '{survivor}' $$ & exit 0")))).await;
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "orphaned").await;
    stream.stop(lease(1), Reason::CancelRequested).await;
    let outcome = stream.ended(lease(1)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Succeeded, None));
    assert_eq!(outcome.exit.unwrap().status, ExitStatus::Code(0));
    assert_eq!(outcome.stdout_bytes, 9);
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn an_attempt_whose_lease_is_stale_is_killed_and_nothing_is_said_of_it() {
    let (fake, agent, mut stream) = cluster(&[]).await;
    let tether = Tether::new(&agent);
    let cut = tether.cut();
    stream.assign(lease(1), &bytes(&tether.hold("trap '' TERM; sleep 1000"))).await;
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "held").await;
    stream.stop(lease(1), Reason::AgentLost).await;
    cut.await;
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn an_attempt_named_stale_in_an_acknowledgement_is_killed_likewise() {
    let (fake, agent, mut stream) = cluster(&[]).await;
    let tether = Tether::new(&agent);
    let cut = tether.cut();
    stream.assign(lease(1), &bytes(&tether.hold("sleep 1000"))).await;
    stream.withhold_acks();
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "held").await;
    stream.ack(1, &[lease(1)]).await;
    cut.await;
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_killed_warden_costs_what_ran_under_it_and_nothing_else() {
    let (fake, agent, mut stream) = cluster(&["--slots", "1"]).await;
    let tether = Tether::new(&agent);
    let cut = tether.cut();
    stream.assign(lease(1), &bytes(&tether.hold("sleep 1000"))).await;
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "held").await;
    agent.kill_warden();
    let outcome = stream.ended(lease(1)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Interrupted, Some(Reason::SupervisorLost)));
    let exit = outcome.exit.unwrap();
    assert_eq!((exit.status, exit.proof), (ExitStatus::Unknown, Proof::Swept));
    cut.await;
    stream.assign(lease(2), &bytes(&exec(&["true"]))).await;
    assert_eq!(stream.ran(lease(2)).await.state, AttemptState::Succeeded);
    agent.finish(&mut stream).await;
}
