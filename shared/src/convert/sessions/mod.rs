//! The agent's stream, both ways.
//!
//! ```text
//!  agent (up)                                     coordinator (down)
//!  hello: who, what it holds and takes ─────────►  durable, then
//!                                       ◄───────── welcome: lease, heartbeat interval
//!  heartbeat n ─────────────────────────────────►
//!                                       ◄───────── heartbeat_ack n      only while the driver ticks
//!                                       ◄───────── assign, stop, recall
//!  report n: started, ended, returned ──────────►  durable, then
//!                                       ◄───────── report_ack n, and the leases that were stale
//!                                       ◄───────── ask n: for an operator, now and then
//!  answer n ────────────────────────────────────►
//!  credit, draining ────────────────────────────►
//!  goodbye ─────────────────────────────────────►  ends the stream: heard
//! ```

mod down;
mod news;
mod up;

use bytes::Bytes;

use crate::domain::Lease;
use crate::fault::Invalid;
use crate::ids::JobId;
use crate::pb;

pub use down::{FromCoordinator, ReportAck, ack, ask, assign, from_coordinator, heartbeat_ack, recall, stop, welcome};
pub use up::{FromAgent, answer, credit, draining, from_agent, goodbye, heartbeat, hello, report};

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
