//! What operators want of queues, limits and agents.

use std::sync::Arc;

use windlass_core::Mark;
use windlass_shared::domain::{Cooldown, LimitSettings, Order, OrderKind, Pause, QueueSettings, Rate};
use windlass_shared::time::Timestamp;

use super::super::codes::Code;
use super::super::frame::{Damage, Kind};
use super::super::messages::{LimitRow, MarkRow, QueueRow, RateRow};
use super::outcome::{span, span_row};
use super::{code, open, seal_into};

// Kinds of marks.
const PAUSE: u32 = 1;
const CORDON: u32 = 2;
const DRAIN: u32 = 3;
const LIMIT: u32 = 4;
const COOLDOWN: u32 = 5;
const QUEUE: u32 = 6;

/// None: the mark is to be forgotten.
pub(in super::super) fn seal_mark(key: &str, mark: &Mark) -> Option<Vec<u8>> {
    let row = match mark {
        Mark::Queue { pause: None, settings: None, .. } => return None,
        Mark::Queue { pause, settings, .. } => {
            let kind = if pause.is_some() { PAUSE } else { QUEUE };
            let reason = pause.as_ref().and_then(|pause| pause.reason.as_deref()).map(str::to_owned);
            MarkRow { kind, reason, queue: settings.as_deref().map(queue_row), ..MarkRow::default() }
        }
        Mark::Agent { order, .. } => order_row(order.as_ref()?),
        Mark::Limit { settings, .. } => {
            MarkRow { kind: LIMIT, limit: Some(limit_row(settings.as_ref()?)), ..MarkRow::default() }
        }
        Mark::Cooldown { cooldown, .. } => {
            let Cooldown { until, reason } = cooldown.as_ref()?;
            let reason = reason.as_deref().map(str::to_owned);
            MarkRow { kind: COOLDOWN, reason, until: Some(until.0), ..MarkRow::default() }
        }
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
    MarkRow { kind, reason, agent_name, until: until.map(|at| at.0), ..MarkRow::default() }
}

fn limit_row(settings: &LimitSettings) -> LimitRow {
    let rate = settings.rate.as_ref();
    let rate = rate.map(|rate| RateRow { cost: rate.cost, period: Some(span_row(rate.period)), burst: rate.burst });
    LimitRow { units_max: settings.units_max, rate }
}

fn open_limit(row: LimitRow) -> Result<LimitSettings, Damage> {
    let rate = |rate: RateRow| Ok(Rate { cost: rate.cost, period: span(rate.period)?, burst: rate.burst });
    Ok(LimitSettings { units_max: row.units_max, rate: row.rate.map(rate).transpose()? })
}

fn queue_row(settings: &QueueSettings) -> QueueRow {
    let weights = settings.fairness_weights.iter().map(|(key, weight)| (key.to_string(), *weight));
    QueueRow {
        weight: settings.weight,
        limit: Some(limit_row(&settings.limit)),
        depth_max: settings.depth_max,
        bytes_max: settings.bytes_max,
        aging_step: Some(span_row(settings.aging_step)),
        placement: settings.placement.code(),
        fairness_weights: weights.collect(),
        unsatisfiable_after: settings.unsatisfiable_after.map(span_row),
    }
}

fn open_queue(row: QueueRow) -> Result<QueueSettings, Damage> {
    Ok(QueueSettings {
        weight: row.weight,
        limit: row.limit.map(open_limit).transpose()?.unwrap_or_default(),
        depth_max: row.depth_max,
        bytes_max: row.bytes_max,
        aging_step: span(row.aging_step)?,
        placement: code(row.placement)?,
        fairness_weights: row.fairness_weights.into_iter().map(|(key, weight)| (key.into(), weight)).collect(),
        unsatisfiable_after: row.unsatisfiable_after.map(|time| span(Some(time))).transpose()?,
    })
}

pub(in super::super) fn open_mark(key: &str, blob: &[u8]) -> Result<Mark, Damage> {
    let row: MarkRow = open(Kind::Mark, key.as_bytes(), blob)?;
    let reason = row.reason.map(Arc::from);
    let of = |what: &str| key.strip_prefix(what).map(Arc::from).ok_or(Damage::Corrupt);
    let kind = match row.kind {
        PAUSE | QUEUE => {
            let settings = row.queue.map(open_queue).transpose()?.map(Arc::new);
            let pause = (row.kind == PAUSE).then_some(Pause { reason });
            return Ok(Mark::Queue { name: of("queue/")?, pause, settings });
        }
        LIMIT => {
            let settings = open_limit(row.limit.ok_or(Damage::Corrupt)?)?;
            return Ok(Mark::Limit { key: of("limit/")?, settings: Some(settings) });
        }
        COOLDOWN => {
            let until = Timestamp(row.until.ok_or(Damage::Corrupt)?);
            return Ok(Mark::Cooldown { key: of("cooldown/")?, cooldown: Some(Cooldown { until, reason }) });
        }
        CORDON => OrderKind::Cordon,
        DRAIN => OrderKind::Drain(row.until.map(Timestamp)),
        _ => return Err(Damage::Corrupt),
    };
    let id = key.strip_prefix("agent/").and_then(|id| id.parse().ok()).ok_or(Damage::Corrupt)?;
    Ok(Mark::Agent { id, order: Some(Order { kind, reason, agent_name: row.agent_name.into() }) })
}
