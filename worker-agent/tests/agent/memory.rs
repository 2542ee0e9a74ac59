//! What becomes of jobs that take too much memory where the agent itself has to look.

use std::sync::Arc;

use windlass_shared::domain::{AttemptState, Exit, ExitStatus, Proof, Reason};

use crate::fake::{Fake, Stream};
use crate::{Agent, bytes, lease, sh};

pub(crate) const LIMITED: &str = "[exec.limits]\nmemory_bytes = 67108864\n";

/// An agent that limits commands to 64 MiB, and its first session.
pub(crate) async fn limited(args: &[&str]) -> (Fake, Agent, Stream) {
    let mut fake = Fake::start().await;
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let config = dir.path().join("agent.toml");
    std::fs::write(&config, LIMITED).unwrap();
    let args = [&["--slots", "4", "--config", config.to_str().unwrap()], args].concat();
    let agent = Agent::start_in(dir, &fake.url, &args);
    let mut stream = fake.session().await;
    stream.pass_credit();
    (fake, agent, stream)
}

/// Takes this much and keeps it: tail waits for the end of a line that never ends.
pub(crate) fn take(megabytes: u32) -> String {
    format!("(head -c {megabytes}M /dev/zero; exec sleep 1000) | tail")
}

#[tokio::test]
async fn a_job_above_its_memory_limit_is_told_and_at_the_next_look_killed_with_all_it_started() {
    let (_fake, agent, mut stream) = limited(&[]).await;
    // In a session of its own, and nobody hears what is told.
    let deaf = format!("trap '' TERM; setsid sh -c \"{}\" & wait", take(96));
    stream.assign(lease(1), &bytes(&sh(&deaf))).await;
    stream.started(lease(1)).await;
    let outcome = stream.ended(lease(1)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Failed, Some(Reason::MemoryLimit)));
    let detail = outcome.detail.unwrap();
    assert!(detail.starts_with("it had ") && detail.ends_with(" MiB in memory, above its limit of 64 MiB"), "{detail}");
    let Exit { status, proof, .. } = outcome.exit.unwrap();
    assert_eq!((status, proof), (ExitStatus::Signal { number: 9, core_dumped: false }, Proof::Keeper));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_job_that_hears_may_clean_up_and_one_below_its_limit_hears_nothing() {
    let (fake, agent, mut stream) = limited(&[]).await;
    stream.assign(lease(1), &bytes(&sh("trap 'echo heard; exit 0' TERM; sleep 1000 & wait"))).await;
    stream.started(lease(1)).await;
    let hears = format!("trap 'echo heard; exit 0' TERM; {} & wait", take(96));
    stream.assign(lease(2), &bytes(&sh(&hears))).await;
    stream.started(lease(2)).await;
    let outcome = stream.ended(lease(2)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Failed, Some(Reason::MemoryLimit)));
    assert_eq!(outcome.exit.unwrap().status, ExitStatus::Code(0), "told, it left by itself, and that changes nothing");
    assert_eq!(fake.logs.text(lease(2)).await, "heard\n");
    stream.stop(lease(1), Reason::CancelRequested).await;
    let outcome = stream.ended(lease(1)).await;
    assert_eq!((outcome.state, outcome.detail), (AttemptState::Cancelled, None));
    agent.finish(&mut stream).await;
}
