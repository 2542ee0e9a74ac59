//! One file of records.
//!
//! ```text
//!  "windlog1" 8 │ began 8, ns since 1970 │ salt 4 │ crc 4 ║ record │ record │ …
//! ```

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use windlass_shared::time::Timestamp;

use super::LogKey;
use super::index::{Index, Tag};
use super::pick::Hits;
use super::place::Place;
use super::record::{self, Header};

pub(super) const PREFIX_BYTES: usize = 24;
const MAGIC: [u8; 8] = *b"windlog1";

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) file: Arc<File>,
    /// None: it is in memory.
    pub(super) path: Option<PathBuf>,
    pub(super) prefix: Prefix,
    /// When it was last written to.
    pub(super) newest: Timestamp,
    pub(super) bytes: u64,
    pub(super) index: Index,
    /// Nothing more is written to it.
    pub(super) closed: bool,
}

/// What a segment begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) began: Timestamp,
    pub(super) salt: u32,
}

impl Prefix {
    fn encode(self) -> [u8; PREFIX_BYTES] {
        let mut out = [0; PREFIX_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..16].copy_from_slice(&self.began.0.to_le_bytes());
        out[16..20].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32c::crc32c(&out[..20]);
        out[20..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// None: no segment, or of a version we do not know.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let began = i64::from_le_bytes(*bytes.get(8..)?.first_chunk()?);
        let salt = u32::from_le_bytes(*bytes.get(16..)?.first_chunk()?);
        let prefix = Self { began: Timestamp(began), salt };
        (bytes.get(..PREFIX_BYTES)? == prefix.encode()).then_some(prefix)
    }
}

impl Segment {
    pub(super) fn create(place: &Place, number: u64, prefix: Prefix) -> io::Result<Self> {
        let (file, path) = place.create(number)?;
        let bytes = PREFIX_BYTES as u64;
        let segment = Self {
            file: Arc::new(file),
            path,
            prefix,
            newest: prefix.began,
            bytes,
            index: Index::default(),
            closed: false,
        };
        if let Err(error) = segment.file.write_all_at(&prefix.encode(), 0) {
            segment.remove();
            return Err(error);
        }
        Ok(segment)
    }

    /// Writes a record; nothing has changed where that fails.
    pub(super) fn append(
        &mut self,
        (key, tag): (LogKey, Tag),
        (offset, kept): (u64, u64),
        data: &[u8],
        now: Timestamp,
    ) -> io::Result<()> {
        let at = u32::try_from(self.bytes).map_err(io::Error::other)?;
        let len = u32::try_from(data.len()).map_err(io::Error::other)?;
        let record = record::encode(key, offset, kept, data, len, self.prefix.salt);
        if let Err(error) = self.file.write_all_at(&record, self.bytes) {
            // Part of it may be there, and takes room on a disk that has none. Where it stays, the next record goes over it,
            // or opening cuts it off.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += record.len() as u64;
        self.newest = now;
        self.index.insert(tag, at);
        Ok(())
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.index.close();
    }

    /// The records that may be of this stream; none: there are none.
    pub(super) fn hits(&self, tag: Tag) -> Option<Hits> {
        let mut positions = self.index.positions(tag).peekable();
        positions.peek()?;
        Some(Hits { file: self.file.clone(), salt: self.prefix.salt, positions: positions.collect() })
    }

    /// The newest record of a stream.
    pub(super) fn last(&self, key: LogKey, tag: Tag) -> Option<Header> {
        let newest_first = self.index.positions(tag).rev();
        newest_first.filter_map(|at| Header::read(&self.file, at, key, self.prefix.salt)).next()
    }

    /// Deletes it; readers under way finish.
    pub(super) fn remove(self) {
        let Some(path) = self.path else { return };
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "old logs cannot be removed");
        }
    }
}
