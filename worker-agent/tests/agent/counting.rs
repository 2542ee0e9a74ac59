//! What an agent counts of itself: each thing that happens moves its own numbers and no other.

use std::fs;

use windlass_shared::domain::AgentCounter::{
    FramesIn, FramesOut, KillsByKill, KillsByTerm, LeftoversKilled, LogBytes, ProtocolErrors, Reconnects, Spawns,
    StrayOutputBytes, WardenRestarts,
};
use windlass_shared::domain::{AgentAnswer, AgentAsk, AgentCounter, AttemptState, PoolState, Reason, WorkerStatus};

use crate::asks::ask;
use crate::fake::Stream;
use crate::pools::{HELLO, call, ended, offered, pool};
use crate::{bytes, cluster, eventually, exec, lease, millis, sh};

/// Its pools, and what has moved since its start.
async fn counted(stream: &mut Stream) -> (Vec<PoolState>, Vec<(AgentCounter, u64)>) {
    let AgentAnswer::Pools(pools, counts) = ask(stream, 1, AgentAsk::Pools).await else { panic!("no pools") };
    assert_eq!(counts.len(), AgentCounter::ALL.len(), "those that stand at zero are said too");
    (pools, counts.into_iter().filter(|(_, value)| *value > 0).collect())
}

#[tokio::test]
async fn an_agent_that_has_done_nothing_has_counted_nothing() {
    let (_fake, agent, mut stream) = cluster(&[]).await;
    assert_eq!(counted(&mut stream).await.1, []);
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_job_that_ignores_the_signal_is_counted_once_for_the_signal_and_once_for_the_kill() {
    let (fake, agent, mut stream) = cluster(&[]).await;
    let mut spec = sh("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    spec.stop_grace = Some(millis(100));
    stream.assign(lease(1), &bytes(&spec)).await;
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "ready").await;
    assert_eq!(counted(&mut stream).await.1, [(LogBytes, 6), (Spawns, 1)]);
    stream.stop(lease(1), Reason::CancelRequested).await;
    assert_eq!(stream.ended(lease(1)).await.state, AttemptState::Cancelled);
    assert_eq!(counted(&mut stream).await.1, [(KillsByTerm, 1), (KillsByKill, 1), (LogBytes, 6), (Spawns, 1)]);
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_job_that_obeys_is_counted_for_the_signal_alone_and_one_that_cannot_start_as_a_failed_spawn() {
    let (_fake, agent, mut stream) = cluster(&[]).await;
    stream.assign(lease(1), &bytes(&exec(&["sleep", "1000"]))).await;
    stream.started(lease(1)).await;
    stream.stop(lease(1), Reason::CancelRequested).await;
    stream.ended(lease(1)).await;
    stream.assign(lease(2), &bytes(&exec(&["/no/such/program"]))).await;
    stream.ended(lease(2)).await;
    let spawns = [(KillsByTerm, 1), (Spawns, 1), (AgentCounter::SpawnFailures, 1)];
    assert_eq!(counted(&mut stream).await.1, spawns);
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_worker_that_breaks_the_protocol_is_one_error_whatever_it_says_after_it() {
    // Noise of five bytes before any call; an answer for a call that it was not given, twice; and then it stays. Its next life
    // only stays.
    let lie = r#"printf '\036{"type":"result","id":77,"value":1}\n'"#;
    let script = format!("{HELLO}; mkdir $PWD/../once || read never; echo ouch; read job; {lie}; {lie}; sleep 1000");
    let (_fake, agent, mut stream) = pool(&["sh", "-c", &script], "max = 1\nmin = 1").await;
    offered(&mut stream).await;
    stream.pass_credit();
    while !counted(&mut stream).await.1.contains(&(StrayOutputBytes, 5)) {}
    stream.assign(lease(1), &bytes(&call("h", "1"))).await;
    ended(&mut stream, 1).await;
    let counts = loop {
        let (pools, counts) = counted(&mut stream).await;
        if pools[0].starts == 2 && pools[0].workers.of(WorkerStatus::Idle) == 1 {
            break counts;
        }
    };
    // In: two hellos and what it lied, once or, where that was read before its end, twice. Out: two welcomes and the call.
    let frames_in = counts.iter().find(|(counter, _)| *counter == FramesIn).unwrap().1;
    assert!((3..=4).contains(&frames_in), "{counts:?}");
    let others: Vec<_> = counts.into_iter().filter(|(counter, _)| *counter != FramesIn).collect();
    assert_eq!(others, [(KillsByKill, 1), (FramesOut, 3), (ProtocolErrors, 1), (StrayOutputBytes, 5), (Spawns, 2)]);
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn what_a_former_life_left_is_counted_by_the_process_and_nothing_of_that_life_is() {
    let (mut fake, mut agent, mut stream) = cluster(&[]).await;
    let survivor = "setsid sh -c 'echo held; exec sleep 1000' & wait";
    stream.assign(lease(1), &bytes(&sh(survivor))).await;
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "held").await;
    let cookie = format!("WINDLASS_AGENT_ID={}\0", stream.hello.id);
    agent.kill_with_all_supervision();
    agent.exit().await;
    // The leader dies with its keeper.
    eventually("only what left the session is left", || carriers(&cookie) == 1).await;

    let agent = agent.again(&fake.url);
    let mut stream = fake.session().await;
    assert_eq!(counted(&mut stream).await.1, [(LeftoversKilled, 1)]);
    assert_eq!(carriers(&cookie), 0);
    agent.finish(&mut stream).await;
}

/// Processes with this in their environment.
fn carriers(cookie: &str) -> usize {
    let carries = |environ: Vec<u8>| environ.windows(cookie.len()).any(|part| part == cookie.as_bytes());
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("environ")).ok());
    processes.filter(|environ| carries(environ.clone())).count()
}

#[tokio::test]
async fn a_warden_that_dies_and_a_stream_that_breaks_are_counted_each_as_itself() {
    let (mut fake, agent, mut stream) = cluster(&[]).await;
    agent.kill_warden();
    agent.says("warden started").await;
    assert_eq!(counted(&mut stream).await.1, [(WardenRestarts, 1)]);
    drop(stream);
    let mut stream = fake.session().await;
    assert_eq!(counted(&mut stream).await.1, [(WardenRestarts, 1), (Reconnects, 1)]);
    agent.finish(&mut stream).await;
}
