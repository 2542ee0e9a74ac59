//! The log lines that tell the story of one job, for whoever filters by its id: what is on record, what its agent is told, and what
//! was not believed. The core cannot log, so they are written here, of what is durable only, and once for each.
//!
//! ```text
//! on record  job state=QUEUED            submitted
//! on record  job state=LEASED  agent     promised, to whom
//! on record  job state=RUNNING           its start was reported
//! on record  job state=DELAYED ended     how the attempt ended, why there is another, and when
//! ```

use tracing::{Level, debug, enabled};
use windlass_core::Change;
use windlass_shared::domain::{AttemptState, Lease, Reason, StopOrder};
use windlass_shared::ids::SessionId;

/// Changes to be told of once they are durable: none where nobody listens, for a busy coordinator commits many.
pub(super) fn keep(changes: &[Change]) -> Vec<Change> {
    if enabled!(Level::DEBUG) { changes.to_vec() } else { Vec::new() }
}

/// They are on record.
pub(super) fn on_record(changes: &[Change]) {
    for Change { job, attempt } in changes {
        let ended = attempt.as_ref().map(|attempt| attempt.state).filter(|state| state.is_final());
        let wait = job.ready_at.map(|ready| ready.unix_ms().saturating_sub(job.updated_at.unix_ms()));
        debug!(
            job = %job.id,
            revision = job.revision,
            state = job.state.name(),
            attempt = job.attempts,
            agent = attempt.as_ref().map(|attempt| &*attempt.agent_name),
            ended = ended.map(AttemptState::name),
            reason = job.reason.map(Reason::name),
            ready_in_ms = wait,
            "on record"
        );
    }
}

/// An agent is told to stop an attempt.
pub(super) fn stop(session: SessionId, order: &StopOrder) {
    let StopOrder { lease: Lease { job, attempt, .. }, reason } = order;
    debug!(%job, attempt, session = session.0, reason = reason.name(), "agent is told to stop it");
}

/// An agent is asked for attempts that have not started.
pub(super) fn recall(session: SessionId, leases: &[Lease]) {
    for Lease { job, attempt, .. } in leases {
        debug!(%job, attempt, session = session.0, "agent is asked to give it back");
    }
}

/// An agent reported of leases that are not the ones on record.
pub(super) fn stale(session: SessionId, leases: &[Lease]) {
    for Lease { job, attempt, .. } in leases {
        debug!(%job, attempt, session = session.0, "report from a stale lease: acknowledged, changes nothing");
    }
}
