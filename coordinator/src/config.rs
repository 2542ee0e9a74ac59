//! What a coordinator can be told. Every limit has a unit, a default and a reason.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::driver::CrashAt;
use crate::logs::LogLimits;
use crate::store::StoreOptions;

/// Longest lease that can be set.
pub(crate) const LEASE_TTL_MAX: Duration = Duration::from_secs(3600);

/// Longest time that something may be stuck.
const QUARANTINE_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

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
    #[error(
        "--data DIR is required, or data in --config: the directory for this coordinator's record; or --ephemeral, to keep nothing"
    )]
    NoData,
    /// Out of its bounds.
    #[error("--lease-ttl-ms {}: must be 500 ms to 1 h", .0.as_millis())]
    LeaseTtl(Duration),
    /// Out of its bounds.
    #[error("--quarantine-after-s {}: must be 1 s to 1 day", .0.as_secs())]
    QuarantineAfter(Duration),
    /// The file of the settings is not there, or not to be read.
    #[error("--config {}: {_1}; name a file that can be read, or leave the flag out", .0.display())]
    FileUnreadable(PathBuf, #[source] std::io::Error),
    /// It holds something else.
    #[error("--config {}: {_1}\ncorrect it, or leave the key out for its default", .0.display())]
    BadFile(PathBuf, String),
    /// What it says cannot be used.
    #[error("--config {}: key {key}: {source}", file.display())]
    InFile {
        /// The file.
        file: PathBuf,
        /// The key.
        key: &'static str,
        /// What is wrong with it, by its flag.
        source: Box<ConfigError>,
    },
}

impl ConfigError {
    /// The key of a file that says the same as the flag.
    pub(crate) fn key(&self) -> Option<&'static str> {
        match self {
            Self::NotLoopback(_) => Some("listen"),
            Self::LeaseTtl(_) => Some("lease_ttl_ms"),
            Self::QuarantineAfter(_) => Some("quarantine_after_s"),
            Self::NoData | Self::FileUnreadable(..) | Self::BadFile(..) | Self::InFile { .. } => None,
        }
    }
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
    /// Time that something may be stuck on an agent before it gets nothing new.
    pub quarantine_after: Duration,
    /// Jobs held that are not final; at about 200 bytes each in memory the default of 2,000,000 is 400 MB.
    pub jobs_live_max: usize,
    /// What the store keeps, and how much room it leaves.
    pub store: StoreOptions,
    /// What is kept of logs.
    pub logs: LogLimits,
    /// Connections at a time: half the usual limit of 1,024 open files, the rest for everything else.
    pub connections_max: usize,
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
            quarantine_after: windlass_core::Options::QUARANTINE_AFTER,
            jobs_live_max: 2_000_000,
            store: StoreOptions::default(),
            logs: LogLimits::default(),
            connections_max: 512,
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
        // A kill that a busy disk holds up takes seconds; above a day nobody would see what it was about.
        if self.quarantine_after < Duration::from_secs(1) || self.quarantine_after > QUARANTINE_AFTER_MAX {
            return Err(ConfigError::QuarantineAfter(self.quarantine_after));
        }
        Ok(self)
    }
}
