//! The store on disk: SQLite, one file, one writer.
//!
//! ```text
//!   commit ─► thread "store" ─► store.db-wal ─(folded now and then)─► store.db
//!   job, spec, list, result, request ─► cache of recent specs, else one of a few read-only connections
//! ```
//!
//! Absent here: queues, leases, retries. Rows are written as they are told and never read to be changed; why rows, and why these,
//! is in docs/adr/0008-sqlite-store.md. Every blob is checked whenever it is read (frame.rs), and what does not pass is named
//! and not shown.

mod cache;
mod check;
mod codes;
mod connect;
mod dir;
mod error;
mod frame;
mod messages;
mod migrate;
mod prune;
mod read;
mod restore;
mod row;
mod rows;
mod schema;
mod space;
pub(crate) mod tools;
mod write;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use windlass_shared::domain::{CallResult, JobView};
use windlass_shared::ids::JobId;

use super::{
    Batch, Commit, Filter, Finished, NoRoom, Opened, Page, ReadError, Request, Retention, Store, StoreOptions,
};
use cache::SpecCache;
use check::Check;
pub use error::OpenError;
use read::Readers;
use space::Space;
use write::Added;
use writer::Writer;

/// A store on disk.
#[derive(Debug)]
struct SqliteStore {
    // In the order in which they must end: the writer folds the log when it is the last connection to close.
    _check: Option<Check>,
    readers: Readers,
    writer: Writer,
    shared: Arc<Shared>,
    _lock: dir::Lock,
}

/// What the thread that writes shares with those that ask.
#[derive(Debug)]
struct Shared {
    retention: Retention,
    events_kept_max: usize,
    space: Space,
    cache: SpecCache,
    finished: AtomicUsize,
    spec_bytes: AtomicUsize,
}

/// Opens the store of a data directory, or makes one. `incarnation` is its identity where it is new: random, and not 0.
///
/// # Errors
/// Where the directory cannot be used or is in use, or what is needed to go on is damaged.
pub(crate) fn open(dir: &Path, options: &StoreOptions, incarnation: u64) -> Result<Opened, OpenError> {
    let failed = |err: &dyn std::fmt::Display| OpenError::Failed(err.to_string());
    let lock = dir::take(dir)?;
    let file = dir::store_file(dir);
    let unclean = std::fs::metadata(dir::wal_file(dir)).is_ok_and(|wal| wal.len() > 0);
    let space = Space::open(dir, options).map_err(|source| OpenError::Dir { path: dir.into(), source })?;
    let mut conn = connect::writer(&file).map_err(|err| not_ours(&file, &err))?;
    migrate::migrate(&mut conn, &file, incarnation)?;
    let (incarnation, epoch) = migrate::raise_epoch(&conn, dir)?;
    let (live, live_bytes) = restore::live(&conn, dir)?;
    let finished = restore::finished(&conn, dir)?;
    let (revision, events) = restore::events(&conn, dir, options.events_kept_max)?;
    let marks = restore::marks(&conn, dir)?;
    let readers = Readers::open(&file).map_err(|err| failed(&err))?;
    let check = if unclean { Some(Check::start(&file).map_err(|err| failed(&err))?) } else { None };
    let shared = Arc::new(Shared {
        retention: options.retention.clone(),
        events_kept_max: options.events_kept_max,
        space,
        cache: SpecCache::new(options.spec_cache_bytes_max),
        finished: AtomicUsize::new(finished.finished),
        spec_bytes: AtomicUsize::new(finished.spec_bytes + live_bytes),
    });
    let writer = Writer::start(conn, shared.clone()).map_err(|err| failed(&err))?;
    let store = Arc::new(SqliteStore { _check: check, readers, writer, shared, _lock: lock });
    Ok(Opened { store, incarnation, epoch, revision, live, events, marks })
}

fn not_ours(file: &Path, err: &rusqlite::Error) -> OpenError {
    if error::is_corrupt(err) { OpenError::NotOurs { path: file.into() } } else { OpenError::Failed(err.to_string()) }
}

/// Bytes of specs that may be kept beyond the limit for as long as it takes to prune finished jobs: what may be on its way in.
const SPEC_BYTES_SLACK: usize = 64 << 20;

impl Shared {
    fn finished(&self) -> usize {
        self.finished.load(Ordering::Relaxed)
    }

    fn spec_bytes(&self) -> usize {
        self.spec_bytes.load(Ordering::Relaxed)
    }

    fn add(&self, added: Added) {
        self.finished.fetch_add(added.finished, Ordering::Relaxed);
        self.spec_bytes.fetch_add(added.spec_bytes, Ordering::Relaxed);
        // What went was there before, or came with this very batch: neither sum gets below nothing.
        self.finished.fetch_sub(added.gone, Ordering::Relaxed);
        self.spec_bytes.fetch_sub(added.gone_bytes, Ordering::Relaxed);
    }

    fn subtract(&self, step: &prune::Step) {
        self.finished.fetch_sub(step.jobs, Ordering::Relaxed);
        self.spec_bytes.fetch_sub(step.spec_bytes, Ordering::Relaxed);
    }

    fn room(&self, bytes: usize) -> Result<(), NoRoom> {
        let max = self.retention.spec_bytes_max;
        // Finished jobs make room within a moment.
        let limit = if self.finished() > 0 { max.saturating_add(SPEC_BYTES_SLACK) } else { max };
        if self.spec_bytes().saturating_add(bytes) > limit {
            return Err(NoRoom::Specs { max });
        }
        self.space.room()
    }
}

impl Store for SqliteStore {
    fn commit(&self, batch: Batch) -> Commit<'_> {
        Box::pin(self.writer.commit(batch))
    }

    fn job(&self, id: JobId) -> Result<Option<JobView>, ReadError> {
        self.readers.job(id)
    }

    fn finished(&self, id: JobId) -> Result<Option<Finished>, ReadError> {
        self.readers.finished(id)
    }

    fn spec(&self, id: JobId) -> Result<Option<Bytes>, ReadError> {
        match self.shared.cache.get(id) {
            Some(spec) => Ok(Some(spec)),
            None => self.readers.spec(id),
        }
    }

    fn result(&self, id: JobId) -> Result<Option<CallResult>, ReadError> {
        self.readers.result(id)
    }

    fn request(&self, id: &str) -> Result<Option<Request>, ReadError> {
        self.readers.request(id)
    }

    fn list(&self, filter: &Filter, before: Option<JobId>, limit: usize) -> Result<Page, ReadError> {
        self.readers.list(filter, before, limit)
    }

    fn room(&self, bytes: usize) -> Result<(), NoRoom> {
        self.shared.room(bytes)
    }
}
