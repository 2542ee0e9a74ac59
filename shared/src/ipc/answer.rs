//! A worker's frame, read.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::{CallResult, HandlerError};
use crate::limits;

/// What a worker said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// First of all.
    Hello {
        /// Version of the protocol it speaks.
        protocol: u32,
        /// Handlers it has.
        handlers: Vec<String>,
        /// What it can do beside the least.
        features: Features,
    },
    /// The handler is entered.
    Started(u64),
    /// The handler answered.
    Result(u64, CallResult),
    /// The handler would take the input.
    Valid(u64),
    /// The handler failed, with its message and where it came from.
    Error(u64, String, HandlerError, Option<String>),
    /// A line for the job's log.
    Line(u64, String),
    /// A job was given back, not started.
    Recalled(u64),
    /// A sign of life.
    Pong,
    /// It ends.
    Bye,
    /// Something newer than we are.
    Unknown,
}

/// What a worker can do beside the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    /// It says when it enters a handler, and gives back what it has not entered: jobs may wait in its pipe.
    pub prefetch: bool,
    /// It stops a handler on request.
    pub cancel: bool,
    /// It says whether a handler would take an input, without entering it.
    pub validate: bool,
}

/// A frame that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// It is no JSON, or a field has another shape.
    #[error("a frame cannot be read: {0}")]
    Json(String),
    /// A field is missing.
    #[error("a frame of type {kind:?} has no {field}")]
    Missing {
        /// The frame's type.
        kind: String,
        /// The field.
        field: &'static str,
    },
    /// A field holds too much.
    #[error("{field} is {have} bytes, the limit is {max}")]
    TooLarge {
        /// The field.
        field: &'static str,
        /// What it holds.
        have: usize,
        /// What it may hold.
        max: usize,
    },
    /// A field is no base64.
    #[error("value_base64 is not base64: {0}")]
    Base64(String),
}

/// All fields of all frames: an internally tagged enum would copy every value before it knew what it is.
#[derive(Debug, Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    id: Option<u64>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    value_base64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content_type: Option<Cow<'a, str>>,
    message: Option<String>,
    stack: Option<String>,
    #[serde(borrow)]
    code: Option<Cow<'a, str>>,
    retryable: Option<bool>,
    retry_after_ms: Option<u64>,
    #[serde(borrow)]
    cooldown_key: Option<Cow<'a, str>>,
    done: Option<serde_json::Number>,
    total: Option<serde_json::Number>,
    #[serde(borrow)]
    level: Option<Cow<'a, str>>,
    #[serde(borrow)]
    fields: Option<&'a RawValue>,
    protocol: Option<u32>,
    handlers: Option<Vec<String>>,
    features: Option<Vec<String>>,
}

/// Reads one frame. The answer shares none of its memory: a result is kept until it is on record, and would keep a whole buffer.
///
/// # Errors
/// Where it cannot be read, or lacks what its type needs, or holds too much. Fields and types that are not known are passed over.
pub fn read(frame: &[u8]) -> Result<Answer, BadAnswer> {
    let read: Frame<'_> = serde_json::from_slice(frame).map_err(|err| BadAnswer::Json(err.to_string()))?;
    let missing = |field| BadAnswer::Missing { kind: read.kind.chars().take(32).collect(), field };
    let id = read.id.ok_or_else(|| missing("id"));
    Ok(match &*read.kind {
        "result" => Answer::Result(id?, result(&read)?),
        "started" => Answer::Started(id?),
        "error" => {
            let id = id?;
            let error = handler_error(&read);
            Answer::Error(id, read.message.unwrap_or_default(), error, read.stack)
        }
        "valid" => Answer::Valid(id?),
        "progress" => Answer::Line(id?, progress(read)),
        "log" => Answer::Line(id?, line(read)),
        "recalled" => Answer::Recalled(id?),
        "hello" => Answer::Hello {
            protocol: read.protocol.ok_or_else(|| missing("protocol"))?,
            features: features(&read),
            handlers: read.handlers.unwrap_or_default(),
        },
        "pong" => Answer::Pong,
        "bye" => Answer::Bye,
        _ => Answer::Unknown,
    })
}

fn result(read: &Frame<'_>) -> Result<CallResult, BadAnswer> {
    let (value, content_type) = match (read.value, &read.value_base64) {
        (_, Some(text)) => {
            let value = STANDARD.decode(&**text).map_err(|err| BadAnswer::Base64(err.to_string()))?;
            let content_type = read.content_type.as_deref().unwrap_or("application/octet-stream");
            (value.into(), Some(content_type.into()))
        }
        (Some(value), None) => (Bytes::copy_from_slice(value.get().as_bytes()), None),
        (None, None) => (Bytes::from_static(b"null"), None),
    };
    fits("value", value.len(), limits::PAYLOAD_BYTES_MAX)?;
    fits("content_type", read.content_type.as_ref().map_or(0, |text| text.len()), limits::CONTENT_TYPE_BYTES_MAX)?;
    Ok(CallResult { value, content_type })
}

fn fits(field: &'static str, have: usize, max: usize) -> Result<(), BadAnswer> {
    if have > max { Err(BadAnswer::TooLarge { field, have, max }) } else { Ok(()) }
}

fn handler_error(read: &Frame<'_>) -> HandlerError {
    let code = read.code.as_deref().map(|code| &code[..code.floor_char_boundary(limits::ERROR_CODE_BYTES_MAX)]);
    HandlerError {
        code: code.filter(|code| !code.is_empty()).map(Into::into),
        permanent: read.retryable == Some(false),
        retry_after: read.retry_after_ms.map(Duration::from_millis),
        cooldown_key: read.cooldown_key.as_deref().filter(|key| limits::is_name(key)).map(Into::into),
    }
}

/// `3 of 10 pages`, of whatever is there.
fn progress(read: Frame<'_>) -> String {
    let count = match (read.done, read.total) {
        (Some(done), Some(total)) => Some(format!("{done} of {total}")),
        (Some(done), None) => Some(done.to_string()),
        (None, _) => None,
    };
    [count, read.message].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// `WARN message {"its":"fields"}`; what is only informed goes without its level, as if it had been printed.
fn line(read: Frame<'_>) -> String {
    let level = read.level.filter(|level| &**level != "info").map(|level| level.to_uppercase());
    let fields = read.fields.map(|fields| fields.get().to_owned());
    [level, read.message, fields].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn features(read: &Frame<'_>) -> Features {
    let has = |name: &str| read.features.iter().flatten().any(|feature| feature == name);
    Features { prefetch: has("started") && has("recall"), cancel: has("cancel"), validate: has("validate") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Answer, String> {
        read(text.as_bytes()).map_err(|err| err.to_string())
    }

    fn json(id: u64, value: &str) -> Result<Answer, String> {
        Ok(Answer::Result(id, CallResult { value: Bytes::copy_from_slice(value.as_bytes()), content_type: None }))
    }

    #[test]
    fn an_answer_of_each_type_is_read() {
        assert_eq!(of(r#"{"type":"result","id":1,"value":{"a": [1.50]},"later":true}"#), json(1, r#"{"a": [1.50]}"#));
        assert_eq!(of(r#"{"type":"result","id":1}"#), json(1, "null"));
        let bytes = CallResult { value: Bytes::from_static(b"\xff"), content_type: Some("image/png".into()) };
        let png = r#"{"type":"result","id":1,"value_base64":"/w==","content_type":"image/png"}"#;
        assert_eq!(of(png), Ok(Answer::Result(1, bytes)));
        let error = HandlerError {
            code: Some("E1".into()),
            permanent: true,
            retry_after: Some(Duration::from_millis(5)),
            cooldown_key: Some("api".into()),
        };
        assert_eq!(
            of(
                r#"{"type":"error","id":2,"message":"no\n","code":"E1","retryable":false,"retry_after_ms":5,"cooldown_key":"api","stack":"at x"}"#
            ),
            Ok(Answer::Error(2, "no\n".into(), error, Some("at x".into())))
        );
        assert_eq!(
            of(r#"{"type":"error","id":2}"#),
            Ok(Answer::Error(2, String::new(), HandlerError::default(), None))
        );
        assert_eq!(of(r#"{"type":"started","id":3}"#), Ok(Answer::Started(3)));
        assert_eq!(of(r#"{"type":"recalled","id":3}"#), Ok(Answer::Recalled(3)));
        assert_eq!(of(r#"{"type":"log","id":3,"message":"x"}"#), Ok(Answer::Line(3, "x".into())));
        assert_eq!(of(r#"{"type":"valid","id":3}"#), Ok(Answer::Valid(3)));
        let line = |text: &str| Ok(Answer::Line(3, text.into()));
        assert_eq!(
            of(r#"{"type":"log","id":3,"level":"info","message":"x","fields":{"a": 1}}"#),
            line(r#"x {"a": 1}"#)
        );
        assert_eq!(of(r#"{"type":"log","id":3,"level":"warn","message":"x"}"#), line("WARN x"));
        assert_eq!(
            of(r#"{"type":"progress","id":3,"done":1.5,"total":10,"message":"pages"}"#),
            line("1.5 of 10 pages")
        );
        assert_eq!(of(r#"{"type":"progress","id":3,"done":2}"#), line("2"));
        assert_eq!(of(r#"{"type":"new","id":3}"#), Ok(Answer::Unknown));
        let features = Features { prefetch: true, cancel: false, validate: false };
        let hello = r#"{"type":"hello","protocol":1,"handlers":["a"],"features":["recall","started","x"]}"#;
        assert_eq!(of(hello), Ok(Answer::Hello { protocol: 1, handlers: vec!["a".into()], features }));
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        assert_eq!(of(r#"{"type":"result"}"#), Err(r#"a frame of type "result" has no id"#.into()));
        assert_eq!(of(r#"{"type":"hello"}"#), Err(r#"a frame of type "hello" has no protocol"#.into()));
        assert!(of("{nonsense}").unwrap_err().starts_with("a frame cannot be read: "));
        assert!(of(r#"{"id":1}"#).unwrap_err().starts_with("a frame cannot be read: missing field `type`"));
        assert!(of(r#"{"type":"result","id":-1}"#).unwrap_err().starts_with("a frame cannot be read: "));
        assert!(of(r#"{"type":"result","id":1,"value_base64":"*"}"#).unwrap_err().starts_with("value_base64 is not"));
        let long = format!(r#"{{"type":"result","id":1,"value":"{}"}}"#, "x".repeat(limits::PAYLOAD_BYTES_MAX - 1));
        assert_eq!(of(&long), Err("value is 262145 bytes, the limit is 262144".into()));
    }
}
