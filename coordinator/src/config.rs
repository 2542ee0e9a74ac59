//! What a coordinator can be told. Every limit has a unit, a default and a reason.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::driver::CrashAt;
use crate::logs::LogLimits;
use crate::store::StoreOptions;

/// Longest lease that can be set.
pub(crate) const LEASE_TTL_MAX: Duration = Duration::from_secs(3600);

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Jobs are other people's programs; who may submit them must be known first.
    #[error(
        "--listen {0}: without TLS and authentication a coordinator serves this machine only; \
         use a loopback address such as 127.0.0.1:7070, and reach it through an ssh tunnel"
    )]
    NotLoopback(SocketAddr),
    /// Where jobs are on record must be said: a forgotten flag must not mean forgotten jobs.
    #[error("--data DIR is required: the directory for this coordinator's record; or --ephemeral, to keep nothing")]
    NoData,
    /// Out of its bounds.
    #[error("--lease-ttl {0:?}: must be 500 ms to 1 h")]
    LeaseTtl(Duration),
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address to serve at; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Directory of the record; none: in memory only, and gone with the process.
    pub data: Option<PathBuf>,
    /// Silence after which an agent gets nothing new.
    pub lease_ttl: Duration,
    /// Jobs held that are not final.
    pub jobs_live_max: usize,
    /// What the store keeps, and how much room it leaves.
    pub store: StoreOptions,
    /// What is kept of logs.
    pub logs: LogLimits,
    /// Changes kept for watchers; at about 100 bytes each the default is 10 MB.
    pub events_kept_max: usize,
    /// Connections at a time: half the usual limit of 1,024 open files, the rest for everything else.
    pub connections_max: usize,
    /// Streams a connection: a client that multiplexes more queues them itself.
    pub streams_per_connection_max: u32,
    /// Longest a call may take, whatever deadline its caller set: above the 60 s of a long `WaitJob`.
    pub call_max: Duration,
    /// Time between asking everybody to leave and leaving: below the 10 s that service managers wait.
    pub shutdown_max: Duration,
    /// Where to die on purpose, for tests.
    pub crash_at: Option<CrashAt>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7070)),
            data: None,
            lease_ttl: Duration::from_secs(15),
            jobs_live_max: 2_000_000,
            store: StoreOptions::default(),
            logs: LogLimits::default(),
            events_kept_max: 100_000,
            connections_max: 512,
            streams_per_connection_max: 1_024,
            call_max: Duration::from_secs(90),
            shutdown_max: Duration::from_secs(5),
            crash_at: None,
        }
    }
}

impl Options {
    /// The options, where they can be used.
    ///
    /// # Errors
    /// The first setting that cannot.
    pub fn check(self) -> Result<Self, ConfigError> {
        if !self.listen.ip().is_loopback() {
            return Err(ConfigError::NotLoopback(self.listen));
        }
        // Below 500 ms a busy machine loses agents that are well; above an hour nobody would wait for a dead one.
        if self.lease_ttl < Duration::from_millis(500) || self.lease_ttl > LEASE_TTL_MAX {
            return Err(ConfigError::LeaseTtl(self.lease_ttl));
        }
        Ok(self)
    }
}

/// Holds the truth about every job and schedules over gRPC streams.
#[derive(Debug, Parser)]
#[command(name = "windlass-coordinator", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// Address to serve at. Port 0 takes any free one; the first line on standard output says which.
    #[arg(long, default_value = "127.0.0.1:7070", env = "WINDLASS_LISTEN")]
    pub(crate) listen: SocketAddr,
    /// Silence, in milliseconds, after which an agent gets nothing new; a third of it later its attempts are lost.
    #[arg(long, value_name = "MS", default_value_t = 15_000)]
    pub(crate) lease_ttl_ms: u64,
    /// Jobs held that are not final.
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    pub(crate) jobs_live_max: usize,
    /// Directory of the record. Made where it is missing; one coordinator at a time.
    #[arg(long, value_name = "DIR", env = "WINDLASS_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Keep nothing: jobs in memory only, and a directory given with --data is removed at the end.
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// Die at a point of a tick, as POINT:PASSES.
    #[arg(long, hide = true)]
    pub(crate) crash_at: Option<CrashAt>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    pub(crate) lifeline: bool,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Looks after a record on disk.
    #[command(subcommand)]
    Store(StoreCommand),
}

/// What to do with a record on disk.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Reads every row and checks it; also beside a running coordinator.
    Verify {
        /// The coordinator's data directory.
        data: PathBuf,
    },
    /// Copies the record to a new directory; also beside a running coordinator.
    Backup {
        /// The coordinator's data directory.
        data: PathBuf,
        /// Directory to make.
        to: PathBuf,
    },
    /// Writes every job as a JSON object a line; what is damaged is left out and named on standard error.
    Export {
        /// The coordinator's data directory.
        data: PathBuf,
    },
}

impl Args {
    pub(crate) fn options(&self) -> Result<Options, ConfigError> {
        if self.data.is_none() && !self.ephemeral {
            return Err(ConfigError::NoData);
        }
        Options {
            data: self.data.clone().filter(|_| !self.ephemeral),
            crash_at: self.crash_at.clone(),
            listen: self.listen,
            lease_ttl: Duration::from_millis(self.lease_ttl_ms),
            jobs_live_max: self.jobs_live_max,
            ..Options::default()
        }
        .check()
    }
}
