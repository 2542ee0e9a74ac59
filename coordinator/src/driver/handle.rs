//! How everyone else talks to the driver.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use windlass_shared::clock;
use windlass_shared::ids::JobId;
use windlass_shared::time::Moment;

use super::error::{Stopping, SubmitError};
use super::message::{Control, Incoming, Submit, Taken};
use crate::store::Store;

/// Kibibytes of specs between admission and commit: 64 MiB, sixteen of the largest messages.
const SUBMIT_KIB_MAX: usize = 64 << 10;

/// When the driver finished its latest tick. Sessions acknowledge heartbeats only while it is fresh: a coordinator that
/// decides nothing must not keep agents believing in it.
#[derive(Debug)]
pub(crate) struct Progress(AtomicU64);

impl Progress {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(clock::moment().0))
    }

    pub(crate) fn mark(&self, at: Moment) {
        self.0.store(at.0, Ordering::Relaxed);
    }

    pub(crate) fn age(&self) -> Duration {
        clock::moment().since(Moment(self.0.load(Ordering::Relaxed)))
    }
}

/// The way to the driver.
#[derive(Debug, Clone)]
pub(crate) struct DriverHandle {
    control: mpsc::Sender<Control>,
    submits: mpsc::Sender<Submit>,
    room: Arc<Semaphore>,
    store: Arc<dyn Store>,
    progress: Arc<Progress>,
}

impl DriverHandle {
    pub(super) fn new(
        control: mpsc::Sender<Control>,
        submits: mpsc::Sender<Submit>,
        store: Arc<dyn Store>,
        progress: Arc<Progress>,
    ) -> Self {
        Self { control, submits, room: Arc::new(Semaphore::new(SUBMIT_KIB_MAX)), store, progress }
    }

    /// Takes in jobs; each is on record, or refused, when this answers.
    pub(crate) async fn submit(&self, jobs: Vec<Incoming>) -> Result<Taken, SubmitError> {
        let bytes = jobs.iter().map(|job| job.spec.len()).sum::<usize>();
        self.store.room(bytes)?;
        // A job costs about this much on its way beside its spec.
        let bytes = bytes + jobs.len() * 256;
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(kib).map_err(|_| SubmitError::Overloaded)?;
        let (reply, answer) = oneshot::channel();
        match self.submits.try_send(Submit { jobs, reply, room }) {
            Ok(()) => Ok(answer.await.map_err(|_| Stopping)?),
            Err(mpsc::error::TrySendError::Full(_)) => Err(SubmitError::Overloaded),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Stopping.into()),
        }
    }

    /// Cancels a job; whether there was a live one.
    pub(crate) async fn cancel(&self, job: JobId, detail: Option<Arc<str>>) -> Result<bool, Stopping> {
        self.ask(|reply| Control::Cancel { job, detail, reply }).await
    }

    /// Asks for something, and waits for the answer.
    pub(super) async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Control) -> Result<T, Stopping> {
        let (reply, answer) = oneshot::channel();
        self.control.send(message(reply)).await.map_err(|_| Stopping)?;
        answer.await.map_err(|_| Stopping)
    }

    /// Room for one message of a session.
    pub(crate) async fn reserve(&self) -> Result<mpsc::Permit<'_, Control>, Stopping> {
        self.control.reserve().await.map_err(|_| Stopping)
    }

    /// Tells the driver something, waiting for room.
    pub(crate) async fn tell(&self, message: Control) {
        // A driver that is gone needs to be told nothing.
        let _ = self.control.send(message).await;
    }

    /// How long ago the driver finished a tick.
    pub(crate) fn progress_age(&self) -> Duration {
        self.progress.age()
    }
}
