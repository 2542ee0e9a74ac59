//! The SDK against a scripted agent, over the pipes of a real process.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// What a word may take on a busy machine.
const SOON: Duration = Duration::from_secs(30);

struct Agent {
    child: Child,
    stdin: Option<ChildStdin>,
    frames: Receiver<Value>,
    log: Receiver<String>,
}

fn program() -> PathBuf {
    let own = std::env::current_exe().expect("own path");
    own.parent().and_then(|deps| deps.parent()).expect("a target directory").join("examples/demo")
}

impl Agent {
    /// A worker that has said hello.
    fn new() -> Self {
        let mut command = Command::new(program());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("cargo test builds the examples of the package");
        let (stdout, mut stderr) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        let ((frame, frames), (line, log)) = (channel(), channel());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n') {
                let line = line.expect("read");
                let json = line.strip_prefix(b"\x1e").expect("nothing but frames");
                let _ = frame.send(serde_json::from_slice(json).expect("a frame"));
            }
        });
        std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).expect("read");
            let _ = line.send(text);
        });
        let stdin = child.stdin.take();
        let mut agent = Self { child, stdin, frames, log };
        let hello = agent.hear();
        assert_eq!((&hello["type"], &hello["protocol"]), (&json!("hello"), &json!(1)));
        assert_eq!(hello["features"], json!(["started", "recall", "cancel", "validate"]));
        agent.say(&[json!({"type": "welcome", "protocol": 1, "pool": "p", "worker": "p-0"})]);
        agent
    }

    /// Writes these in one go.
    fn say(&mut self, frames: &[Value]) {
        let text: String = frames.iter().map(|frame| format!("{frame}\n")).collect();
        self.write(text.as_bytes());
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().expect("open").write_all(bytes).expect("written");
    }

    fn hear(&mut self) -> Value {
        self.frames.recv_timeout(SOON).expect("a frame")
    }

    /// What a job comes to, after its `started`.
    fn over(&mut self, id: u64) -> Value {
        assert_eq!(self.hear(), json!({"type": "started", "id": id}));
        self.hear()
    }

    /// Nothing more is said, and the worker ends well; what it wrote to standard error.
    fn end(mut self) -> String {
        self.stdin = None;
        assert_eq!(self.frames.recv_timeout(SOON), Err(RecvTimeoutError::Disconnected));
        assert!(self.child.wait().expect("waited").success());
        self.log.recv_timeout(SOON).expect("a log")
    }
}

fn job(id: u64, handler: &str, input: impl Into<Value>) -> Value {
    json!({"type": "job", "id": id, "handler": handler, "input": input.into(), "job_id": "j", "attempt": 1,
           "fencing_token": "1", "from": "the future"})
}

#[test]
fn jobs_are_started_and_answered_in_their_order_wherever_the_reads_end() {
    let mut agent = Agent::new();
    let frames = [job(1, "echo", json!({"a": [1.5, "é\n"]})), json!({"type": "new"}), job(2, "double", 4)];
    let text: String = frames.iter().map(|frame| format!("{frame}\n")).collect();
    let (first, rest) = text.as_bytes().split_at(20);
    agent.write(first);
    agent.write(rest);
    assert_eq!(agent.over(1), json!({"type": "result", "id": 1, "value": {"a": [1.5, "é\n"]}}));
    assert_eq!(agent.over(2), json!({"type": "result", "id": 2, "value": 8}));
    agent.say(&[json!({"type": "ping", "n": 7})]);
    assert_eq!(agent.hear(), json!({"type": "pong", "n": 7}));
    assert_eq!(agent.end(), "");
}

#[test]
fn each_way_to_fail_is_told_as_it_is() {
    let mut agent = Agent::new();
    let error = |id: u64, message: &str, more: Value| {
        let mut error = json!({"type": "error", "id": id, "message": message});
        error.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        error
    };
    agent.say(&[job(1, "fail", "no"), job(2, "refuse", "never"), job(3, "busy", 5), job(4, "panic", "oh")]);
    assert_eq!(agent.over(1), error(1, "no", json!({"code": "E_FAIL"})));
    assert_eq!(agent.over(2), error(2, "never", json!({"retryable": false})));
    let asked = json!({"retry_after_ms": 5_000, "cooldown_key": "api.example"});
    assert_eq!(agent.over(3), error(3, "slow down", asked));
    assert_eq!(agent.over(4), error(4, "the handler panicked: oh", json!({"code": "PANIC"})));
    agent.say(&[job(5, "double", "x"), job(6, "nobody", 1), job(7, "blow", (256 << 10) - 1)]);
    let bad = agent.over(5);
    assert_eq!((&bad["code"], &bad["retryable"]), (&json!("BAD_INPUT"), &json!(false)));
    let unknown = agent.over(6);
    assert_eq!((&unknown["code"], &unknown["retryable"]), (&json!("UNKNOWN_HANDLER"), &json!(false)));
    let large = "the result is 262145 bytes, the limit is 262144";
    assert_eq!(agent.over(7), error(7, large, json!({"code": "RESULT_TOO_LARGE", "retryable": false})));
    agent.say(&[job(8, "blow", (256 << 10) - 2)]);
    assert_eq!(agent.over(8)["value"].as_str().map(str::len), Some((256 << 10) - 2));
    assert!(agent.end().contains("oh"), "a panic is in the log");
}

#[test]
fn bytes_go_both_ways_with_their_type() {
    let mut agent = Agent::new();
    agent.say(&[json!({"type": "job", "id": 1, "handler": "reverse", "input_base64": "/wA=", "content_type": "a/b"})]);
    assert_eq!(agent.over(1), json!({"type": "result", "id": 1, "value_base64": "AP8=", "content_type": "a/b"}));
    agent.end();
}

#[test]
fn what_waits_is_given_back_and_what_runs_is_stopped_while_a_handler_runs() {
    let mut agent = Agent::new();
    agent.say(&[job(1, "sleep", 60_000), job(2, "echo", 2), job(3, "echo", 3)]);
    assert_eq!(agent.hear(), json!({"type": "started", "id": 1}));
    agent.say(&[
        json!({"type": "recall", "id": 1}),
        json!({"type": "recall", "id": 2}),
        json!({"type": "recall", "id": 2}),
    ]);
    assert_eq!(agent.hear(), json!({"type": "recalled", "id": 2}));
    agent.say(&[json!({"type": "cancel", "id": 1})]);
    let stopped = json!({"type": "error", "id": 1, "message": "woken too early", "code": "cancelled"});
    assert_eq!(agent.hear(), stopped);
    assert_eq!(agent.over(3), json!({"type": "result", "id": 3, "value": 3}));
    agent.end();
}

#[test]
fn what_handlers_and_their_children_print_is_the_log_and_never_an_answer() {
    let mut agent = Agent::new();
    agent.say(&[job(1, "prints", Value::Null)]);
    assert_eq!(agent.over(1), json!({"type": "result", "id": 1, "value": "done"}));
    let log = agent.end();
    assert!(
        ["forged", "printed\n", "complained\n", "from a child\nnothing to read\n"]
            .iter()
            .all(|text| log.contains(text)),
        "{log}"
    );
}

#[test]
fn a_job_knows_who_it_is_and_says_how_far() {
    let mut agent = Agent::new();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    agent.say(&[json!({"type": "job", "id": 1, "handler": "who", "input": null, "job_id": "j-1", "attempt": 2,
                       "fencing_token": "1152921504606846977", "timeout_ms": 1000, "traceparent": parent,
                       "headers": {"tenant": "a"}})]);
    let value = json!({"pid": agent.child.id(), "job": "j-1", "attempt": 2, "token": "1152921504606846977", "tenant": "a", "trace": parent,
                       "timed": true, "child": format!("2 {parent}")});
    assert_eq!(agent.over(1), json!({"type": "result", "id": 1, "value": value}));
    agent.say(&[job(2, "report", Value::Null)]);
    assert_eq!(agent.over(2), json!({"type": "progress", "id": 2, "done": 1, "total": 2, "message": "pages"}));
    let line = json!({"type": "log", "id": 2, "level": "warn", "message": "slow", "fields": {"ms": 1200}});
    assert_eq!((agent.hear(), agent.hear()), (line, json!({"type": "result", "id": 2, "value": null})));
    agent.end();
}

#[test]
fn a_check_says_whether_the_input_would_do_and_runs_nothing() {
    let mut agent = Agent::new();
    let check = |id: u64, handler: &str, input: Value| json!({"type": "validate", "id": id, "handler": handler, "input": input});
    agent.say(&[check(1, "double", json!(5)), check(2, "double", json!(5_000)), check(3, "double", json!("x"))]);
    assert_eq!(agent.over(1), json!({"type": "valid", "id": 1}));
    let large = json!({"type": "error", "id": 2, "message": "at most 1000", "code": "TOO_LARGE", "retryable": false});
    assert_eq!(agent.over(2), large);
    assert_eq!(agent.over(3)["code"], json!("BAD_INPUT"));
    agent.say(&[check(4, "exit", json!(9))]);
    assert_eq!(agent.over(4), json!({"type": "valid", "id": 4}));
    agent.end();
}

#[test]
fn a_drain_finishes_what_runs_gives_the_rest_back_and_says_good_bye() {
    let mut agent = Agent::new();
    agent.say(&[job(1, "sleep", 300), job(2, "echo", 2)]);
    assert_eq!(agent.hear(), json!({"type": "started", "id": 1}));
    agent.say(&[json!({"type": "drain"}), job(3, "echo", 3)]);
    assert_eq!(agent.hear(), json!({"type": "recalled", "id": 2}));
    assert_eq!(agent.hear(), json!({"type": "recalled", "id": 3}));
    assert_eq!(agent.hear(), json!({"type": "result", "id": 1, "value": 300}));
    assert_eq!(agent.hear(), json!({"type": "bye", "reason": "drained"}));
    assert_eq!(agent.frames.recv_timeout(SOON), Err(RecvTimeoutError::Disconnected));
    assert!(agent.child.wait().expect("waited").success());
}

#[test]
fn without_an_agent_the_running_job_is_told_to_stop_and_nothing_more_is_begun() {
    let mut agent = Agent::new();
    agent.say(&[job(1, "sleep", 60_000), job(2, "echo", 2)]);
    assert_eq!(agent.hear(), json!({"type": "started", "id": 1}));
    agent.stdin = None;
    assert_eq!(agent.hear()["code"], json!("cancelled"));
    agent.end();
}

#[test]
fn one_job_runs_here_and_now_without_an_agent() {
    let once = |args: &[&str]| {
        let output = Command::new(program()).arg("--once").args(args).output().expect("run");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(once(&["double", "21"]), (Some(0), "42\n".into(), String::new()));
    assert_eq!(once(&["fail", "\"no\""]), (Some(1), String::new(), "no\n".into()));
    let (code, out, err) = once(&["nobody"]);
    assert_eq!((code, out), (Some(1), String::new()));
    assert!(err.contains("there is no handler \"nobody\"") && err.contains("double"), "{err}");
}
