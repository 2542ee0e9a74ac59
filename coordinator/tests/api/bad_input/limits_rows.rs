//! Rows of `LimitService`.

use windlass_shared::limits;
use windlass_shared::pb;

use super::{Row, invalid, seconds};

pub(super) fn limit_rows() -> Vec<Row> {
    let text = |bytes: usize| "x".repeat(bytes);
    let long = text(limits::REQUEST_ID_BYTES_MAX + 1);
    let set = |key: &str, max_units, rate| pb::SetLimitRequest {
        key: key.into(),
        max_units,
        rate,
        request_id: String::new(),
    };
    let rate = |cost, period, burst| set("k", None, Some(pb::Rate { cost, period, burst }));
    let list = |page_size, token: &str| pb::ListLimitsRequest { page_size, page_token: token.into() };
    let delete = |key: &str, request: &str| pb::DeleteLimitRequest { key: key.into(), request_id: request.into() };
    let cool = |key: &str, duration, reason: usize| pb::SetCooldownRequest {
        key: key.into(),
        duration,
        reason: text(reason),
        request_id: String::new(),
    };
    let clear = |key: &str, request: &str| pb::ClearCooldownRequest { key: key.into(), request_id: request.into() };
    let month = 31 * 86_400;
    vec![
        invalid("LimitService/SetLimit", set("", Some(1), None), &["key"]),
        invalid("LimitService/SetLimit", set("a b", Some(1), None), &["key"]),
        invalid("LimitService/SetLimit", set("a*b", Some(1), None), &["key"]),
        invalid("LimitService/SetLimit", set(&text(limits::NAME_BYTES_MAX + 1), Some(1), None), &["key"]),
        invalid("LimitService/SetLimit", set("k", None, None), &["max_units"]),
        invalid("LimitService/SetLimit", set("k", Some(limits::LIMIT_UNITS_MAX + 1), None), &["max_units"]),
        invalid("LimitService/SetLimit", rate(0.0, None, None), &["rate.cost"]),
        invalid("LimitService/SetLimit", rate(-1.0, None, None), &["rate.cost"]),
        invalid("LimitService/SetLimit", rate(f64::NAN, None, None), &["rate.cost"]),
        invalid("LimitService/SetLimit", rate(f64::INFINITY, None, Some(1.0)), &["rate.cost"]),
        invalid("LimitService/SetLimit", rate(1e-4, None, None), &["rate.cost"]),
        invalid("LimitService/SetLimit", rate(1.0, seconds(0, 999_999_999), None), &["rate.period"]),
        invalid("LimitService/SetLimit", rate(1.0, seconds(month, 1), None), &["rate.period"]),
        invalid("LimitService/SetLimit", rate(1.0, seconds(-1, 0), Some(f64::NAN)), &["rate.burst", "rate.period"]),
        invalid(
            "LimitService/SetLimit",
            pb::SetLimitRequest { request_id: long.clone(), ..set("k", Some(1), None) },
            &["request_id"],
        ),
        invalid("LimitService/GetLimit", pb::GetLimitRequest { key: "**".into() }, &["key"]),
        invalid("LimitService/ListLimits", list(-1, ""), &["page_size"]),
        invalid("LimitService/ListLimits", list(0, "x"), &["page_token"]),
        invalid("LimitService/DeleteLimit", delete("", ""), &["key"]),
        invalid("LimitService/DeleteLimit", delete("k", &long), &["request_id"]),
        invalid("LimitService/SetCooldown", cool("tenant:*", seconds(1, 0), 0), &["key"]),
        invalid("LimitService/SetCooldown", cool("k", None, 0), &["duration"]),
        invalid("LimitService/SetCooldown", cool("k", seconds(0, 0), 0), &["duration"]),
        invalid("LimitService/SetCooldown", cool("k", seconds(month, 1), 0), &["duration"]),
        invalid("LimitService/SetCooldown", cool("k", seconds(1, 0), limits::REASON_BYTES_MAX + 1), &["reason"]),
        invalid(
            "LimitService/SetCooldown",
            pb::SetCooldownRequest { request_id: long.clone(), ..cool("k", seconds(1, 0), 0) },
            &["request_id"],
        ),
        invalid("LimitService/ClearCooldown", clear("*", ""), &["key"]),
        invalid("LimitService/ClearCooldown", clear("k", &long), &["request_id"]),
    ]
}
