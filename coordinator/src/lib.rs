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
mod bells;
mod config;
mod driver;
mod logs;
mod records;
mod run;
mod server;
mod sessions;
mod store;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use windlass_core::Core;
use windlass_shared::task::Tasks;

pub use config::{ConfigError, Options};
pub use logs::LogLimits;
pub use run::main;
pub use store::Retention;

use api::Api;
use bells::Bells;
use driver::Driver;
use logs::Logs;
use records::Records;
use sessions::Registry;
use store::{MemoryStore, Store};
use watch::Watch;

/// A coordinator that serves.
#[derive(Debug)]
pub struct Running {
    /// Where it serves.
    pub addr: SocketAddr,
    /// Cancelled, it stops.
    pub stop: CancellationToken,
    tasks: Tasks,
    failed: CancellationToken,
    shutdown_max: std::time::Duration,
}

impl Running {
    /// Waits until it was told to stop and has, or had to end; whether it ended well.
    pub async fn done(self) -> bool {
        self.stop.cancelled().await;
        let ended = self.tasks.shut_down(self.shutdown_max * 2).await;
        ended && !self.failed.is_cancelled()
    }
}

/// Puts a coordinator together and starts it. It stops with `stop`.
///
/// # Errors
/// Where the address cannot be served at.
pub async fn start(options: Options, stop: CancellationToken) -> std::io::Result<Running> {
    let (listener, addr) = server::bind(options.listen).await?;
    let tasks = Tasks::new(stop.clone());
    let bells = Bells::default();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(options.retention.clone()));
    let watch = Arc::new(Watch::new(options.events_kept_max, bells.clone()));
    let registry = Arc::new(Registry::default());
    let (core, beat) = new_core(&options);
    let (driver, handle) = Driver::new(core, store.clone(), registry.clone(), watch.clone(), beat);
    let failed = CancellationToken::new();
    tasks.spawn("driver", drive(driver, stop.clone(), failed.clone()));
    let api = Api {
        driver: handle,
        records: Records::new(store, bells.clone()),
        watch,
        logs: Arc::new(Logs::new(options.logs.clone(), bells)),
        registry,
        tasks: tasks.clone(),
        lease_ttl: options.lease_ttl,
        ids: Arc::default(),
    };
    let shutdown_max = options.shutdown_max;
    tasks.spawn("server", server::serve(api, listener, options, stop.clone()));
    tracing::info!(%addr, "serving");
    Ok(Running { addr, stop, tasks, failed, shutdown_max })
}

fn new_core(options: &Options) -> (Core, std::time::Duration) {
    let mut random = [0; 16];
    // Without randomness two lives of a coordinator may share an incarnation, which only ever makes a stale lease's chances
    // of being recognised by its fencing token alone; the wall clock tells them apart then.
    if getrandom::fill(&mut random).is_err() {
        random[..8].copy_from_slice(&windlass_shared::clock::wall().0.to_le_bytes());
    }
    let [incarnation, seed] =
        [&random[..8], &random[8..]].map(|half| half.iter().fold(0, |n, b| n << 8 | u64::from(*b)));
    let core = windlass_core::Options {
        incarnation,
        seed,
        lease_ttl: options.lease_ttl,
        jobs_live_max: options.jobs_live_max,
        ..windlass_core::Options::default()
    };
    let beat = core.heartbeat_interval();
    (Core::new(core), beat)
}

// The core has no undo: after a failed commit it knows things that are not so. The process ends, and nobody was told.
async fn drive(driver: Driver, stop: CancellationToken, failed: CancellationToken) {
    if let Err(err) = driver.run(stop.clone()).await {
        tracing::error!(error = %err, "commit failed; stopping");
        failed.cancel();
    }
    stop.cancel();
}
