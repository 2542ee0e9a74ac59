//! What a pool says of itself, and what it refuses.

use windlass_shared::domain::{
    Mode, PoolAnswer, PoolAsk, PoolHealth, PoolRefusal, PoolState, WorkerKill, WorkerState, WorkerStatus,
};

use super::*;

fn ask(bench: &mut Bench, ask: &PoolAsk) -> Result<PoolAnswer, PoolRefusal> {
    let now = bench.moment();
    bench.pool.on_ask(ask, now)
}

fn state(bench: &mut Bench) -> PoolState {
    let Ok(PoolAnswer::State(state)) = ask(bench, &PoolAsk::State) else { panic!("no state") };
    *state
}

fn workers(bench: &mut Bench) -> Vec<WorkerState> {
    let Ok(PoolAnswer::Workers(workers)) = ask(bench, &PoolAsk::Workers) else { panic!("no workers") };
    workers
}

#[test]
fn a_pool_says_how_each_worker_stands_and_what_it_runs() {
    let mut bench = Bench::new("max = 3\nmin = 2\nhandlers = [\"h\"]");
    bench.hear(0, [hello(ALL)]);
    bench.run(call(1));
    bench.say(0, [Answer::Started(1)]);
    let state = state(&mut bench);
    assert_eq!((state.min, state.max, state.mode, state.health), (2, 3, Mode::Dynamic, PoolHealth::Ok));
    let counts = [WorkerStatus::Busy, WorkerStatus::Starting, WorkerStatus::Off].map(|status| state.workers.of(status));
    assert_eq!((counts, state.held), ([1, 1, 1], 1));
    let all = workers(&mut bench);
    let names: Vec<_> = all.iter().map(|worker| &*worker.id).collect();
    assert_eq!(names, ["p-0", "p-1", "p-2"]);
    let current = all[0].current.expect("it runs a call");
    assert_eq!((current.job, current.attempt, current.started_at.is_some()), (lease(1).job, 1, true));
    assert_eq!((all[1].status, all[1].current), (WorkerStatus::Starting, None));
}

#[test]
fn a_worker_is_found_by_its_one_name_and_by_no_other() {
    let mut bench = Bench::new("max = 2");
    let named = |worker: &str| PoolAsk::WorkerLogs { worker: worker.into(), tail_bytes: 1 };
    for wrong in ["p-2", "p-01", "p-+1", "p", "q-0", "p-", ""] {
        assert_eq!(ask(&mut bench, &named(wrong)), Err(PoolRefusal::NoWorker(wrong.into())), "{wrong}");
    }
    let wrong = WorkerKill { worker: "p-9".into(), signal: 15, grace: S };
    assert_eq!(ask(&mut bench, &PoolAsk::KillWorker(wrong)), Err(PoolRefusal::NoWorker("p-9".into())));
    assert!(!matches!(ask(&mut bench, &named("p-1")), Err(PoolRefusal::NoWorker(_))));
}

#[test]
fn an_ask_changes_nothing_of_who_does_what() {
    let mut bench = Bench::new("max = 1");
    let before = format!("{:?}", bench.pool.seats);
    state(&mut bench);
    workers(&mut bench);
    assert_eq!(format!("{:?}", bench.pool.seats), before);
}

#[tokio::test]
async fn asks_past_the_bound_are_refused_and_a_pool_that_is_gone_says_so() {
    let (asker, mut asks) = crate::worker::asks::asks();
    let mut waiting = Vec::new();
    for _ in 0..windlass_shared::limits::POOL_ASKS_MAX {
        let mut one = Box::pin({
            let asker = asker.clone();
            async move { asker.ask(PoolAsk::State).await }
        });
        assert!(futures_poll(&mut one).is_none());
        waiting.push(one);
    }
    assert_eq!(asker.ask(PoolAsk::State).await, Err(PoolRefusal::Busy));
    let (_, reply) = asks.recv().await.expect("one that waits");
    reply.send(Err(PoolRefusal::Busy)).expect("it still waits");
    drop(asks);
    assert!(matches!(asker.ask(PoolAsk::State).await, Err(PoolRefusal::NotNow(_))));
    assert_eq!(waiting.remove(0).await, Err(PoolRefusal::Busy));
    assert!(matches!(waiting.remove(0).await, Err(PoolRefusal::NotNow(_))));
}

/// Its value, where it has one without waiting.
fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}
