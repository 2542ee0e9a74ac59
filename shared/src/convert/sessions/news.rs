//! News of attempts, and how one ended.

use std::sync::Arc;

use super::super::enums::{attempt_state_to_wire, proof, reason, reason_to_wire, reported_end};
use super::super::jobs::{exit_to_wire, handler_error_to_wire, spawn_failure_to_wire};
use super::super::{span_from, timestamp, timestamp_from};
use super::{lease, lease_to_wire};
use crate::domain::{
    AttemptState, CallResult, Exit, ExitStatus, HandlerError, News, Outcome, Reason, ReportItem, SpawnFailure,
};
use crate::fault::Invalid;
use crate::limits;
use crate::pb;

pub(super) fn items(wire: Vec<pb::ReportItem>) -> Result<Vec<ReportItem>, Invalid> {
    if wire.len() > limits::REPORT_ITEMS_MAX {
        return Err(Invalid::one("report.items", format!("must be at most {}", limits::REPORT_ITEMS_MAX)));
    }
    wire.into_iter().map(item).collect()
}

fn item(wire: pb::ReportItem) -> Result<ReportItem, Invalid> {
    use pb::report_item::News as Wire;
    let news = wire.news.ok_or_else(|| Invalid::one("report.items.news", "is required"))?;
    let news = match news {
        Wire::Started(started) => News::Started(started.start_time.as_ref().map(timestamp_from).unwrap_or_default()),
        Wire::Ended(ended) => News::Ended(Box::new(outcome(ended))),
        Wire::Returned(returned) => News::Returned(reason(returned.reason).unwrap_or(Reason::Returned)),
    };
    Ok(ReportItem { lease: lease("report.items.lease", wire.lease)?, news })
}

fn outcome(wire: pb::Ended) -> Outcome {
    let Some(state) = reported_end(wire.state) else {
        // Of a later agent. It is over, which is what must not be lost; as what, nobody here can say. See `with_result`.
        let detail = format!("its agent reported an end that is not known here, {}", wire.state);
        let (state, reason) = (AttemptState::Interrupted, Some(Reason::AgentFault));
        return Outcome { detail: Some(detail.into()), exit: wire.exit.map(exit_from), ..Outcome::bare(state, reason) };
    };
    let failure = wire.spawn_failure.map(|f| SpawnFailure { stage: f.stage.into(), errno: f.errno });
    let said = Outcome {
        state,
        reason: reason(wire.reason),
        detail: cut(wire.detail, limits::DETAIL_BYTES_MAX),
        exit: wire.exit.map(exit_from),
        spawn_failure: failure,
        stdout_bytes: wire.stdout_bytes,
        stderr_bytes: wire.stderr_bytes,
        started_at: wire.start_time.as_ref().map(timestamp_from),
        result: None,
        error: wire.error.map(handler_error),
    };
    match wire.result {
        Some(result) => with_result(said, result),
        None => said,
    }
}

// An answer that is too large ends its own job and nothing else. Refused, it would close the stream, and its agent, which may not
// forget it, would say it again on every next one, before whatever else it has to tell.
fn with_result(outcome: Outcome, wire: pb::CallResult) -> Outcome {
    let (have, max) = (wire.value.len(), limits::PAYLOAD_BYTES_MAX);
    if have <= max {
        let content_type = cut(wire.content_type, limits::CONTENT_TYPE_BYTES_MAX);
        return Outcome { result: Some(CallResult { value: wire.value, content_type }), ..outcome };
    }
    if outcome.state != AttemptState::Succeeded {
        return outcome; // its answer counts for nothing
    }
    // Without its answer a call has not done what was asked of it: what agents say themselves of a worker that answers so.
    let detail = format!("the answer is {have} bytes, the limit is {max} (PAYLOAD_BYTES_MAX); it was dropped");
    let (state, reason) = (AttemptState::Failed, Some(Reason::WorkerProtocol));
    Outcome { state, reason, detail: Some(detail.into()), ..outcome }
}

fn handler_error(wire: pb::HandlerError) -> HandlerError {
    HandlerError {
        code: cut(wire.code, limits::ERROR_CODE_BYTES_MAX),
        permanent: wire.permanent,
        retry_after: wire.retry_after.as_ref().and_then(span_from),
        cooldown_key: Some(wire.cooldown_key).filter(|key| limits::is_name(key)).map(Arc::from),
    }
}

// Cut, not refused: an outcome must never be lost to its own explanation.
fn cut(mut text: String, max: usize) -> Option<Arc<str>> {
    text.truncate(text.floor_char_boundary(max));
    (!text.is_empty()).then(|| text.into())
}

fn exit_from(wire: pb::Exit) -> Exit {
    let time = |span: Option<prost_types::Duration>| span.as_ref().and_then(span_from).unwrap_or_default();
    let status = match (wire.code.map(u8::try_from), wire.signal.map(u8::try_from)) {
        (Some(Ok(code)), _) => ExitStatus::Code(code),
        (_, Some(Ok(number))) => ExitStatus::Signal { number, core_dumped: wire.core_dumped },
        _ => ExitStatus::Unknown,
    };
    Exit {
        status,
        user_time: time(wire.user_time),
        system_time: time(wire.system_time),
        max_rss_bytes: wire.max_rss_bytes,
        wall_time: time(wire.wall_time),
        proof: proof(wire.proof),
    }
}

pub(super) fn item_to_wire(item: &ReportItem) -> pb::ReportItem {
    use pb::report_item::News as Wire;
    let news = match &item.news {
        News::Started(at) => Wire::Started(pb::Started { start_time: Some(timestamp(*at)) }),
        News::Ended(outcome) => Wire::Ended(ended(outcome)),
        News::Returned(reason) => Wire::Returned(pb::Returned { reason: reason_to_wire(Some(*reason)).into() }),
    };
    pb::ReportItem { lease: Some(lease_to_wire(&item.lease)), news: Some(news) }
}

fn ended(outcome: &Outcome) -> pb::Ended {
    pb::Ended {
        state: attempt_state_to_wire(outcome.state).into(),
        reason: reason_to_wire(outcome.reason).into(),
        detail: outcome.detail.as_deref().unwrap_or_default().to_owned(),
        exit: outcome.exit.as_ref().map(exit_to_wire),
        stdout_bytes: outcome.stdout_bytes,
        stderr_bytes: outcome.stderr_bytes,
        spawn_failure: outcome.spawn_failure.as_ref().map(spawn_failure_to_wire),
        start_time: outcome.started_at.map(timestamp),
        result: outcome.result.as_ref().map(|result| pb::CallResult {
            value: result.value.clone(),
            content_type: result.content_type.as_deref().unwrap_or_default().to_owned(),
        }),
        error: outcome.error.as_ref().map(handler_error_to_wire),
    }
}
