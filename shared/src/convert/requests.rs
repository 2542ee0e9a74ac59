//! The small things requests are made of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{span_from, timestamp_from};
use crate::domain::JobState;
use crate::fault::Invalid;
use crate::ids::{AgentId, BadId, JobId};
use crate::limits;
use crate::time::Timestamp;

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

/// A worker's id, and the name of its pool in it.
///
/// # Errors
/// Where no worker can have it.
pub fn worker_id(field: &str, text: &str) -> Result<(Arc<str>, Arc<str>), Invalid> {
    let bad = || Invalid::one(field, "must be the name of a pool, a hyphen and a slot, such as resize-0");
    let (pool, slot) = text.rsplit_once('-').ok_or_else(bad)?;
    let plausible = !slot.is_empty() && slot.len() <= 4 && slot.bytes().all(|byte| byte.is_ascii_digit());
    if !limits::is_name(pool) || !plausible {
        return Err(bad());
    }
    Ok((pool.into(), text.into()))
}

/// A signal's number: `default` where absent.
///
/// # Errors
/// Where it is none of 1 to 31.
pub fn signal(field: &str, number: Option<u32>, default: u8) -> Result<u8, Invalid> {
    let Some(number) = number else { return Ok(default) };
    let signal = u8::try_from(number).ok().filter(|signal| (1..=31).contains(signal));
    signal.ok_or_else(|| Invalid::one(field, "must be 1 to 31"))
}

/// A label to look for: its key and its value, or any where that is empty.
pub type LabelFilter = (Box<str>, Box<str>);

/// Labels to filter by, sorted; an empty value stands for any.
///
/// # Errors
/// Where there are more than 16, or one is longer than a label can be.
pub fn label_filters(field: &str, labels: &BTreeMap<String, String>) -> Result<Vec<LabelFilter>, Invalid> {
    let max = limits::LABEL_FILTERS_MAX;
    if labels.len() > max {
        return Err(Invalid::one(field, format!("holds {}, the limit is {max}", labels.len())));
    }
    let (key_max, value_max) = (limits::LABEL_KEY_BYTES_MAX, limits::LABEL_VALUE_BYTES_MAX);
    let fits = |(key, value): (&String, &String)| !key.is_empty() && key.len() <= key_max && value.len() <= value_max;
    if !labels.iter().all(fits) {
        let wrong = format!("keys must be 1 to {key_max} bytes, values at most {value_max}");
        return Err(Invalid::one(field, wrong));
    }
    Ok(labels.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect())
}

/// An instant; none where the field is absent.
///
/// # Errors
/// Where it is none.
pub fn instant(field: &str, wire: Option<&prost_types::Timestamp>) -> Result<Option<Timestamp>, Invalid> {
    let Some(wire) = wire else { return Ok(None) };
    if !(0..1_000_000_000).contains(&wire.nanos) {
        return Err(Invalid::one(field, "must have 0 to 999,999,999 nanoseconds"));
    }
    Ok(Some(timestamp_from(wire)))
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
