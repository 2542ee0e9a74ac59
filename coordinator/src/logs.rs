//! What attempts wrote, by offset. Bounded twice: so much of each stream, so much in all; what is dropped shows as a gap.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use windlass_shared::domain::{LogChunk, LogStream};
use windlass_shared::ids::JobId;

use crate::bells::Bells;

/// Names one stream of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LogKey {
    pub(crate) job: JobId,
    pub(crate) attempt: u32,
    pub(crate) stream: LogStream,
}

/// How much is kept.
#[derive(Debug, Clone)]
pub struct LogLimits {
    /// Bytes kept of one stream of one attempt; what comes after is counted and dropped.
    pub stream_bytes_max: usize,
    /// Bytes kept in all; the streams that began first go first.
    pub total_bytes_max: usize,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { stream_bytes_max: 16 << 20, total_bytes_max: 256 << 20 }
    }
}

#[derive(Debug)]
pub(crate) struct Logs {
    limits: LogLimits,
    inner: Mutex<Inner>,
    bells: Bells,
}

#[derive(Debug, Default)]
struct Inner {
    streams: HashMap<LogKey, Stream>,
    by_age: VecDeque<LogKey>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Stream {
    chunks: Vec<(u64, Bytes)>,
    kept: usize,
    /// Everything before this offset has arrived, kept or not.
    end: u64,
}

impl Logs {
    pub(crate) fn new(limits: LogLimits, bells: Bells) -> Self {
        Self { limits, inner: Mutex::default(), bells }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a piece; the answer is the offset before which everything has arrived. A piece that begins earlier is a
    /// resend, and only its new part counts; one that begins later says that its agent dropped what lies between.
    pub(crate) fn append(&self, job: JobId, attempt: u32, chunk: LogChunk) -> u64 {
        let key = LogKey { job, attempt, stream: chunk.stream };
        let end = self.inner().append(key, chunk, &self.limits);
        self.bells.ring(job);
        end
    }

    /// Up to `limit` bytes from `offset` on, and where to go on. Chunks have gaps between them where bytes were dropped.
    pub(crate) fn read(&self, key: LogKey, offset: u64, limit: usize) -> (Vec<LogChunk>, u64) {
        let inner = self.inner();
        let Some(stream) = inner.streams.get(&key) else { return (Vec::new(), offset) };
        stream.read(key.stream, offset, limit)
    }

    /// Offset before which everything has arrived.
    pub(crate) fn end(&self, key: LogKey) -> u64 {
        self.inner().streams.get(&key).map_or(0, |stream| stream.end)
    }
}

impl Inner {
    fn append(&mut self, key: LogKey, chunk: LogChunk, limits: &LogLimits) -> u64 {
        let by_age = &mut self.by_age;
        let stream = self.streams.entry(key).or_insert_with(|| {
            by_age.push_back(key);
            Stream::default()
        });
        self.bytes += stream.append(chunk, limits.stream_bytes_max);
        let end = stream.end;
        while self.bytes > limits.total_bytes_max {
            let Some(oldest) = self.by_age.pop_front() else { break };
            self.bytes -= self.streams.remove(&oldest).map_or(0, |stream| stream.kept);
        }
        end
    }
}

impl Stream {
    /// Bytes kept of the piece.
    fn append(&mut self, mut chunk: LogChunk, kept_max: usize) -> usize {
        if chunk.end() <= self.end {
            return 0;
        }
        if chunk.offset < self.end {
            let seen = usize::try_from(self.end - chunk.offset).unwrap_or(usize::MAX);
            chunk.data = chunk.data.slice(seen..);
            chunk.offset = self.end;
        }
        self.end = chunk.end();
        if self.kept + chunk.data.len() > kept_max {
            return 0;
        }
        self.kept += chunk.data.len();
        // Copied: a piece of the wire's buffer would keep the whole message alive.
        self.chunks.push((chunk.offset, Bytes::copy_from_slice(&chunk.data)));
        chunk.data.len()
    }

    fn read(&self, stream: LogStream, offset: u64, limit: usize) -> (Vec<LogChunk>, u64) {
        let (mut out, mut room, mut next) = (Vec::new(), limit, offset);
        let first = self.chunks.partition_point(|(at, data)| at + data.len() as u64 <= offset);
        for (at, data) in &self.chunks[first..] {
            let skip = usize::try_from(offset.saturating_sub(*at)).unwrap_or(usize::MAX).min(data.len());
            let take = (data.len() - skip).min(room);
            if take == 0 {
                return (out, next);
            }
            let piece = LogChunk { stream, offset: at + skip as u64, data: data.slice(skip..skip + take) };
            next = piece.end();
            room -= take;
            out.push(piece);
        }
        // Everything kept has been read; what was dropped behind it will not come.
        (out, if room > 0 { next.max(self.end) } else { next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> LogKey {
        LogKey { job: JobId::from_bytes([1; 16]), attempt: 1, stream: LogStream::Stdout }
    }

    fn chunk(offset: u64, data: &'static str) -> LogChunk {
        LogChunk { stream: LogStream::Stdout, offset, data: Bytes::from_static(data.as_bytes()) }
    }

    fn logs(stream_bytes_max: usize, total_bytes_max: usize) -> Logs {
        Logs::new(LogLimits { stream_bytes_max, total_bytes_max }, Bells::default())
    }

    fn text(logs: &Logs, offset: u64, limit: usize) -> (Vec<(u64, String)>, u64) {
        let (chunks, next) = logs.read(key(), offset, limit);
        let show = |chunk: LogChunk| (chunk.offset, String::from_utf8_lossy(&chunk.data).into_owned());
        (chunks.into_iter().map(show).collect(), next)
    }

    #[test]
    fn a_resent_piece_counts_once() {
        let logs = logs(100, 100);
        assert_eq!(logs.append(key().job, 1, chunk(0, "hello")), 5);
        assert_eq!(logs.append(key().job, 1, chunk(0, "hello")), 5);
        assert_eq!(logs.append(key().job, 1, chunk(3, "lo, you")), 10);
        assert_eq!(text(&logs, 0, 100), (vec![(0, "hello".into()), (5, ", you".into())], 10));
    }

    #[test]
    fn reading_goes_on_in_the_middle_of_a_piece() {
        let logs = logs(100, 100);
        logs.append(key().job, 1, chunk(0, "hello"));
        assert_eq!(text(&logs, 0, 2), (vec![(0, "he".into())], 2));
        assert_eq!(text(&logs, 2, 2), (vec![(2, "ll".into())], 4));
        assert_eq!(text(&logs, 4, 2), (vec![(4, "o".into())], 5));
        assert_eq!(text(&logs, 5, 2), (vec![], 5));
    }

    #[test]
    fn what_does_not_fit_is_counted_and_shows_as_a_gap() {
        let logs = logs(6, 100);
        logs.append(key().job, 1, chunk(0, "hello"));
        assert_eq!(
            logs.append(key().job, 1, chunk(5, "world")),
            10,
            "acknowledged, or the agent would send it for ever"
        );
        assert_eq!(text(&logs, 0, 100), (vec![(0, "hello".into())], 10));
    }

    #[test]
    fn the_oldest_stream_makes_room() {
        let logs = logs(100, 8);
        logs.append(key().job, 1, chunk(0, "hello"));
        logs.append(key().job, 2, chunk(0, "world"));
        assert_eq!(text(&logs, 0, 100), (vec![], 0));
        assert_eq!(logs.end(LogKey { attempt: 2, ..key() }), 5);
    }
}
