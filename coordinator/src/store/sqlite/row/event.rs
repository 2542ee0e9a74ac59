//! What changed, commit by commit.

use bytes::Bytes;
use windlass_shared::domain::Event;
use windlass_shared::ids::{AgentId, JobId};
use windlass_shared::time::Timestamp;

use super::super::codes::Code;
use super::super::frame::{Damage, Kind};
use super::super::messages::{EventRow, EventsRow};
use super::{code, code_or_0, open, optional_code, seal_into};

/// The changes of one commit, under the revision of the last.
pub(in super::super) fn seal_events(last: u64, events: impl Iterator<Item = Event>) -> Vec<u8> {
    let events = events.map(|event| event_row(&event)).collect();
    let mut out = Vec::new();
    seal_into(&mut out, Kind::Events, &last.to_be_bytes(), &EventsRow { events });
    out
}

pub(in super::super) fn open_events(last: u64, blob: &[u8]) -> Result<Vec<Event>, Damage> {
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
