//! Rows of `LimitService`, and of the settings of queues.

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

pub(super) fn settings_rows() -> Vec<Row> {
    let update = |queue: &str, change: fn(&mut pb::QueueSettings)| {
        let mut settings = pb::QueueSettings::default();
        change(&mut settings);
        pb::UpdateQueueRequest { queue: queue.into(), settings: Some(settings), ..Default::default() }
    };
    vec![
        invalid("QueueService/UpdateQueue", update("", |_| {}), &["queue"]),
        invalid("QueueService/UpdateQueue", update("q", |one| one.weight = Some(0)), &["settings.weight"]),
        invalid(
            "QueueService/UpdateQueue",
            update("q", |one| one.max_running = Some(u32::MAX)),
            &["settings.max_running"],
        ),
        invalid(
            "QueueService/UpdateQueue",
            update("q", |one| one.rate = Some(pb::Rate::default())),
            &["settings.rate.cost"],
        ),
        invalid("QueueService/UpdateQueue", update("q", |one| one.max_depth = Some(u32::MAX)), &["settings.max_depth"]),
        invalid("QueueService/UpdateQueue", update("q", |one| one.max_bytes = Some(u64::MAX)), &["settings.max_bytes"]),
        invalid(
            "QueueService/UpdateQueue",
            update("q", |one| one.aging_step = seconds(0, 0)),
            &["settings.aging_step"],
        ),
        invalid(
            "QueueService/UpdateQueue",
            update("q", |one| one.aging_step = seconds(700_000, 0)),
            &["settings.aging_step"],
        ),
        invalid("QueueService/UpdateQueue", update("q", |one| one.placement = 9), &["settings.placement"]),
        invalid(
            "QueueService/UpdateQueue",
            update("q", |one| one.fairness_weights.extend([("a b".into(), 1)])),
            &["settings.fairness_weights[a b]"],
        ),
        invalid(
            "QueueService/UpdateQueue",
            update("q", |one| one.fairness_weights.extend([("a".into(), 0)])),
            &["settings.fairness_weights[a]"],
        ),
        invalid(
            "QueueService/UpdateQueue",
            update("q", |one| one.fairness_weights.extend((0..1_001).map(|n| (n.to_string(), 1)))),
            &["settings.fairness_weights"],
        ),
        invalid(
            "QueueService/UpdateQueue",
            update("q", |one| one.unsatisfiable_after = seconds(0, 0)),
            &["settings.unsatisfiable_after"],
        ),
    ]
}

pub(super) fn mask_rows() -> Vec<Row> {
    let long = "x".repeat(limits::REQUEST_ID_BYTES_MAX + 1);
    let mask = |paths: &[&str]| {
        let paths = paths.iter().map(ToString::to_string).collect();
        let update_mask = Some(prost_types::FieldMask { paths });
        pb::UpdateQueueRequest { queue: "q".into(), update_mask, ..Default::default() }
    };
    vec![
        invalid("QueueService/UpdateQueue", mask(&[]), &["update_mask"]),
        invalid("QueueService/UpdateQueue", mask(&["weight", "name"]), &["update_mask.paths[1]"]),
        invalid(
            "QueueService/UpdateQueue",
            pb::UpdateQueueRequest { request_id: long, ..mask(&["weight"]) },
            &["request_id"],
        ),
    ]
}
