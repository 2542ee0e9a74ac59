//! All segments, the oldest first, and what keeps them within their limits.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;

use windlass_shared::domain::LogChunk;
use windlass_shared::time::Timestamp;

use super::LogKey;
use super::dropped::Dropped;
use super::index::Tag;
use super::limits::LogLimits;
use super::pick::Pick;
use super::place::Place;
use super::record::{HEADER_BYTES, Header};
use super::segment::{PREFIX_BYTES, Prefix, Segment};

#[derive(Debug)]
pub(super) struct Shelf {
    limits: LogLimits,
    place: Place,
    segments: VecDeque<Segment>,
    bytes: u64,
    next_number: u64,
    /// Random, so that nobody can choose job ids that collide.
    hasher: RandomState,
    dropped: Dropped,
}

impl Shelf {
    pub(super) fn new(place: Place, limits: LogLimits) -> Self {
        Self {
            limits,
            place,
            segments: VecDeque::new(),
            bytes: 0,
            next_number: 1,
            hasher: RandomState::new(),
            dropped: Dropped::default(),
        }
    }

    /// Takes in what is there already, as far as it is within the limits.
    pub(super) fn load(&mut self, now: Timestamp) -> io::Result<()> {
        let found = self.place.list()?;
        let newest = found.last().map_or(0, |(number, _)| *number);
        for (number, path) in found {
            match Segment::open(path.clone(), number == newest, |key| self.tag(key)) {
                Ok(segment) => {
                    self.bytes += segment.bytes;
                    self.segments.push_back(segment);
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "logs cannot be opened: they show as gaps");
                }
            }
            self.make_room(0);
        }
        self.next_number = newest + 1;
        self.expire(now);
        Ok(())
    }

    /// Takes in a piece; the answer is the offset before which everything has arrived.
    pub(super) fn append(&mut self, key: LogKey, chunk: LogChunk, now: Timestamp) -> u64 {
        let LogChunk { offset, mut data, .. } = chunk;
        // Beyond the last offset there is nothing, whatever an agent says; readers need not ask.
        data.truncate(usize::try_from(u64::MAX - offset).unwrap_or(usize::MAX));
        let sent = offset + data.len() as u64;
        let (end, kept) = self.last(key).map_or((0, 0), |last| (last.end(), last.kept + u64::from(last.len)));
        if sent <= end {
            return self.dropped.end(&key).max(end);
        }
        let seen = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX).min(data.len());
        let data = &data[seen..];
        if kept + data.len() as u64 > self.limits.stream_bytes_max {
            self.dropped.note(key, sent);
        } else if let Err(error) = self.write(key, (offset.max(end), kept), data, now) {
            self.dropped.note(key, sent);
            self.dropped.warn(data.len(), &error);
        }
        self.dropped.end(&key).max(sent)
    }

    fn write(&mut self, key: LogKey, at: (u64, u64), data: &[u8], now: Timestamp) -> io::Result<()> {
        self.expire(now);
        let bytes = (HEADER_BYTES + data.len()) as u64;
        self.make_room(bytes + PREFIX_BYTES as u64);
        self.place.check_free(self.limits.free_bytes_min)?;
        let tag = self.tag(&key);
        self.writable(bytes, now)?.append((key, tag), at, data, now)?;
        self.bytes += bytes;
        Ok(())
    }

    /// The segment that takes so many more bytes.
    fn writable(&mut self, bytes: u64, now: Timestamp) -> io::Result<&mut Segment> {
        let limits = &self.limits;
        let takes = |segment: &Segment| {
            let fits = segment.bytes + bytes <= limits.segment_bytes();
            !segment.closed && fits && !limits.is_old(segment.prefix.began, now)
        };
        if !self.segments.back().is_some_and(takes) {
            let salt = self.hasher.hash_one(self.next_number) as u32;
            let segment = Segment::create(&self.place, self.next_number, Prefix { began: now, salt })?;
            if let Some(full) = self.segments.back_mut() {
                full.close();
            }
            self.next_number += 1;
            self.bytes += segment.bytes;
            self.segments.push_back(segment);
        }
        self.segments.back_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The stream as it is now.
    pub(super) fn pick(&mut self, key: LogKey, now: Timestamp) -> Pick {
        self.expire(now);
        let tag = self.tag(&key);
        let hits = self.segments.iter().filter_map(|segment| segment.hits(tag)).collect();
        Pick { key, hits, dropped_end: self.dropped.end(&key) }
    }

    /// The newest record of a stream.
    fn last(&self, key: LogKey) -> Option<Header> {
        let tag = self.tag(&key);
        let newest_first = self.segments.iter().rev();
        newest_first.filter_map(|segment| segment.last(key, tag)).next()
    }

    fn expire(&mut self, now: Timestamp) {
        while self.segments.front().is_some_and(|oldest| self.limits.is_over(oldest.newest, now)) {
            self.drop_oldest();
        }
    }

    fn make_room(&mut self, bytes: u64) {
        while self.bytes + bytes > self.limits.total_bytes_max && !self.segments.is_empty() {
            self.drop_oldest();
        }
    }

    // Under the lock, though a file of 16 MiB takes the file system a millisecond to delete: it is as rare as that is long.
    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.segments.pop_front() {
            self.bytes -= oldest.bytes;
            oldest.remove();
        }
    }

    #[cfg(test)]
    pub(super) fn total(&self) -> (u64, usize) {
        (self.bytes, self.segments.len())
    }

    fn tag(&self, key: &LogKey) -> Tag {
        Tag::of_hash(self.hasher.hash_one(key))
    }
}
