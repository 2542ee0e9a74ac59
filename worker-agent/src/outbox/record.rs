//! What the outbox's file is made of.
//!
//! ```text
//! length u32 │ crc32c u32 │ kind u8 │ number u64 │ …      little-endian; both words are about what comes after them
//!                           1 news     stdout u64, stderr u64: how far its logs are shipped │ the item
//!                           2 acked    everything up to the number is on record
//!                           3 shipped  stdout u64, stderr u64: how far the logs of this item are since
//! ```

use windlass_shared::domain::ReportItem;

use crate::logs::Offsets;
use crate::session::stored;

const NEWS: u8 = 1;
const ACKED: u8 = 2;
const SHIPPED: u8 = 3;

/// Length and checksum.
const FRAME_BYTES: usize = 8;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    News { number: u64, shipped: Offsets, item: Box<ReportItem> },
    Acked { number: u64 },
    Shipped { number: u64, shipped: Offsets },
}

/// Appends news, before it is acknowledged; its length. A report of hundreds is one buffer, and not two for each of them.
pub(super) fn write_news(out: &mut Vec<u8>, number: u64, shipped: Offsets, item: &ReportItem) -> usize {
    frame(out, NEWS, number, |out| {
        offsets(out, shipped);
        stored::write(item, out);
    })
}

/// The word that everything up to `number` is on record.
pub(super) fn acked(number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, ACKED, number, |_| {});
    out
}

/// How far the logs of the item of this number are shipped.
pub(super) fn shipped(number: u64, shipped: Offsets) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, SHIPPED, number, |out| offsets(out, shipped));
    out
}

fn offsets(out: &mut Vec<u8>, Offsets { stdout, stderr }: Offsets) {
    out.extend(stdout.to_le_bytes());
    out.extend(stderr.to_le_bytes());
}

fn frame(out: &mut Vec<u8>, kind: u8, number: u64, fill: impl FnOnce(&mut Vec<u8>)) -> usize {
    let start = out.len();
    out.extend([0; FRAME_BYTES]);
    out.push(kind);
    out.extend(number.to_le_bytes());
    fill(out);
    let (head, payload) = out[start..].split_at_mut(FRAME_BYTES);
    // An item is a few hundred KiB at most: its result has a limit, and its only long text is cut to 4 KiB.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    out.len() - start
}

/// Takes the first record off `bytes`, with its length. None at the end, and where what follows is no whole record: the
/// tail of a write that was cut short, or what a broken disk made of it.
pub(super) fn take(bytes: &[u8]) -> Option<(Record, usize)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (checksum, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let payload = rest.get(..length)?;
    if crc32c::crc32c(payload) != u32::from_le_bytes(*checksum) {
        return None;
    }
    // A tail of zeroes passes for a record of no length with the right checksum: it has no kind.
    Some((decode(payload)?, FRAME_BYTES + length))
}

fn decode(payload: &[u8]) -> Option<Record> {
    let (kind, rest) = payload.split_first()?;
    let (number, rest) = take_u64(rest)?;
    if *kind == ACKED {
        return Some(Record::Acked { number });
    }
    let (stdout, rest) = take_u64(rest)?;
    let (stderr, rest) = take_u64(rest)?;
    let shipped = Offsets { stdout, stderr };
    match *kind {
        NEWS => Some(Record::News { number, shipped, item: Box::new(stored::from_bytes(rest)?) }),
        SHIPPED => Some(Record::Shipped { number, shipped }),
        _ => None,
    }
}

fn take_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ended, returned, started};
    use super::*;

    fn news(number: u64, shipped: Offsets, item: &ReportItem) -> Vec<u8> {
        let mut out = Vec::new();
        assert_eq!(write_news(&mut out, number, shipped, item), out.len());
        out
    }

    #[test]
    fn every_record_comes_back_as_it_was_written_and_cut_anywhere_it_is_none() {
        let offsets = Offsets { stdout: 7, stderr: u64::MAX };
        let one = |bytes: &[u8]| take(bytes).map(|(record, length)| (record, length == bytes.len()));
        for item in [started(1), returned(2), ended(3, 1000)] {
            let bytes = news(9, offsets, &item);
            assert_eq!(one(&bytes), Some((Record::News { number: 9, shipped: offsets, item: Box::new(item) }, true)));
            for cut in 0..bytes.len() {
                assert_eq!(take(&bytes[..cut]), None, "{cut}");
            }
        }
        assert_eq!(one(&acked(3)), Some((Record::Acked { number: 3 }, true)));
        assert_eq!(one(&shipped(4, offsets)), Some((Record::Shipped { number: 4, shipped: offsets }, true)));
    }

    #[test]
    fn records_that_are_written_one_after_another_are_what_they_are_alone() {
        let (mut all, mut alone) = (b"before".to_vec(), Vec::new());
        for item in [started(1), returned(2), ended(3, 1000)] {
            let bytes = write_news(&mut all, 5, Offsets::ALL, &item);
            alone.push(news(5, Offsets::ALL, &item));
            assert_eq!(Some(bytes), alone.last().map(Vec::len));
        }
        assert_eq!(all, [b"before".to_vec(), alone.concat()].concat());
    }

    #[test]
    fn a_flipped_bit_and_a_tail_of_zeroes_are_no_records() {
        let mut bytes = news(1, Offsets::ALL, &ended(3, 10));
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!(take(&bytes), None);
        assert_eq!(take(&[0; 64]), None);
        assert_eq!(take(&[0xff; 64]), None);
    }
}
