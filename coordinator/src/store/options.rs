//! What a store is told: how much is kept, how long, and how much of the disk it leaves alone.

use std::time::Duration;

/// What is kept, and how long.
#[derive(Debug, Clone)]
pub struct Retention {
    /// Time a finished job is kept. A week: long enough that Monday can look at Friday.
    pub finished_ttl: Duration,
    /// Finished jobs kept; the first to finish go first. At about 500 bytes each, the default of 1,000,000 is 500 MB on disk;
    /// `--ephemeral` keeps as many in memory.
    pub finished_jobs_max: usize,
    /// Bytes of specs kept, finished jobs' included. Past it finished jobs go early, then submits are refused.
    pub spec_bytes_max: usize,
    /// Request ids kept; the oldest go first, and each after 24 h. At about 200 bytes each, the default is 200 MB.
    pub requests_max: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            finished_ttl: Duration::from_secs(7 * 24 * 3600),
            finished_jobs_max: 1_000_000,
            spec_bytes_max: 1 << 30,
            requests_max: 1_000_000,
        }
    }
}

impl Retention {
    /// What memory can hold: a finished job takes about 500 bytes there too.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { finished_jobs_max: 100_000, ..Self::default() }
    }
}

/// What a store on disk is told.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// What is kept, and how long.
    pub retention: Retention,
    /// Changes kept for watchers that come back; at about 50 bytes each, the default of 100,000 is 5 MB.
    pub events_kept_max: usize,
    /// Bytes of the disk that stay free: below them submits are refused. None: 256 MiB, or 5 % of the filesystem where that
    /// is less. It is what results, cancels and logs are written into while submits wait.
    pub disk_free_min: Option<u64>,
    /// Bytes of the ballast file, given up when the disk is fuller still. None: 64 MiB, or 2 % of the filesystem where that is
    /// less. It pays for the results of everything that runs: 64 MiB is about 200,000 of them.
    pub ballast_bytes: Option<u64>,
    /// Bytes of recent specs held in memory, so that a job handed out soon after its submit costs no read.
    pub spec_cache_bytes_max: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            events_kept_max: 100_000,
            disk_free_min: None,
            ballast_bytes: None,
            spec_cache_bytes_max: 64 << 20,
        }
    }
}
