//! What operators want of queues and agents.

use std::sync::Arc;

use windlass_core::Mark;
use windlass_shared::domain::{Order, OrderKind, Pause};
use windlass_shared::time::Timestamp;

use super::super::frame::{Damage, Kind};
use super::super::messages::MarkRow;
use super::{open, seal_into};

// Kinds of marks.
const PAUSE: u32 = 1;
const CORDON: u32 = 2;
const DRAIN: u32 = 3;

/// None: the mark is to be forgotten.
pub(in super::super) fn seal_mark(key: &str, mark: &Mark) -> Option<Vec<u8>> {
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

pub(in super::super) fn open_mark(key: &str, blob: &[u8]) -> Result<Mark, Damage> {
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
