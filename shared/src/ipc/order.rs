//! What is written to a worker: one object a line.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::PROTOCOL;
use crate::domain::{Grant, Trace};

/// A job, as it is put to a worker.
#[derive(Debug, Clone, Copy)]
pub struct JobOrder<'a> {
    /// Names the attempt between the agent and this worker.
    pub id: u64,
    /// The handler to call.
    pub handler: &'a str,
    /// Its input; one JSON value where there is no media type, or nothing.
    pub input: &'a [u8],
    /// The input's media type; none: application/json.
    pub content_type: Option<&'a str>,
    /// The job.
    pub job: &'a str,
    /// Number of the attempt.
    pub attempt: u32,
    /// To show to whatever the handler writes to.
    pub fencing_token: u64,
    /// Time from its begin after which it is stopped.
    pub timeout: Option<Duration>,
    /// What the handler is told beside the input.
    pub headers: &'a [(String, String)],
    /// Whose request it is part of.
    pub trace: Option<&'a Trace>,
    /// Devices of the host that it is lent.
    pub grants: &'a [Grant],
    /// Only whether the handler would take the input is asked.
    pub validate: bool,
}

/// Answers a hello.
pub fn welcome(out: &mut Vec<u8>, pool: &str, worker: &str) {
    open(out, "welcome");
    number(out, "protocol", PROTOCOL.into());
    text(out, "pool", pool);
    text(out, "worker", worker);
    close(out);
}

/// A job to do.
pub fn job(out: &mut Vec<u8>, order: &JobOrder<'_>) {
    open(out, if order.validate { "validate" } else { "job" });
    number(out, "id", order.id);
    text(out, "handler", order.handler);
    text(out, "job_id", order.job);
    number(out, "attempt", order.attempt.into());
    // As text: most languages' numbers end at 2^53.
    key(out, "fencing_token");
    out.push(b'"');
    out.extend_from_slice(order.fencing_token.to_string().as_bytes());
    out.push(b'"');
    accompany(out, order);
    match order.content_type {
        None => {
            key(out, "input");
            json(out, order.input);
        }
        Some(content_type) => {
            text(out, "content_type", content_type);
            text(out, "input_base64", &STANDARD.encode(order.input));
        }
    }
    close(out);
}

/// What most jobs do not have, each where there is any.
fn accompany(out: &mut Vec<u8>, order: &JobOrder<'_>) {
    if let Some(timeout) = order.timeout {
        number(out, "timeout_ms", u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    }
    if let Some(trace) = order.trace {
        text(out, "traceparent", &trace.parent);
        if !trace.state.is_empty() {
            text(out, "tracestate", &trace.state);
        }
    }
    if let Some(((name, value), rest)) = order.headers.split_first() {
        key(out, "headers");
        out.push(b'{');
        member(out, name, value);
        for (name, value) in rest {
            out.push(b',');
            member(out, name, value);
        }
        out.push(b'}');
    }
    if !order.grants.is_empty() {
        devices(out, order.grants);
    }
}

/// The devices by kind, and how much of the last one of those kinds where it is shared.
fn devices(out: &mut Vec<u8>, grants: &[Grant]) {
    let texts = |grant: &Grant| grant.ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let ids: BTreeMap<&str, Vec<String>> = grants.iter().map(|grant| (&*grant.device, texts(grant))).collect();
    let shared = grants.iter().filter(|grant| grant.share_milli < 1_000);
    let shares: BTreeMap<&str, u32> = shared.map(|grant| (&*grant.device, grant.share_milli)).collect();
    for (name, value) in [("devices", json!(ids)), ("device_share_milli", json!(shares))] {
        if value.as_object().is_some_and(|kinds| !kinds.is_empty()) {
            key(out, name);
            out.extend_from_slice(value.to_string().as_bytes());
        }
    }
}

/// Asks for a job back that was not started.
pub fn recall(out: &mut Vec<u8>, id: u64) {
    named(out, "recall", id);
}

/// Asks to stop the job that runs.
pub fn cancel(out: &mut Vec<u8>, id: u64) {
    named(out, "cancel", id);
}

/// Asks for a sign of life.
pub fn ping(out: &mut Vec<u8>, n: u64) {
    open(out, "ping");
    number(out, "n", n);
    close(out);
}

/// Asks to finish what has begun, to give back the rest, and to end.
pub fn drain(out: &mut Vec<u8>) {
    open(out, "drain");
    close(out);
}

/// Asks to end.
pub fn bye(out: &mut Vec<u8>) {
    open(out, "bye");
    close(out);
}

fn named(out: &mut Vec<u8>, kind: &str, id: u64) {
    open(out, kind);
    number(out, "id", id);
    close(out);
}

fn open(out: &mut Vec<u8>, kind: &str) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.push(b'"');
}

fn close(out: &mut Vec<u8>) {
    out.extend_from_slice(b"}\n");
}

fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    key(out, name);
    out.extend_from_slice(value.to_string().as_bytes());
}

fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    key(out, name);
    quoted(out, value);
}

fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    quoted(out, name);
    out.push(b':');
    quoted(out, value);
}

fn quoted(out: &mut Vec<u8>, value: &str) {
    // Writing text into memory cannot fail.
    let _ = serde_json::to_writer(out, value);
}

/// A value as it came. Its line breaks are between its tokens, never in a string: spaces do as well there, and a frame is a line.
fn json(out: &mut Vec<u8>, value: &[u8]) {
    if value.is_empty() {
        out.extend_from_slice(b"null");
        return;
    }
    let from = out.len();
    out.extend_from_slice(value);
    out[from..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn order<'a>(input: &'a [u8], content_type: Option<&'a str>) -> JobOrder<'a> {
        JobOrder {
            id: 17,
            handler: "up",
            input,
            content_type,
            job: "j",
            attempt: 2,
            fencing_token: 1 << 60,
            timeout: None,
            headers: &[],
            trace: None,
            grants: &[],
            validate: false,
        }
    }

    #[test]
    fn every_order_is_one_line_of_json() {
        let job = |input: &[u8], kind| written(|out| job(out, &order(input, kind)));
        let common =
            r#"{"type":"job","id":17,"handler":"up","job_id":"j","attempt":2,"fencing_token":"1152921504606846976""#;
        assert_eq!(job(b"{\r\n \"a\": \"\\n\"\n}", None), format!("{common},\"input\":{{   \"a\": \"\\n\" }}}}\n"));
        assert_eq!(job(b"", None), format!("{common},\"input\":null}}\n"));
        assert_eq!(
            job(b"\n\xff", Some("a/\"b")),
            format!("{common},\"content_type\":\"a/\\\"b\",\"input_base64\":\"Cv8=\"}}\n")
        );
        let welcome = written(|out| welcome(out, "demo", "demo-0"));
        assert_eq!(welcome, "{\"type\":\"welcome\",\"protocol\":1,\"pool\":\"demo\",\"worker\":\"demo-0\"}\n");
        assert_eq!(written(|out| recall(out, 3)), "{\"type\":\"recall\",\"id\":3}\n");
        assert_eq!(written(|out| cancel(out, 3)), "{\"type\":\"cancel\",\"id\":3}\n");
        assert_eq!(written(|out| ping(out, 9)), "{\"type\":\"ping\",\"n\":9}\n");
        assert_eq!(written(drain), "{\"type\":\"drain\"}\n");
        assert_eq!(written(bye), "{\"type\":\"bye\"}\n");
    }

    #[test]
    fn what_accompanies_a_job_is_written_where_there_is_any() {
        let headers = [("tenant".to_owned(), "a\"\u{e9}".to_owned()), ("b".to_owned(), String::new())];
        let trace = Trace { parent: "00-1-2-01".into(), state: "x=y".into() };
        let timeout = Some(Duration::from_millis(1_500));
        let order = JobOrder { timeout, headers: &headers, trace: Some(&trace), validate: true, ..order(b"1", None) };
        let expected = concat!(
            r#"{"type":"validate","id":17,"handler":"up","job_id":"j","attempt":2,"fencing_token":"1152921504606846976","#,
            r#""timeout_ms":1500,"traceparent":"00-1-2-01","tracestate":"x=y","headers":{"tenant":"a\"\u00e9","b":""},"input":1}"#,
        );
        assert_eq!(written(|out| job(out, &order)), expected.replace("\\u00e9", "\u{e9}") + "\n");
    }

    #[test]
    fn the_devices_that_are_lent_are_told_by_kind() {
        let grant = |device: &str, ids: &[&str], share_milli| Grant {
            device: device.into(),
            ids: ids.iter().map(|id| (*id).into()).collect(),
            share_milli,
        };
        let grants = [grant("gpu", &["0", "1"], 500), grant("net", &["\"e"], 1_000)];
        let line = written(|out| job(out, &JobOrder { grants: &grants, ..order(b"1", None) }));
        let devices = r#","devices":{"gpu":["0","1"],"net":["\"e"]},"device_share_milli":{"gpu":500},"input":1}"#;
        assert!(line.ends_with(&format!("{devices}\n")), "{line}");
        let whole = written(|out| job(out, &JobOrder { grants: &grants[1..], ..order(b"1", None) }));
        assert!(!whole.contains("device_share_milli"), "{whole}");
    }
}
