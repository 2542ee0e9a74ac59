//! How much is kept of logs, and for how long.

use std::time::Duration;

use windlass_shared::time::Timestamp;

/// What logs in memory may take at most, whatever the limits say: they compete with the jobs themselves.
pub(super) const MEMORY_BYTES_MAX: u64 = 256 << 20;

/// Segments a full store of logs has. Each costs an open file, of which a process usually has 1,024, and the oldest is what
/// goes at once: a sixty-fourth is little to lose.
const SEGMENTS: u64 = 64;
/// A segment is read whole when the coordinator starts, so this is also memory needed then.
const SEGMENT_BYTES_MAX: u64 = 256 << 20;
/// Parts of the TTL after which a segment is closed, so that what has outlived it goes at most so much late.
const TTL_PARTS: u32 = 8;
/// Part of a disk that logs leave free where it is small, as those of tests and containers are.
pub(super) const DISK_PARTS: u64 = 40;

/// How much is kept.
#[derive(Debug, Clone)]
pub struct LogLimits {
    /// Bytes kept of one stream of one attempt; what comes after is counted and dropped. 16 MiB is what an agent keeps of it
    /// too, and more than anybody reads.
    pub stream_bytes_max: u64,
    /// Bytes kept in all, with what describes them; the oldest go first. 1 GiB fits every disk; in memory it is 256 MiB at
    /// most.
    pub total_bytes_max: u64,
    /// How long what was written is kept: a week, so that Friday's failure can be read on Monday.
    pub ttl: Duration,
    /// Bytes that logs leave free on their disk, though never more than a fortieth of it. Half of the store's floor: first
    /// submits wait, then what jobs print is dropped, and the rest is there for their results.
    pub free_bytes_min: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            stream_bytes_max: 16 << 20,
            total_bytes_max: 1 << 30,
            ttl: Duration::from_secs(7 * 24 * 3600),
            free_bytes_min: 128 << 20,
        }
    }
}

impl LogLimits {
    /// What a segment holds: 16 MiB of the default 1 GiB.
    pub(super) fn segment_bytes(&self) -> u64 {
        (self.total_bytes_max / SEGMENTS).min(SEGMENT_BYTES_MAX)
    }

    /// Whether a segment begun then takes nothing more.
    pub(super) fn is_old(&self, began: Timestamp, now: Timestamp) -> bool {
        began.after(self.ttl / TTL_PARTS) < now
    }

    /// Whether what was written then has been kept for long enough.
    pub(super) fn is_over(&self, newest: Timestamp, now: Timestamp) -> bool {
        newest.after(self.ttl) < now
    }
}
