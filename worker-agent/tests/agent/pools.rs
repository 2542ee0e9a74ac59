//! Calls and the workers that run them: good ones, bad ones, dying ones.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use windlass_shared::convert::FromAgent;
use windlass_shared::domain::{AttemptState, ExitStatus, LogStream, News, Outcome, Proof, Reason};
use windlass_shared::pb;

use crate::fake::{Fake, Stream};
use crate::{Agent, bytes, eventually, lease, millis};

/// What a worker of the protocol says first.
pub(crate) const HELLO: &str = r#"printf '\036{"type":"hello","protocol":1,"handlers":["h"]}\n'; read welcome"#;

pub(crate) fn example() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_windlass-worker-agent")).with_file_name("examples/worker");
    assert!(
        path.exists(),
        "cargo builds examples with all tests, not with one: cargo build -p windlass-worker-agent --examples"
    );
    path
}

/// An agent with a pool of these workers, once it offers a handler.
pub(crate) async fn pool(command: &[&str], rest: &str) -> (Fake, Agent, Stream) {
    let mut fake = Fake::start().await;
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let config = dir.path().join("agent.toml");
    std::fs::write(&config, format!("[[pool]]\nname = \"p\"\ncommand = {command:?}\n{rest}\n")).unwrap();
    let agent = Agent::start_in(dir, &fake.url, &["--slots", "4", "--config", config.to_str().unwrap()]);
    let stream = fake.session().await;
    (fake, agent, stream)
}

pub(crate) async fn example_pool(rest: &str) -> (Fake, Agent, Stream) {
    let (fake, agent, mut stream) = pool(&[example().to_str().unwrap()], rest).await;
    offered(&mut stream).await;
    stream.pass_credit();
    (fake, agent, stream)
}

/// A pool of one worker that runs this in `sh`, after its hello.
async fn sh_pool(script: &str) -> (Fake, Agent, Stream) {
    let script = format!("{HELLO}; {script}");
    let (fake, agent, mut stream) = pool(&["sh", "-c", &script], "").await;
    offered(&mut stream).await;
    stream.pass_credit();
    (fake, agent, stream)
}

/// Waits until the pool takes calls; what it takes.
pub(crate) async fn offered(stream: &mut Stream) -> u32 {
    let told = stream.hello.credit.pools[0].capacity;
    if told > 0 {
        return told;
    }
    loop {
        match stream.next().await {
            Some(FromAgent::Credit(credit)) if credit.pools[0].capacity > 0 => return credit.pools[0].capacity,
            Some(FromAgent::Credit(_)) => {}
            other => panic!("wanted credit, got {other:?}"),
        }
    }
}

pub(crate) fn call(handler: &str, input: &str) -> pb::JobSpec {
    let call = pb::Call { handler: handler.into(), input: input.to_owned().into(), ..pb::Call::default() };
    pb::JobSpec { work: Some(pb::job_spec::Work::Call(call)), ..pb::JobSpec::default() }
}

pub(crate) fn value(outcome: &Outcome) -> &str {
    str::from_utf8(&outcome.result.as_ref().unwrap().value).unwrap()
}

/// The end of a call, which may have been told to have begun.
pub(crate) async fn ended(stream: &mut Stream, number: u64) -> Outcome {
    let mut item = stream.news().await;
    if matches!(item.news, News::Started(_)) && item.lease == lease(number) {
        item = stream.news().await;
    }
    assert_eq!(item.lease, lease(number));
    match item.news {
        News::Ended(outcome) => *outcome,
        other => panic!("wanted its end, got {other:?}"),
    }
}

/// Gives these calls at once, under leases from `first` on; how each ended. None: it was given back, which what waits is where the host
/// stands still for long enough to make the one before it a long one.
async fn overs(stream: &mut Stream, first: u64, calls: &[(&str, &str)]) -> Vec<Option<Outcome>> {
    for (number, (handler, input)) in (first..).zip(calls) {
        stream.assign(lease(number), &bytes(&call(handler, input))).await;
    }
    let mut overs = BTreeMap::new();
    while overs.len() < calls.len() {
        let item = stream.news().await;
        match item.news {
            News::Started(_) => {}
            News::Ended(outcome) => assert_eq!(overs.insert(item.lease, Some(*outcome)), None),
            News::Returned(_) => assert_eq!(overs.insert(item.lease, None), None),
        }
    }
    overs.into_values().collect()
}

/// The same, again until none was given back.
async fn all_end(stream: &mut Stream, calls: &[(&str, &str)]) -> Vec<Outcome> {
    for round in 0..20 {
        if let Some(ends) = overs(stream, 1 + round * 1_000, calls).await.into_iter().collect() {
            return ends;
        }
    }
    panic!("a host that stands still like this shows nothing");
}

#[tokio::test]
async fn a_call_is_answered_with_its_value_as_the_worker_wrote_it() {
    let (_fake, agent, mut stream) = example_pool("max = 2").await;
    let hello = &stream.hello;
    assert_eq!((hello.slots, hello.credit.capacity, hello.credit.pools[0].workers), (2, 2, 2));
    stream.assign(lease(1), &bytes(&call("echo", "{\"a\":\n [1.50, \"\\n\"]}"))).await;
    let outcome = ended(&mut stream, 1).await;
    assert_eq!((outcome.state, value(&outcome)), (AttemptState::Succeeded, "{\"a\":  [1.50, \"\\n\"]}"));
    stream.assign(lease(2), &bytes(&call("fail", "\"no\""))).await;
    let outcome = ended(&mut stream, 2).await;
    let error = outcome.error.as_ref().unwrap();
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Failed, Some(Reason::HandlerError)));
    assert_eq!(
        (outcome.detail.as_deref(), error.code.as_deref(), error.permanent),
        (Some("no"), Some("E_FAIL"), false)
    );
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn what_a_worker_prints_is_the_calls_log_and_forges_nothing() {
    let (fake, agent, mut stream) = example_pool("").await;
    stream.assign(lease(1), &bytes(&call("noise", "7"))).await;
    let outcome = ended(&mut stream, 1).await;
    assert_eq!((outcome.state, value(&outcome)), (AttemptState::Succeeded, "7"));
    let stdout = fake.logs.full(lease(1), LogStream::Stdout, outcome.stdout_bytes).await;
    let text = String::from_utf8(stdout.data).unwrap();
    assert!(text.starts_with("a line\n{\"type\":\"result\"") && text.ends_with("\x1e\x1e[1]\nhalf a line"), "{text:?}");
    let stderr = fake.logs.full(lease(1), LogStream::Stderr, outcome.stderr_bytes).await;
    assert_eq!(stderr.data, b"an error\n");
    // And the next call's log is its own.
    stream.assign(lease(2), &bytes(&call("echo", "1"))).await;
    let outcome = ended(&mut stream, 2).await;
    assert_eq!((outcome.stdout_bytes, outcome.stderr_bytes), (0, 0));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_worker_that_dies_takes_its_own_call_along_and_no_other() {
    let (_fake, agent, mut stream) = example_pool("").await;
    let ends = all_end(&mut stream, &[("sleep", "10"), ("exit", "3"), ("echo", "3")]).await;
    assert_eq!(ends[0].state, AttemptState::Succeeded);
    assert_eq!((ends[1].state, ends[1].reason), (AttemptState::Failed, Some(Reason::WorkerDied)));
    let exit = ends[1].exit.as_ref().unwrap();
    assert_eq!((exit.status, exit.proof), (ExitStatus::Code(3), Proof::Keeper));
    assert_eq!(value(&ends[2]), "3");
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_cancelled_call_stops_and_its_worker_lives_on_while_one_that_waits_never_begins() {
    let (_fake, agent, mut stream) = example_pool("").await;
    stream.assign(lease(1), &bytes(&call("sleep", "60000"))).await;
    stream.assign(lease(2), &bytes(&call("echo", "2"))).await;
    stream.stop(lease(2), Reason::CancelRequested).await;
    loop {
        let item = stream.news().await;
        match item.news {
            News::Started(_) if item.lease == lease(1) => continue,
            News::Ended(unbegun) => {
                assert_eq!((item.lease, unbegun.state, unbegun.exit), (lease(2), AttemptState::Cancelled, None));
                assert_eq!(unbegun.started_at, None);
            }
            // On a host that stood still between the two orders.
            News::Returned(_) => assert_eq!(item.lease, lease(2)),
            News::Started(_) => panic!("{item:?}"),
        }
        break;
    }
    stream.stop(lease(1), Reason::CancelRequested).await;
    let cancelled = ended(&mut stream, 1).await;
    assert_eq!((cancelled.state, cancelled.reason), (AttemptState::Cancelled, Some(Reason::CancelRequested)));
    assert_eq!((cancelled.exit, cancelled.result), (None, None));
    stream.assign(lease(3), &bytes(&call("echo", "3"))).await;
    assert_eq!(value(&ended(&mut stream, 3).await), "3");
    assert_eq!(agent.log().matches("a worker ended by itself").count(), 0);
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_worker_that_cannot_cancel_is_stopped_and_then_killed_with_its_tree() {
    // Deaf before its hello: on a slow host the signal comes before the next line.
    let script = format!("trap '' TERM; {HELLO}; read job; sleep 1000 & sleep 1000");
    let (_fake, agent, mut stream) = pool(&["sh", "-c", &script], "").await;
    offered(&mut stream).await;
    stream.pass_credit();
    let spec = pb::JobSpec { stop_grace: Some(millis(50)), ..call("h", "1") };
    stream.assign(lease(1), &bytes(&spec)).await;
    stream.started(lease(1)).await;
    stream.stop(lease(1), Reason::CancelRequested).await;
    let outcome = ended(&mut stream, 1).await;
    let exit = outcome.exit.unwrap();
    assert_eq!((outcome.state, exit.proof), (AttemptState::Cancelled, Proof::Keeper));
    assert_eq!(exit.status, ExitStatus::Signal { number: 9, core_dumped: false });
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_call_past_its_run_timeout_is_stopped() {
    let (_fake, agent, mut stream) = example_pool("").await;
    let spec = pb::JobSpec { run_timeout: Some(millis(50)), ..call("sleep", "60000") };
    stream.assign(lease(1), &bytes(&spec)).await;
    let outcome = ended(&mut stream, 1).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::TimedOut, Some(Reason::RunTimeout)));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn an_agent_that_was_stopped_itself_hears_what_was_said_before_it_judges_anybody_late() {
    let (_fake, agent, mut stream) = example_pool("").await;
    for number in 1..=2 {
        let spec = pb::JobSpec { run_timeout: Some(millis(600)), ..call("sleep", "300") };
        stream.assign(lease(number), &bytes(&spec)).await;
        stream.started(lease(number)).await;
        agent.pause();
        tokio::time::sleep(Duration::from_secs(2)).await;
        agent.go_on();
        let outcome = stream.ended(lease(number)).await;
        assert_eq!((outcome.state, outcome.reason), (AttemptState::Succeeded, None));
    }
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_fenced_pool_starts_with_the_first_welcome() {
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let config = dir.path().join("agent.toml");
    let command = [example()];
    std::fs::write(&config, format!("[[pool]]\nname = \"p\"\ncommand = {command:?}\nfence = true\n")).unwrap();
    let mut fake = Fake::start().await;
    let agent = Agent::start_in(dir, &fake.url, &["--slots", "4", "--config", config.to_str().unwrap()]);
    let mut stream = fake.hello().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(agent.log().matches("cannot be started").count(), 0);
    stream.welcome(Duration::from_secs(60)).await;
    offered(&mut stream).await;
    stream.pass_credit();
    let fence = pb::JobSpec { on_disconnect: pb::job_spec::OnDisconnect::Fence.into(), ..call("echo", "1") };
    stream.assign(lease(1), &bytes(&fence)).await;
    assert_eq!(value(&ended(&mut stream, 1).await), "1");
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn what_waits_behind_a_long_call_goes_back_to_the_coordinator() {
    let (_fake, agent, mut stream) = example_pool("").await;
    stream.assign(lease(1), &bytes(&call("sleep", "60000"))).await;
    stream.assign(lease(2), &bytes(&call("echo", "2"))).await;
    stream.assign(lease(3), &bytes(&call("echo", "3"))).await;
    stream.started(lease(1)).await;
    let mut returned = Vec::new();
    for _ in 0..2 {
        let item = stream.news().await;
        assert_eq!(item.news, News::Returned(Reason::Returned));
        returned.push(item.lease);
    }
    returned.sort_unstable();
    assert_eq!(returned, [lease(2), lease(3)]);
    stream.stop(lease(1), Reason::CancelRequested).await;
    assert_eq!(stream.ended(lease(1)).await.state, AttemptState::Cancelled);
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_worker_that_breaks_the_protocol_is_named_and_only_its_own_call_is_hurt() {
    let long = r#"read job; printf '\036{"x":"'; head -c 2000000 /dev/zero | tr '\0' x; sleep 1000"#;
    let cases = [
        (r#"read job; printf '\036{nonsense}\n'; sleep 1000"#, "a frame cannot be read"),
        (r#"read job; printf '\036{"type":"result","id":99,"value":1}\n'; sleep 1000"#, "it answers for 99"),
        (r#"read job; printf '\036{"type":"hello","protocol":1}\n'; sleep 1000"#, "it said hello twice"),
        (r#"read job; printf '\036{"\377\n'; sleep 1000"#, "a frame cannot be read"),
        ("read job; exec >&-; sleep 1000", "it closed its standard output"),
        (long, "a frame is longer than 1048576 bytes"),
    ];
    for (script, why) in cases {
        let (_fake, agent, mut stream) = sh_pool(script).await;
        stream.assign(lease(1), &bytes(&call("h", "1"))).await;
        stream.assign(lease(2), &bytes(&call("h", "2"))).await;
        // The second waits at the agent: this worker gets no second frame. Where the first is slow to fail, it goes back.
        let mut second = None;
        let outcome = loop {
            let item = stream.news().await;
            match item.news {
                News::Ended(outcome) if item.lease == lease(1) => break outcome,
                News::Started(_) => {}
                other => second = Some(other),
            }
        };
        assert_eq!((outcome.state, outcome.reason), (AttemptState::Failed, Some(Reason::WorkerProtocol)), "{why}");
        assert!(outcome.detail.as_deref().unwrap().starts_with(why), "{:?}", outcome.detail);
        assert!(matches!(second, None | Some(News::Returned(Reason::Returned))), "{second:?}");
        assert_eq!(outcome.exit.unwrap().proof, Proof::Keeper);
        if second.is_none() {
            stream.stop(lease(2), Reason::CancelRequested).await;
            loop {
                let item = stream.news().await;
                assert_eq!(item.lease, lease(2));
                match item.news {
                    News::Started(_) => {}
                    News::Ended(outcome) => {
                        assert_ne!(outcome.state, AttemptState::Succeeded);
                        break;
                    }
                    News::Returned(_) => break,
                }
            }
        }
        agent.finish(&mut stream).await;
    }
}

#[tokio::test]
async fn a_worker_without_a_proper_hello_offers_nothing_and_is_tried_again_with_its_words_in_the_log() {
    let cases = [
        ("echo trouble >&2; exit 1", "trouble"),
        (r#"printf '\036{"type":"hello","protocol":2,"handlers":["h"]}\n'; sleep 1000"#, "it speaks version 2"),
        (r#"printf '\036{"type":"pong"}\n'; sleep 1000"#, "its first word was no hello"),
        ("sleep 1000", "it said no hello within 1 s"),
        (r#"printf '\036{"type":"hello","protocol":1,"handlers":["a b"]}\n'; sleep 1000"#, "its handlers must be"),
    ];
    for (script, why) in cases {
        let (_fake, agent, mut stream) = pool(&["sh", "-c", script], "start_timeout_s = 1").await;
        stream.pass_credit();
        let of_first = stream.hello.credit.pools[0].clone();
        assert_eq!((of_first.handlers.len(), of_first.capacity), (0, 0));
        eventually("it was tried again", || agent.log().matches(why).count() >= 2).await;
        agent.finish(&mut stream).await;
    }
}

#[tokio::test]
async fn a_worker_that_exits_with_78_is_not_started_again() {
    // Two up is the agent's data directory.
    let (_fake, agent, mut stream) = pool(&["sh", "-c", "echo x >> ../../tries; exit 78"], "").await;
    stream.pass_credit();
    agent.says("a worker exited with 78").await;
    // Longer than the first delays of one that may be tried again.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let tries = std::fs::read_to_string(agent.dir().join("parent/data/pools/tries")).unwrap();
    assert_eq!(tries, "x\n");
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_handler_without_features_gets_one_call_at_a_time_in_order() {
    let script =
        r#"n=0; while read job; do n=$((n+1)); printf '\036{"type":"result","id":%d,"value":%d}\n' $n $n; done"#;
    let (_fake, agent, mut stream) = sh_pool(script).await;
    let ends = all_end(&mut stream, &[("h", "0"); 50]).await;
    let said: Vec<u64> = ends.iter().map(|end| value(end).parse().unwrap()).collect();
    assert!(said.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{said:?}");
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn an_agent_that_leaves_gives_back_what_has_not_begun_and_lets_the_rest_finish() {
    let (_fake, agent, mut stream) = example_pool("").await;
    stream.assign(lease(1), &bytes(&call("sleep", "300"))).await;
    stream.started(lease(1)).await;
    stream.assign(lease(2), &bytes(&call("echo", "2"))).await;
    agent.says("attempt given to a pool").await;
    agent.terminate();
    let mut ends = Vec::new();
    while ends.len() < 2 {
        match stream.next().await {
            Some(FromAgent::Report(number, items)) => {
                stream.ack(number, &[]).await;
                ends.extend(items.into_iter().map(|item| (item.lease, item.news)));
            }
            Some(FromAgent::Draining(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    let returned = ends.iter().find(|(of, _)| *of == lease(2)).unwrap();
    assert!(matches!(returned.1, News::Returned(Reason::Drain | Reason::Returned)), "{returned:?}");
    let finished = ends.iter().find(|(of, _)| *of == lease(1)).unwrap();
    assert!(matches!(&finished.1, News::Ended(outcome) if outcome.state == AttemptState::Succeeded), "{finished:?}");
    stream.goodbye().await;
}

#[tokio::test]
async fn a_worker_that_dies_with_a_child_that_lives_on_has_died_and_broke_nothing() {
    let (_fake, agent, mut stream) = sh_pool("read job; sleep 1000 </dev/null >/dev/null 2>&1 & exit 3").await;
    stream.assign(lease(1), &bytes(&call("h", "1"))).await;
    let outcome = ended(&mut stream, 1).await;
    assert_eq!((outcome.reason, outcome.exit.unwrap().status), (Some(Reason::WorkerDied), ExitStatus::Code(3)));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn an_agent_that_leaves_waits_for_workers_that_tidy_up_and_for_none_that_has_said_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let tidied = dir.path().join("tidied");
    let script =
        format!("while read frame; do case $frame in *bye*) sleep 0.5; touch {}; exit;; esac; done", tidied.display());
    let (_fake, agent, mut stream) = sh_pool(&script).await;
    agent.finish(&mut stream).await;
    assert!(tidied.exists());
    let (_fake, agent, mut stream) = pool(&["sleep", "1000"], "").await;
    let begun = std::time::Instant::now();
    agent.finish(&mut stream).await;
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_worker_that_ends_a_hundred_times_never_seems_to_have_closed_a_pipe_and_lived() {
    let (_fake, agent, mut stream) = example_pool("max = 2").await;
    let mut deaths = 0;
    for number in 1..=100 {
        let ends = overs(&mut stream, 3 * number, &[("noise", "3"), ("exit", "3"), ("noise", "3")]).await;
        for end in [&ends[0], &ends[2]].into_iter().flatten() {
            assert_eq!(end.state, AttemptState::Succeeded, "{end:?}");
        }
        if let Some(end) = &ends[1] {
            assert_eq!(end.reason, Some(Reason::WorkerDied), "{end:?}");
            deaths += 1;
        }
    }
    assert!(deaths > 50, "{deaths}");
    agent.finish(&mut stream).await;
}
