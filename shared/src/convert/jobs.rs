//! Jobs, attempts and events as they are shown.

use super::enums::{attempt_state_to_wire, job_state_to_wire, proof_to_wire, reason_to_wire};
use super::spec::JSON;
use super::traits::grants_to_wire;
use super::{span, timestamp};
use crate::domain::{
    AttemptRecord, CallResult, Event, Exit, ExitStatus, HandlerError, JobRecord, JobView, Outcome, SpawnFailure,
};
use crate::pb;

/// A job as it is shown.
#[must_use]
pub fn job_to_wire(view: JobView) -> pb::Job {
    let JobView { record, spec, attempts } = view;
    let reason = reason_to_wire(record.reason).into();
    let state = job_state_to_wire(record.state).into();
    let JobRecord { id, generation, revision, cancel_requested, failures, infra_losses, interruptions, .. } = record;
    pb::Job {
        id: id.to_string(),
        state,
        spec,
        generation,
        revision,
        create_time: Some(timestamp(record.created_at)),
        update_time: Some(timestamp(record.updated_at)),
        end_time: record.ended_at.map(timestamp),
        ready_time: record.ready_at.map(timestamp),
        reason,
        detail: text(record.detail),
        cancel_requested,
        failures,
        infra_losses,
        interruptions,
        attempts: attempts.into_iter().map(attempt_to_wire).collect(),
        worker_deaths: record.worker_deaths,
        waiting_for: String::new(),
        dead_lettered: record.dead_lettered,
        queue: record.header.queue.to_string(),
        priority: record.header.priority.into(),
    }
}

fn attempt_to_wire(attempt: AttemptRecord) -> pb::Attempt {
    let mut wire = pb::Attempt {
        number: attempt.number,
        state: attempt_state_to_wire(attempt.state).into(),
        agent_id: attempt.agent.to_string(),
        agent_name: attempt.agent_name.to_string(),
        fencing_token: attempt.fencing_token,
        lease_time: Some(timestamp(attempt.leased_at)),
        start_time: attempt.started_at.map(timestamp),
        end_time: attempt.ended_at.map(timestamp),
        result_bytes: attempt.result_bytes,
        retry_rule: text(attempt.retry_rule),
        devices: grants_to_wire(&attempt.grants),
        ..pb::Attempt::default()
    };
    if let Some(outcome) = attempt.outcome {
        let Outcome { reason, detail, exit, spawn_failure, stdout_bytes, stderr_bytes, error, .. } = *outcome;
        wire.reason = reason_to_wire(reason).into();
        wire.detail = text(detail);
        wire.exit = exit.as_ref().map(exit_to_wire);
        wire.stdout_bytes = stdout_bytes;
        wire.stderr_bytes = stderr_bytes;
        wire.spawn_failure = spawn_failure.as_ref().map(spawn_failure_to_wire);
        wire.error = error.as_ref().map(handler_error_to_wire);
    }
    wire
}

pub(super) fn exit_to_wire(exit: &Exit) -> pb::Exit {
    let (code, signal, core_dumped) = match exit.status {
        ExitStatus::Code(code) => (Some(i32::from(code)), None, false),
        ExitStatus::Signal { number, core_dumped } => (None, Some(i32::from(number)), core_dumped),
        ExitStatus::Unknown => (None, None, false),
    };
    pb::Exit {
        code,
        signal,
        core_dumped,
        user_time: Some(span(exit.user_time)),
        system_time: Some(span(exit.system_time)),
        max_rss_bytes: exit.max_rss_bytes,
        wall_time: Some(span(exit.wall_time)),
        proof: proof_to_wire(exit.proof).into(),
    }
}

pub(super) fn spawn_failure_to_wire(failure: &SpawnFailure) -> pb::SpawnFailure {
    pb::SpawnFailure { stage: failure.stage.to_string(), errno: failure.errno }
}

pub(super) fn handler_error_to_wire(error: &HandlerError) -> pb::HandlerError {
    pb::HandlerError {
        code: error.code.as_deref().unwrap_or_default().to_owned(),
        permanent: error.permanent,
        retry_after: error.retry_after.map(span),
        cooldown_key: error.cooldown_key.as_deref().unwrap_or_default().to_owned(),
    }
}

fn text(detail: Option<std::sync::Arc<str>>) -> String {
    detail.map(|detail| detail.to_string()).unwrap_or_default()
}

/// What a handler answered.
#[must_use]
pub fn result_to_wire(result: CallResult) -> pb::GetJobResultResponse {
    let content_type = result.content_type.as_deref().unwrap_or(JSON).to_owned();
    pb::GetJobResultResponse { result: result.value, content_type }
}

/// A change as watchers see it.
#[must_use]
pub fn event_to_wire(event: &Event) -> pb::JobEvent {
    pb::JobEvent {
        revision: event.revision,
        time: Some(timestamp(event.time)),
        job_id: event.job.to_string(),
        state: job_state_to_wire(event.state).into(),
        attempt: event.attempt,
        agent_id: event.agent.map(|agent| agent.to_string()).unwrap_or_default(),
        reason: reason_to_wire(event.reason).into(),
    }
}
