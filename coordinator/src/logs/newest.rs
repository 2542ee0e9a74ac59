//! What is newest of outputs that are longer than is kept of them: in memory, a little of each, and of the liveliest only.
//!
//! ```text
//!  kept ──────────────┐              ┌─ newest ─┐
//!  0             front│   not kept   │ piece │ piece │ ◄── once a second, while it goes on
//! ```

use std::collections::{HashMap, VecDeque};

use windlass_shared::domain::LogChunk;

use super::LogKey;

/// Bytes of one stream: four seconds of what an agent sends by default, for followers that come late or read in turns.
const STREAM_BYTES_MAX: usize = 256 << 10;
/// Bytes of all streams: 128 floods at a time. What goes costs followers a larger gap, nothing else.
const BYTES_MAX: usize = 32 << 20;
/// Streams at most, or pieces of a byte would make [`BYTES_MAX`] a bound on nothing; a piece costs about 100 bytes beside its own.
const STREAMS_MAX: usize = 1_024;
/// Pieces of one stream.
const PIECES_MAX: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Newest {
    streams: HashMap<LogKey, Stream>,
    bytes: usize,
    /// Counts what came, to know the stream that was silent for longest.
    clock: u64,
}

#[derive(Debug, Default)]
struct Stream {
    pieces: VecDeque<LogChunk>,
    bytes: usize,
    touched: u64,
}

impl Newest {
    /// Takes in a piece of a stream that is kept up to `kept_end`. What is there already, or kept, is passed over.
    pub(super) fn push(&mut self, key: LogKey, mut piece: LogChunk, kept_end: u64) {
        let known =
            self.streams.get(&key).and_then(|stream| stream.pieces.back()).map_or(0, LogChunk::end).max(kept_end);
        let over = usize::try_from(known.saturating_sub(piece.offset)).unwrap_or(usize::MAX).min(piece.data.len());
        let over = over.max(piece.data.len().saturating_sub(STREAM_BYTES_MAX));
        drop(piece.data.split_to(over));
        piece.offset += over as u64;
        if piece.data.is_empty() {
            return;
        }
        self.clock += 1;
        let stream = self.streams.entry(key).or_default();
        stream.touched = self.clock;
        stream.bytes += piece.data.len();
        self.bytes += piece.data.len();
        stream.pieces.push_back(piece);
        while stream.bytes > STREAM_BYTES_MAX || stream.pieces.len() > PIECES_MAX {
            let Some(oldest) = stream.pieces.pop_front() else { break };
            stream.bytes -= oldest.data.len();
            self.bytes -= oldest.data.len();
        }
        while self.bytes > BYTES_MAX || self.streams.len() > STREAMS_MAX {
            self.forget_quietest();
        }
    }

    /// Forgets a stream that is kept up to here now: what was newest is not any more.
    pub(super) fn outgrow(&mut self, key: &LogKey, kept_end: u64) {
        let outgrown = |stream: &Stream| stream.pieces.back().is_none_or(|last| last.end() <= kept_end);
        if self.streams.get(key).is_some_and(outgrown) {
            self.forget(key);
        }
    }

    /// Up to `limit` bytes from `offset` on, and where to go on.
    pub(super) fn read(&self, key: &LogKey, offset: u64, limit: usize) -> (Vec<LogChunk>, u64) {
        let (mut out, mut room, mut next) = (Vec::new(), limit, offset);
        for piece in self.streams.get(key).iter().flat_map(|stream| &stream.pieces) {
            let skip = usize::try_from(next.saturating_sub(piece.offset)).unwrap_or(usize::MAX).min(piece.data.len());
            let take = (piece.data.len() - skip).min(room);
            if take == 0 {
                continue;
            }
            let offset = piece.offset + skip as u64;
            let part = LogChunk { stream: piece.stream, offset, data: piece.data.slice(skip..skip + take) };
            next = part.end();
            room -= take;
            out.push(part);
        }
        (out, next)
    }

    // A scan of at most a thousand, and only where more is shown than fits.
    fn forget_quietest(&mut self) {
        let quietest = self.streams.iter().min_by_key(|(_, stream)| stream.touched).map(|(key, _)| *key);
        if let Some(key) = quietest {
            self.forget(&key);
        }
    }

    fn forget(&mut self, key: &LogKey) {
        self.bytes -= self.streams.remove(key).map_or(0, |stream| stream.bytes);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use windlass_shared::domain::LogStream;
    use windlass_shared::ids::JobId;

    use super::*;

    fn key(job: u16) -> LogKey {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&job.to_le_bytes());
        LogKey { job: JobId::from_bytes(id), attempt: 1, stream: LogStream::Stdout }
    }

    fn piece(offset: u64, data: impl Into<Vec<u8>>) -> LogChunk {
        LogChunk { stream: LogStream::Stdout, offset, data: Bytes::from(data.into()) }
    }

    fn read(newest: &Newest, job: u16, offset: u64) -> (Vec<(u64, String)>, u64) {
        let (chunks, next) = newest.read(&key(job), offset, 1 << 20);
        let text = |chunk: LogChunk| (chunk.offset, String::from_utf8_lossy(&chunk.data).into_owned());
        (chunks.into_iter().map(text).collect(), next)
    }

    #[test]
    fn what_is_newest_is_read_on_from_any_offset_and_nothing_twice() {
        let mut newest = Newest::default();
        newest.push(key(1), piece(100, "abcd"), 50);
        newest.push(key(1), piece(102, "cdef"), 50);
        newest.push(key(1), piece(200, "z"), 50);
        assert_eq!(read(&newest, 1, 50), (vec![(100, "abcd".into()), (104, "ef".into()), (200, "z".into())], 201));
        assert_eq!(read(&newest, 1, 103), (vec![(103, "d".into()), (104, "ef".into()), (200, "z".into())], 201));
        assert_eq!(read(&newest, 1, 201), (vec![], 201));
        assert_eq!(read(&newest, 2, 7), (vec![], 7), "of another job there is nothing");
    }

    #[test]
    fn what_is_kept_is_not_shown_from_here() {
        let mut newest = Newest::default();
        newest.push(key(1), piece(10, "abcd"), 12);
        assert_eq!(read(&newest, 1, 0), (vec![(12, "cd".into())], 14));
        newest.outgrow(&key(1), 13);
        assert_eq!(read(&newest, 1, 12), (vec![(12, "cd".into())], 14), "there is more than is kept");
        newest.outgrow(&key(1), 14);
        assert_eq!((read(&newest, 1, 12), newest.bytes), ((vec![], 12), 0));
    }

    #[test]
    fn a_stream_holds_its_newest_bytes_and_all_of_them_hold_no_more_than_their_room() {
        let mut newest = Newest::default();
        for second in 0..100 {
            newest.push(key(1), piece(second << 20, vec![b'x'; 64 << 10]), 0);
        }
        assert_eq!(newest.bytes, STREAM_BYTES_MAX);
        assert_eq!(read(&newest, 1, 0).0[0].0, 96 << 20);
        newest.push(key(1), piece(200 << 20, vec![b'y'; 1 << 20]), 0);
        assert_eq!((newest.bytes, read(&newest, 1, 0).1), (STREAM_BYTES_MAX, 201 << 20), "of a large one its end");
        for job in 2..300 {
            newest.push(key(job), piece(0, vec![b'x'; STREAM_BYTES_MAX]), 0);
        }
        assert_eq!((newest.bytes, newest.streams.len()), (BYTES_MAX, BYTES_MAX / STREAM_BYTES_MAX));
        assert!(read(&newest, 1, 0).0.is_empty() && !read(&newest, 299, 0).0.is_empty(), "the quietest went");
        for job in 0..5_000 {
            newest.push(key(job), piece(300 << 20, "x"), 0);
        }
        assert!(newest.streams.len() <= STREAMS_MAX);
    }
}
