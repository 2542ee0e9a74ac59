//! What was found of one stream, read without any lock: a segment that is removed meanwhile stays readable to the end.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use windlass_shared::domain::LogChunk;

use super::LogKey;
use super::record::{HEADER_BYTES, Header};

/// Records of one segment that are of the stream wanted, unless two streams share a tag.
#[derive(Debug)]
pub(super) struct Hits {
    pub(super) file: Arc<File>,
    pub(super) salt: u32,
    pub(super) positions: Vec<u32>,
}

impl Hits {
    fn header(&self, at: u32, key: LogKey) -> Option<Header> {
        Header::read(&self.file, at, key, self.salt)
    }

    fn record(&self, at: u32, key: LogKey) -> Option<(Header, Bytes)> {
        let header = self.header(at, key)?;
        let mut data = vec![0; usize::try_from(header.len).ok()?];
        let read = self.file.read_exact_at(&mut data, u64::from(at) + HEADER_BYTES as u64);
        if read.is_err() || !header.is_of(&data, self.salt) {
            tracing::warn!(job = %key.job, attempt = key.attempt, offset = header.offset, "damaged log is not served");
            return None;
        }
        Some((header, data.into()))
    }

    /// The records that reach beyond `offset`, by a search: a follower of a long log asks for its end again and again.
    fn beyond(&self, offset: u64, key: LogKey) -> &[u32] {
        // A damaged one stands where the next good one does, or the search would leave the good ones before it behind.
        let from = |at: &u32| &self.positions[self.positions.partition_point(|other| other < at)..];
        let next_good = |at: &u32| from(at).iter().find_map(|at| self.header(*at, key));
        let before = |at: &u32| next_good(at).is_some_and(|header| header.end() <= offset);
        &self.positions[self.positions.partition_point(before)..]
    }
}

/// Everything found of one stream.
#[derive(Debug)]
pub(super) struct Pick {
    pub(super) key: LogKey,
    /// Oldest first.
    pub(super) hits: Vec<Hits>,
    /// What was counted and dropped ends here.
    pub(super) dropped_end: u64,
}

impl Pick {
    /// Offset before which everything has arrived, kept or not.
    pub(super) fn end(&self) -> u64 {
        let newest_first =
            self.hits.iter().rev().flat_map(|hits| hits.positions.iter().rev().map(move |at| (hits, at)));
        let last = newest_first.filter_map(|(hits, at)| hits.header(*at, self.key)).next();
        last.map_or(0, |header| header.end()).max(self.dropped_end)
    }

    pub(super) fn read(&self, offset: u64, limit: usize) -> (Vec<LogChunk>, u64) {
        let (mut out, mut room, mut next) = (Vec::new(), limit, offset);
        for hits in &self.hits {
            for at in hits.beyond(offset, self.key) {
                if room == 0 {
                    return (out, next);
                }
                let Some((header, data)) = hits.record(*at, self.key) else { continue };
                let skip = usize::try_from(next.saturating_sub(header.offset)).unwrap_or(usize::MAX).min(data.len());
                let take = (data.len() - skip).min(room);
                if take == 0 {
                    continue;
                }
                let (stream, offset) = (self.key.stream, header.offset + skip as u64);
                let piece = LogChunk { stream, offset, data: data.slice(skip..skip + take) };
                next = piece.end();
                room -= take;
                out.push(piece);
            }
        }
        // Everything kept has been read; what was dropped behind it will not come.
        (out, if room > 0 { next.max(self.end()) } else { next })
    }
}
