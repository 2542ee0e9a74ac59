use std::collections::BTreeMap;

use clap::Parser;
use windlass_shared::convert;
use windlass_shared::domain::{Execution, OnAgentLost, OnDisconnect, Preset, Work as DomainWork};
use windlass_shared::limits::PAYLOAD_BYTES_MAX;

use super::exec::callers_env;
use super::job::callers_trace;
use super::signal::parse_signal;
use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    job: JobArgs,
    #[command(flatten)]
    call: CallArgs,
    #[command(flatten)]
    exec: ExecArgs,
}

fn plan(line: &str) -> Result<Plan, Failure> {
    let args = Line::try_parse_from(std::iter::once("windlass").chain(line.split(' '))).expect("a valid line");
    match &args.call.handler {
        Some(handler) => Plan::call(&args.job, handler, &args.call),
        None => Plan::exec(&args.job, &args.exec),
    }
}

fn spec(line: &str) -> windlass_shared::domain::JobSpec {
    // Through the very check the coordinator makes.
    convert::read_spec(&plan(line).expect("a plan").spec(0)).expect("a valid spec")
}

#[test]
fn flags_reach_the_fields_of_the_contract() {
    let spec = spec(
        "--queue q --priority -7 --label a=b --env K=V=W --cwd /tmp --timeout 1s --grace 2s --signal int --retry \
         aggressive --max-attempts 4 -- echo hi",
    );
    assert_eq!((&*spec.header.queue, spec.header.priority), ("q", -7));
    assert_eq!((spec.header.retry.preset, spec.header.retry.attempts_max), (Preset::Aggressive, 4));
    assert_eq!((spec.run_timeout, spec.stop_grace), (Some(Duration::from_secs(1)), Duration::from_secs(2)));
    assert_eq!(spec.stop_signal, 2);
    let DomainWork::Exec(exec) = spec.work else { panic!("not exec") };
    assert_eq!(exec.argv, ["echo", "hi"]);
    assert_eq!(exec.env, [("K".to_owned(), "V=W".to_owned())]);
    assert_eq!(exec.cwd.as_deref(), Some(std::path::Path::new("/tmp")));
}

#[test]
fn promises_reach_the_fields_of_the_contract() {
    let spec = spec("--at-most-once --on-disconnect fence --on-agent-lost wait -- true");
    assert_eq!(spec.header.execution, Execution::AtMostOnce);
    assert_eq!(spec.header.on_agent_lost, OnAgentLost::Wait);
    assert_eq!(spec.on_disconnect, OnDisconnect::Fence);
}

#[test]
fn without_flags_the_coordinators_defaults_hold() {
    let spec = spec("-- true");
    assert_eq!((&*spec.header.queue, spec.header.priority), ("default", 0));
    assert_eq!(spec.header.retry.attempts_max, 1);
    assert_eq!((spec.run_timeout, spec.stop_signal), (None, 15));
    let DomainWork::Exec(exec) = spec.work else { panic!("not exec") };
    assert_eq!((exec.cwd, exec.env.len(), exec.stdin.len()), (None, 0, 0));
}

#[test]
fn a_number_of_attempts_alone_means_the_default_preset() {
    let retry = spec("--max-attempts 5 -- true").header.retry;
    assert_eq!((retry.preset, retry.attempts_max), (Preset::Default, 5));
}

#[test]
fn a_relative_directory_is_the_callers() {
    let DomainWork::Exec(exec) = spec("--cwd sub -- true").work else { panic!("not exec") };
    assert_eq!(exec.cwd, Some(std::env::current_dir().expect("a directory").join("sub")));
}

#[test]
fn a_call_takes_headers_along_and_may_ask_for_a_check_alone() {
    let DomainWork::Call(call) = spec("--handler h --header tenant=a --header b= --validate").work else {
        panic!("not call")
    };
    let headers = [("b".to_owned(), String::new()), ("tenant".to_owned(), "a".to_owned())];
    assert_eq!((call.headers.as_slice(), call.validate_only), (&headers[..], true));
    let DomainWork::Call(call) = spec("--handler h").work else { panic!("not call") };
    assert_eq!((call.headers.len(), call.validate_only), (0, false));
}

#[test]
fn the_callers_trace_goes_along_where_it_is_one() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let trace = |parent: Option<&str>, state: Option<&str>| {
        callers_trace(|name| (if name == "TRACEPARENT" { parent } else { state }).map(str::to_owned))
    };
    let told = |parent: &str, state: &str| (parent.to_owned(), state.to_owned());
    assert_eq!(trace(Some(parent), Some("a=b")), told(parent, "a=b"));
    assert_eq!(trace(Some(parent), Some("\u{7f}")), told(parent, ""));
    assert_eq!(trace(Some("nonsense"), Some("a=b")), told("", ""));
    assert_eq!(trace(None, Some("a=b")), told("", ""));
}

#[test]
fn in_the_callers_place_flags_win_over_the_callers_environment() {
    let plan = plan("--env PATH=/mine -- true").expect("a plan").in_callers_place().expect("a place");
    let Work::Exec(exec) = plan.work else { panic!("not exec") };
    assert_eq!(exec.env.get("PATH").map(String::as_str), Some("/mine"));
    assert_eq!(exec.cwd, std::env::current_dir().expect("a directory").display().to_string());
}

#[test]
fn the_callers_environment_leaves_out_ours_and_what_is_not_text() {
    use std::os::unix::ffi::OsStringExt;
    let bad = std::ffi::OsString::from_vec(vec![0xff]);
    let vars = [("HOME".into(), "/root".into()), ("WINDLASS_LOG".into(), "debug".into()), ("RAW".into(), bad)];
    assert_eq!(callers_env(vars.into_iter()), BTreeMap::from([("HOME".to_owned(), "/root".to_owned())]));
}

#[test]
fn standard_input_past_the_limit_is_refused_by_name() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().display();
    std::fs::write(file.path(), vec![b'x'; PAYLOAD_BYTES_MAX]).expect("written");
    assert!(plan(&format!("--stdin {path} -- cat")).is_ok());
    std::fs::write(file.path(), vec![b'x'; PAYLOAD_BYTES_MAX + 1]).expect("written");
    let failure = plan(&format!("--stdin {path} -- cat")).expect_err("too much");
    assert!(failure.what.contains("256 KiB"), "{failure}");
    assert!(plan("--each - --stdin - -- cat").is_err());
}

#[test]
fn signals_go_by_name_or_number() {
    assert_eq!((parse_signal("TERM"), parse_signal("sigkill"), parse_signal("15")), (Ok(15), Ok(9), Ok(15)));
    assert_eq!((parse_signal("SYS"), parse_signal("1")), (Ok(31), Ok(1)));
    for text in ["", "0", "32", "-1", "NOPE"] {
        assert!(parse_signal(text).is_err(), "{text}");
    }
    assert_eq!((signal_name(9), signal_name(64)), ("SIGKILL".into(), "signal 64".into()));
}

#[test]
fn the_command_line_says_what_a_pair_is() {
    assert_eq!(parse_pair("a="), Ok(("a".into(), String::new())));
    assert!(parse_pair("a").is_err() && parse_pair("=a").is_err());
}

#[test]
fn a_call_takes_the_flags_of_every_job_and_its_input_as_it_is() {
    let plan = plan("--group g --queue q --handler upper --input {\"a\":1}").expect("a plan");
    let spec = pb::JobSpec::decode(plan.spec(0)).expect("a spec");
    assert_eq!((spec.group.as_str(), spec.queue.as_str(), plan.title(0).as_str()), ("g", "q", "upper"));
    let Some(Work::Call(call)) = spec.work else { panic!("not a call") };
    assert_eq!((call.handler.as_str(), &*call.input, call.content_type.as_str()), ("upper", &b"{\"a\":1}"[..], ""));
}

#[test]
fn the_input_of_a_call_may_be_a_file_of_any_type() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), b"\xff\n").expect("written");
    let spec = spec(&format!("--handler h --content-type image/png --input @{}", file.path().display()));
    let DomainWork::Call(call) = spec.work else { panic!("not a call") };
    assert_eq!((&*call.input, call.content_type.as_deref()), (&b"\xff\n"[..], Some("image/png")));
    std::fs::write(file.path(), vec![b'1'; PAYLOAD_BYTES_MAX + 1]).expect("written");
    let failure = plan(&format!("--handler h --input @{}", file.path().display())).expect_err("too much");
    assert!(failure.what.contains("--input") && failure.what.contains("256 KiB"), "{failure}");
}

#[test]
fn an_input_that_is_no_json_is_the_coordinators_to_refuse() {
    let spec = plan("--handler h --input hello").expect("a plan").spec(0);
    let invalid = convert::read_spec(&spec).expect_err("no JSON");
    assert!(format!("{invalid:?}").contains("call.input"), "{invalid:?}");
    assert!(convert::read_spec(&plan("--handler h --input -1").expect("a plan").spec(0)).is_ok(), "a number is one");
}
