//! One stream of one attempt: the bytes that the coordinator does not have yet, by offset.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Smaller pieces are copied together: each piece costs about a hundred bytes beside its own.
const PIECE_BYTES: usize = 16 << 10;

/// ```text
///            start          sent                 end
///  dropped or │  under way   │  waits              │
///  acknowl'd  │ piece│piece│ │ piece│piece│ [tail] │ next append
/// ```
#[derive(Debug, Default)]
pub(super) struct Tape {
    /// Pieces without a gap between them.
    pieces: VecDeque<Piece>,
    /// What came after them, still growing.
    tail: BytesMut,
    /// Offset of the next byte.
    end: u64,
    /// Everything before it was handed out.
    sent: u64,
    /// End and length of what was handed out and is neither acknowledged nor taken back.
    flying: VecDeque<(u64, usize)>,
    /// Bytes in `pieces` and `tail`.
    kept: usize,
    /// Everything before it is with the coordinator.
    acked: u64,
}

#[derive(Debug)]
struct Piece {
    offset: u64,
    data: Bytes,
}

impl Piece {
    fn end(&self) -> u64 {
        self.offset + self.data.len() as u64
    }
}

impl Tape {
    /// Takes what was read, leaving `read` empty.
    pub(super) fn append(&mut self, read: &mut BytesMut) {
        let bytes = read.len();
        if bytes >= PIECE_BYTES {
            self.cut();
            self.pieces.push_back(Piece { offset: self.end, data: read.split().freeze() });
        } else {
            self.tail.extend_from_slice(read);
            read.clear();
        }
        self.end += bytes as u64;
        self.kept += bytes;
        if self.tail.len() >= PIECE_BYTES {
            self.cut();
        }
    }

    /// Makes the tail a piece.
    fn cut(&mut self) {
        if !self.tail.is_empty() {
            let offset = self.end - self.tail.len() as u64;
            self.pieces.push_back(Piece { offset, data: self.tail.split().freeze() });
        }
    }

    /// Drops the oldest bytes until at most `max` are kept; how many were dropped that nobody was given.
    pub(super) fn trim(&mut self, max: usize) -> u64 {
        if self.kept <= max {
            return 0;
        }
        self.cut();
        let start = self.end - max as u64;
        self.release(start);
        let lost = start.saturating_sub(self.sent);
        self.sent = self.sent.max(start);
        lost
    }

    /// Lets go of everything before `offset`.
    fn release(&mut self, offset: u64) {
        while let Some(piece) = self.pieces.front_mut() {
            if piece.end() > offset {
                let cut = usize::try_from(offset.saturating_sub(piece.offset)).unwrap_or(0);
                piece.offset += cut as u64;
                self.kept -= cut;
                drop(piece.data.split_to(cut));
                return;
            }
            self.kept -= piece.data.len();
            self.pieces.pop_front();
        }
    }

    /// The next bytes that nobody was given, at most `max`, with their offset.
    pub(super) fn next(&mut self, max: usize) -> Option<(u64, Bytes)> {
        if !self.has_unsent() || max == 0 {
            return None;
        }
        self.cut();
        let at = self.pieces.partition_point(|piece| piece.end() <= self.sent);
        let piece = self.pieces.get(at)?;
        let from = usize::try_from(self.sent.saturating_sub(piece.offset)).unwrap_or(0);
        let data = piece.data.slice(from..piece.data.len().min(from + max));
        let offset = self.sent;
        self.sent += data.len() as u64;
        self.flying.push_back((self.sent, data.len()));
        Some((offset, data))
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.sent < self.end
    }

    /// Everything before `offset` is with the coordinator; how many bytes of those under way are not any more.
    pub(super) fn ack(&mut self, offset: u64) -> usize {
        let offset = offset.min(self.end);
        let mut landed = 0;
        while self.flying.front().is_some_and(|(end, _)| *end <= offset) {
            landed += self.flying.pop_front().map_or(0, |(_, bytes)| bytes);
        }
        // It may have more than this stream gave it: what an earlier one did.
        if offset > self.end - self.tail.len() as u64 {
            self.cut();
        }
        self.release(offset);
        self.sent = self.sent.max(offset);
        self.acked = self.acked.max(offset);
        landed
    }

    /// What is under way is lost with its stream: it is handed out again.
    pub(super) fn rewind(&mut self) {
        self.flying.clear();
        self.sent = self.end - self.kept as u64;
    }

    /// Whether the coordinator has everything.
    pub(super) fn is_empty(&self) -> bool {
        self.kept == 0 && self.flying.is_empty()
    }

    pub(super) fn acked(&self) -> u64 {
        self.acked
    }

    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    /// Bytes under way.
    pub(super) fn flying(&self) -> usize {
        self.flying.iter().map(|(_, bytes)| bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tape(writes: &[&[u8]]) -> Tape {
        let mut tape = Tape::default();
        for write in writes {
            tape.append(&mut BytesMut::from(*write));
        }
        tape
    }

    fn next(tape: &mut Tape, max: usize) -> Option<(u64, Vec<u8>)> {
        tape.next(max).map(|(offset, data)| (offset, data.to_vec()))
    }

    #[test]
    fn small_writes_travel_together_in_order() {
        let mut tape = tape(&[b"ab", b"c", b"def"]);
        assert_eq!(next(&mut tape, 4), Some((0, b"abcd".to_vec())));
        tape.append(&mut BytesMut::from(&b"gh"[..]));
        assert_eq!(next(&mut tape, 9), Some((4, b"ef".to_vec())));
        assert_eq!(next(&mut tape, 9), Some((6, b"gh".to_vec())));
        assert_eq!(next(&mut tape, 9), None);
    }

    #[test]
    fn a_new_stream_gets_everything_that_was_not_acknowledged() {
        let mut tape = tape(&[b"abcdef"]);
        assert_eq!(next(&mut tape, 4), Some((0, b"abcd".to_vec())));
        assert_eq!(next(&mut tape, 2), Some((4, b"ef".to_vec())));
        assert_eq!((tape.ack(4), tape.flying()), (4, 2));
        tape.rewind();
        assert_eq!(next(&mut tape, 9), Some((4, b"ef".to_vec())));
        assert_eq!(tape.ack(6), 2);
        assert!(tape.is_empty());
    }

    #[test]
    fn beyond_the_bound_the_oldest_go_and_the_offset_shows_the_gap() {
        let mut tape = tape(&[b"0123456789"]);
        assert_eq!(tape.trim(4), 6);
        assert_eq!(tape.kept(), 4);
        assert_eq!(next(&mut tape, 9), Some((6, b"6789".to_vec())));
    }

    #[test]
    fn what_is_under_way_counts_as_lost_only_if_its_stream_is() {
        let mut tape = tape(&[b"0123456789"]);
        assert_eq!(next(&mut tape, 8), Some((0, b"01234567".to_vec())));
        assert_eq!(tape.trim(4), 0);
        assert_eq!(next(&mut tape, 9), Some((8, b"89".to_vec())));
        assert_eq!((tape.ack(8), tape.ack(10)), (8, 2));
        assert!(tape.is_empty());
    }

    #[test]
    fn a_coordinator_that_has_more_than_this_stream_gave_it_gets_the_rest() {
        let mut tape = tape(&[b"0123456789"]);
        assert_eq!(tape.ack(7), 0);
        assert_eq!(next(&mut tape, 9), Some((7, b"789".to_vec())));
        assert_eq!(tape.ack(u64::MAX), 3);
        assert!(tape.is_empty());
    }

    #[test]
    fn large_reads_are_kept_as_they_came() {
        let big = vec![b'x'; 3 * PIECE_BYTES];
        let mut tape = tape(&[b"ab", &big]);
        assert_eq!(next(&mut tape, usize::MAX), Some((0, b"ab".to_vec())));
        assert_eq!(next(&mut tape, usize::MAX), Some((2, big)));
    }
}
