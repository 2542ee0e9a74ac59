//! What is in the blobs: the only file that knows. Fields are added, never changed: a field that is absent reads as 0 or none.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use windlass_core::Mark;
use windlass_shared::domain::{
    AttemptRecord, CallResult, Event, Exit, ExitStatus, HandlerError, JobHeader, JobRecord, Order, OrderKind, Outcome,
    Pause, RetryPolicy, SpawnFailure,
};
use windlass_shared::ids::{AgentId, JobId};
use windlass_shared::time::Timestamp;

use super::codes::Code;
use super::frame::{self, Damage, Kind};
use super::messages::{
    AttemptRow, ErrorRow, EventRow, EventsRow, ExitRow, HeadRow, MarkRow, OutcomeRow, RequestRow, ResultRow, Span,
    SpawnRow,
};
use crate::store::{INLINE_RESULT_BYTES_MAX, Request};

// Kinds of marks.
const PAUSE: u32 = 1;
const CORDON: u32 = 2;
const DRAIN: u32 = 3;

/// Queue names that were met: a million jobs of one queue share one name.
#[derive(Debug, Default)]
pub(super) struct Names(Option<Arc<str>>);

impl Names {
    fn share(&mut self, name: &str) -> Arc<str> {
        match &self.0 {
            Some(last) if **last == *name => last.clone(),
            _ => self.0.insert(name.into()).clone(),
        }
    }
}

pub(super) fn seal_head(out: &mut Vec<u8>, job: &JobRecord) {
    let row = HeadRow {
        state: job.state.code(),
        generation: job.generation,
        revision: job.revision,
        order: job.order,
        created_at: job.created_at.0,
        updated_at: job.updated_at.0,
        ended_at: job.ended_at.map(|at| at.0),
        ready_at: job.ready_at.map(|at| at.0),
        reason: code_or_0(job.reason),
        detail: job.detail.as_deref().map(str::to_owned),
        cancel_requested: job.cancel_requested,
        failures: job.failures,
        infra_losses: job.infra_losses,
        interruptions: job.interruptions,
        attempts: job.attempts,
        queue: (*job.header.queue).to_owned(),
        priority: job.header.priority.into(),
        preset: job.header.retry.preset.code(),
        attempts_max: job.header.retry.attempts_max.into(),
        execution: job.header.execution.code(),
        on_agent_lost: job.header.on_agent_lost.code(),
        handler: job.header.handler.as_deref().map(str::to_owned),
        worker_deaths: job.worker_deaths,
    };
    seal_into(out, Kind::Head, job.id.as_bytes(), &row);
}

pub(super) fn open_head(id: JobId, blob: &[u8], names: &mut Names) -> Result<JobRecord, Damage> {
    let row: HeadRow = open(Kind::Head, id.as_bytes(), blob)?;
    Ok(JobRecord {
        id,
        state: code(row.state)?,
        generation: row.generation,
        revision: row.revision,
        header: JobHeader {
            queue: names.share(&row.queue),
            priority: narrow(row.priority)?,
            retry: RetryPolicy { preset: code(row.preset)?, attempts_max: narrow(row.attempts_max)? },
            execution: code(row.execution)?,
            on_agent_lost: code(row.on_agent_lost)?,
            handler: row.handler.map(Arc::from),
        },
        order: row.order,
        created_at: Timestamp(row.created_at),
        updated_at: Timestamp(row.updated_at),
        ended_at: row.ended_at.map(Timestamp),
        ready_at: row.ready_at.map(Timestamp),
        reason: optional_code(row.reason)?,
        detail: row.detail.map(Arc::from),
        cancel_requested: row.cancel_requested,
        failures: row.failures,
        infra_losses: row.infra_losses,
        interruptions: row.interruptions,
        worker_deaths: row.worker_deaths,
        attempts: row.attempts,
    })
}

pub(super) fn seal_attempt(out: &mut Vec<u8>, job: JobId, attempt: &AttemptRecord) {
    let row = AttemptRow {
        number: attempt.number,
        state: attempt.state.code(),
        agent: Bytes::copy_from_slice(attempt.agent.as_bytes()),
        agent_name: (*attempt.agent_name).to_owned(),
        agent_instance: attempt.agent_instance,
        agent_boot: attempt.agent_boot,
        fencing_token: attempt.fencing_token,
        leased_at: attempt.leased_at.0,
        started_at: attempt.started_at.map(|at| at.0),
        ended_at: attempt.ended_at.map(|at| at.0),
        result_bytes: attempt.result_bytes,
        outcome: attempt.outcome.as_deref().map(outcome_row),
    };
    seal_into(out, Kind::Attempt, job.as_bytes(), &row);
}

pub(super) fn open_attempt(job: JobId, blob: &[u8]) -> Result<AttemptRecord, Damage> {
    let row: AttemptRow = open(Kind::Attempt, job.as_bytes(), blob)?;
    // Written since results have a table of their own; before, the answer was always here.
    let here = row.outcome.as_ref().and_then(|outcome| outcome.result.as_ref()).map_or(0, |result| result.value.len());
    let result_bytes = row.result_bytes.max(here as u64);
    Ok(AttemptRecord {
        number: row.number,
        state: code(row.state)?,
        agent: AgentId::try_from(&row.agent[..]).map_err(|_| Damage::Corrupt)?,
        agent_name: row.agent_name.into(),
        agent_instance: row.agent_instance,
        agent_boot: row.agent_boot,
        fencing_token: row.fencing_token,
        leased_at: Timestamp(row.leased_at),
        started_at: row.started_at.map(Timestamp),
        ended_at: row.ended_at.map(Timestamp),
        result_bytes,
        outcome: row.outcome.map(outcome).transpose()?.map(Box::new),
    })
}

fn outcome_row(outcome: &Outcome) -> OutcomeRow {
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

fn outcome(row: OutcomeRow) -> Result<Outcome, Damage> {
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
    }
}

fn error(row: ErrorRow) -> Result<HandlerError, Damage> {
    let retry_after = row.retry_after.map(|time| span(Some(time))).transpose()?;
    Ok(HandlerError { code: row.code.map(Arc::from), permanent: row.permanent, retry_after })
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

/// The changes of one commit, under the revision of the last.
pub(super) fn seal_events(last: u64, events: impl Iterator<Item = Event>) -> Vec<u8> {
    let events = events.map(|event| event_row(&event)).collect();
    let mut out = Vec::new();
    seal_into(&mut out, Kind::Events, &last.to_be_bytes(), &EventsRow { events });
    out
}

pub(super) fn open_events(last: u64, blob: &[u8]) -> Result<Vec<Event>, Damage> {
    let row: EventsRow = open(Kind::Events, &last.to_be_bytes(), blob)?;
    row.events.iter().map(event).collect()
}

fn event_row(event: &Event) -> EventRow {
    EventRow {
        revision: event.revision,
        time: event.time.0,
        job: Bytes::copy_from_slice(event.job.as_bytes()),
        state: event.state.code(),
        attempt: event.attempt,
        agent: event.agent.map(|agent| Bytes::copy_from_slice(agent.as_bytes())),
        reason: code_or_0(event.reason),
    }
}

fn event(row: &EventRow) -> Result<Event, Damage> {
    Ok(Event {
        revision: row.revision,
        time: Timestamp(row.time),
        job: JobId::try_from(&row.job[..]).map_err(|_| Damage::Corrupt)?,
        state: code(row.state)?,
        attempt: row.attempt,
        agent: row.agent.as_deref().map(AgentId::try_from).transpose().map_err(|_| Damage::Corrupt)?,
        reason: optional_code(row.reason)?,
    })
}

pub(super) fn seal_request(request: &Request) -> Vec<u8> {
    let row = RequestRow {
        digest: Bytes::copy_from_slice(&request.digest),
        job: Bytes::copy_from_slice(request.job.as_bytes()),
        at: request.at.0,
    };
    let mut out = Vec::new();
    seal_into(&mut out, Kind::Request, request.id.as_bytes(), &row);
    out
}

pub(super) fn open_request(id: &str, blob: &[u8]) -> Result<Request, Damage> {
    let row: RequestRow = open(Kind::Request, id.as_bytes(), blob)?;
    Ok(Request {
        id: id.into(),
        digest: (&row.digest[..]).try_into().map_err(|_| Damage::Corrupt)?,
        job: JobId::try_from(&row.job[..]).map_err(|_| Damage::Corrupt)?,
        at: Timestamp(row.at),
    })
}

pub(super) fn seal_result(out: &mut Vec<u8>, job: JobId, result: &CallResult) {
    seal_into(out, Kind::Result, job.as_bytes(), &result_row(result));
}

pub(super) fn open_result(job: JobId, blob: &[u8]) -> Result<CallResult, Damage> {
    open(Kind::Result, job.as_bytes(), blob).map(result)
}

/// None: the mark is to be forgotten.
pub(super) fn seal_mark(key: &str, mark: &Mark) -> Option<Vec<u8>> {
    let row = match mark {
        Mark::Queue { pause, .. } => {
            MarkRow { kind: PAUSE, reason: pause.as_ref()?.reason.as_deref().map(str::to_owned), ..MarkRow::default() }
        }
        Mark::Agent { order, .. } => order_row(order.as_ref()?),
    };
    let mut out = Vec::new();
    seal_into(&mut out, Kind::Mark, key.as_bytes(), &row);
    Some(out)
}

fn order_row(order: &Order) -> MarkRow {
    let (kind, until) = match order.kind {
        OrderKind::Cordon => (CORDON, None),
        OrderKind::Drain(until) => (DRAIN, until),
    };
    let (reason, agent_name) = (order.reason.as_deref().map(str::to_owned), (*order.agent_name).to_owned());
    MarkRow { kind, reason, agent_name, until: until.map(|at| at.0) }
}

pub(super) fn open_mark(key: &str, blob: &[u8]) -> Result<Mark, Damage> {
    let row: MarkRow = open(Kind::Mark, key.as_bytes(), blob)?;
    let reason = row.reason.map(Arc::from);
    let kind = match row.kind {
        PAUSE => {
            let name = key.strip_prefix("queue/").ok_or(Damage::Corrupt)?;
            return Ok(Mark::Queue { name: name.into(), pause: Some(Pause { reason }) });
        }
        CORDON => OrderKind::Cordon,
        DRAIN => OrderKind::Drain(row.until.map(Timestamp)),
        _ => return Err(Damage::Corrupt),
    };
    let id = key.strip_prefix("agent/").and_then(|id| id.parse().ok()).ok_or(Damage::Corrupt)?;
    Ok(Mark::Agent { id, order: Some(Order { kind, reason, agent_name: row.agent_name.into() }) })
}

pub(super) fn seal_spec(out: &mut Vec<u8>, id: JobId, spec: &[u8]) {
    frame::seal_into(out, Kind::Spec, id.as_bytes(), |out| out.extend_from_slice(spec));
}

pub(super) fn open_spec(id: JobId, blob: &[u8]) -> Result<Bytes, Damage> {
    frame::open(Kind::Spec, id.as_bytes(), blob).map(Bytes::copy_from_slice)
}

fn seal_into(out: &mut Vec<u8>, kind: Kind, key: &[u8], row: &impl Message) {
    frame::seal_into(out, kind, key, |out| row.encode_raw(out));
}

fn open<M: Message + Default>(kind: Kind, key: &[u8], blob: &[u8]) -> Result<M, Damage> {
    M::decode(frame::open(kind, key, blob)?).map_err(|_| Damage::Corrupt)
}

fn code<C: Code>(code: u32) -> Result<C, Damage> {
    C::of(code).ok_or(Damage::Corrupt)
}

fn optional_code<C: Code>(number: u32) -> Result<Option<C>, Damage> {
    if number == 0 { Ok(None) } else { code(number).map(Some) }
}

fn code_or_0(value: Option<impl Code>) -> u32 {
    value.map_or(0, Code::code)
}

fn narrow<W, N: TryFrom<W>>(wide: W) -> Result<N, Damage> {
    N::try_from(wide).map_err(|_| Damage::Corrupt)
}

fn span_row(time: Duration) -> Span {
    Span { seconds: time.as_secs(), nanos: time.subsec_nanos() }
}

fn span(row: Option<Span>) -> Result<Duration, Damage> {
    let row = row.unwrap_or_default();
    if row.nanos >= 1_000_000_000 { Err(Damage::Corrupt) } else { Ok(Duration::new(row.seconds, row.nanos)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::records::Draw;

    #[test]
    fn random_records_come_back_as_they_were() {
        let (mut draw, mut blob) = (Draw(fastrand::Rng::with_seed(1)), Vec::new());
        for round in 0..2_000 {
            let job = draw.job();
            seal_head(&mut blob, &job);
            assert_eq!(open_head(job.id, &blob, &mut Names::default()), Ok(job.clone()), "round {round}");

            let attempt = draw.attempt();
            seal_attempt(&mut blob, job.id, &attempt);
            assert_eq!(open_attempt(job.id, &blob), Ok(attempt), "round {round}");

            let events: Vec<Event> = (0..round % 4).map(|_| draw.event()).collect();
            assert_eq!(open_events(9, &seal_events(9, events.iter().cloned())), Ok(events), "round {round}");

            let request = draw.request();
            assert_eq!(open_request(&request.id, &seal_request(&request)), Ok(request), "round {round}");
        }
    }

    #[test]
    fn any_flipped_bit_of_a_head_is_damage() {
        let (mut draw, mut blob) = (Draw(fastrand::Rng::with_seed(2)), Vec::new());
        let job = draw.job();
        seal_head(&mut blob, &job);
        for bit in 0..blob.len() * 8 {
            blob[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open_head(job.id, &blob, &mut Names::default()), Err(Damage::Corrupt), "bit {bit}");
            blob[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_sound_blob_with_a_number_nobody_gave_is_damage() {
        let id = JobId::from_bytes([1; 16]);
        let mut blob = Vec::new();
        seal_into(&mut blob, Kind::Head, id.as_bytes(), &HeadRow { state: 99, ..HeadRow::default() });
        assert_eq!(open_head(id, &blob, &mut Names::default()), Err(Damage::Corrupt));
    }

    #[test]
    fn jobs_of_one_queue_share_its_name() {
        let mut names = Names::default();
        let (a, b) = (names.share("q"), names.share("q"));
        assert!(Arc::ptr_eq(&a, &b));
        assert_eq!(&*names.share("r"), "r");
    }
}
