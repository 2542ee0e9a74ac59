//! How far a client has seen a coordinator's record, as a header of calls and answers.

use crate::domain::Seen;
use crate::fault::Invalid;

/// Name of the header. Every answer carries it; a client that sends the greatest one back is never served from a record that has lost
/// something since.
pub const SEEN_HEADER: &str = "windlass-seen";

/// `INCARNATION/EPOCH/REVISION`, decimal.
#[must_use]
pub fn seen_to_text(seen: Seen) -> String {
    let Seen { incarnation, epoch, revision } = seen;
    format!("{incarnation}/{epoch}/{revision}")
}

/// Reads the header.
///
/// # Errors
/// Where it is not three numbers.
pub fn seen_from_text(text: &str) -> Result<Seen, Invalid> {
    let mut numbers = text.split('/').map(|number| number.parse().ok());
    let mut next = || numbers.next().flatten();
    let read = (|| Some(Seen { incarnation: next()?, epoch: next()?, revision: next()? }))();
    read.filter(|_| numbers.next().is_none())
        .ok_or_else(|| Invalid::one(SEEN_HEADER, "must be INCARNATION/EPOCH/REVISION, as an answer had it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_comes_back_as_it_was_and_anything_else_is_refused() {
        let seen = Seen { incarnation: u64::MAX, epoch: 2, revision: 0 };
        assert_eq!(seen_from_text(&seen_to_text(seen)), Ok(seen));
        for text in ["", "1/2", "1/2/3/4", "1/2/x", "1/-2/3", " 1/2/3"] {
            assert!(seen_from_text(text).is_err(), "{text:?}");
        }
    }
}
