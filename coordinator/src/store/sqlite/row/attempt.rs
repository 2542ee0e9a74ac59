//! An attempt; how it ended is in [`outcome`](super::outcome).

use std::sync::Arc;

use windlass_shared::domain::{AttemptRecord, Grant};
use windlass_shared::ids::{AgentId, JobId};
use windlass_shared::time::Timestamp;

use super::super::codes::Code;
use super::super::frame::{Damage, Kind};
use super::super::messages::{AttemptRow, GrantRow};
use super::outcome::{outcome, outcome_row};
use super::{code, open, seal_into};

pub(in super::super) fn seal_attempt(out: &mut Vec<u8>, job: JobId, attempt: &AttemptRecord) {
    let row = AttemptRow {
        number: attempt.number,
        state: attempt.state.code(),
        agent: attempt.agent.as_bytes().to_vec(),
        agent_name: (*attempt.agent_name).to_owned(),
        agent_instance: attempt.agent_instance,
        agent_boot: attempt.agent_boot,
        fencing_token: attempt.fencing_token,
        leased_at: attempt.leased_at.0,
        started_at: attempt.started_at.map(|at| at.0),
        ended_at: attempt.ended_at.map(|at| at.0),
        result_bytes: attempt.result_bytes,
        retry_rule: attempt.retry_rule.as_deref().map(str::to_owned),
        outcome: attempt.outcome.as_deref().map(outcome_row),
        grants: attempt.grants.iter().map(grant_row).collect(),
    };
    seal_into(out, Kind::Attempt, job.as_bytes(), &row);
}

pub(in super::super) fn open_attempt(job: JobId, blob: &[u8]) -> Result<AttemptRecord, Damage> {
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
        retry_rule: row.retry_rule.map(Arc::from),
        outcome: row.outcome.map(outcome).transpose()?.map(Box::new),
        grants: row.grants.into_iter().map(grant).collect(),
    })
}

fn grant_row(grant: &Grant) -> GrantRow {
    GrantRow {
        device: (*grant.device).to_owned(),
        ids: grant.ids.iter().map(|id| (**id).to_owned()).collect(),
        share_milli: grant.share_milli,
    }
}

fn grant(row: GrantRow) -> Grant {
    let ids = row.ids.into_iter().map(Into::into).collect();
    Grant { device: row.device.into(), ids, share_milli: row.share_milli }
}
