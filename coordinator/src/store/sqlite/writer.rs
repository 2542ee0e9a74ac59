//! The thread that writes.
//!
//! ```text
//!   commit ──► queue ──► transaction ──► sync ──► answer ──► then, before the next one: look after the house
//!                                                             ├─ ballast, where the disk runs short
//!                                                             ├─ fold the log into the file, every 16 MiB of it
//!                                                             └─ prune one step
//! ```
//!
//! The house is looked after between commits, when nobody's answer hangs on it. What fails is final: after the first error the
//! state of the files is for the next start to find out, and every later commit is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use windlass_shared::clock;
use windlass_shared::time::Moment;

use super::error::{is_corrupt, is_full};
use super::write::WriteError;
use super::{Shared, connect, prune, write};
use crate::store::{Batch, CommitError};

/// Batches on their way. The driver has one; more wait their turn outside.
const QUEUE: usize = 8;
/// Time between two looks for what is no longer kept, while there is nothing to catch up with: at a thousand commits a second
/// each would otherwise pay for one.
const PRUNE_EVERY: Duration = Duration::from_millis(100);
/// Time between looks at the house when nothing happens.
const IDLE: Duration = Duration::from_secs(1);
const PAGE_BYTES: u64 = 4096;

/// One commit.
struct Work {
    batch: Batch,
    done: oneshot::Sender<Result<(), CommitError>>,
    _place: OwnedSemaphorePermit,
}

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Writer {
    work: Option<SyncSender<Work>>,
    places: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(conn: Connection, shared: Arc<Shared>) -> std::io::Result<Self> {
        let (work, inbox) = sync_channel(QUEUE);
        let desk = Desk::new(conn, shared);
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || desk.run(&inbox))?;
        Ok(Self { work: Some(work), places: Arc::new(Semaphore::new(QUEUE)), thread: Some(thread) })
    }

    pub(super) async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        let gone = || CommitError("its thread is gone".into());
        // A place each, as many as the queue has: so sending never blocks.
        let place = self.places.clone().acquire_owned().await.map_err(|_| gone())?;
        let (done, answer) = oneshot::channel();
        let work = self.work.as_ref().ok_or_else(gone)?;
        work.send(Work { batch, done, _place: place }).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.work = None; // ends the thread, once it has done what it was given
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's thread panicked");
        }
    }
}

/// What the thread owns.
struct Desk {
    conn: Connection,
    shared: Arc<Shared>,
    broken: Option<CommitError>,
    /// Pages in the log, and how many are worth folding it into the file.
    wal_pages: Arc<AtomicU64>,
    fold_at: u64,
    fold_every: u64,
    prunes: bool,
    /// When to prune next.
    prune_at: Moment,
    pause: Duration,
}

impl Desk {
    fn new(conn: Connection, shared: Arc<Shared>) -> Self {
        let wal_pages = Arc::new(AtomicU64::new(0));
        let fold_every = shared.space.wal_bytes() / PAGE_BYTES;
        Self {
            conn,
            shared,
            broken: None,
            wal_pages,
            fold_at: fold_every,
            fold_every,
            prunes: true,
            prune_at: Moment::default(),
            pause: IDLE,
        }
    }

    fn run(mut self, inbox: &Receiver<Work>) {
        if let Err(err) = self.watch_wal() {
            self.break_off(&err);
        }
        loop {
            match inbox.recv_timeout(self.pause) {
                Ok(work) => self.commit(work),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.broken.is_none() {
                self.keep_house();
            }
        }
    }

    fn watch_wal(&mut self) -> rusqlite::Result<()> {
        // A log that was long once is cut back, rather than kept at its longest for ever.
        self.conn.pragma_update(None, "journal_size_limit", 2 * self.fold_every * PAGE_BYTES)?;
        let pages = self.wal_pages.clone();
        self.conn.wal_hook(Some(move |_: &mut _, now| {
            pages.store(u64::try_from(now).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))
    }

    fn commit(&mut self, work: Work) {
        let answer = match &self.broken {
            Some(why) => Err(why.clone()),
            None => self.write(&work.batch),
        };
        // Whoever asked may have left; what was asked for is done.
        let _ = work.done.send(answer);
    }

    fn write(&mut self, batch: &Batch) -> Result<(), CommitError> {
        let folded = write::fold(batch);
        let mut result = write::write(&mut self.conn, batch, &folded);
        // A full disk is found out before anything is synced, and leaves nothing behind: with the ballast gone there is room,
        // and results have somewhere to go. Any other error may have left anything.
        if matches!(&result, Err(WriteError::Sqlite(err)) if is_full(err)) && self.shared.space.give_up() {
            result = write::write(&mut self.conn, batch, &folded);
        }
        match result {
            Ok(added) => {
                self.shared.add(added);
                self.shared.cache.insert_all(folded.iter().filter_map(write::Folded::new_spec));
                Ok(())
            }
            Err(err) => Err(self.break_off(&err)),
        }
    }

    fn break_off(&mut self, why: &dyn std::fmt::Display) -> CommitError {
        tracing::error!(error = %why, "the store failed; it takes no more commits");
        // A sync that failed once may "succeed" when it is asked for again, with the pages lost in between.
        let kept = connect::keep_wal_on_close(&self.conn);
        let why = CommitError(match kept {
            Ok(()) => why.to_string(),
            Err(err) => format!("{why}; then {err}"),
        });
        self.broken = Some(why.clone());
        why
    }

    fn keep_house(&mut self) {
        self.shared.space.tend();
        if self.wal_pages.load(Ordering::Relaxed) >= self.fold_at {
            self.fold_wal();
        }
        if self.prunes && self.broken.is_none() && clock::moment() >= self.prune_at {
            self.prune();
        }
    }

    /// Moves what the log holds into the file, so that the next commit writes it from the start again. Readers that are still
    /// looking at an old state keep it from being used up; then it grows on, and is folded when it has grown as much again.
    fn fold_wal(&mut self) {
        match self.conn.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
            Ok((pages, folded)) if folded >= pages => self.fold_at = self.fold_every,
            Ok(_) => self.fold_at = self.wal_pages.load(Ordering::Relaxed) + self.fold_every,
            // The log has it all; there may be room in the file later.
            Err(err) if is_full(&err) => self.fold_at = self.wal_pages.load(Ordering::Relaxed) + self.fold_every,
            Err(err) => drop(self.break_off(&err)),
        }
    }

    fn prune(&mut self) {
        self.pause = IDLE;
        self.prune_at = clock::moment().after(PRUNE_EVERY);
        match prune::step(&mut self.conn, &self.shared) {
            Ok(step) => {
                self.shared.subtract(&step);
                if step.gave_back {
                    self.fold_wal();
                }
                if step.more() {
                    self.pause = Duration::ZERO;
                    self.prune_at = Moment::default();
                }
            }
            Err(err) if is_full(&err) => {}
            Err(err) if is_corrupt(&err) => {
                // Nothing is lost by keeping it all.
                tracing::error!(error = %err, "the store is damaged and is not pruned any more; `store verify` says where");
                self.prunes = false;
            }
            Err(err) => drop(self.break_off(&err)),
        }
    }
}
