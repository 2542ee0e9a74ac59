//! The coordinator: holds the truth about every job and schedules over gRPC streams.
//!
//! [`start`] is the one place where its parts are put together; `main` and the tests call the same.
//!
//! ```text
//!   api ──► driver ──► core        what is decided
//!    │         │  └──► store       what is on record
//!    │         └─────► watch ──► api      who watches
//!    └─ sessions ◄────┘  logs ──► api     what agents get, and what they bring
//! ```

mod api;
mod args;
mod bells;
mod config;
mod config_file;
mod counters;
mod driver;
mod lease_file;
mod logs;
mod records;
mod run;
mod server;
mod sessions;
mod store;
mod store_command;
mod watch;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use windlass_core::Core;
use windlass_shared::clock;
use windlass_shared::task::Tasks;

pub use config::{ConfigError, Options};
pub use driver::CrashAt;
pub use logs::LogLimits;
pub use run::main;
pub use store::{OpenError, Retention, StoreOptions};

use api::Api;
use bells::Bells;
use counters::Counters;
use driver::{Driver, Parts};
use logs::Logs;
use records::Records;
use sessions::Registry;
use store::Opened;
use watch::Watch;

/// Time for tasks to end after a failed commit: the process must be gone within a second.
const FAILED_SHUTDOWN_MAX: Duration = Duration::from_millis(300);

/// A coordinator that serves.
#[derive(Debug)]
pub struct Running {
    /// Where it serves.
    pub addr: SocketAddr,
    /// Cancelled, it stops.
    pub stop: CancellationToken,
    tasks: Tasks,
    failed: CancellationToken,
    shutdown_max: Duration,
}

impl Running {
    /// Waits until it was told to stop and has, or had to end; whether it ended well.
    pub async fn done(self) -> bool {
        self.stop.cancelled().await;
        if self.failed.is_cancelled() {
            // What was decided and not committed must not be acted on: nobody gets the time to finish anything.
            self.tasks.shut_down(FAILED_SHUTDOWN_MAX).await;
            return false;
        }
        self.tasks.shut_down(self.shutdown_max * 2).await
    }
}

/// Why a coordinator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be served at.
    #[error("--listen {0}: {1}; give another --listen, or stop what serves there")]
    Listen(SocketAddr, std::io::Error),
    /// The record cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The lease of the start before cannot be read or kept.
    #[error("--data {dir}: the lease cannot be kept: {err}", dir = .0.display(), err = .1)]
    Lease(PathBuf, #[source] std::io::Error),
    /// The logs cannot be opened.
    #[error("--data {dir}: the logs cannot be opened: {err}", dir = .0.display(), err = .1)]
    Logs(PathBuf, #[source] std::io::Error),
}

/// Puts a coordinator together and starts it. It stops with `stop`.
///
/// # Errors
/// Where the record cannot be opened, or the address not served at.
pub async fn start(options: Options, stop: CancellationToken) -> Result<Running, StartError> {
    // The address first: a second coordinator must not touch the record, not even its epoch.
    let bound = server::bind(options.listen).await;
    let (listener, addr) = bound.map_err(|err| StartError::Listen(options.listen, err))?;
    let opened = open_store(&options)?;
    let bells = Bells::default();
    let logs = open_logs(&options, bells.clone())?;
    let tasks = Tasks::new(stop.clone());
    let registry = Arc::new(Registry::default());
    let watch = Arc::new(Watch::resume(opened.revision, opened.events, options.store.events_kept_max, bells.clone()));
    let mut core_options = core_options(&options, opened.incarnation, opened.epoch);
    core_options.lease_ttl_before = lease_before(&options)?;
    let beat = core_options.heartbeat_interval();
    let (jobs, epoch, revision) = (opened.live.len(), opened.epoch, opened.revision);
    let outlived = core_options.recovery_window() + core_options.lease_margin();
    let core = Core::restore(core_options, clock::now(), opened.revision, opened.live, opened.marks);
    let record = server::Record { incarnation: opened.incarnation, epoch, watch: watch.clone() };
    let counters = Arc::<Counters>::default();
    let (store, counted) = (opened.store.clone(), counters.clone());
    let parts = Parts { store, registry: registry.clone(), watch: watch.clone(), counters: counted };
    let (driver, handle) = Driver::new(core, parts, beat, options.crash_at.clone());
    let failed = CancellationToken::new();
    tasks.spawn("driver", drive(driver, stop.clone(), failed.clone()));
    let api = Api {
        driver: handle,
        records: Records::new(opened.store, bells),
        watch,
        logs: Arc::new(logs),
        registry,
        tasks: tasks.clone(),
        lease_ttl: options.lease_ttl,
        ids: Arc::default(),
        counters,
    };
    if let Some(dir) = options.data.clone() {
        tasks.spawn("lease", outlive(dir, options.lease_ttl, outlived, stop.clone()));
    }
    let shutdown_max = options.shutdown_max;
    tasks.spawn("server", server::serve(api, listener, record, options, stop.clone()));
    tracing::info!(%addr, jobs, epoch, revision, "serving");
    Ok(Running { addr, stop, tasks, failed, shutdown_max })
}

fn open_store(options: &Options) -> Result<Opened, OpenError> {
    match &options.data {
        Some(dir) => store::open(dir, &options.store, random()),
        None => Ok(store::memory(Retention::in_memory(), random())),
    }
}

fn open_logs(options: &Options, bells: Bells) -> Result<Logs, StartError> {
    match &options.data {
        Some(dir) => Logs::open(dir, options.logs.clone(), bells).map_err(|err| StartError::Logs(dir.clone(), err)),
        None => Ok(Logs::new(options.logs.clone(), bells)),
    }
}

fn lease_before(options: &Options) -> Result<Duration, StartError> {
    let Some(dir) = &options.data else { return Ok(Duration::ZERO) };
    lease_file::exchange(dir, options.lease_ttl).map_err(|err| StartError::Lease(dir.clone(), err))
}

/// Forgets the longer lease of an earlier start once nobody can count on it any more.
async fn outlive(dir: PathBuf, ttl: Duration, outlived: Duration, stop: CancellationToken) {
    if stop.run_until_cancelled(tokio::time::sleep(outlived)).await.is_some()
        && let Err(err) = lease_file::settle(&dir, ttl)
    {
        tracing::warn!(error = %err, "the lease cannot be kept; the next start waits longer for agents than it need");
    }
}

fn core_options(options: &Options, incarnation: u64, epoch: u64) -> windlass_core::Options {
    windlass_core::Options {
        incarnation,
        epoch,
        seed: random(),
        lease_ttl: options.lease_ttl,
        jobs_live_max: options.jobs_live_max,
        quarantine_after: options.quarantine_after,
        ..windlass_core::Options::default()
    }
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness the wall clock tells two lives apart.
    if getrandom::fill(&mut bytes).is_err() {
        bytes = clock::wall().0.to_le_bytes();
    }
    u64::from_le_bytes(bytes)
}

// The core has no undo: after a failed commit, or a panic, it knows things that are not so. The process ends, and nobody was
// told.
async fn drive(driver: Driver, stop: CancellationToken, failed: CancellationToken) {
    let mut end = DriverEnd { stop: stop.clone(), failed, well: false };
    match driver.run(stop).await {
        Ok(()) => end.well = true,
        Err(err) => tracing::error!(error = %err, "commit failed; stopping"),
    }
}

/// Stops everything with the driver, however it ends.
struct DriverEnd {
    stop: CancellationToken,
    failed: CancellationToken,
    well: bool,
}

impl Drop for DriverEnd {
    fn drop(&mut self) {
        if !self.well {
            self.failed.cancel();
        }
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests;
