//! What every step of a pool is given, and what it can want done to a process.

use tokio::time::Instant;
use windlass_shared::time::Timestamp;

/// The moment, on both clocks, and luck.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) at: Instant,
    pub(super) wall: Timestamp,
    /// Drawn from 0 to 1.
    pub(super) random: f64,
}

/// What is to be done to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strike {
    Signal(i32),
    Kill,
}
