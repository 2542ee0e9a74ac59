//! The end of what a worker wrote.

use std::collections::VecDeque;

use bytes::Bytes;
use windlass_shared::limits;

/// Bytes kept of each worker: a full pipe, and what one answer to an operator holds.
const BYTES_MAX: usize = limits::WORKER_LOG_TAIL_BYTES_MAX as usize;

/// The last [`BYTES_MAX`] bytes of what was written to it.
#[derive(Debug, Default)]
pub(super) struct Tail {
    kept: VecDeque<u8>,
    written: u64,
}

impl Tail {
    /// Something more was written.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.written += bytes.len() as u64;
        let bytes = &bytes[bytes.len().saturating_sub(BYTES_MAX)..];
        let excess = (self.kept.len() + bytes.len()).saturating_sub(BYTES_MAX);
        self.kept.drain(..excess);
        self.kept.extend(bytes);
    }

    /// Another begins to write.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// At most so many of the last bytes, and how many came before them.
    pub(super) fn last(&self, bytes_max: usize) -> (Bytes, u64) {
        let from = self.kept.len().saturating_sub(bytes_max);
        let data: Bytes = self.kept.range(from..).copied().collect();
        let before = self.written - data.len() as u64;
        (data, before)
    }

    /// At most so many of the last lines, each cut where it is longer than that.
    pub(super) fn lines(&self, lines_max: usize, bytes_max: usize) -> Vec<String> {
        let (data, _) = self.last(BYTES_MAX);
        let text = String::from_utf8_lossy(&data);
        let mut lines: Vec<_> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(lines_max).collect();
        lines.reverse();
        lines.into_iter().map(|line| line[..line.floor_char_boundary(bytes_max)].to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_the_rest_is_counted() {
        let mut tail = Tail::default();
        for number in 0..20_000 {
            tail.push(format!("line {number:05}\n").as_bytes());
        }
        let (data, before) = tail.last(usize::MAX);
        assert_eq!((data.len(), before), (BYTES_MAX, 20_000 * 11 - BYTES_MAX as u64));
        assert!(data.ends_with(b"line 19999\n"));
        assert_eq!(tail.last(11), (Bytes::from_static(b"line 19999\n"), 19_999 * 11));
        tail.push(&vec![b'x'; 3 * BYTES_MAX]);
        assert_eq!(tail.last(usize::MAX).0, vec![b'x'; BYTES_MAX]);
    }

    #[test]
    fn lines_are_the_last_that_say_something_each_cut_between_characters() {
        let mut tail = Tail::default();
        tail.push("one\n\ntwo\nthräe".as_bytes());
        assert_eq!(tail.lines(2, 4), ["two", "thr"]);
        assert_eq!(tail.lines(9, 99), ["one", "two", "thräe"]);
        assert_eq!(Tail::default().lines(9, 99), [""; 0]);
    }
}
