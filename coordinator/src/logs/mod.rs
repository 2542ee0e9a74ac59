//! What attempts wrote, by offset, in segments shared by all of them: in files, or in memory for whoever wants to keep nothing.
//!
//! ```text
//!  append ─► shelf ─► DIR/logs/0000000000000001.log … the last takes what comes; the oldest goes when its time or room is over
//!              │        └ segment = prefix ║ record │ record │ …      record = header with two checksums, data
//!              └► index: (stream, position) a segment, in memory; found again by reading the segments at start
//!  read ─► pick: the positions, taken under the lock ─► records, read without it
//! ```
//! An attempt has no file of its own: at thousands of jobs a second, making two files a job costs more than the jobs.
//!
//! **What is promised.** What is acknowledged has been written to a file, so it survives the coordinator's death by any
//! signal. It is never synced: logs are no results, and a power cut may cost the newest seconds. Then a stream ends where
//! what was found ends, its agent sends on from where it was, and readers see a gap. Damage shows as a gap too; what does not
//! match its checksum is never served. What cannot be written, or is more than the limits allow, is counted and dropped:
//! neither a job nor its agent ever waits for its log.
//!
//! Of an output longer than is kept of it, its agent sends also what is newest, which is here in memory for whoever follows
//! (`newest`), until the output's end takes its place.
//!
//! What is absent: search, compression, and any word on whether a stream is complete, which only its job's record can say.

mod dropped;
mod index;
mod limits;
mod newest;
mod pick;
mod place;
mod record;
mod scan;
mod segment;
mod shelf;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use windlass_shared::clock;
use windlass_shared::domain::{LogChunk, LogStream};
use windlass_shared::ids::JobId;

pub use limits::LogLimits;

use crate::bells::Bells;
use limits::MEMORY_BYTES_MAX;
use newest::Newest;
use pick::Pick;
use place::Place;
use shelf::Shelf;

/// Names one stream of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LogKey {
    pub(crate) job: JobId,
    pub(crate) attempt: u32,
    pub(crate) stream: LogStream,
}

#[derive(Debug)]
pub(crate) struct Logs {
    // Held for one small read and one write of the page cache; never while a reader reads, never for a sync.
    shelf: Mutex<Shelf>,
    newest: Mutex<Newest>,
    bells: Bells,
}

impl Logs {
    /// Keeps logs in memory, and 256 MiB of them at most.
    pub(crate) fn new(mut limits: LogLimits, bells: Bells) -> Self {
        limits.total_bytes_max = limits.total_bytes_max.min(MEMORY_BYTES_MAX);
        Self { shelf: Mutex::new(Shelf::new(Place::Memory, limits)), newest: Mutex::default(), bells }
    }

    /// Keeps logs in `dir/logs`, with those that are there. Reads them all, a gigabyte in about two seconds.
    ///
    /// # Errors
    /// Where the directory cannot be made or read; a file that cannot is a gap.
    pub(crate) fn open(dir: &Path, limits: LogLimits, bells: Bells) -> io::Result<Self> {
        let mut shelf = Shelf::new(Place::in_dir(dir)?, limits);
        shelf.load(clock::wall())?;
        Ok(Self { shelf: Mutex::new(shelf), newest: Mutex::default(), bells })
    }

    /// Moves the logs of a data directory that nobody uses out of the way; `incarnation`: of the record that they are of.
    ///
    /// # Errors
    /// Where they cannot be moved.
    pub(crate) fn set_aside(dir: &Path, incarnation: u64) -> io::Result<()> {
        place::set_aside(dir, incarnation)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a piece; the answer is the offset before which everything has arrived. A piece that begins earlier is a
    /// resend, and only its new part counts; one that begins later says that its agent dropped what lies between.
    pub(crate) fn append(&self, job: JobId, attempt: u32, chunk: LogChunk) -> u64 {
        let key = LogKey { job, attempt, stream: chunk.stream };
        let end = self.shelf().append(key, chunk, clock::wall());
        self.newest().outgrow(&key, end);
        self.bells.ring(job);
        end
    }

    /// Takes in what is newest of an output that is longer than is kept of it, to be read until what is kept is newer.
    pub(crate) fn show_newest(&self, job: JobId, attempt: u32, chunk: LogChunk) {
        let key = LogKey { job, attempt, stream: chunk.stream };
        // What is kept of it comes first on the same stream, so what is here now is all that will be here before the output's end.
        let end = self.end(key);
        self.newest().push(key, chunk, end);
        self.bells.ring(job);
    }

    /// Up to `limit` bytes from `offset` on, and where to go on. Chunks have gaps between them where bytes were dropped.
    pub(crate) fn read(&self, key: LogKey, offset: u64, limit: usize) -> (Vec<LogChunk>, u64) {
        let (mut chunks, next) = self.pick(key).read(offset, limit);
        let room = limit.saturating_sub(chunks.iter().map(|chunk| chunk.data.len()).sum());
        let (newest, next) = self.newest().read(&key, next, room);
        chunks.extend(newest);
        (chunks, next)
    }

    /// Offset before which everything has arrived.
    pub(crate) fn end(&self, key: LogKey) -> u64 {
        self.pick(key).end()
    }

    fn pick(&self, key: LogKey) -> Pick {
        self.shelf().pick(key, clock::wall())
    }
}
