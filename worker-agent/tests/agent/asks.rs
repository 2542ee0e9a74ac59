//! What an operator asks of an agent, and what the agent answers while it works.

use windlass_shared::convert::{self, FromAgent};
use windlass_shared::domain::{AgentAnswer, AgentAsk, PoolAnswer, PoolAsk, PoolRefusal, WorkerStatus};

use crate::fake::Stream;
use crate::pools::{call, ended, example_pool};
use crate::{bytes, lease};

pub(crate) async fn ask(stream: &mut Stream, id: u64, ask: AgentAsk) -> AgentAnswer {
    stream.say(convert::ask(id, &ask)).await;
    match stream.next().await {
        Some(FromAgent::Answer(answered, answer)) if answered == id => answer,
        other => panic!("wanted the answer to {id}, got {other:?}"),
    }
}

#[tokio::test]
async fn an_agent_says_how_its_pools_and_workers_stand_and_calls_go_on() {
    let (_fake, agent, mut stream) = example_pool("max = 2").await;
    assert!(stream.hello.answers_asks);
    let AgentAnswer::Pools(pools, _) = ask(&mut stream, 7, AgentAsk::Pools).await else { panic!("no pools") };
    assert_eq!((pools.len(), &*pools[0].name, pools[0].max), (1, "p", 2));
    let answer = ask(&mut stream, 8, AgentAsk::Pool("p".into(), PoolAsk::Workers)).await;
    let AgentAnswer::Pool(Ok(PoolAnswer::Workers(workers))) = answer else { panic!("no workers: {answer:?}") };
    let names: Vec<_> = workers.iter().map(|worker| &*worker.id).collect();
    assert_eq!(names, ["p-0", "p-1"]);
    assert!(workers.iter().any(|worker| worker.status == WorkerStatus::Idle), "{workers:?}");
    stream.assign(lease(1), &bytes(&call("echo", "1"))).await;
    ended(&mut stream, 1).await;
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn what_an_agent_does_not_have_or_know_is_refused_and_hurts_nothing() {
    let (_fake, agent, mut stream) = example_pool("").await;
    let answer = ask(&mut stream, 1, AgentAsk::Pool("q".into(), PoolAsk::State)).await;
    assert_eq!(answer, AgentAnswer::Pool(Err(PoolRefusal::NoPool("q".into()))));
    let named = PoolAsk::WorkerLogs { worker: "p-9".into(), tail_bytes: 1 };
    let answer = ask(&mut stream, 2, AgentAsk::Pool("p".into(), named)).await;
    assert_eq!(answer, AgentAnswer::Pool(Err(PoolRefusal::NoWorker("p-9".into()))));
    let answer = ask(&mut stream, 3, AgentAsk::Unknown).await;
    assert!(matches!(answer, AgentAnswer::Pool(Err(PoolRefusal::Unsupported(_)))), "{answer:?}");
    agent.finish(&mut stream).await;
}
