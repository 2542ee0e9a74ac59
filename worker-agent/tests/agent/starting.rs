//! What an agent refuses to start with.

use crate::fake::Fake;
use crate::{Agent, blocking, cluster};

async fn start_fails(args: &[&str], code: i32, message: &str) {
    let mut agent = Agent::start("http://127.0.0.1:1", args);
    assert_eq!(agent.exit().await.code(), Some(code), "{args:?}");
    assert!(agent.log().contains(message), "{args:?}: {}", agent.log());
}

#[tokio::test]
async fn a_flag_that_cannot_be_right_is_named_and_the_exit_code_says_configuration() {
    start_fails(&["--slots", "0"], 78, "--slots must be").await;
    start_fails(&["--slots", "many"], 78, "--slots").await;
    start_fails(&["--drain-timeout", "5"], 78, "--drain-timeout").await;
    start_fails(&["--detach-max", "1000h"], 78, "--detach-max must be").await;
    start_fails(&["--no-such-flag"], 78, "--no-such-flag").await;
    let mut agent = Agent::start("https://127.0.0.1:1", &[]);
    assert_eq!(agent.exit().await.code(), Some(78));
    assert!(agent.log().contains("--coordinator must be"), "{}", agent.log());
}

#[tokio::test]
async fn a_second_agent_on_the_same_data_directory_is_refused() {
    let (_fake, agent, mut stream) = cluster(&[]).await;
    let data = agent.dir().join("parent/data");
    let mut second = std::process::Command::new(env!("CARGO_BIN_EXE_windlass-worker-agent"));
    second.args(["--lock-timeout", "100ms", "--data"]).arg(data);
    let output = blocking(move || second.output().unwrap()).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("in use by another agent"), "{said}");
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_successor_has_the_id_of_the_agent_before_it_and_an_instance_of_its_own() {
    let mut fake = Fake::start().await;
    let mut agent = Agent::start(&fake.url, &[]);
    let first = fake.session().await.hello;
    agent.terminate();
    assert_eq!(agent.exit().await.code(), Some(0));
    let agent = agent.again(&fake.url);
    let mut stream = fake.session().await;
    assert_eq!((stream.hello.id, &stream.hello.boot_id), (first.id, &first.boot_id));
    assert_ne!(stream.hello.instance, first.instance);
    assert_eq!(stream.hello.session, 1);
    agent.finish(&mut stream).await;
}
