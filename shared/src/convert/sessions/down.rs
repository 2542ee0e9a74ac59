//! What the coordinator says.

use super::super::asks::{ask_from, ask_to_wire};
use super::super::enums::{reason, reason_to_wire};
use super::super::traits::{grants_from, grants_to_wire};
use super::super::{span, span_from};
use super::{lease, lease_to_wire, leases};
use crate::domain::{AgentAsk, Assignment, Lease, Reason, StopOrder, Welcome};
use crate::fault::Invalid;
use crate::pb;
use pb::connect_response::Message as Down;

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
    /// Attempts to run, for the session named.
    Assign(u64, Vec<Assignment>),
    /// Attempts to stop.
    Stop(Vec<StopOrder>),
    /// Attempts to give back where they have not started.
    Recall(Vec<Lease>),
    /// What is on record of the reports.
    ReportAck(ReportAck),
    /// Something an operator wants, by the ask's number.
    Ask(u64, AgentAsk),
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
            let assignments = assign.assignments.into_iter().map(assignment).collect::<Result<_, _>>()?;
            FromCoordinator::Assign(assign.session, assignments)
        }
        Down::Stop(stop) => FromCoordinator::Stop(stop.orders.into_iter().map(order).collect::<Result<_, _>>()?),
        Down::Recall(recall) => FromCoordinator::Recall(leases("recall.leases", recall.leases)?),
        Down::ReportAck(ack) => FromCoordinator::ReportAck(ReportAck {
            sequence: ack.sequence,
            stale: leases("report_ack.stale", ack.stale)?,
            revision: ack.revision,
        }),
        Down::Ask(ask) => {
            let (id, ask) = ask_from(ask);
            FromCoordinator::Ask(id, ask)
        }
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

fn assignment(wire: pb::Assignment) -> Result<Assignment, Invalid> {
    let grants = grants_from("assign", wire.devices)?;
    Ok(Assignment { lease: lease("assign.lease", wire.lease)?, spec: wire.spec, grants })
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
pub fn assign(session: u64, assignments: Vec<Assignment>) -> pb::ConnectResponse {
    let wire = |one: Assignment| pb::Assignment {
        lease: Some(lease_to_wire(&one.lease)),
        spec: one.spec,
        devices: grants_to_wire(&one.grants),
    };
    let assignments = assignments.into_iter().map(wire).collect();
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

/// Something an operator wants.
#[must_use]
pub fn ask(id: u64, ask: &AgentAsk) -> pb::ConnectResponse {
    down(Down::Ask(ask_to_wire(id, ask)))
}
