//! How a row that is a worker is run: one call for its first life, and another that its pool must answer all the same.

use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::{AttemptState, Reason};

use super::row::{Row, Work};
use super::site::Site;
use crate::fake::Fake;
use crate::pools::{call, offered};
use crate::{Agent, bytes, lease, millis};

/// What a worker in sh is made of. After `once`, only its first life goes on; `serve` is a good life.
const GOOD: &str = r#"
say() { printf '\036%s\n' "$1"; }
hello() { say '{"type":"hello","protocol":1,"handlers":["h"]}'; read -r welcome; }
take() { read -r job || exit; id=${job#*'"id":'}; id=${id%%,*}; }
answer() { say "{\"type\":\"result\",\"id\":$id,\"value\":$1}"; }
once() { mkdir "$lives" 2>/dev/null || { hello; serve; }; }
serve() {
    while read -r job; do
        case $job in
            *'"type":"job"'*) id=${job#*'"id":'}; id=${id%%,*}; answer 1;;
            *'"type":"ping"'*) n=${job##*:}; say "{\"type\":\"pong\",\"n\":${n%\}}}";;
            *'"type":"bye"'*) exit;;
        esac
    done
    exit
}
"#;

pub(super) async fn run(row: Row) {
    let Work::Worker(script) = &row.work else { panic!("{} is a command", row.name) };
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let lives = dir.path().join("lives");
    let script = format!("{GOOD}\nlives={}\n{script}\nhello\nserve", lives.display());
    let config = dir.path().join("agent.toml");
    std::fs::write(&config, format!("[[pool]]\nname = \"p\"\ncommand = {:?}\n", ["sh", "-c", &*script])).unwrap();
    let mut fake = Fake::start().await;
    let agent = Agent::start_in(dir, &fake.url, &["--slots", "2", "--config", config.to_str().unwrap()]);
    let mut stream = fake.session().await;
    offered(&mut stream).await;
    stream.pass_credit();
    let mut site = Site::open(fake, agent, stream, true).await;

    if let Some((text, within)) = row.called_after {
        assert!(within < Duration::from_secs(30), "longer than a log is waited for");
        site.agent.says(text).await;
    }
    let spec = pb_call(&row);
    site.stream.assign(lease(1), &spec).await;
    if let Some(text) = row.cancel_after {
        site.fake.logs.says(lease(1), text).await;
        site.stream.stop(lease(1), Reason::CancelRequested).await;
    }
    let outcome = site.end_of(lease(1), row.wants.within).await;
    row.wants.check(row.name, &outcome);
    if let Some(look) = row.looks {
        look(&site, &outcome);
    }
    site.stream.assign(lease(2), &bytes(&call("h", "1"))).await;
    let next = site.end_of(lease(2), Duration::from_secs(20)).await;
    assert_eq!(next.state, AttemptState::Succeeded, "{}: the next call: {next:?}", row.name);
    site.has_as_many_as_before().await;
    site.finish_neighbour().await;
    site.leave().await;
}

fn pb_call(row: &Row) -> Vec<u8> {
    let mut spec = call("h", "1");
    spec.stop_grace = Some(millis(200));
    if row.wants.reason == Some(Reason::RunTimeout) {
        spec.run_timeout = Some(millis(300));
    }
    bytes(&spec)
}
