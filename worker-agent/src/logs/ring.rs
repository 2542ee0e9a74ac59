//! The newest bytes of an output that has said more than is shipped of it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Smaller pieces are copied together: each piece costs about a hundred bytes beside its own.
pub(super) const PIECE_BYTES: usize = 16 << 10;

#[derive(Debug, Default)]
pub(super) struct Ring {
    pieces: VecDeque<Bytes>,
    /// What came after them, still growing.
    growing: BytesMut,
    /// Bytes in both.
    kept: usize,
    /// Bytes let go before them.
    dropped: u64,
}

impl Ring {
    /// Whether nothing was ever put into it.
    pub(super) fn is_untouched(&self) -> bool {
        self.kept == 0 && self.dropped == 0
    }

    /// Takes bytes, and lets go of the oldest where more than `max` would stay without them; how many it let go.
    pub(super) fn push(&mut self, bytes: BytesMut, max: usize) -> u64 {
        let before = self.dropped;
        self.kept += bytes.len();
        if bytes.len() >= PIECE_BYTES {
            self.cut();
            self.pieces.push_back(bytes.freeze());
        } else {
            self.growing.extend_from_slice(&bytes);
        }
        if self.growing.len() >= PIECE_BYTES {
            self.cut();
        }
        while let Some(oldest) = self.pieces.front().filter(|oldest| self.kept - oldest.len() >= max) {
            self.kept -= oldest.len();
            self.dropped += oldest.len() as u64;
            self.pieces.pop_front();
        }
        self.dropped - before
    }

    /// Bytes let go so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The newest bytes after the first `from` that ever were in it, at most `max`, and how many were before them.
    pub(super) fn newest(&self, from: u64, max: usize) -> (u64, Bytes) {
        let end = self.dropped + self.kept as u64;
        let begin = from.max(self.dropped).max(end.saturating_sub(max as u64)).min(end);
        let mut skip = usize::try_from(begin - self.dropped).unwrap_or(usize::MAX);
        let mut newest = BytesMut::with_capacity(self.kept.saturating_sub(skip));
        for piece in self.pieces.iter().map(Bytes::as_ref).chain([self.growing.as_ref()]) {
            let passed = skip.min(piece.len());
            skip -= passed;
            newest.extend_from_slice(&piece[passed..]);
        }
        (begin, newest.freeze())
    }

    fn cut(&mut self) {
        if !self.growing.is_empty() {
            self.pieces.push_back(self.growing.split().freeze());
        }
    }

    /// The last `max` bytes, and how many went before them; it is untouched then.
    pub(super) fn take(&mut self, max: usize) -> (u64, VecDeque<Bytes>) {
        self.cut();
        let mut over = self.kept.saturating_sub(max);
        let Self { mut pieces, dropped, .. } = std::mem::take(self);
        let dropped = dropped + over as u64;
        while let Some(oldest) = pieces.front_mut() {
            if oldest.len() > over {
                drop(oldest.split_to(over));
                break;
            }
            over -= oldest.len();
            pieces.pop_front();
        }
        (dropped, pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pieces: VecDeque<Bytes>) -> Vec<u8> {
        pieces.into_iter().flatten().collect()
    }

    #[test]
    fn it_keeps_exactly_the_last_bytes_however_they_came() {
        for step in [1, 7, 1_000, PIECE_BYTES, 50_000] {
            let all: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
            let mut ring = Ring::default();
            for part in all.chunks(step) {
                ring.push(BytesMut::from(part), 10_000);
                assert!(ring.kept < 10_000 + PIECE_BYTES + step, "{step}: {}", ring.kept);
            }
            let (dropped, pieces) = ring.take(10_000);
            assert_eq!((dropped, text(pieces)), (190_000, all[190_000..].to_vec()), "{step}");
            assert!(ring.is_untouched());
        }
    }

    #[test]
    fn what_is_newest_is_seen_without_taking_it() {
        let mut ring = Ring::default();
        for text in ["abc", "defgh"] {
            ring.push(BytesMut::from(text), 100);
        }
        ring.cut();
        ring.push(BytesMut::from("ij"), 100);
        assert_eq!(ring.newest(0, 4), (6, Bytes::from("ghij")));
        assert_eq!(ring.newest(8, 4), (8, Bytes::from("ij")));
        assert_eq!(ring.newest(2, 100), (2, Bytes::from("cdefghij")));
        assert_eq!(ring.newest(10, 4), (10, Bytes::new()));
        assert_eq!(text(ring.take(100).1), b"abcdefghij");
    }

    #[test]
    fn what_fits_is_kept_whole() {
        let mut ring = Ring::default();
        ring.push(BytesMut::from(&b"abc"[..]), 3);
        let (dropped, pieces) = ring.take(3);
        assert_eq!((dropped, text(pieces)), (0, b"abc".to_vec()));
    }
}
