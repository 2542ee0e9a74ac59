//! Workers that follow one another: replaced, tried again, started on demand, scaled and looked after.

use std::time::{Duration, Instant};

use windlass_shared::domain::{
    AgentAnswer, AgentAsk, AttemptState, BreakerState, PoolAnswer, PoolAsk, PoolHealth, PoolRefusal, PoolReply,
    PoolState, Reason, WorkerExit, WorkerKill, WorkerStatus,
};

use crate::asks::ask;
use crate::fake::Stream;
use crate::pools::{HELLO, call, ended, example, example_pool, offered, pool, value};
use crate::{bytes, lease};

async fn ask_pool(stream: &mut Stream, what: PoolAsk) -> PoolReply {
    stream.pass_credit();
    match ask(stream, 1, AgentAsk::Pool("p".into(), what)).await {
        AgentAnswer::Pool(reply) => reply,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn state(stream: &mut Stream) -> PoolState {
    match ask_pool(stream, PoolAsk::State).await {
        Ok(PoolAnswer::State(state)) => *state,
        other => panic!("{other:?}"),
    }
}

/// Asks until it is so.
pub(crate) async fn until(stream: &mut Stream, what: &str, so: impl Fn(&PoolState) -> bool) -> PoolState {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let state = state(stream).await;
        if so(&state) {
            return state;
        }
        assert!(Instant::now() < deadline, "never: {what}: {state:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn ready(state: &PoolState) -> u32 {
    state.workers.of(WorkerStatus::Idle) + state.workers.of(WorkerStatus::Busy)
}

fn exits(state: &PoolState) -> Vec<(WorkerExit, u64)> {
    state.exits.iter().collect()
}

async fn logs(stream: &mut Stream, worker: &str) -> String {
    let asked = PoolAsk::WorkerLogs { worker: worker.into(), tail_bytes: 4_096 };
    match ask_pool(stream, asked).await {
        Ok(PoolAnswer::Logs(logs)) => String::from_utf8_lossy(&logs.data).into_owned(),
        other => panic!("{other:?}"),
    }
}

/// Runs this call to its end.
async fn run(stream: &mut Stream, number: u64, handler: &str, input: &str) -> AttemptState {
    stream.assign(lease(number), &bytes(&call(handler, input))).await;
    ended(stream, number).await.state
}

#[tokio::test]
async fn workers_are_replaced_after_their_share_of_calls_and_as_many_as_there_should_be_are_always_ready() {
    let (_fake, agent, mut stream) = example_pool("max = 2\nmax_jobs = 3").await;
    until(&mut stream, "both are ready", |state| ready(state) == 2).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    // What comes while a successor boots is done by its predecessor: how many calls it takes is the host's affair.
    for number in 1.. {
        assert_eq!(run(&mut stream, number, "echo", "1").await, AttemptState::Succeeded);
        let state = state(&mut stream).await;
        // The one that went and the one that came are one step.
        assert!(ready(&state) >= 2, "{state:?}");
        if state.exits.of(WorkerExit::RecycledJobs) >= 10 {
            assert!(number >= 30, "three calls each: {number}");
            break;
        }
        assert!(Instant::now() < deadline, "{state:?}");
    }
    let state = until(&mut stream, "whoever was replaced is gone", |state| {
        state.starts == state.exits.of(WorkerExit::RecycledJobs) + 2 && ready(state) == 2
    });
    let state = state.await;
    assert_eq!(exits(&state).len(), 1, "nobody ended for another reason: {state:?}");
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_pool_whose_workers_do_not_boot_says_why_and_stops_trying() {
    let (_fake, agent, mut stream) = pool(&["sh", "-c", "echo no module named x >&2; exit 1"], "").await;
    let state = until(&mut stream, "the breaker opens", |state| state.breaker.state == BreakerState::Open).await;
    assert_eq!((exits(&state), state.starts, state.health), (vec![(WorkerExit::BootFailed, 5)], 5, PoolHealth::Broken));
    assert_eq!(state.breaker.stderr_lines, ["no module named x".into()]);
    assert!(state.breaker.probe_at > state.breaker.opened_at && state.breaker.reason.is_some());
    agent.says("the pool's breaker opens").await;
    assert!(agent.log().contains("no module named x"));
    let Ok(PoolAnswer::State(reset)) = ask_pool(&mut stream, PoolAsk::Reset).await else { panic!("no reset") };
    assert_eq!(reset.breaker.state, BreakerState::Closed);
    until(&mut stream, "it is tried again", |state| state.starts > 5).await;
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_pool_on_demand_has_nobody_until_a_call_waits_and_nobody_again_after_it() {
    let command = [example().to_str().unwrap().to_owned()];
    let rest = "mode = \"ondemand\"\nhandlers = [\"echo\"]\nidle_timeout_s = 1";
    let (_fake, agent, mut stream) = pool(&[command[0].as_str()], rest).await;
    assert!(offered(&mut stream).await > 0);
    assert_eq!(state(&mut stream).await.starts, 0);
    assert_eq!(run(&mut stream, 1, "echo", "1").await, AttemptState::Succeeded);
    let state = until(&mut stream, "it is gone", |state| state.workers.of(WorkerStatus::Off) == 1).await;
    assert_eq!((exits(&state), state.starts), (vec![(WorkerExit::Idle, 1)], 1));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_dynamic_pool_grows_with_its_calls_and_shrinks_without_them() {
    let rest = "mode = \"dynamic\"\nmax = 4\nmin_idle = 1\nidle_timeout_s = 1\nshrink_interval_s = 1";
    let (_fake, agent, mut stream) = example_pool(rest).await;
    assert_eq!(until(&mut stream, "one is ready", |state| ready(state) == 1).await.starts, 1);
    for number in 1..=3 {
        stream.assign(lease(number), &bytes(&call("sleep", "60000"))).await;
        stream.started(lease(number)).await;
        until(&mut stream, "it runs, and one is ready", |state| {
            u64::from(state.workers.of(WorkerStatus::Busy)) == number && state.workers.of(WorkerStatus::Idle) == 1
        })
        .await;
    }
    for number in 1..=3 {
        stream.stop(lease(number), Reason::CancelRequested).await;
        assert_eq!(ended(&mut stream, number).await.state, AttemptState::Cancelled);
    }
    let state = until(&mut stream, "one is left", |state| state.workers.of(WorkerStatus::Off) == 3).await;
    assert_eq!((exits(&state), ready(&state)), (vec![(WorkerExit::Idle, 3)], 1));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_dynamic_pool_keeps_ready_what_it_is_told_to() {
    let (_fake, agent, mut stream) = example_pool("mode = \"dynamic\"\nmax = 4\nmin_idle = 2").await;
    until(&mut stream, "two are ready", |state| state.workers.of(WorkerStatus::Idle) == 2).await;
    stream.assign(lease(1), &bytes(&call("sleep", "60000"))).await;
    stream.started(lease(1)).await;
    let busy =
        |state: &PoolState| state.workers.of(WorkerStatus::Busy) == 1 && state.workers.of(WorkerStatus::Idle) == 2;
    assert_eq!(until(&mut stream, "two more are", busy).await.starts, 3);
    stream.stop(lease(1), Reason::CancelRequested).await;
    assert_eq!(ended(&mut stream, 1).await.state, AttemptState::Cancelled);
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_worker_that_takes_too_much_memory_is_ended_with_its_call_and_its_neighbour_goes_on() {
    let (_fake, agent, mut stream) = example_pool("max = 2\nmemory_limit = \"96MiB\"").await;
    until(&mut stream, "both are ready", |state| ready(state) == 2).await;
    stream.assign(lease(1), &bytes(&call("sleep", "2500"))).await;
    stream.assign(lease(2), &bytes(&call("hog", "256"))).await;
    let mut ends = Vec::new();
    while ends.len() < 2 {
        let item = stream.news().await;
        if let windlass_shared::domain::News::Ended(outcome) = item.news {
            ends.push((item.lease, outcome.state, outcome.reason));
        }
    }
    ends.sort_by_key(|(lease, ..)| *lease);
    assert_eq!(ends[0], (lease(1), AttemptState::Succeeded, None));
    assert_eq!(ends[1].1, AttemptState::Failed);
    // Which of the two sees it first depends on who keeps limits here.
    assert!(matches!(ends[1].2, Some(Reason::MemoryLimit | Reason::OomKilled)), "{ends:?}");
    let state = until(&mut stream, "another is there", |state| ready(state) == 2).await;
    assert_eq!(exits(&state).iter().map(|(_, count)| count).sum::<u64>(), 1, "{state:?}");
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_pool_is_scaled_within_the_slots_and_commands_have_what_it_leaves() {
    let (_fake, agent, mut stream) = example_pool("").await;
    assert_eq!(stream.hello.slots, 3);
    let scale = |size| PoolAsk::ScaleTo { min: size, max: size };
    assert!(ask_pool(&mut stream, scale(3)).await.is_ok());
    until(&mut stream, "three are ready", |state| (ready(state), state.max) == (3, 3)).await;
    let refused = ask_pool(&mut stream, scale(5)).await;
    let Err(PoolRefusal::OutOfRange { field: "max", limit }) = refused else { panic!("{refused:?}") };
    assert!(limit.starts_with("1 to 4"), "{limit}");
    assert!(matches!(
        ask_pool(&mut stream, PoolAsk::ScaleTo { min: 1, max: 2 }).await,
        Err(PoolRefusal::OutOfRange { .. })
    ));
    assert!(ask_pool(&mut stream, scale(4)).await.is_ok());
    // No slot is left: a command goes back.
    stream.assign(lease(1), &bytes(&crate::sh("true"))).await;
    let item = stream.news().await;
    assert_eq!(item.news, windlass_shared::domain::News::Returned(Reason::Returned));
    assert!(ask_pool(&mut stream, scale(1)).await.is_ok());
    let alone = |state: &PoolState| ready(state) == 1 && state.exits.of(WorkerExit::Idle) == state.starts - 1;
    until(&mut stream, "one is left", alone).await;
    stream.assign(lease(2), &bytes(&crate::sh("true"))).await;
    assert_eq!(stream.ran(lease(2)).await.state, AttemptState::Succeeded);
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn an_operators_kill_ends_a_worker_whose_call_is_nobodys_failure() {
    let (_fake, agent, mut stream) = example_pool("").await;
    stream.assign(lease(1), &bytes(&call("sleep", "60000"))).await;
    stream.started(lease(1)).await;
    let kill = WorkerKill { worker: "p-0".into(), signal: 15, grace: Duration::from_secs(5) };
    assert!(matches!(ask_pool(&mut stream, PoolAsk::KillWorker(kill)).await, Ok(PoolAnswer::Worker(_))));
    let outcome = ended(&mut stream, 1).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Interrupted, Some(Reason::WorkerDied)));
    let state = until(&mut stream, "another is there", |state| ready(state) == 1).await;
    assert_eq!((exits(&state), state.starts), (vec![(WorkerExit::Killed, 1)], 2));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_worker_has_a_directory_of_its_own_that_is_empty_when_it_starts() {
    let script = format!(
        "echo in $(pwd) for $WINDLASS_SCRATCH with $(ls -A | wc -l) of $(stat -c %a .) >&2; touch left; {HELLO}; read job; \
         printf '\\036{{\"type\":\"result\",\"id\":1,\"value\":1}}\\n'; read more"
    );
    let (_fake, agent, mut stream) = pool(&["sh", "-c", &script], "max_jobs = 1").await;
    offered(&mut stream).await;
    let dir = agent.dir().join("parent/data/pools/p").canonicalize().unwrap();
    let said = |slot: u32| format!("in {0}/{slot} for {0}/{slot} with 0 of 700\n", dir.display());
    assert_eq!(logs(&mut stream, "p-0").await, said(0));
    assert_eq!(run(&mut stream, 1, "h", "1").await, AttemptState::Succeeded);
    until(&mut stream, "it was replaced", |state| state.exits.of(WorkerExit::RecycledJobs) == 1).await;
    assert_eq!(logs(&mut stream, "p-1").await, said(1));
    assert_eq!(run(&mut stream, 2, "h", "1").await, AttemptState::Succeeded);
    until(&mut stream, "that one too", |state| state.exits.of(WorkerExit::RecycledJobs) == 2).await;
    assert_eq!(logs(&mut stream, "p-0").await, said(0), "what the first left is gone");
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_recycle_replaces_every_worker_and_disturbs_no_call() {
    let (_fake, agent, mut stream) = example_pool("max = 2").await;
    until(&mut stream, "both are ready", |state| ready(state) == 2).await;
    stream.assign(lease(1), &bytes(&call("sleep", "700"))).await;
    stream.started(lease(1)).await;
    assert!(ask_pool(&mut stream, PoolAsk::Recycle { force: false }).await.is_ok());
    let outcome = ended(&mut stream, 1).await;
    assert_eq!((outcome.state, value(&outcome)), (AttemptState::Succeeded, "700"));
    let state = until(&mut stream, "both are replaced", |state| state.exits.of(WorkerExit::RecycledAsked) == 2).await;
    assert_eq!((exits(&state).len(), state.generation), (1, 2));
    agent.finish(&mut stream).await;
}
