//! Limits: as they are asked for, and as they are shown.

use std::sync::Arc;
use std::time::Duration;

use super::{span, span_from, timestamp};
use crate::domain::{Cooldown, LimitRecord, LimitSettings, Rate};
use crate::fault::Invalid;
use crate::limits;
use crate::pb;

/// A key, such as `tenant:42`.
///
/// # Errors
/// Where it is none.
pub fn limit_key(field: &str, text: &str) -> Result<Arc<str>, Invalid> {
    if limits::is_key(text) {
        return Ok(text.into());
    }
    Err(Invalid::one(field, format!("must be 1 to {} of [a-zA-Z0-9._:/@-]", limits::NAME_BYTES_MAX)))
}

/// A key, or a beginning of keys and `*`.
///
/// # Errors
/// Where it is neither.
pub fn limit_pattern(field: &str, text: &str) -> Result<Arc<str>, Invalid> {
    match text.strip_suffix('*') {
        Some("") => Ok(text.into()),
        Some(beginning) if limits::is_key(beginning) && text.len() <= limits::NAME_BYTES_MAX => Ok(text.into()),
        Some(_) => Err(Invalid::one(
            field,
            format!(
                "must be a key, or up to {} of [a-zA-Z0-9._:/@-] and one \"*\" at the end",
                limits::NAME_BYTES_MAX - 1
            ),
        )),
        None => limit_key(field, text),
    }
}

/// What a limit allows.
///
/// # Errors
/// Where a number is out of its range, or nothing is said.
pub fn limit_settings(request: &pb::SetLimitRequest) -> Result<LimitSettings, Invalid> {
    if request.max_units.is_none() && request.rate.is_none() {
        return Err(Invalid::one("max_units", "is required, or `rate` is; DeleteLimit takes a limit back"));
    }
    let mut invalid = Invalid::default();
    let settings = settings("max_units", request.max_units, request.rate.as_ref(), &mut invalid);
    invalid.check().map(|()| settings)
}

/// The same, of a queue too, where what may be in use at a time has another name.
pub(super) fn settings(
    units_field: &str,
    units_max: Option<u32>,
    rate: Option<&pb::Rate>,
    invalid: &mut Invalid,
) -> LimitSettings {
    if units_max.is_some_and(|max| max > limits::LIMIT_UNITS_MAX) {
        invalid.add(units_field, format!("must be at most {}", limits::LIMIT_UNITS_MAX));
    }
    LimitSettings { units_max, rate: rate.map(|rate| rate_from(rate, invalid)) }
}

fn rate_from(wire: &pb::Rate, invalid: &mut Invalid) -> Rate {
    let cost = thousandths("rate.cost", wire.cost, invalid);
    let burst = wire.burst.map_or(cost, |burst| thousandths("rate.burst", burst, invalid));
    let period = wire.period.as_ref().map_or(Some(limits::RATE_PERIOD_MIN), span_from);
    let period = period.filter(|period| (limits::RATE_PERIOD_MIN..=limits::RATE_PERIOD_MAX).contains(period));
    if period.is_none() {
        invalid.add("rate.period", "must be 1 s to 31 days");
    }
    Rate { cost, period: period.unwrap_or(limits::RATE_PERIOD_MIN), burst }
}

fn thousandths(field: &str, number: f64, invalid: &mut Invalid) -> u64 {
    let thousandths = (number * 1_000.0).round();
    // False for what is no number too.
    if (1.0..=f64::from(limits::COST_MAX) * 1_000.0).contains(&thousandths) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be 1 to 10^9")]
        return thousandths as u64;
    }
    invalid.add(field, format!("must be 0.001 to {}", limits::COST_MAX));
    1
}

/// How long a key cools down.
///
/// # Errors
/// Where it is missing or out of its range.
pub fn cooldown_span(field: &str, wire: Option<&prost_types::Duration>) -> Result<Duration, Invalid> {
    let time = wire.and_then(span_from).filter(|time| !time.is_zero() && *time <= limits::COOLDOWN_MAX);
    time.ok_or_else(|| Invalid::one(field, "is required: longer than 0 s, at most 31 days"))
}

/// A limit as it is shown.
#[must_use]
pub fn limit_to_wire(limit: &LimitRecord) -> pb::Limit {
    pb::Limit {
        key: limit.key.to_string(),
        max_units: limit.settings.units_max,
        rate: limit.settings.rate.as_ref().map(rate_to_wire),
        set_at: limit.set_at.as_deref().unwrap_or_default().to_owned(),
        units_in_use: limit.units_in_use,
        cooldown: limit.cooldown.as_ref().map(cooldown_to_wire),
    }
}

pub(super) fn rate_to_wire(rate: &Rate) -> pb::Rate {
    pb::Rate { cost: units(rate.cost), period: Some(span(rate.period)), burst: Some(units(rate.burst)) }
}

fn cooldown_to_wire(cooldown: &Cooldown) -> pb::Cooldown {
    pb::Cooldown {
        end_time: Some(timestamp(cooldown.until)),
        reason: cooldown.reason.as_deref().unwrap_or_default().to_owned(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most 10^9 thousandths, which an f64 holds exactly")]
fn units(thousandths: u64) -> f64 {
    thousandths as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_key_or_a_beginning_of_keys() {
        for text in ["a", "tenant:42", "tenant:*", "*", "s3://bucket/*"] {
            assert_eq!(limit_pattern("key", text).as_deref(), Ok(text));
        }
        let long = "x".repeat(limits::NAME_BYTES_MAX);
        assert!(limit_pattern("key", &long).is_ok() && limit_key("key", "*").is_err());
        for text in ["", "a b", "a**", "*a", "a*b", &format!("{long}*")] {
            assert!(limit_pattern("key", text).is_err(), "{text}");
        }
    }
}
