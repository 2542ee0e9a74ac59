//! Errors ↔ gRPC: the only module that makes a `Status`.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::fault::{Fault, Kind, cut};

/// Domain of every `google.rpc.ErrorInfo` of ours.
pub const DOMAIN: &str = "windlass.dev";

/// The status a caller gets for an error.
#[must_use]
pub fn to_status(err: &(impl Fault + ?Sized)) -> Status {
    let code = code(err.kind());
    if code == Code::Internal {
        // The chain stays with us: it may name what the caller must not know.
        tracing::error!(error = %err, "bug");
        let details = ErrorDetails::with_error_info(err.reason(), DOMAIN, []);
        return Status::with_error_details(code, "internal error; the coordinator's log has the cause", details);
    }
    Status::with_error_details(code, err.to_string(), details(err))
}

// No `_` arm: a new kind must choose its code here.
const fn code(kind: Kind) -> Code {
    match kind {
        Kind::Invalid => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::Exists => Code::AlreadyExists,
        Kind::Conflict => Code::FailedPrecondition,
        Kind::OutOfRange => Code::OutOfRange,
        Kind::DataLoss => Code::DataLoss,
        Kind::Busy => Code::ResourceExhausted,
        Kind::Unavailable => Code::Unavailable,
        Kind::TimedOut => Code::DeadlineExceeded,
        Kind::Unimplemented => Code::Unimplemented,
        Kind::Bug => Code::Internal,
    }
}

fn details(err: &(impl Fault + ?Sized)) -> ErrorDetails {
    let mut details = ErrorDetails::with_error_info(err.reason(), DOMAIN, []);
    for violation in err.violations() {
        details.add_bad_request_violation(&violation.field, &violation.description);
    }
    if let Some(subject) = err.quota() {
        details.add_quota_failure_violation(subject, err.to_string());
    }
    if let Some(wait) = err.retry_after() {
        details.set_retry_info(Some(wait));
    }
    details
}

/// Bytes of errors told in full in one batch: a thousand ordinary ones.
const ITEMS_BYTES_MAX: usize = 512 << 10;
/// Bytes of a text in an item that is told in short.
const SHORT_BYTES_MAX: usize = 64;

/// Errors as items of a batch. All of 10,000 fit the message they are told in, whatever they quote: past 512 KiB each keeps
/// its code, its reason, when to ask again, and the first of its fields, with texts of 64 bytes: 320 bytes at most.
#[derive(Debug)]
pub struct Items {
    bytes_left: usize,
}

impl Default for Items {
    fn default() -> Self {
        Self { bytes_left: ITEMS_BYTES_MAX }
    }
}

impl Items {
    /// The error as a `google.rpc.Status`.
    pub fn item(&mut self, err: &(impl Fault + ?Sized)) -> tonic_types::pb::Status {
        use prost::Message;
        if self.bytes_left > 0 {
            let full = as_item(&to_status(err));
            self.bytes_left = self.bytes_left.saturating_sub(full.encoded_len());
            return full;
        }
        let mut details = ErrorDetails::with_error_info(err.reason(), DOMAIN, []);
        if let Some(first) = err.violations().first() {
            details.add_bad_request_violation(cut(first.field.clone(), SHORT_BYTES_MAX), "");
        }
        details.set_retry_info(err.retry_after());
        as_item(&Status::with_error_details(code(err.kind()), cut(err.to_string(), SHORT_BYTES_MAX), details))
    }
}

fn as_item(status: &Status) -> tonic_types::pb::Status {
    use prost::Message;
    // What a status carries as details is an encoded `google.rpc.Status` already.
    tonic_types::pb::Status::decode(status.details()).unwrap_or_else(|_| tonic_types::pb::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

/// The answer where a deadline passed first.
#[must_use]
pub fn deadline_exceeded(limit: Duration) -> Status {
    let text = format!("the deadline of {} ms passed first", limit.as_millis());
    Status::with_error_details(
        Code::DeadlineExceeded,
        text,
        ErrorDetails::with_error_info("DEADLINE_EXCEEDED", DOMAIN, []),
    )
}

/// The answer where a call panicked.
#[must_use]
pub fn panicked() -> Status {
    let details = ErrorDetails::with_error_info("PANIC", DOMAIN, []);
    Status::with_error_details(Code::Internal, "internal error; the coordinator's log has the cause", details)
}

/// What a status told its caller, for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its name in `google.rpc.ErrorInfo`; empty where it has none.
    pub reason: String,
    /// Field paths and what is wrong with them.
    pub violations: Vec<(String, String)>,
    /// When to ask again.
    pub retry_after: Option<Duration>,
}

/// Reads the details of a status.
#[must_use]
pub fn told(status: &Status) -> Told {
    let details = status.get_error_details();
    let violations = details
        .bad_request()
        .map(|bad| bad.field_violations.iter().map(|wrong| (wrong.field.clone(), wrong.description.clone())).collect());
    Told {
        reason: details.error_info().map(|info| info.reason.clone()).unwrap_or_default(),
        violations: violations.unwrap_or_default(),
        retry_after: details.retry_info().and_then(|info| info.retry_delay),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Invalid;

    #[test]
    fn a_bad_request_names_its_fields() {
        let mut invalid = Invalid::one("exec.argv", "must name at least the program").within("spec");
        invalid.add("priority", "must be -100 to 100");
        let status = to_status(&invalid);
        assert_eq!(status.code(), Code::InvalidArgument);
        let told = told(&status);
        assert_eq!(told.reason, "INVALID_ARGUMENT");
        assert_eq!(told.violations.len(), 2);
        assert_eq!(told.violations[0].0, "spec.exec.argv");
        assert_eq!(told.retry_after, None);
    }

    #[test]
    fn an_item_of_a_batch_carries_the_same_details() {
        let item = Items::default().item(&Invalid::one("spec", "is required"));
        assert_eq!(item.code, Code::InvalidArgument as i32);
        assert_eq!(item.details.len(), 2);
    }

    #[test]
    fn items_past_the_budget_keep_code_reason_and_field_and_stay_small() {
        use prost::Message;
        let mut invalid = Invalid::one("f".repeat(1_000), "d".repeat(1_000));
        invalid.add("second", "too");
        let mut items = Items { bytes_left: 1 };
        assert!(items.item(&invalid).encoded_len() > 512, "in full while there is room");
        let short = items.item(&invalid);
        assert!(short.encoded_len() <= 320, "{}", short.encoded_len());
        let told = told(&Status::with_details(Code::InvalidArgument, "", short.encode_to_vec().into()));
        assert_eq!((&*told.reason, told.violations.len()), ("INVALID_ARGUMENT", 1));
        assert!(told.violations[0].0.starts_with("fff"));
    }

    #[test]
    fn a_bug_tells_the_caller_nothing_but_where_to_look() {
        #[derive(Debug, thiserror::Error)]
        #[error("secret path /etc/shadow")]
        struct Bug;
        impl Fault for Bug {
            fn kind(&self) -> Kind {
                Kind::Bug
            }
            fn reason(&self) -> &'static str {
                "BUG"
            }
        }
        let status = to_status(&Bug);
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("shadow"));
    }
}
