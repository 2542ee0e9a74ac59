//! The agent's stream, both ways.

use std::sync::Arc;

use bytes::Bytes;

use super::enums::{attempt_state_to_wire, proof, reason, reason_to_wire, reported_end};
use super::jobs::{exit_to_wire, handler_error_to_wire, spawn_failure_to_wire};
use super::spec::check_name;
use super::{agent_id, span, span_from, timestamp, timestamp_from};
use crate::domain::{
    AgentHello, AttemptState, CallResult, Credit, Exit, ExitStatus, HandlerError, Lease, News, Outcome, PoolOffer,
    Reason, ReportItem, Seen, SpawnFailure, StopOrder, Welcome,
};
use crate::fault::Invalid;
use crate::ids::JobId;
use crate::limits;
use crate::pb;
use pb::connect_request::Message as Up;
use pb::connect_response::Message as Down;

/// What an agent said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromAgent {
    /// First on every stream, and only first.
    Hello(Box<AgentHello>),
    /// A sign of life, by its number.
    Heartbeat(u64),
    /// News of attempts, by the report's number.
    Report(u64, Vec<ReportItem>),
    /// What it takes from now on.
    Credit(Credit),
    /// It takes nothing new and will leave.
    Draining(Reason),
    /// It holds nothing and leaves.
    Goodbye,
}

/// Which reports are on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportAck {
    /// All up to this number.
    pub sequence: u64,
    /// Leases whose news changed nothing, because they are not the ones on record.
    pub stale: Vec<Lease>,
    /// Number of the coordinator's latest change, which the news is part of.
    pub revision: u64,
}

/// What the coordinator said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromCoordinator {
    /// Answers the hello.
    Welcome(Welcome),
    /// Answers a heartbeat, by its number.
    HeartbeatAck(u64),
    /// Attempts to run, with their specs, for the session named.
    Assign(u64, Vec<(Lease, Bytes)>),
    /// Attempts to stop.
    Stop(Vec<StopOrder>),
    /// Attempts to give back where they have not started.
    Recall(Vec<Lease>),
    /// What is on record of the reports.
    ReportAck(ReportAck),
}

/// Reads what an agent said.
///
/// # Errors
/// Where the message breaks the protocol, named by field.
pub fn from_agent(wire: pb::ConnectRequest) -> Result<FromAgent, Invalid> {
    let message = wire.message.ok_or_else(|| Invalid::one("message", "is required"))?;
    Ok(match message {
        Up::Hello(hello) => FromAgent::Hello(Box::new(hello_from(hello).map_err(|err| err.within("hello"))?)),
        Up::Heartbeat(beat) => FromAgent::Heartbeat(beat.sequence),
        Up::Report(report) => FromAgent::Report(report.sequence, report_items(report.items)?),
        Up::Credit(wire) => {
            FromAgent::Credit(credit_from(wire.capacity, wire.pools).map_err(|err| err.within("credit"))?)
        }
        Up::Draining(draining) => FromAgent::Draining(reason(draining.reason).unwrap_or(Reason::Drain)),
        Up::Goodbye(pb::Goodbye {}) => FromAgent::Goodbye,
    })
}

fn credit_from(capacity: u32, pools: Vec<pb::PoolOffer>) -> Result<Credit, Invalid> {
    let mut invalid = Invalid::default();
    let max = limits::AGENT_CAPACITY_MAX;
    let takes = pools.iter().fold(capacity, |sum, pool| sum.saturating_add(pool.capacity));
    if takes > max {
        invalid.add("capacity", format!("must be at most {max}, those of pools included"));
    }
    if pools.len() > limits::POOLS_MAX {
        invalid.add("pools", format!("holds {}, the limit is {}", pools.len(), limits::POOLS_MAX));
        return Err(invalid);
    }
    let pools: Vec<_> = pools.into_iter().enumerate().map(|(i, pool)| offer_from(i, pool, &mut invalid)).collect();
    let mut names: Vec<_> = pools.iter().map(|pool| &pool.pool).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        invalid.add("pools", format!("two of them are named {}", twice[0]));
    }
    let mut handlers: Vec<_> = pools.iter().flat_map(|pool| &pool.handlers).collect();
    handlers.sort_unstable();
    if let Some(twice) = handlers.windows(2).find(|pair| pair[0] == pair[1]) {
        invalid.add("pools", format!("the handler {} is in two of them", twice[0]));
    }
    invalid.check()?;
    Ok(Credit { capacity, pools })
}

fn offer_from(at: usize, wire: pb::PoolOffer, invalid: &mut Invalid) -> PoolOffer {
    check_name(&format!("pools[{at}].pool"), &wire.pool, invalid);
    if wire.handlers.len() > limits::HANDLERS_MAX {
        let (have, max) = (wire.handlers.len(), limits::HANDLERS_MAX);
        invalid.add(format!("pools[{at}].handlers"), format!("holds {have}, the limit is {max}"));
    }
    for handler in wire.handlers.iter().take(limits::HANDLERS_MAX) {
        check_name(&format!("pools[{at}].handlers"), handler, invalid);
    }
    let handlers = wire.handlers.into_iter().map(Arc::from).collect();
    PoolOffer { pool: wire.pool.into(), handlers, workers: wire.workers, capacity: wire.capacity }
}

fn hello_from(wire: pb::Hello) -> Result<AgentHello, Invalid> {
    let mut invalid = Invalid::default();
    check_name("name", &wire.name, &mut invalid);
    for (field, value) in [("boot_id", &wire.boot_id), ("host", &wire.host), ("version", &wire.version)] {
        if value.len() > limits::NAME_BYTES_MAX {
            invalid.add(field, format!("must be at most {} bytes", limits::NAME_BYTES_MAX));
        }
    }
    let (held, held_max) = (wire.inventory.len(), limits::INVENTORY_ITEMS_MAX);
    if held > held_max {
        invalid.add("inventory", format!("holds {held}, the limit is {held_max}"));
    }
    if wire.capacity < wire.slots {
        invalid.add("slots", "must be at most capacity");
    }
    if wire.slots == 0 && wire.pools.is_empty() {
        invalid.add("slots", "must be at least 1 where there are no pools");
    }
    invalid.check()?;
    Ok(AgentHello {
        id: agent_id("agent_id", &wire.agent_id)?,
        name: wire.name.into(),
        instance: wire.instance,
        boot_id: wire.boot_id.into(),
        session: wire.session,
        slots: wire.slots,
        credit: credit_from(wire.capacity, wire.pools)?,
        inventory: leases("inventory", wire.inventory)?,
        host: wire.host.into(),
        version: wire.version.into(),
        seen: (wire.seen_incarnation != 0).then_some(Seen {
            incarnation: wire.seen_incarnation,
            epoch: wire.seen_epoch,
            revision: wire.seen_revision,
        }),
    })
}

fn leases(field: &str, wire: Vec<pb::Lease>) -> Result<Vec<Lease>, Invalid> {
    wire.into_iter().map(|item| lease(field, Some(item))).collect()
}

pub(super) fn lease(field: &str, wire: Option<pb::Lease>) -> Result<Lease, Invalid> {
    let wire = wire.ok_or_else(|| Invalid::one(field, "is required"))?;
    let job = JobId::try_from(&wire.job_id[..]).map_err(|err| Invalid::one(format!("{field}.job_id"), err))?;
    let pb::Lease { generation, attempt, incarnation, epoch, fencing_token, .. } = wire;
    Ok(Lease { job, generation, attempt, incarnation, epoch, fencing_token })
}

pub(super) fn lease_to_wire(lease: &Lease) -> pb::Lease {
    let Lease { job, generation, attempt, incarnation, epoch, fencing_token } = *lease;
    pb::Lease { job_id: Bytes::copy_from_slice(job.as_bytes()), generation, attempt, incarnation, epoch, fencing_token }
}

fn report_items(wire: Vec<pb::ReportItem>) -> Result<Vec<ReportItem>, Invalid> {
    if wire.len() > limits::REPORT_ITEMS_MAX {
        return Err(Invalid::one("report.items", format!("must be at most {}", limits::REPORT_ITEMS_MAX)));
    }
    wire.into_iter().map(report_item).collect()
}

fn report_item(wire: pb::ReportItem) -> Result<ReportItem, Invalid> {
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

fn up(message: Up) -> pb::ConnectRequest {
    pb::ConnectRequest { message: Some(message) }
}

/// The agent's first message.
#[must_use]
pub fn hello(hello: &AgentHello) -> pb::ConnectRequest {
    up(Up::Hello(pb::Hello {
        agent_id: hello.id.to_string(),
        name: hello.name.to_string(),
        instance: hello.instance,
        boot_id: hello.boot_id.to_string(),
        session: hello.session,
        slots: hello.slots,
        capacity: hello.credit.capacity,
        pools: hello.credit.pools.iter().map(offer).collect(),
        inventory: hello.inventory.iter().map(lease_to_wire).collect(),
        host: hello.host.to_string(),
        version: hello.version.to_string(),
        seen_incarnation: hello.seen.map_or(0, |seen| seen.incarnation),
        seen_epoch: hello.seen.map_or(0, |seen| seen.epoch),
        seen_revision: hello.seen.map_or(0, |seen| seen.revision),
    }))
}

/// A sign of life.
#[must_use]
pub fn heartbeat(sequence: u64) -> pb::ConnectRequest {
    up(Up::Heartbeat(pb::Heartbeat { sequence }))
}

/// News of attempts.
#[must_use]
pub fn report(sequence: u64, items: &[ReportItem]) -> pb::ConnectRequest {
    up(Up::Report(pb::Report { sequence, items: items.iter().map(report_item_to_wire).collect() }))
}

fn report_item_to_wire(item: &ReportItem) -> pb::ReportItem {
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

fn offer(offer: &PoolOffer) -> pb::PoolOffer {
    pb::PoolOffer {
        pool: offer.pool.to_string(),
        handlers: offer.handlers.iter().map(ToString::to_string).collect(),
        workers: offer.workers,
        capacity: offer.capacity,
    }
}

/// How much the agent takes from now on.
#[must_use]
pub fn credit(credit: &Credit) -> pb::ConnectRequest {
    let pools = credit.pools.iter().map(offer).collect();
    up(Up::Credit(pb::Credit { capacity: credit.capacity, pools }))
}

/// The agent takes nothing new and will leave.
#[must_use]
pub fn draining(reason: Reason) -> pb::ConnectRequest {
    up(Up::Draining(pb::Draining { reason: reason_to_wire(Some(reason)).into() }))
}

/// The agent holds nothing and leaves.
#[must_use]
pub fn goodbye() -> pb::ConnectRequest {
    up(Up::Goodbye(pb::Goodbye {}))
}

/// Reads what the coordinator said. None: a message newer than we are.
///
/// # Errors
/// Where the message breaks the protocol, named by field.
pub fn from_coordinator(wire: pb::ConnectResponse) -> Result<Option<FromCoordinator>, Invalid> {
    let Some(message) = wire.message else { return Ok(None) };
    Ok(Some(match message {
        Down::Welcome(welcome) => FromCoordinator::Welcome(welcome_from(&welcome)?),
        Down::HeartbeatAck(ack) => FromCoordinator::HeartbeatAck(ack.sequence),
        Down::Assign(assign) => {
            let read = |one: pb::Assignment| Ok((lease("assign.lease", one.lease)?, one.spec));
            FromCoordinator::Assign(
                assign.session,
                assign.assignments.into_iter().map(read).collect::<Result<_, Invalid>>()?,
            )
        }
        Down::Stop(stop) => FromCoordinator::Stop(stop.orders.into_iter().map(order).collect::<Result<_, _>>()?),
        Down::Recall(recall) => FromCoordinator::Recall(leases("recall.leases", recall.leases)?),
        Down::ReportAck(ack) => FromCoordinator::ReportAck(ReportAck {
            sequence: ack.sequence,
            stale: leases("report_ack.stale", ack.stale)?,
            revision: ack.revision,
        }),
    }))
}

fn welcome_from(wire: &pb::Welcome) -> Result<Welcome, Invalid> {
    let time = |field: &str, value: &Option<prost_types::Duration>| {
        let read = value.as_ref().and_then(span_from).filter(|time| !time.is_zero());
        read.ok_or_else(|| Invalid::one(field, "is required and must be longer than 0 s"))
    };
    Ok(Welcome {
        session: wire.session,
        lease_ttl: time("welcome.lease_ttl", &wire.lease_ttl)?,
        heartbeat_interval: time("welcome.heartbeat_interval", &wire.heartbeat_interval)?,
        incarnation: wire.incarnation,
        epoch: wire.epoch,
        revision: wire.revision,
    })
}

fn order(wire: pb::StopOrder) -> Result<StopOrder, Invalid> {
    let why = reason(wire.reason).unwrap_or(Reason::CancelRequested);
    Ok(StopOrder { lease: lease("stop.orders.lease", wire.lease)?, reason: why })
}

fn down(message: Down) -> pb::ConnectResponse {
    pb::ConnectResponse { message: Some(message) }
}

/// Answers the hello.
#[must_use]
pub fn welcome(welcome: &Welcome) -> pb::ConnectResponse {
    down(Down::Welcome(pb::Welcome {
        session: welcome.session,
        lease_ttl: Some(span(welcome.lease_ttl)),
        heartbeat_interval: Some(span(welcome.heartbeat_interval)),
        incarnation: welcome.incarnation,
        epoch: welcome.epoch,
        revision: welcome.revision,
    }))
}

/// Answers a heartbeat.
#[must_use]
pub fn heartbeat_ack(sequence: u64) -> pb::ConnectResponse {
    down(Down::HeartbeatAck(pb::HeartbeatAck { sequence }))
}

/// Attempts to run.
#[must_use]
pub fn assign(session: u64, assignments: Vec<(Lease, Bytes)>) -> pb::ConnectResponse {
    let assignments = assignments.into_iter();
    let assignments =
        assignments.map(|(lease, spec)| pb::Assignment { lease: Some(lease_to_wire(&lease)), spec }).collect();
    down(Down::Assign(pb::Assign { session, assignments }))
}

/// Attempts to stop.
#[must_use]
pub fn stop(orders: &[StopOrder]) -> pb::ConnectResponse {
    let order = |order: &StopOrder| pb::StopOrder {
        lease: Some(lease_to_wire(&order.lease)),
        reason: reason_to_wire(Some(order.reason)).into(),
    };
    down(Down::Stop(pb::Stop { orders: orders.iter().map(order).collect() }))
}

/// Attempts to give back where they have not started.
#[must_use]
pub fn recall(leases: &[Lease]) -> pb::ConnectResponse {
    down(Down::Recall(pb::Recall { leases: leases.iter().map(lease_to_wire).collect() }))
}

/// What is on record of the reports.
#[must_use]
pub fn ack(ack: &ReportAck) -> pb::ConnectResponse {
    let ReportAck { sequence, stale, revision } = ack;
    let stale = stale.iter().map(lease_to_wire).collect();
    down(Down::ReportAck(pb::ReportAck { sequence: *sequence, stale, revision: *revision }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AgentId;
    use prost::Message;

    #[test]
    fn the_largest_hello_fits_a_message() {
        let (id, longest): (_, Arc<str>) = (AgentId::new([0xff; 16]), "x".repeat(limits::NAME_BYTES_MAX).into());
        let (generation, attempt, job) = (u32::MAX, u32::MAX, JobId::from_bytes([0xff; 16]));
        let (incarnation, epoch, fencing_token) = (u64::MAX, u64::MAX, u64::MAX);
        let lease = Lease { job, generation, attempt, incarnation, epoch, fencing_token };
        let wire = hello(&AgentHello {
            id,
            name: longest.clone(),
            instance: u64::MAX,
            boot_id: longest.clone(),
            session: u64::MAX,
            slots: limits::AGENT_CAPACITY_MAX,
            credit: Credit { capacity: limits::AGENT_CAPACITY_MAX, pools: Vec::new() },
            inventory: vec![lease; limits::INVENTORY_ITEMS_MAX],
            host: longest.clone(),
            version: longest,
            seen: Some(Seen { incarnation, epoch, revision: u64::MAX }),
        });
        assert!(wire.encoded_len() < limits::MESSAGE_BYTES_MAX, "{}", wire.encoded_len());
        assert!(from_agent(wire).is_ok());
    }
}
