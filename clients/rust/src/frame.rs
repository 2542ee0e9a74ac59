//! Frames: one object a line from the agent, RS + object + LF towards it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::payload::{JSON, Payload};
use crate::{PROTOCOL, RESULT_BYTES_MAX};

/// Begins a frame towards the agent (RFC 7464).
const RS: u8 = 0x1e;

/// What tells frames apart.
#[derive(Debug, Deserialize)]
pub(crate) struct Head<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    #[serde(default)]
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) n: u64,
}

/// The number of a job, where its line begins as agents write it: that much is known without reading what the handler's thread
/// will read anyway.
pub(crate) fn plain_job(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(b"{\"type\":\"job\",\"id\":")?;
    let (digits, _) = rest.split_at_checked(rest.iter().position(|byte| *byte == b',')?)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A job, or an input to be checked.
#[derive(Debug, Deserialize)]
pub(crate) struct Job<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    pub(crate) id: u64,
    #[serde(borrow)]
    pub(crate) handler: Cow<'a, str>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    input_base64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content_type: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    pub(crate) job_id: Cow<'a, str>,
    #[serde(default)]
    pub(crate) attempt: u32,
    #[serde(borrow)]
    fencing_token: Option<Cow<'a, str>>,
    pub(crate) timeout_ms: Option<u64>,
    #[serde(borrow)]
    pub(crate) traceparent: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) tracestate: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
}

impl Job<'_> {
    pub(crate) fn fencing_token(&self) -> u64 {
        self.fencing_token.as_deref().and_then(|token| token.parse().ok()).unwrap_or(0)
    }

    /// The input: JSON as it was written, where it is that.
    pub(crate) fn input(&self) -> Result<Input<'_>, Failure> {
        match &self.input_base64 {
            None => Ok(Input::Json(self.input.map_or("null", RawValue::get))),
            Some(text) => {
                let bytes = STANDARD.decode(&**text)?;
                let content_type = self.content_type.as_deref().unwrap_or("application/octet-stream");
                Ok(Input::Other(Payload::new(bytes, content_type)))
            }
        }
    }
}

/// An input as it came.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    Json(&'a str),
    Other(Payload),
}

impl Input<'_> {
    pub(crate) fn into_payload(self) -> Payload {
        match self {
            Self::Json(text) => Payload::json(text),
            Self::Other(payload) => payload,
        }
    }
}

/// The first word.
pub(crate) fn hello<'a>(out: &mut Vec<u8>, handlers: impl Iterator<Item = &'a str>) {
    let handlers: Vec<&str> = handlers.collect();
    let features = ["started", "recall", "cancel", "validate"];
    object(
        out,
        &serde_json::json!({ "type": "hello", "protocol": PROTOCOL, "handlers": handlers, "features": features }),
    );
}

/// `started`, `recalled`, `valid`: a word about a job.
pub(crate) fn word(out: &mut Vec<u8>, kind: &str, id: u64) {
    open(out, kind);
    number(out, "id", id);
    close(out);
}

/// Answers a ping.
pub(crate) fn pong(out: &mut Vec<u8>, n: u64) {
    open(out, "pong");
    number(out, "n", n);
    close(out);
}

/// The worker ends by itself.
pub(crate) fn bye(out: &mut Vec<u8>, reason: &str) {
    object(out, &serde_json::json!({ "type": "bye", "reason": reason }));
}

/// A result of a checked size, and an error for one that is too large.
pub(crate) fn result(out: &mut Vec<u8>, id: u64, value: &Payload) {
    if value.bytes.len() > RESULT_BYTES_MAX {
        let message = format!("the result is {} bytes, the limit is {RESULT_BYTES_MAX}", value.bytes.len());
        return error(out, id, &Failure::new(message).permanent().code("RESULT_TOO_LARGE"));
    }
    open(out, "result");
    number(out, "id", id);
    if value.content_type == JSON {
        out.extend_from_slice(b",\"value\":");
        out.extend_from_slice(&value.bytes);
    } else {
        text(out, "content_type", &value.content_type);
        text(out, "value_base64", &STANDARD.encode(&value.bytes));
    }
    close(out);
}

/// Why there is no result.
pub(crate) fn error(out: &mut Vec<u8>, id: u64, failure: &Failure) {
    open(out, "error");
    number(out, "id", id);
    text(out, "message", &failure.message);
    let texts = [("code", &failure.code), ("cooldown_key", &failure.cooldown_key), ("stack", &failure.stack)];
    for (name, value) in texts {
        value.iter().for_each(|value| text(out, name, value));
    }
    if failure.permanent {
        out.extend_from_slice(b",\"retryable\":false");
    }
    if let Some(wait) = failure.retry_after {
        number(out, "retry_after_ms", u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    }
    close(out);
}

/// Any frame.
pub(crate) fn object(out: &mut Vec<u8>, object: &impl Serialize) {
    out.push(RS);
    // Writing into memory fails only for what JSON cannot hold, which nothing here is.
    let _ = serde_json::to_writer(&mut *out, object);
    out.push(b'\n');
}

fn open(out: &mut Vec<u8>, kind: &str) {
    out.push(RS);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.push(b'"');
}

fn close(out: &mut Vec<u8>) {
    out.extend_from_slice(b"}\n");
}

fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    key(out, name);
    let _ = write!(out, "{value}"); // as in `object`
}

fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    key(out, name);
    let _ = serde_json::to_writer(out, value); // as in `object`
}

fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_as_agents_write_a_job_has_the_number_that_a_reader_of_all_of_it_finds() {
        let lines = [
            (r#"{"type":"job","id":17,"handler":"echo"}"#, Some(17)),
            (r#"{"type":"job","id":18446744073709551615,"handler":"echo"}"#, Some(u64::MAX)),
        ];
        for (line, id) in lines {
            let head: Head<'_> = serde_json::from_str(line).unwrap();
            assert_eq!((plain_job(line.as_bytes()), &*head.kind, Some(head.id)), (id, "job", id), "{line}");
        }
    }

    #[test]
    fn anything_else_is_read_as_a_whole() {
        for line in [
            r#"{"type": "job", "id": 17, "handler": "echo"}"#,
            r#"{"id":17,"type":"job"}"#,
            r#"{"type":"job","id":17}"#,
            r#"{"type":"job","id":-1,"a":1}"#,
            r#"{"type":"job","id":1.5,"a":1}"#,
            r#"{"type":"job","id":,"a":1}"#,
            r#"{"type":"job","id":99999999999999999999,"a":1}"#,
            r#"{"type":"validate","id":17,"a":1}"#,
            r#"{"type":"jobs","id":17,"a":1}"#,
            "",
        ] {
            assert_eq!(plain_job(line.as_bytes()), None, "{line}");
        }
    }
}
