//! The configuration, read again while an agent works.

use std::path::Path;
use std::sync::Arc;

use windlass_shared::convert::FromAgent;
use windlass_shared::domain::{AgentAnswer, AgentAsk, AttemptState, Reason, WorkerExit, WorkerStatus};

use crate::asks::ask;
use crate::fake::{Fake, Stream};
use crate::pools::{call, ended, example, offered};
use crate::turnover::{state, until};
use crate::{Agent, bytes, lease};

fn pool(name: &str, handler: &str, rest: &str) -> String {
    let command = example().to_str().unwrap().to_owned();
    format!("[[pool]]\nname = {name:?}\ncommand = [{command:?}]\nhandlers = [{handler:?}]\n{rest}\n")
}

fn write(agent_dir: &Path, text: &str) {
    std::fs::write(agent_dir.join("agent.toml"), text).unwrap();
}

/// An agent with this file, once its first pool takes calls.
async fn configured(text: &str) -> (Fake, Agent, Stream) {
    let mut fake = Fake::start().await;
    let dir = Arc::new(tempfile::tempdir().unwrap());
    write(dir.path(), text);
    let config = dir.path().join("agent.toml");
    let agent = Agent::start_in(dir, &fake.url, &["--slots", "4", "--config", config.to_str().unwrap()]);
    let mut stream = fake.session().await;
    offered(&mut stream).await;
    stream.pass_credit();
    (fake, agent, stream)
}

async fn names(stream: &mut Stream) -> Vec<String> {
    let AgentAnswer::Pools(pools, _) = ask(stream, 9, AgentAsk::Pools).await else { panic!("no pools") };
    pools.into_iter().map(|pool| pool.name.to_string()).collect()
}

async fn runs(stream: &mut Stream, number: u64, handler: &str) {
    stream.assign(lease(number), &bytes(&call(handler, "1"))).await;
    assert_eq!(ended(stream, number).await.state, AttemptState::Succeeded);
}

#[tokio::test]
async fn a_changed_pool_is_replaced_worker_by_worker_while_its_call_runs_on() {
    let (_fake, agent, mut stream) = configured(&pool("p", "sleep", "max = 2")).await;
    until(&mut stream, "both are ready", |state| state.workers.of(WorkerStatus::Idle) == 2).await;
    stream.assign(lease(1), &bytes(&call("sleep", "700"))).await;
    stream.started(lease(1)).await;
    write(agent.dir(), &pool("p", "sleep", "max = 2\nenv = { NEW = \"1\" }"));
    agent.hang_up();
    agent.says("the configuration was read again").await;
    assert_eq!(ended(&mut stream, 1).await.state, AttemptState::Succeeded);
    let state = until(&mut stream, "both are replaced", |state| state.exits.of(WorkerExit::RecycledAsked) == 2).await;
    assert_eq!((state.generation, state.starts, state.exits.iter().count()), (2, 4, 1));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn what_an_agent_says_of_itself_is_in_its_hello_and_its_next_word_after_a_change() {
    let mut fake = Fake::start().await;
    let dir = Arc::new(tempfile::tempdir().unwrap());
    write(dir.path(), "[labels]\nzone = \"a\"\n[devices]\ngpu = [0, 1]\n");
    let config = dir.path().join("agent.toml");
    let args = ["--slots", "1", "--label", "rack=r1", "--resource=memory=1.5", "--config", config.to_str().unwrap()];
    let agent = Agent::start_in(dir, &fake.url, &args);
    let mut stream = fake.session().await;
    let said = &stream.hello.traits;
    assert_eq!(said.labels, [("rack".into(), "r1".into()), ("zone".into(), "a".into())].into());
    assert_eq!((said.resources["memory"], said.devices["gpu"].len()), (1_500, 2));

    write(agent.dir(), "[labels]\nzone = \"b\"\n");
    agent.hang_up();
    let FromAgent::Credit(credit) = stream.next().await.unwrap() else { panic!("no credit") };
    let said = credit.traits.expect("what has changed");
    assert_eq!(said.labels, [("rack".into(), "r1".into()), ("zone".into(), "b".into())].into());
    assert_eq!((said.devices.len(), credit.capacity), (0, 1));

    // What is no news is not said; what is wrong is not taken.
    agent.hang_up();
    agent.says("taken=2").await;
    write(agent.dir(), "[devices]\ngpu = []\n");
    agent.hang_up();
    agent.says("--device gpu: has no ids").await;
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn pools_come_and_go_with_the_configuration() {
    let (_fake, agent, mut stream) = configured(&pool("p", "sleep", "")).await;
    write(agent.dir(), &format!("{}{}", pool("p", "sleep", ""), pool("q", "echo", "max = 2")));
    agent.hang_up();
    agent.says("changed=0 added=1 removed=0").await;
    assert_eq!(names(&mut stream).await, ["p", "q"]);
    runs(&mut stream, 2, "echo").await;
    stream.assign(lease(3), &bytes(&call("sleep", "500"))).await;
    stream.started(lease(3)).await;
    write(agent.dir(), &pool("q", "echo", "max = 2"));
    agent.hang_up();
    agent.says("changed=0 added=0 removed=1").await;
    assert_eq!(ended(&mut stream, 3).await.state, AttemptState::Succeeded);
    assert_eq!(names(&mut stream).await, ["q"]);
    stream.assign(lease(4), &bytes(&call("sleep", "4"))).await;
    assert_eq!(stream.news().await.news, windlass_shared::domain::News::Returned(Reason::Returned));
    runs(&mut stream, 5, "echo").await;
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_configuration_that_cannot_be_right_changes_nothing_and_is_one_line() {
    let (_fake, agent, mut stream) = configured(&pool("p", "echo", "")).await;
    let bad = [
        ("[[pool]\n".to_owned(), "TOML parse error"),
        (pool("p", "echo", "max = 9"), "9 workers, and the agent 4 slots"),
        (pool("p", "echo", "maximum = 1"), "unknown field `maximum`"),
        (pool("p", "echo", "fence = true"), "fence cannot change while the agent runs"),
    ];
    for (number, (text, why)) in (1..).zip(bad) {
        write(agent.dir(), &text);
        agent.hang_up();
        agent.says(&format!("refused={number}")).await;
        let log = agent.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("is not taken")).collect();
        assert_eq!(lines.len(), number, "{lines:?}");
        assert!(lines[number - 1].contains(why), "{lines:?}");
        runs(&mut stream, 2 * number as u64, "echo").await;
    }
    let state = state(&mut stream).await;
    assert_eq!((state.generation, state.starts), (1, 1));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_pool_whose_new_configuration_does_not_boot_keeps_its_workers() {
    let (_fake, agent, mut stream) = configured(&pool("p", "echo", "")).await;
    until(&mut stream, "it is ready", |state| state.workers.of(WorkerStatus::Idle) == 1).await;
    write(
        agent.dir(),
        "[[pool]]\nname = \"p\"\ncommand = [\"sh\", \"-c\", \"echo broken >&2; exit 1\"]\nhandlers = [\"echo\"]\n",
    );
    agent.hang_up();
    agent.says("the new configuration of the pool does not run").await;
    let state = until(&mut stream, "it is given up", |state| state.exits.of(WorkerExit::BootFailed) == 3).await;
    assert_eq!((state.workers.of(WorkerStatus::Idle), state.starts), (1, 4), "{state:?}");
    runs(&mut stream, 1, "echo").await;
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn what_only_a_restart_changes_is_said_and_what_can_change_does() {
    let (_fake, agent, mut stream) = configured(&pool("p", "sleep", "")).await;
    write(agent.dir(), &format!("detach_max = \"5m\"\ndrain_timeout = \"100ms\"\n{}", pool("p", "sleep", "")));
    agent.hang_up();
    agent.says("the configuration was read again").await;
    assert!(agent.log().contains("flag=\"detach-max\""), "{}", agent.log());
    stream.assign(lease(1), &bytes(&call("sleep", "60000"))).await;
    stream.started(lease(1)).await;
    agent.terminate();
    assert!(matches!(stream.next().await, Some(FromAgent::Draining(_))));
    let outcome = ended(&mut stream, 1).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Interrupted, Some(Reason::Drain)));
    stream.goodbye().await;
}
