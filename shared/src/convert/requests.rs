//! The small things requests are made of.

use std::sync::Arc;
use std::time::Duration;

use super::span_from;
use super::spec::check_name;
use crate::domain::JobState;
use crate::fault::Invalid;
use crate::ids::{AgentId, BadId, JobId};
use crate::limits;

/// A job's id.
///
/// # Errors
/// Where it is none.
pub fn job_id(field: &str, text: &str) -> Result<JobId, Invalid> {
    text.parse().map_err(|err: BadId| Invalid::one(field, err))
}

/// The ids of a watch.
///
/// # Errors
/// Where one is none, or there are more than 10,000.
pub fn job_ids(field: &str, texts: &[String]) -> Result<Vec<JobId>, Invalid> {
    if texts.len() > limits::WATCH_IDS_MAX {
        return Err(Invalid::one(field, format!("holds {}, the limit is {}", texts.len(), limits::WATCH_IDS_MAX)));
    }
    texts.iter().enumerate().map(|(i, text)| job_id(&format!("{field}[{i}]"), text)).collect()
}

/// An agent's id.
///
/// # Errors
/// Where it is none.
pub fn agent_id(field: &str, text: &str) -> Result<AgentId, Invalid> {
    text.parse().map_err(|err: BadId| Invalid::one(field, err))
}

/// States to filter by.
///
/// # Errors
/// Where one is unset or unknown, or there are more than 16.
pub fn job_states(field: &str, numbers: &[i32]) -> Result<Vec<JobState>, Invalid> {
    let (count, max) = (numbers.len(), limits::FILTER_STATES_MAX);
    if count > max {
        return Err(Invalid::one(field, format!("holds {count}, the limit is {max}")));
    }
    let read = |(i, number): (usize, &i32)| {
        super::job_state(*number)
            .ok_or_else(|| Invalid::one(format!("{field}[{i}]"), format!("{number} is no state of a job")))
    };
    numbers.iter().enumerate().map(read).collect()
}

/// A queue to filter by; none where the field is empty.
///
/// # Errors
/// Where it cannot be a queue's name.
pub fn queue_filter(field: &str, name: &str) -> Result<Option<Arc<str>>, Invalid> {
    if name.is_empty() {
        return Ok(None);
    }
    let mut invalid = Invalid::default();
    check_name(field, name, &mut invalid);
    invalid.check()?;
    Ok(Some(name.into()))
}

/// The beginning of an id to filter by; none where the field is empty.
///
/// # Errors
/// Where no id begins so.
pub fn id_prefix(field: &str, text: &str) -> Result<Option<Box<str>>, Invalid> {
    let plausible = text.len() <= 36 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    if !plausible {
        return Err(Invalid::one(field, "must be the beginning of an id: up to 36 of 0-9, a-f and \"-\""));
    }
    Ok((!text.is_empty()).then(|| text.into()))
}

/// Items a page: `default` where absent, at most [`limits::PAGE_MAX`].
///
/// # Errors
/// Where it is negative.
pub fn page_size(field: &str, size: i32, default: usize) -> Result<usize, Invalid> {
    match usize::try_from(size) {
        Ok(0) => Ok(default),
        Ok(size) => Ok(size.min(limits::PAGE_MAX)),
        Err(_) => Err(Invalid::one(field, "must not be negative")),
    }
}

/// A span of time: `default` where absent.
///
/// # Errors
/// Where it is negative, malformed, or longer than `max`.
pub fn duration(
    field: &str,
    wire: Option<&prost_types::Duration>,
    default: Duration,
    max: Duration,
) -> Result<Duration, Invalid> {
    let Some(wire) = wire else { return Ok(default) };
    span_from(wire)
        .filter(|time| *time <= max)
        .ok_or_else(|| Invalid::one(field, format!("must be 0 s to {} s", max.as_secs())))
}

/// A reason an operator gives.
///
/// # Errors
/// Where it is longer than 1024 bytes.
pub fn detail(field: &str, text: &str) -> Result<Option<Arc<str>>, Invalid> {
    if text.len() > limits::REASON_BYTES_MAX {
        return Err(Invalid::one(field, format!("must be at most {} bytes", limits::REASON_BYTES_MAX)));
    }
    Ok((!text.is_empty()).then(|| text.into()))
}

/// Checks the caller's own id for a request; absent is well.
///
/// # Errors
/// Where it is longer than 36 bytes or not printable ASCII.
pub fn request_id(field: &str, text: &str) -> Result<(), Invalid> {
    if text.len() <= limits::REQUEST_ID_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Invalid::one(field, format!("must be at most {} printable ASCII characters", limits::REQUEST_ID_BYTES_MAX)))
}
