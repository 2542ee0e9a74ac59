//! A job without its spec and its attempts.

use std::sync::Arc;

use bytes::Bytes;
use windlass_shared::convert;
use windlass_shared::domain::{JobHeader, JobRecord, RetryPolicy, Tried};
use windlass_shared::ids::{AgentId, JobId};
use windlass_shared::time::Timestamp;

use super::super::codes::Code;
use super::super::frame::{Damage, Kind};
use super::super::messages::{HeadRow, TriedRow};
use super::outcome::{span, span_row};
use super::{Names, code, code_or_0, narrow, open, optional_code, seal_into};

pub(in super::super) fn seal_head(out: &mut Vec<u8>, job: &JobRecord) {
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
        spec_bytes: job.spec_bytes,
        program: job.header.program.as_deref().map(str::to_owned),
        demand: job.header.demand.as_deref().map(convert::demand_bytes).unwrap_or_default().into(),
        retry_plan: job.header.retry_plan.as_deref().map(convert::retry_plan_bytes).unwrap_or_default().into(),
        tried: job.tried.as_deref().map(tried_row),
        dead_lettered: job.dead_lettered,
    };
    seal_into(out, Kind::Head, job.id.as_bytes(), &row);
}

pub(in super::super) fn open_head(id: JobId, blob: &[u8], names: &mut Names) -> Result<JobRecord, Damage> {
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
            retry_plan: convert::read_retry_plan(&row.retry_plan).map_err(|_invalid| Damage::Corrupt)?,
            execution: code(row.execution)?,
            on_agent_lost: code(row.on_agent_lost)?,
            handler: row.handler.map(Arc::from),
            program: row.program.map(Arc::from),
            demand: convert::read_demand(&row.demand).map_err(|_invalid| Damage::Corrupt)?,
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
        spec_bytes: row.spec_bytes,
        attempts: row.attempts,
        tried: row.tried.map(tried).transpose()?.map(Arc::new),
        dead_lettered: row.dead_lettered,
    })
}

fn tried_row(tried: &Tried) -> TriedRow {
    TriedRow {
        agents: tried.agents.iter().map(|agent| Bytes::copy_from_slice(agent.as_bytes())).collect(),
        other_agent: tried.other_agent,
        wait: Some(span_row(tried.wait)),
        rule_uses: tried.rule_uses.iter().copied().map(u32::from).collect(),
        memory: tried.memory,
        uncharged: tried.uncharged.into(),
    }
}

fn tried(row: TriedRow) -> Result<Tried, Damage> {
    let agents = row.agents.iter().map(|id| AgentId::try_from(&id[..]).map_err(|_| Damage::Corrupt));
    Ok(Tried {
        agents: agents.collect::<Result<_, _>>()?,
        other_agent: row.other_agent,
        wait: span(row.wait)?,
        rule_uses: row.rule_uses.into_iter().map(narrow).collect::<Result<_, _>>()?,
        memory: row.memory,
        uncharged: narrow(row.uncharged)?,
    })
}
