//! Which jobs to list.

use std::sync::Arc;

use windlass_shared::domain::{JobRecord, JobState};
use windlass_shared::ids::JobId;

/// Which jobs to list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Filter {
    /// In one of these states; empty: all.
    pub(crate) states: Vec<JobState>,
    /// Of this queue.
    pub(crate) queue: Option<Arc<str>>,
    /// With an id that begins so.
    pub(crate) id_prefix: Option<Box<str>>,
}

impl Filter {
    /// Whether a job is one of those to list.
    pub(super) fn passes(&self, job: &JobRecord) -> bool {
        (self.states.is_empty() || self.states.contains(&job.state))
            && self.queue.as_ref().is_none_or(|queue| *queue == job.header.queue)
            && self.id_prefix.as_ref().is_none_or(|prefix| job.id.to_string().starts_with(&**prefix))
    }

    /// The least and the greatest id that can pass: ids that share a prefix lie side by side, so that looking one up by its
    /// first digits never scans. None: no id begins so.
    pub(super) fn range(&self) -> Option<(JobId, JobId)> {
        let prefix = self.id_prefix.as_deref().unwrap_or_default();
        Some((filled(prefix, '0')?, filled(prefix, 'f')?))
    }

    /// Whether a job that is not final can pass.
    pub(super) fn wants_live(&self) -> bool {
        self.states.is_empty() || self.states.iter().any(|state| !state.is_final())
    }

    /// Whether a final job can pass.
    pub(super) fn wants_final(&self) -> bool {
        self.states.is_empty() || self.states.iter().any(|state| state.is_final())
    }
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
