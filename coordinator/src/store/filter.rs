//! Which jobs to list.

use std::sync::Arc;
use std::time::Duration;

use windlass_shared::convert::{self, LabelFilter};
use windlass_shared::domain::{JobRecord, JobState};
use windlass_shared::ids::JobId;
use windlass_shared::time::Timestamp;

/// Which jobs to list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Filter {
    /// In one of these states; empty: all.
    pub(crate) states: Vec<JobState>,
    /// Of this queue.
    pub(crate) queue: Option<Arc<str>>,
    /// With an id that begins so.
    pub(crate) id_prefix: Option<Box<str>>,
    /// With all of these labels; an empty value: with the label, whatever its value.
    pub(crate) labels: Vec<LabelFilter>,
    /// Of this group.
    pub(crate) group: Option<Box<str>>,
    /// Accepted at or after this time.
    pub(crate) created_from: Option<Timestamp>,
    /// Accepted before this time.
    pub(crate) created_before: Option<Timestamp>,
    /// Calls of this handler.
    pub(crate) handler: Option<Arc<str>>,
    /// Dead letters, or all but those.
    pub(crate) dead_lettered: Option<bool>,
}

/// How far the time in a job's id may be from when it was accepted: it waits for its tick between the two, and ids follow a wall
/// clock that is set back only where that is by more than ten minutes. Jobs that are further apart are not found by time.
const ID_TIME_SLACK: Duration = Duration::from_secs(3600);

impl Filter {
    /// Whether a job is one of those to list.
    pub(super) fn passes(&self, job: &JobRecord) -> bool {
        (self.states.is_empty() || self.states.contains(&job.state))
            && self.queue.as_ref().is_none_or(|queue| *queue == job.header.queue)
            && self.id_prefix.as_ref().is_none_or(|prefix| job.id.to_string().starts_with(&**prefix))
            && self.created_from.is_none_or(|from| job.created_at >= from)
            && self.created_before.is_none_or(|before| job.created_at < before)
            && self.handler.as_ref().is_none_or(|handler| job.header.handler.as_ref() == Some(handler))
            && self.dead_lettered.is_none_or(|dead| job.dead_lettered == dead)
    }

    /// Whether the spec must be looked into.
    pub(super) fn asks_of_specs(&self) -> bool {
        !self.labels.is_empty() || self.group.is_some()
    }

    /// Whether a job that passes is one of those to list by what is in its spec, too.
    pub(super) fn passes_spec(&self, spec: &[u8]) -> bool {
        !self.asks_of_specs() || convert::spec_matches(spec, &self.labels, self.group.as_deref())
    }

    /// The least and the greatest id that can pass: ids that share a prefix lie side by side, and so do those of one time, so that
    /// looking one up by its first digits never scans. None: no id can.
    pub(super) fn range(&self) -> Option<(JobId, JobId)> {
        let prefix = self.id_prefix.as_deref().unwrap_or_default();
        let (least, greatest) = (filled(prefix, '0')?, filled(prefix, 'f')?);
        let slack = i64::try_from(ID_TIME_SLACK.as_nanos()).unwrap_or(i64::MAX);
        let from = self.created_from.map_or(least, |at| of_time(Timestamp(at.0.saturating_sub(slack)), 0));
        let before = self.created_before.map_or(greatest, |at| of_time(at.after(ID_TIME_SLACK), u8::MAX));
        let (least, greatest) = (least.max(from), greatest.min(before));
        (least <= greatest).then_some((least, greatest))
    }

    /// Whether a job that is not final can pass.
    pub(super) fn wants_live(&self) -> bool {
        let wanted = self.states.is_empty() || self.states.iter().any(|state| !state.is_final());
        wanted && self.dead_lettered != Some(true)
    }

    /// Whether a final job can pass.
    pub(super) fn wants_final(&self) -> bool {
        self.states.is_empty() || self.states.iter().any(|state| state.is_final())
    }
}

/// The id of a time that goes on with `byte`: the first six bytes of a `UUIDv7` are its milliseconds.
fn of_time(at: Timestamp, byte: u8) -> JobId {
    let mut bytes = [byte; 16];
    bytes[..6].copy_from_slice(&at.unix_ms().to_be_bytes()[2..]);
    JobId::from_bytes(bytes)
}

/// The id that begins with `prefix` and goes on with `digit`.
fn filled(prefix: &str, digit: char) -> Option<JobId> {
    const DIGITS: usize = 32;
    let fits = |(at, c): (usize, char)| if matches!(at, 8 | 13 | 18 | 23) { c == '-' } else { c.is_ascii_hexdigit() };
    if !prefix.chars().enumerate().all(fits) {
        return None;
    }
    let mut digits = prefix.chars().filter(|c| *c != '-').chain(std::iter::repeat(digit)).take(DIGITS);
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        let pair = digits.next()?.to_digit(16)? << 4 | digits.next()?.to_digit(16)?;
        *byte = u8::try_from(pair).ok()?;
    }
    (prefix.len() <= DIGITS + 4).then(|| JobId::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(prefix: &str) -> Option<(String, String)> {
        let filter = Filter { id_prefix: Some(prefix.into()), ..Filter::default() };
        filter.range().map(|(least, greatest)| (least.to_string(), greatest.to_string()))
    }

    #[test]
    fn a_prefix_is_a_range_of_ids() {
        let wide = ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff");
        assert_eq!(range(""), Some((wide.0.to_owned(), wide.1.to_owned())));
        let narrow = ("01938000-0000-0000-0000-000000000000", "01938fff-ffff-ffff-ffff-ffffffffffff");
        assert_eq!(range("01938"), Some((narrow.0.to_owned(), narrow.1.to_owned())));
        let dashed = ("01938abc-d000-0000-0000-000000000000", "01938abc-dfff-ffff-ffff-ffffffffffff");
        assert_eq!(range("01938abc-d"), Some((dashed.0.to_owned(), dashed.1.to_owned())));
    }

    #[test]
    fn what_no_id_begins_with_has_no_range() {
        let long = "01938abc-d000-0000-0000-0000000000000";
        for prefix in ["x", "01938abcd", "01938abc-d-", "0193-", long] {
            assert_eq!(range(prefix), None, "{prefix}");
        }
    }
}
