//! What a coordinator can be told. Every limit has a unit, a default and a reason.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::logs::LogLimits;
use crate::store::Retention;

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Jobs are other people's programs; who may submit them must be known first.
    #[error(
        "--listen {0}: without TLS and authentication a coordinator serves this machine only; \
         use a loopback address such as 127.0.0.1:7070, and reach it through an ssh tunnel"
    )]
    NotLoopback(SocketAddr),
    /// Out of its bounds.
    #[error("--lease-ttl {0:?}: must be 500 ms to 1 h")]
    LeaseTtl(Duration),
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address to serve at; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Silence after which an agent gets nothing new.
    pub lease_ttl: Duration,
    /// Jobs held that are not final.
    pub jobs_live_max: usize,
    /// What is kept of finished jobs.
    pub retention: Retention,
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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7070)),
            lease_ttl: Duration::from_secs(15),
            jobs_live_max: 2_000_000,
            retention: Retention::default(),
            logs: LogLimits::default(),
            events_kept_max: 100_000,
            connections_max: 512,
            streams_per_connection_max: 1_024,
            call_max: Duration::from_secs(90),
            shutdown_max: Duration::from_secs(5),
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
        if self.lease_ttl < Duration::from_millis(500) || self.lease_ttl > Duration::from_secs(3600) {
            return Err(ConfigError::LeaseTtl(self.lease_ttl));
        }
        Ok(self)
    }
}

/// Holds the truth about every job and schedules over gRPC streams.
#[derive(Debug, Parser)]
#[command(name = "windlass-coordinator", version)]
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
    /// Directory for this coordinator's files.
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) data: Option<PathBuf>,
    /// Keep nothing: jobs in memory, and the directory is removed at the end.
    #[arg(long, hide = true)]
    pub(crate) ephemeral: bool,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    pub(crate) lifeline: bool,
}

impl Args {
    pub(crate) fn options(&self) -> Result<Options, ConfigError> {
        Options {
            listen: self.listen,
            lease_ttl: Duration::from_millis(self.lease_ttl_ms),
            jobs_live_max: self.jobs_live_max,
            ..Options::default()
        }
        .check()
    }
}
