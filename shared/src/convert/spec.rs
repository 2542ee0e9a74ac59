//! The spec: decoded at admission for its header, and again by the agent for the whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;

use super::name::check_name;
use super::{LabelFilter, demand, dress, retry, span_from};
use crate::domain::{
    CallSpec, DEFAULT_QUEUE, ExecSpec, Execution, JobHeader, JobSpec, OnAgentLost, OnDisconnect, Work,
};
use crate::fault::Invalid;
use crate::limits;
use crate::pb;

const STOP_GRACE: Duration = Duration::from_secs(5);
const SIGTERM: u8 = 15;
/// Media type of inputs and results that name none.
pub(super) const JSON: &str = "application/json";

/// The spec, decoded and checked; field paths begin with `spec`.
///
/// # Errors
/// Every field that is wrong.
pub fn read_spec(bytes: &[u8]) -> Result<JobSpec, Invalid> {
    spec_from(decode_spec(bytes)?).map_err(|invalid| invalid.within("spec"))
}

/// What the scheduler must know of a spec, the whole of it checked; field paths begin with `spec`.
///
/// # Errors
/// Every field that is wrong.
pub fn read_header(bytes: &[u8]) -> Result<JobHeader, Invalid> {
    Ok(read_spec(bytes)?.header)
}

/// The one encoding of a spec that all its encodings have in common: fields in order, maps sorted. For telling whether two
/// submits are the same; what is kept and sent on is the encoding that arrived.
///
/// # Errors
/// As [`decode_spec`].
pub fn canonical_spec(bytes: &[u8]) -> Result<Vec<u8>, Invalid> {
    Ok(decode_spec(bytes)?.encode_to_vec())
}

/// What lists filter by, out of a whole spec; the rest is skipped, not built.
#[derive(Clone, PartialEq, Message)]
struct Tags {
    #[prost(btree_map = "string, string", tag = "5")]
    labels: std::collections::BTreeMap<String, String>,
    #[prost(string, tag = "13")]
    group: String,
}

/// Whether a spec on record has all of these labels, an empty value standing for any, and is of the group. What is no spec has none.
#[must_use]
pub fn spec_matches(bytes: &[u8], labels: &[LabelFilter], group: Option<&str>) -> bool {
    let Ok(tags) = Tags::decode(bytes) else { return false };
    let has = |(key, value): &LabelFilter| {
        tags.labels.get(&**key).is_some_and(|found| value.is_empty() || **value == **found)
    };
    labels.iter().all(has) && group.is_none_or(|group| group == tags.group)
}

/// The spec as the contract has it, unchecked.
///
/// # Errors
/// Where there is none, it is too large, or it is no `JobSpec`.
pub fn decode_spec(bytes: &[u8]) -> Result<pb::JobSpec, Invalid> {
    if bytes.is_empty() {
        return Err(Invalid::one("spec", "is required"));
    }
    if bytes.len() > limits::SPEC_BYTES_MAX {
        let (have, max) = (bytes.len(), limits::SPEC_BYTES_MAX);
        return Err(Invalid::one("spec", format!("is {have} bytes, the limit is {max} (SPEC_BYTES_MAX)")));
    }
    pb::JobSpec::decode(bytes).map_err(|err| Invalid::one("spec", format!("cannot be decoded: {err}")))
}

fn spec_from(mut wire: pb::JobSpec) -> Result<JobSpec, Invalid> {
    let mut invalid = Invalid::default();
    let (retry, retry_plan) = retry::retry_from(wire.retry.take(), &mut invalid);
    let mut header = JobHeader {
        queue: queue(&wire.queue, &mut invalid),
        priority: priority_of(wire.priority, &mut invalid),
        retry,
        retry_plan,
        execution: execution(wire.execution, &mut invalid),
        on_agent_lost: on_agent_lost(wire.on_agent_lost, &mut invalid),
        handler: None,
        program: None,
        demand: demand::demand_from(&mut wire, &mut invalid),
    };
    let on_disconnect = on_disconnect(wire.on_disconnect, &mut invalid);
    labels(&wire, &mut invalid);
    if !wire.group.is_empty() {
        check_name("group", &wire.group, &mut invalid);
    }
    let run_timeout = run_timeout(wire.run_timeout, &mut invalid);
    let stop_grace = stop_grace(wire.stop_grace, &mut invalid);
    let stop_signal = stop_signal(wire.stop_signal, &mut invalid);
    let trace = dress::trace(wire.traceparent, wire.tracestate, &mut invalid);
    let work = work(wire.work, &mut invalid);
    retry::check_header(&header, work.as_ref(), &mut invalid);
    invalid.check()?;
    // `work` adds a violation wherever it answers nothing.
    let work = work.ok_or_else(|| Invalid::one("work", "exactly one of exec, call is required"))?;
    match &work {
        Work::Call(call) => header.handler = Some(call.handler.clone()),
        Work::Exec(exec) => header.program = Some(program(&exec.argv[0])),
    }
    Ok(JobSpec { work, header, run_timeout, stop_grace, stop_signal, on_disconnect, trace })
}

fn queue(name: &str, invalid: &mut Invalid) -> Arc<str> {
    if name.is_empty() {
        return DEFAULT_QUEUE.into();
    }
    check_name("queue", name, invalid);
    name.into()
}

/// What a command is told apart by: how it is reached, and what follows its name, says little of what it does.
fn program(path: &str) -> Arc<str> {
    let name = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path);
    name[..name.floor_char_boundary(limits::NAME_BYTES_MAX)].into()
}

fn priority_of(value: i32, invalid: &mut Invalid) -> i8 {
    priority("priority", value).unwrap_or_else(|_| {
        invalid.add("priority", priority_bounds());
        0
    })
}

fn priority_bounds() -> String {
    let max = limits::PRIORITY_MAX;
    format!("must be -{max} to {max}")
}

/// A priority.
///
/// # Errors
/// It is out of bounds, by the field's name.
pub fn priority(field: &str, value: i32) -> Result<i8, Invalid> {
    let max = limits::PRIORITY_MAX;
    let within = i8::try_from(value).ok().filter(|priority| (-max..=max).contains(priority));
    within.ok_or_else(|| Invalid::one(field, priority_bounds()))
}

fn labels(wire: &pb::JobSpec, invalid: &mut Invalid) {
    if wire.labels.len() > limits::LABELS_MAX {
        invalid.add("labels", format!("holds {}, the limit is {}", wire.labels.len(), limits::LABELS_MAX));
        return;
    }
    for (key, value) in &wire.labels {
        if key.is_empty() || key.len() > limits::LABEL_KEY_BYTES_MAX {
            invalid.add("labels", format!("keys must be 1 to {} bytes", limits::LABEL_KEY_BYTES_MAX));
        }
        if value.len() > limits::LABEL_VALUE_BYTES_MAX {
            let key: String = key.chars().take(32).collect();
            invalid.add(format!("labels[{key}]"), format!("must be at most {} bytes", limits::LABEL_VALUE_BYTES_MAX));
        }
    }
}

fn execution(number: i32, invalid: &mut Invalid) -> Execution {
    use pb::job_spec::Execution as Wire;
    match Wire::try_from(number) {
        Ok(Wire::Unspecified | Wire::AtLeastOnce) => Execution::AtLeastOnce,
        Ok(Wire::AtMostOnce) => Execution::AtMostOnce,
        Err(_) => unknown("execution", number, invalid),
    }
}

fn on_disconnect(number: i32, invalid: &mut Invalid) -> OnDisconnect {
    use pb::job_spec::OnDisconnect as Wire;
    match Wire::try_from(number) {
        Ok(Wire::Unspecified | Wire::Continue) => OnDisconnect::Continue,
        Ok(Wire::Fence) => OnDisconnect::Fence,
        Err(_) => unknown("on_disconnect", number, invalid),
    }
}

fn on_agent_lost(number: i32, invalid: &mut Invalid) -> OnAgentLost {
    use pb::job_spec::OnAgentLost as Wire;
    match Wire::try_from(number) {
        Ok(Wire::Unspecified | Wire::Retry) => OnAgentLost::Retry,
        Ok(Wire::Fail) => OnAgentLost::Fail,
        Ok(Wire::Wait) => OnAgentLost::Wait,
        Err(_) => unknown("on_agent_lost", number, invalid),
    }
}

fn unknown<T: Default>(field: &str, number: i32, invalid: &mut Invalid) -> T {
    invalid.add(field, format!("{number} is no value this coordinator knows"));
    T::default()
}

fn run_timeout(wire: Option<prost_types::Duration>, invalid: &mut Invalid) -> Option<Duration> {
    let wire = wire?;
    let timeout = span_from(&wire).filter(|time| !time.is_zero() && *time <= limits::RUN_TIMEOUT_MAX);
    if timeout.is_none() {
        invalid.add("run_timeout", "must be longer than 0 s and at most 365 days; leave it out for no limit");
    }
    timeout
}

fn stop_grace(wire: Option<prost_types::Duration>, invalid: &mut Invalid) -> Duration {
    let Some(wire) = wire else { return STOP_GRACE };
    span_from(&wire).filter(|time| *time <= limits::STOP_GRACE_MAX).unwrap_or_else(|| {
        invalid.add("stop_grace", "must be 0 s to 1 h");
        STOP_GRACE
    })
}

fn stop_signal(wire: Option<i32>, invalid: &mut Invalid) -> u8 {
    let Some(number) = wire else { return SIGTERM };
    u8::try_from(number).ok().filter(|number| (1..=31).contains(number)).unwrap_or_else(|| {
        invalid.add("stop_signal", "must be a signal number, 1 to 31");
        SIGTERM
    })
}

fn work(wire: Option<pb::job_spec::Work>, invalid: &mut Invalid) -> Option<Work> {
    match wire {
        Some(pb::job_spec::Work::Exec(exec)) => Some(Work::Exec(exec_from(exec, invalid))),
        Some(pb::job_spec::Work::Call(call)) => Some(Work::Call(call_from(call, invalid))),
        None => {
            invalid.add("work", "exactly one of exec, call is required");
            None
        }
    }
}

fn exec_from(wire: pb::Exec, invalid: &mut Invalid) -> ExecSpec {
    check_argv(&wire.argv, invalid);
    check_env(&wire.env, invalid);
    if !wire.cwd.is_empty() && (!wire.cwd.starts_with('/') || wire.cwd.contains('\0')) {
        invalid.add("exec.cwd", "must be an absolute path without NUL");
    }
    check_payload("exec.stdin", wire.stdin.len(), invalid);
    ExecSpec {
        argv: wire.argv,
        env: wire.env.into_iter().collect(),
        cwd: (!wire.cwd.is_empty()).then(|| PathBuf::from(wire.cwd)),
        stdin: wire.stdin.into(),
    }
}

fn check_argv(argv: &[String], invalid: &mut Invalid) {
    if argv.is_empty() || argv[0].is_empty() {
        invalid.add("exec.argv", "must name at least the program");
    }
    if argv.len() > limits::ARGV_ITEMS_MAX {
        invalid.add("exec.argv", format!("holds {}, the limit is {}", argv.len(), limits::ARGV_ITEMS_MAX));
    }
    for (i, arg) in argv.iter().enumerate() {
        if arg.contains('\0') {
            invalid.add(format!("exec.argv[{i}]"), "must not contain NUL");
        }
        if arg.len() > limits::ARG_BYTES_MAX {
            invalid.add(format!("exec.argv[{i}]"), format!("must be at most {} bytes", limits::ARG_BYTES_MAX));
        }
    }
}

fn check_env(env: &std::collections::BTreeMap<String, String>, invalid: &mut Invalid) {
    if env.len() > limits::ENV_ITEMS_MAX {
        invalid.add("exec.env", format!("holds {}, the limit is {}", env.len(), limits::ENV_ITEMS_MAX));
    }
    for (name, value) in env {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(32).collect();
        let field = format!("exec.env[{shown}]");
        if name.is_empty() || name.contains(['=', '\0']) {
            invalid.add(&*field, "a variable's name must be at least one character, without \"=\" and NUL");
        }
        if name.starts_with("WINDLASS_") {
            invalid.add(&*field, "names beginning with WINDLASS_ are the agent's to set");
        }
        if value.contains('\0') {
            invalid.add(&*field, "must not contain NUL");
        }
        if name.len() + value.len() + 1 > limits::ARG_BYTES_MAX {
            invalid.add(&*field, format!("name and value must be at most {} bytes", limits::ARG_BYTES_MAX));
        }
    }
}

fn check_payload(field: &str, have: usize, invalid: &mut Invalid) -> bool {
    let max = limits::PAYLOAD_BYTES_MAX;
    if have > max {
        invalid.add(field, format!("is {have} bytes, the limit is {max} (PAYLOAD_BYTES_MAX)"));
    }
    have <= max
}

fn call_from(wire: pb::Call, invalid: &mut Invalid) -> CallSpec {
    check_name("call.handler", &wire.handler, invalid);
    let fits = check_payload("call.input", wire.input.len(), invalid);
    let max = limits::CONTENT_TYPE_BYTES_MAX;
    if wire.content_type.len() > max || !wire.content_type.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        invalid.add("call.content_type", format!("must be at most {max} printable ASCII characters"));
    }
    let is_json = wire.content_type.is_empty() || wire.content_type == JSON;
    if fits && is_json && !wire.input.is_empty() && !is_json_value(&wire.input) {
        invalid.add("call.input", "must be one JSON value; for other bytes set content_type");
    }
    let content_type = (!is_json).then(|| wire.content_type.into());
    let (headers, validate_only) = (dress::headers(wire.headers, invalid), wire.validate_only);
    CallSpec { handler: wire.handler.into(), input: wire.input, content_type, headers, validate_only }
}

/// Whether the bytes are one JSON value, nested at most 127 deep.
fn is_json_value(bytes: &[u8]) -> bool {
    // As text first: the parser does not look into strings that it skips.
    str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
}
