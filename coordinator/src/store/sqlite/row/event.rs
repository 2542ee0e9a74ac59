//! What changed, commit by commit.

use prost::encoding::message;
use windlass_shared::domain::Event;
use windlass_shared::ids::{AgentId, JobId};
use windlass_shared::time::Timestamp;

use super::super::codes::Code;
use super::super::frame::{self, Damage, Kind};
use super::super::messages::{EVENTS_TAG, EventRow, EventsRow};
use super::{code, code_or_0, open, optional_code};

/// The changes of one commit, under the revision of the last.
pub(in super::super) fn seal_events(last: u64, events: impl Iterator<Item = Event>) -> Vec<u8> {
    // An `EventsRow`, without the list of its events in between: there are thousands in a commit.
    frame::seal(Kind::Events, &last.to_be_bytes(), |out| {
        events.for_each(|event| message::encode(EVENTS_TAG, &event_row(&event), out));
    })
}

pub(in super::super) fn open_events(last: u64, blob: &[u8]) -> Result<Vec<Event>, Damage> {
    let row: EventsRow = open(Kind::Events, &last.to_be_bytes(), blob)?;
    row.events.iter().map(event).collect()
}

fn event_row(event: &Event) -> EventRow {
    EventRow {
        revision: event.revision,
        time: event.time.0,
        job: event.job.as_bytes().to_vec(),
        state: event.state.code(),
        attempt: event.attempt,
        agent: event.agent.map(|agent| agent.as_bytes().to_vec()),
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
