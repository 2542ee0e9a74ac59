//! Opening a segment that was written by a former life: what is good in it is found again, and nothing else.

use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use windlass_shared::time::Timestamp;

use super::LogKey;
use super::index::{Index, Tag};
use super::record::{HEADER_BYTES, Header};
use super::segment::{PREFIX_BYTES, Prefix, Segment};

impl Segment {
    /// Opens a former life's segment. What cannot be read of it shows as gaps. Only in the `last` one can the end be a record
    /// that was being written when that life ended: it is cut off, and writing goes on there.
    pub(super) fn open(path: PathBuf, last: bool, tag: impl Fn(&LogKey) -> Tag) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let newest = file.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let newest = Timestamp::default().after(newest);
        let content = std::fs::read(&path)?;
        let prefix = Prefix::decode(&content);
        let found = prefix.map(|prefix| scan(&content, prefix.salt, tag)).unwrap_or_default();
        if prefix.is_none() || found.damaged > 0 {
            tracing::warn!(path = %path.display(), bytes = found.damaged, "damaged logs: they show as gaps");
        }
        let mut bytes = content.len() as u64;
        if let (true, true) = (last, prefix.is_some()) {
            bytes = found.good_end as u64;
            file.set_len(bytes)?;
        }
        // A file without a prefix takes nothing, and stays until its time is over, since somebody may want to look at it.
        let closed = !last || prefix.is_none();
        let prefix = prefix.unwrap_or(Prefix { began: newest, salt: 0 });
        let (file, path) = (Arc::new(file), Some(path));
        Ok(Self { file, path, prefix, newest, bytes, index: Index::new(found.entries), closed })
    }
}

#[derive(Debug, Default)]
struct Found {
    entries: Vec<(Tag, u32)>,
    /// Where the last good record ends.
    good_end: usize,
    /// Bytes between good records.
    damaged: usize,
}

/// All good records. Behind a bad one the next good one is looked for byte by byte, since its length is not to be trusted.
fn scan(content: &[u8], salt: u32, tag: impl Fn(&LogKey) -> Tag) -> Found {
    let mut found = Found { good_end: PREFIX_BYTES, ..Found::default() };
    let mut at = PREFIX_BYTES;
    while at < content.len() {
        let (Some((key, len)), Ok(position)) = (record_at(&content[at..], salt), u32::try_from(at)) else {
            at += 1;
            continue;
        };
        found.damaged += at - found.good_end;
        found.entries.push((tag(&key), position));
        at += len;
        found.good_end = at;
    }
    found
}

/// The stream and the length of the record that begins here.
fn record_at(rest: &[u8], salt: u32) -> Option<(LogKey, usize)> {
    let (header, data) = rest.split_first_chunk::<HEADER_BYTES>()?;
    let header = Header::decode(header, salt)?;
    let len = usize::try_from(header.len).ok()?;
    header.is_of(data.get(..len)?, salt).then_some((header.key, HEADER_BYTES + len))
}
