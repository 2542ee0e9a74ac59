//! Wire ↔ domain: the only module where generated types meet ours. What comes in is checked here, once, and named by field;
//! what goes out cannot fail.

mod agents;
mod asks;
mod counters;
mod demand;
mod dress;
mod enums;
mod explain;
mod jobs;
mod limits;
mod logs;
mod name;
mod placement;
mod pools;
mod queues;
mod requests;
mod retry;
mod seen;
mod sessions;
mod spec;
mod traits;

pub use agents::agent_to_wire;
pub use counters::counter_to_wire;
pub use demand::{demand_bytes, read_demand};
pub use dress::is_traceparent;
pub use enums::{job_state, job_state_to_wire, reason, reason_to_wire};
pub use explain::explanation_to_wire;
pub use jobs::{event_to_wire, job_to_wire, result_to_wire};
pub use limits::{cooldown_span, limit_key, limit_pattern, limit_settings, limit_to_wire};
pub use logs::{chunk_from_wire, chunk_to_wire, log_ack, log_stream, push_logs, pushed_logs};
pub use name::{name_filter, required_name};
pub use pools::{pool_to_wire, worker_logs_to_wire, worker_to_wire};
pub use queues::{queue_settings, queue_to_wire};
pub use requests::{
    LabelFilter, agent_id, detail, duration, id_prefix, instant, job_id, job_ids, job_states, label_filters, page_size,
    request_id, signal, worker_id,
};
pub use retry::{read_retry_plan, retry_plan_bytes};
pub use seen::{SEEN_HEADER, seen_from_text, seen_to_text};
pub use sessions::{
    FromAgent, FromCoordinator, ReportAck, ack, answer, ask, assign, credit, draining, from_agent, from_coordinator,
    goodbye, heartbeat, heartbeat_ack, hello, recall, report, stop, welcome,
};
pub use spec::{canonical_spec, decode_spec, priority, read_header, read_spec, spec_matches};

use std::time::Duration;

use crate::time::Timestamp;

pub(crate) fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let seconds = at.0.div_euclid(1_000_000_000);
    let nanos = at.0.rem_euclid(1_000_000_000);
    prost_types::Timestamp { seconds, nanos: i32::try_from(nanos).unwrap_or(0) }
}

pub(crate) fn timestamp_from(at: &prost_types::Timestamp) -> Timestamp {
    Timestamp(at.seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(at.nanos)))
}

/// The instant of RFC 3339, such as `2026-01-31T12:00:00Z`; none where it is none.
#[must_use]
pub fn instant_from_text(text: &str) -> Option<Timestamp> {
    text.trim().parse().ok().as_ref().map(timestamp_from)
}

pub(crate) fn span(time: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    prost_types::Duration { seconds, nanos: i32::try_from(time.subsec_nanos()).unwrap_or(0) }
}

/// The span, where it is valid and not negative.
pub(crate) fn span_from(time: &prost_types::Duration) -> Option<Duration> {
    let nanos = u32::try_from(time.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(time.seconds).ok()?, nanos))
}
