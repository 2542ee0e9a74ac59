//! Pools and workers: what an operator asks reaches the agent, and the agent's answer the operator.

use std::time::Duration;

use tonic::Code;
use windlass_shared::convert::{self, FromCoordinator};
use windlass_shared::domain::{
    AgentAnswer, AgentAsk, AgentCounter, AgentHello, Breaker, BreakerState, ExitCounts, Mode, PoolAnswer, PoolAsk,
    PoolHealth, PoolRefusal, PoolState, WorkerExit, WorkerKill, WorkerState, WorkerStatus,
};
use windlass_shared::pb;

use crate::rig::{Agent, Rig, fields, hello, hello_with, pool, reason};

fn id(n: u8) -> String {
    hello(n, 1).id.to_string()
}

fn state(name: &str) -> PoolState {
    let mut exits = ExitCounts::default();
    exits.add(WorkerExit::RecycledJobs, 4);
    exits.add(WorkerExit::Signalled, 1);
    PoolState {
        name: name.into(),
        mode: Mode::Static,
        health: PoolHealth::Broken,
        min: 1,
        max: 2,
        workers: [WorkerStatus::Busy, WorkerStatus::Stuck].into_iter().collect(),
        handlers: vec!["resize".into()],
        held: 3,
        generation: 2,
        breaker: Breaker {
            state: BreakerState::Open,
            stderr_lines: vec!["No module named PIL".into()],
            ..Breaker::default()
        },
        starts: 6,
        exits,
    }
}

fn worker(slot: u32) -> WorkerState {
    WorkerState {
        id: format!("p-{slot}").into(),
        slot,
        status: WorkerStatus::Idle,
        since: None,
        pid: Some(100 + slot),
        jobs_done: 1,
        rss_bytes: None,
        current: None,
        waiting: 0,
        generation: 1,
    }
}

async fn with_pool(rig: &Rig, n: u8) -> Agent {
    rig.greet(hello_with(n, &[pool("p", &format!("h{n}"), 2)])).await.0
}

/// What the agent is asked next.
async fn asked(agent: &mut Agent) -> (u64, AgentAsk) {
    match agent.hear().await {
        Ok(FromCoordinator::Ask(id, ask)) => (id, ask),
        other => panic!("expected an ask, heard {other:?}"),
    }
}

/// Answers the next ask, which must be this one of pool `p`.
async fn answer(agent: &mut Agent, wanted: PoolAsk, answer: Result<PoolAnswer, PoolRefusal>) {
    let (id, ask) = asked(agent).await;
    assert_eq!(ask, AgentAsk::Pool("p".into(), wanted));
    agent.say(convert::answer(id, AgentAnswer::Pool(answer))).await;
}

fn get_pool(n: u8) -> pb::GetPoolRequest {
    pb::GetPoolRequest { agent_id: id(n), pool: "p".into() }
}

#[tokio::test]
async fn a_pool_is_shown_as_its_agent_answers() {
    let rig = Rig::start().await;
    let mut agent = with_pool(&rig, 1).await;
    let mut pools = rig.pools();
    let (shown, ()) = tokio::join!(
        pools.get_pool(get_pool(1)),
        answer(&mut agent, PoolAsk::State, Ok(PoolAnswer::State(Box::new(state("p")))))
    );
    let shown = shown.expect("answered").into_inner().pool.expect("the pool");
    assert_eq!(shown, convert::pool_to_wire(&state("p")));
    let exits: Vec<_> = shown.exits.iter().map(|exit| (&*exit.reason, exit.workers)).collect();
    assert_eq!(exits, [("recycled_jobs", 4), ("signalled", 1)], "what was planned and what crashed are two numbers");
}

#[tokio::test]
async fn what_is_wanted_of_a_pool_or_a_worker_reaches_its_agent_word_by_word() {
    let rig = Rig::start().await;
    let mut agent = with_pool(&rig, 1).await;
    let mut pools = rig.pools();
    let after = || Ok(PoolAnswer::State(Box::new(state("p"))));
    let (agent_id, pool) = (id(1), "p".to_owned());
    let scale = pb::ScalePoolRequest {
        agent_id: agent_id.clone(),
        pool: pool.clone(),
        min_workers: Some(0),
        max_workers: Some(2),
        ..Default::default()
    };
    let (done, ()) =
        tokio::join!(pools.scale_pool(scale), answer(&mut agent, PoolAsk::ScaleTo { min: 0, max: 2 }, after()));
    assert_eq!(done.expect("done").into_inner().pool.expect("the pool").generation, 2);
    let recycle =
        pb::RecyclePoolRequest { agent_id: agent_id.clone(), pool: pool.clone(), force: true, ..Default::default() };
    let (done, ()) = tokio::join!(
        pools.recycle_pool(recycle.clone()),
        answer(&mut agent, PoolAsk::Recycle { force: true }, after())
    );
    done.expect("done");
    let reset = pb::ResetPoolRequest { agent_id: agent_id.clone(), pool, ..Default::default() };
    let (done, ()) = tokio::join!(pools.reset_pool(reset), answer(&mut agent, PoolAsk::Reset, after()));
    done.expect("done");
    let recycle = pb::RecyclePoolRequest { request_id: "r-1".into(), ..recycle };
    let wanted = PoolAsk::Once { request: "r-1".into(), ask: Box::new(PoolAsk::Recycle { force: true }) };
    let (done, ()) = tokio::join!(pools.recycle_pool(recycle), answer(&mut agent, wanted, after()));
    done.expect("done under its id");
    let kill = pb::KillWorkerRequest { agent_id, worker_id: "p-1".into(), ..Default::default() };
    let wanted = WorkerKill { worker: "p-1".into(), signal: 15, grace: Duration::from_secs(5) };
    let (done, ()) = tokio::join!(
        pools.kill_worker(kill),
        answer(&mut agent, PoolAsk::KillWorker(wanted), Ok(PoolAnswer::Worker(Box::new(worker(1)))))
    );
    assert_eq!(done.expect("done").into_inner().worker.expect("the worker").pid, Some(101));
}

#[tokio::test]
async fn what_an_agent_refuses_is_told_by_its_name_and_by_its_field() {
    let rig = Rig::start().await;
    let mut agent = with_pool(&rig, 1).await;
    let refusals = [
        (PoolRefusal::NoPool("p".into()), Code::NotFound, "POOL_NOT_FOUND"),
        (PoolRefusal::Unsupported("no breaker".into()), Code::Unimplemented, "POOL_UNSUPPORTED"),
        (PoolRefusal::NotNow("it has no process".into()), Code::FailedPrecondition, "POOL_NOT_NOW"),
        (PoolRefusal::Busy, Code::ResourceExhausted, "POOL_ASKS_FULL"),
        (PoolRefusal::RequestIdTaken("r-1".into()), Code::AlreadyExists, "REQUEST_ID_TAKEN"),
    ];
    let mut pools = rig.pools();
    for (refusal, code, name) in refusals {
        let (shown, ()) = tokio::join!(pools.get_pool(get_pool(1)), answer(&mut agent, PoolAsk::State, Err(refusal)));
        let status = shown.expect_err("refused");
        assert_eq!((status.code(), &*reason(&status)), (code, name));
    }
    let scale = pb::ScalePoolRequest { min_workers: Some(1), max_workers: Some(9), ..scale_of(id(1)) };
    let limit = PoolRefusal::OutOfRange { field: "max", limit: "1 to 2, the slots of this agent".into() };
    let (done, ()) =
        tokio::join!(pools.scale_pool(scale), answer(&mut agent, PoolAsk::ScaleTo { min: 1, max: 9 }, Err(limit)));
    let status = done.expect_err("refused");
    assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["max_workers".to_owned()]));
    assert!(status.message().contains("1 to 2, the slots of this agent"), "{}", status.message());
}

fn scale_of(agent_id: String) -> pb::ScalePoolRequest {
    pb::ScalePoolRequest { agent_id, pool: "p".into(), ..Default::default() }
}

#[tokio::test]
async fn an_agent_that_is_away_too_old_or_unknown_is_told_apart_and_asked_nothing() {
    let rig = Rig::start().await;
    let status = rig.pools().get_pool(get_pool(1)).await.expect_err("unknown");
    assert_eq!((status.code(), &*reason(&status)), (Code::NotFound, "AGENT_NOT_FOUND"));
    let old = AgentHello { answers_asks: false, ..hello_with(2, &[pool("p", "h", 1)]) };
    let (_old, _) = rig.greet(old).await;
    let status = rig.pools().get_pool(get_pool(2)).await.expect_err("too old");
    assert_eq!((status.code(), &*reason(&status)), (Code::FailedPrecondition, "AGENT_TOO_OLD"));
    // One that leaves while it is asked.
    let mut agent = with_pool(&rig, 1).await;
    let mut pools = rig.pools();
    let (shown, ()) = tokio::join!(pools.get_pool(get_pool(1)), async {
        asked(&mut agent).await;
        drop(agent);
    });
    let status = shown.expect_err("away");
    assert_eq!((status.code(), &*reason(&status)), (Code::Unavailable, "AGENT_AWAY"));
}

#[tokio::test]
async fn a_page_of_pools_asks_all_its_agents_at_once_and_names_those_that_do_not_answer() {
    let rig = Rig::start().await;
    let (mut first, mut third) = (with_pool(&rig, 1).await, with_pool(&rig, 3).await);
    let _without = rig.agent(2, 1).await;
    let old = AgentHello { answers_asks: false, ..hello_with(4, &[pool("p", "h4", 1)]) };
    let (_old, _) = rig.greet(old).await;
    let mut pools = rig.pools();
    let request = pb::ListPoolsRequest { page_size: 3, ..Default::default() };
    let (page, ()) = tokio::join!(pools.list_pools(request), async {
        // The later one first: nobody waits for another.
        for agent in [&mut third, &mut first] {
            let (id, ask) = asked(agent).await;
            assert_eq!(ask, AgentAsk::Pools);
            agent.say(convert::answer(id, AgentAnswer::Pools(vec![state("p")], Vec::new()))).await;
        }
    });
    let page = page.expect("a page").into_inner();
    let shown: Vec<_> =
        page.agents.iter().map(|one| (&*one.agent_name, one.pools.len(), one.error.is_none())).collect();
    assert_eq!(shown, [("a1", 1, true), ("a3", 1, true)]);
    let request = pb::ListPoolsRequest { page_size: 3, page_token: page.next_page_token, ..Default::default() };
    let page = rig.pools().list_pools(request).await.expect("the last page").into_inner();
    let error = page.agents[0].error.as_ref().expect("too old");
    assert_eq!((page.agents.len(), error.code, &*page.next_page_token), (1, Code::FailedPrecondition as i32, ""));
}

#[tokio::test]
async fn counters_of_an_agent_are_its_own_and_its_pools_each_under_its_name_and_labels() {
    let rig = Rig::start().await;
    let mut agent = with_pool(&rig, 1).await;
    let mut fleet = rig.fleet();
    let request = pb::GetCountersRequest { agent_id: id(1) };
    let (answer, ()) = tokio::join!(fleet.get_counters(request), async {
        let (id, ask) = asked(&mut agent).await;
        assert_eq!(ask, AgentAsk::Pools);
        // Of an agent that knows no others: they are not shown, as zero neither.
        let counts = vec![(AgentCounter::KillsByTerm, 3), (AgentCounter::FramesIn, 0), (AgentCounter::Spawns, 9)];
        agent.say(convert::answer(id, AgentAnswer::Pools(vec![state("p")], counts))).await;
    });
    let counters = answer.expect("counted").into_inner().counters;
    let show = |counter: &pb::Counter| {
        let mut labels: Vec<_> = counter.labels.iter().map(|(label, text)| format!("{label}={text}")).collect();
        labels.sort_unstable();
        format!("{} {} {}", counter.name, labels.join(" "), counter.value).replace(&id(1), "A")
    };
    let wanted = [
        "windlass_agent_kill_escalations_total agent=A step=term 3",
        "windlass_agent_ipc_frames_total agent=A direction=in 0",
        "windlass_agent_spawns_total agent=A 9",
        "windlass_agent_worker_starts_total agent=A pool=p 6",
        "windlass_agent_pool_breaker_open agent=A pool=p 1",
        "windlass_agent_stuck_workers agent=A pool=p 1",
        "windlass_agent_worker_exits_total agent=A pool=p reason=recycled_jobs 4",
        "windlass_agent_worker_exits_total agent=A pool=p reason=signalled 1",
    ];
    assert_eq!(counters.iter().map(show).collect::<Vec<_>>(), wanted);
}

#[tokio::test]
async fn workers_come_in_pages_and_one_by_its_id() {
    let rig = Rig::start().await;
    let mut agent = with_pool(&rig, 1).await;
    let mut pools = rig.pools();
    let all = || Ok(PoolAnswer::Workers((0..3).map(worker).collect()));
    let request = |page_token| pb::ListWorkersRequest { agent_id: id(1), pool: "p".into(), page_size: 2, page_token };
    let (page, ()) =
        tokio::join!(pools.list_workers(request(String::new())), answer(&mut agent, PoolAsk::Workers, all()));
    let page = page.expect("a page").into_inner();
    assert_eq!(page.workers.iter().map(|worker| worker.slot).collect::<Vec<_>>(), [0, 1]);
    let (page, ()) =
        tokio::join!(pools.list_workers(request(page.next_page_token)), answer(&mut agent, PoolAsk::Workers, all()));
    let page = page.expect("the last page").into_inner();
    assert_eq!((page.workers.len(), page.workers[0].slot, &*page.next_page_token), (1, 2, ""));
    let one = |worker: &str| pb::GetWorkerRequest { agent_id: id(1), worker_id: worker.into() };
    let (shown, ()) = tokio::join!(pools.get_worker(one("p-1")), answer(&mut agent, PoolAsk::Workers, all()));
    assert_eq!(shown.expect("there").into_inner().worker.expect("the worker").id, "p-1");
    let (shown, ()) = tokio::join!(pools.get_worker(one("p-7")), answer(&mut agent, PoolAsk::Workers, all()));
    assert_eq!(shown.expect_err("not there").code(), Code::NotFound);
}
