//! How an attempt ended, and what its handler answered.

use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::{CallResult, Exit, ExitStatus, HandlerError, Outcome, SpawnFailure};
use windlass_shared::ids::JobId;

use super::super::codes::Code;
use super::super::frame::{Damage, Kind};
use super::super::messages::{ErrorRow, ExitRow, OutcomeRow, ResultRow, Span, SpawnRow};
use super::{code, code_or_0, narrow, open, optional_code, seal_into};
use crate::store::INLINE_RESULT_BYTES_MAX;

pub(in super::super) fn seal_result(out: &mut Vec<u8>, job: JobId, result: &CallResult) {
    seal_into(out, Kind::Result, job.as_bytes(), &result_row(result));
}

pub(in super::super) fn open_result(job: JobId, blob: &[u8]) -> Result<CallResult, Damage> {
    open(Kind::Result, job.as_bytes(), blob).map(result)
}

pub(super) fn outcome_row(outcome: &Outcome) -> OutcomeRow {
    OutcomeRow {
        state: outcome.state.code(),
        reason: code_or_0(outcome.reason),
        detail: outcome.detail.as_deref().map(str::to_owned),
        exit: outcome.exit.as_ref().map(exit_row),
        spawn_failure: outcome
            .spawn_failure
            .as_ref()
            .map(|failure| SpawnRow { stage: (*failure.stage).to_owned(), errno: failure.errno }),
        stdout_bytes: outcome.stdout_bytes,
        stderr_bytes: outcome.stderr_bytes,
        // A large one has a row of its own.
        result: outcome.result.as_ref().filter(|result| result.value.len() <= INLINE_RESULT_BYTES_MAX).map(result_row),
        error: outcome.error.as_ref().map(error_row),
    }
}

pub(super) fn outcome(row: OutcomeRow) -> Result<Outcome, Damage> {
    Ok(Outcome {
        state: code(row.state)?,
        reason: optional_code(row.reason)?,
        detail: row.detail.map(Arc::from),
        exit: row.exit.as_ref().map(exit).transpose()?,
        spawn_failure: row.spawn_failure.map(|row| SpawnFailure { stage: row.stage.into(), errno: row.errno }),
        stdout_bytes: row.stdout_bytes,
        stderr_bytes: row.stderr_bytes,
        started_at: None, // of the news, not of the record: the attempt has it
        result: row.result.map(result),
        error: row.error.map(error).transpose()?,
    })
}

fn result_row(result: &CallResult) -> ResultRow {
    ResultRow { value: result.value.clone(), content_type: result.content_type.as_deref().map(str::to_owned) }
}

fn result(row: ResultRow) -> CallResult {
    CallResult { value: row.value, content_type: row.content_type.map(Arc::from) }
}

fn error_row(error: &HandlerError) -> ErrorRow {
    ErrorRow {
        code: error.code.as_deref().map(str::to_owned),
        permanent: error.permanent,
        retry_after: error.retry_after.map(span_row),
        cooldown_key: error.cooldown_key.as_deref().map(str::to_owned),
    }
}

fn error(row: ErrorRow) -> Result<HandlerError, Damage> {
    let retry_after = row.retry_after.map(|time| span(Some(time))).transpose()?;
    let (code, cooldown_key) = (row.code.map(Arc::from), row.cooldown_key.map(Arc::from));
    Ok(HandlerError { code, permanent: row.permanent, retry_after, cooldown_key })
}

fn exit_row(exit: &Exit) -> ExitRow {
    let (code, signal, core_dumped) = match exit.status {
        ExitStatus::Code(code) => (Some(code.into()), None, false),
        ExitStatus::Signal { number, core_dumped } => (None, Some(number.into()), core_dumped),
        ExitStatus::Unknown => (None, None, false),
    };
    ExitRow {
        code,
        signal,
        core_dumped,
        user_time: Some(span_row(exit.user_time)),
        system_time: Some(span_row(exit.system_time)),
        max_rss_bytes: exit.max_rss_bytes,
        wall_time: Some(span_row(exit.wall_time)),
        proof: exit.proof.code(),
    }
}

fn exit(row: &ExitRow) -> Result<Exit, Damage> {
    let status = match (row.code, row.signal) {
        (Some(code), None) => ExitStatus::Code(narrow(code)?),
        (None, Some(number)) => ExitStatus::Signal { number: narrow(number)?, core_dumped: row.core_dumped },
        (None, None) => ExitStatus::Unknown,
        (Some(_), Some(_)) => return Err(Damage::Corrupt),
    };
    Ok(Exit {
        status,
        user_time: span(row.user_time)?,
        system_time: span(row.system_time)?,
        max_rss_bytes: row.max_rss_bytes,
        wall_time: span(row.wall_time)?,
        proof: code(row.proof)?,
    })
}

pub(super) fn span_row(time: Duration) -> Span {
    Span { seconds: time.as_secs(), nanos: time.subsec_nanos() }
}

pub(super) fn span(row: Option<Span>) -> Result<Duration, Damage> {
    let row = row.unwrap_or_default();
    if row.nanos >= 1_000_000_000 { Err(Damage::Corrupt) } else { Ok(Duration::new(row.seconds, row.nanos)) }
}
