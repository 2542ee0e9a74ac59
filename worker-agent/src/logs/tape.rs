//! One stream of one attempt: the bytes that the coordinator does not have yet, by offset.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::options::Bounds;
use super::ring::{PIECE_BYTES, Ring};

/// ```text
///            start          sent                 end
///  dropped or │  under way   │  waits              │        until nothing more comes
///  acknowl'd  │ piece│piece│ │ piece│piece│ [tail] │ next append ──► or, past the front, ring
/// ```
#[derive(Debug, Default)]
pub(super) struct Tape {
    /// Pieces in their order, with a gap where bytes between head and tail were dropped.
    pieces: VecDeque<Piece>,
    /// What came after them, still growing.
    tail: BytesMut,
    /// Offset of the byte after them.
    end: u64,
    /// Everything before it was handed out.
    sent: u64,
    /// End and length of what was handed out and is neither acknowledged nor taken back.
    flying: VecDeque<(u64, usize)>,
    /// Bytes in `pieces` and `tail`.
    kept: usize,
    /// Everything before it is with the coordinator.
    acked: u64,
    /// What came after the front, of which only the end will be shipped.
    ring: Ring,
    /// Bytes of it that were shown, or passed over, as what was newest.
    shown: u64,
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
    /// Takes what was read, leaving `read` empty; whether it is to be shipped now, and how many bytes were let go for it. What is past
    /// the front waits for the end, to be known by then to be its last or not.
    pub(super) fn append(&mut self, read: &mut BytesMut, bounds: &Bounds) -> (bool, u64) {
        let room = if self.ring.is_untouched() { bounds.front().saturating_sub(self.end) } else { 0 };
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(read.len());
        let rest = read.split_off(room);
        let dropped = if rest.is_empty() { 0 } else { self.ring.push(rest, bounds.tail) };
        if room > 0 {
            self.take(read);
        }
        (room > 0, dropped)
    }

    /// Nothing more comes: the tail is to be shipped too, where there is one. How many bytes more were let go.
    pub(super) fn close(&mut self, bounds: &Bounds) -> u64 {
        if self.ring.is_untouched() {
            return 0;
        }
        self.cut();
        let before = self.ring.dropped();
        let (dropped, pieces) = self.ring.take(bounds.tail);
        self.end += dropped;
        for data in pieces {
            let (offset, bytes) = (self.end, data.len());
            self.pieces.push_back(Piece { offset, data });
            self.end += bytes as u64;
            self.kept += bytes;
        }
        dropped - before
    }

    fn take(&mut self, read: &mut BytesMut) {
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

    /// Drops the oldest bytes after the first `head` of the stream until at most `max` are kept, or nothing else is; how many were
    /// dropped that nobody was given.
    pub(super) fn trim(&mut self, max: usize, head: u64) -> u64 {
        let mut over = self.kept.saturating_sub(max);
        if over == 0 {
            return 0;
        }
        self.cut();
        self.split_at(head);
        let at = self.pieces.partition_point(|piece| piece.offset < head);
        let mut lost = 0;
        while let Some(piece) = self.pieces.get_mut(at).filter(|_| over > 0) {
            let bytes = piece.data.len().min(over);
            let from = piece.offset.max(self.sent);
            piece.offset += bytes as u64;
            lost += piece.offset.saturating_sub(from);
            drop(piece.data.split_to(bytes));
            (self.kept, over) = (self.kept - bytes, over - bytes);
            if piece.data.is_empty() {
                self.pieces.remove(at);
            }
        }
        lost
    }

    /// Makes two pieces of the one that reaches over `offset`.
    fn split_at(&mut self, offset: u64) {
        let at = self.pieces.partition_point(|piece| piece.end() <= offset);
        let Some(piece) = self.pieces.get_mut(at).filter(|piece| piece.offset < offset) else { return };
        let before = usize::try_from(offset - piece.offset).unwrap_or(usize::MAX).min(piece.data.len());
        let head = Piece { offset: piece.offset, data: piece.data.split_to(before) };
        piece.offset = offset;
        self.pieces.insert(at, head);
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
        let offset = piece.offset.max(self.sent);
        let from = usize::try_from(offset - piece.offset).unwrap_or(0);
        let data = piece.data.slice(from..piece.data.len().min(from.saturating_add(max)));
        self.sent = offset + data.len() as u64;
        self.flying.push_back((self.sent, data.len()));
        Some((offset, data))
    }

    /// What came past the front since this was asked last, with its offset; of more than `max` bytes the newest. It is shown, not
    /// shipped: the end of the output is shipped all the same. None before all of the front was handed out, which is to come first.
    pub(super) fn newest(&mut self, max: usize) -> Option<(u64, Bytes)> {
        if self.has_unsent() || self.ring.is_untouched() {
            return None;
        }
        let (before, data) = self.ring.newest(self.shown, max);
        self.shown = before + data.len() as u64;
        (!data.is_empty()).then(|| (self.end + before, data))
    }

    /// Whether [`Tape::newest`] may have something to say.
    pub(super) fn is_past_front(&self) -> bool {
        !self.ring.is_untouched()
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
        self.sent = self.pieces.front().map_or(self.end - self.tail.len() as u64, |first| first.offset);
    }

    /// Whether the coordinator has everything.
    pub(super) fn is_empty(&self) -> bool {
        self.kept == 0 && self.flying.is_empty()
    }

    pub(super) fn acked(&self) -> u64 {
        self.acked
    }

    /// Bytes that are shipped or to be shipped now.
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

    const ROOMY: Bounds = Bounds { spool: 1 << 20, head: 0, tail: 0, newest: 0 };

    fn tape(writes: &[&[u8]]) -> Tape {
        bounded(writes, &ROOMY)
    }

    fn bounded(writes: &[&[u8]], bounds: &Bounds) -> Tape {
        let mut tape = Tape::default();
        for write in writes {
            tape.append(&mut BytesMut::from(*write), bounds);
        }
        tape
    }

    fn all(tape: &mut Tape) -> Vec<(u64, Vec<u8>)> {
        std::iter::from_fn(|| next(tape, usize::MAX)).collect()
    }

    fn next(tape: &mut Tape, max: usize) -> Option<(u64, Vec<u8>)> {
        tape.next(max).map(|(offset, data)| (offset, data.to_vec()))
    }

    #[test]
    fn small_writes_travel_together_in_order() {
        let mut tape = tape(&[b"ab", b"c", b"def"]);
        assert_eq!(next(&mut tape, 4), Some((0, b"abcd".to_vec())));
        tape.append(&mut BytesMut::from(&b"gh"[..]), &ROOMY);
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
        assert_eq!(tape.trim(4, 0), 6);
        assert_eq!(tape.kept(), 4);
        assert_eq!(next(&mut tape, 9), Some((6, b"6789".to_vec())));
    }

    #[test]
    fn what_is_under_way_counts_as_lost_only_if_its_stream_is() {
        let mut tape = tape(&[b"0123456789"]);
        assert_eq!(next(&mut tape, 8), Some((0, b"01234567".to_vec())));
        assert_eq!(tape.trim(4, 0), 0);
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
    fn past_the_front_only_the_last_bytes_are_shipped_and_only_at_the_end() {
        let bounds = Bounds { spool: 8, head: 0, tail: 3, newest: 0 };
        let mut tape = bounded(&[b"0123", b"456789", b"abc", b"d"], &bounds);
        assert_eq!(all(&mut tape), [(0, b"01234".to_vec())]);
        assert_eq!((tape.ack(5), tape.is_empty()), (5, true));
        tape.close(&bounds);
        assert_eq!(all(&mut tape), [(11, b"bcd".to_vec())], "and the gap is where the middle was");
        assert_eq!((tape.ack(14), tape.acked(), tape.is_empty()), (3, 14, true));
    }

    #[test]
    fn past_the_front_what_is_newest_can_be_shown_as_it_goes_on_and_the_end_is_shipped_all_the_same() {
        let bounds = Bounds { spool: 8, head: 0, tail: 3, newest: 0 };
        let mut tape = bounded(&[b"0123", b"4567"], &bounds);
        assert_eq!(tape.newest(9), None, "the front comes first");
        assert_eq!(all(&mut tape), [(0, b"01234".to_vec())]);
        assert_eq!(tape.newest(2), Some((6, Bytes::from("67"))));
        assert_eq!(tape.newest(2), None, "nothing came since");
        tape.append(&mut BytesMut::from(&b"89ab"[..]), &bounds);
        assert_eq!(tape.newest(9), Some((8, Bytes::from("89ab"))));
        tape.close(&bounds);
        assert_eq!(tape.newest(9), None);
        assert_eq!(all(&mut tape), [(9, b"9ab".to_vec())]);
    }

    #[test]
    fn what_fits_is_shipped_without_a_gap_and_once_whatever_breaks() {
        let bounds = Bounds { spool: 8, head: 0, tail: 3, newest: 0 };
        let mut tape = bounded(&[b"0123", b"4567"], &bounds);
        assert_eq!(all(&mut tape), [(0, b"01234".to_vec())]);
        tape.close(&bounds);
        assert_eq!(all(&mut tape), [(5, b"567".to_vec())]);
        tape.ack(5);
        tape.rewind();
        assert_eq!(all(&mut tape), [(5, b"567".to_vec())]);
        tape.close(&bounds);
        assert_eq!(all(&mut tape), [], "closed again, nothing comes again");
    }

    #[test]
    fn a_stream_that_broke_is_gone_on_with_before_and_behind_the_gap() {
        let bounds = Bounds { spool: 8, head: 0, tail: 2, newest: 0 };
        let mut tape = bounded(&[b"0123456789abcdef"], &bounds);
        tape.close(&bounds);
        let shipped = [(0, b"012345".to_vec()), (14, b"ef".to_vec())];
        assert_eq!(all(&mut tape), shipped);
        tape.rewind();
        assert_eq!(all(&mut tape), shipped);
        assert_eq!(tape.ack(6), 6);
        tape.rewind();
        assert_eq!(all(&mut tape), [(14, b"ef".to_vec())]);
    }

    #[test]
    fn the_head_is_kept_when_the_oldest_after_it_go() {
        let mut tape = tape(&[b"0123456789"]);
        assert_eq!(tape.trim(5, 2), 5);
        assert_eq!(tape.kept(), 5);
        let shipped = [(0, b"01".to_vec()), (7, b"789".to_vec())];
        assert_eq!(all(&mut tape), shipped);
        tape.rewind();
        assert_eq!(all(&mut tape), shipped);
        assert_eq!((tape.trim(2, 2), tape.ack(10), tape.is_empty()), (0, 5, true));
    }

    #[test]
    fn large_reads_are_kept_as_they_came() {
        let big = vec![b'x'; 3 * PIECE_BYTES];
        let mut tape = tape(&[b"ab", &big]);
        assert_eq!(next(&mut tape, usize::MAX), Some((0, b"ab".to_vec())));
        assert_eq!(next(&mut tape, usize::MAX), Some((2, big)));
    }
}
