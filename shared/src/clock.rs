//! The only reader of the process's clocks.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::time::{Moment, Now, Timestamp};

// tokio's clock, so that tests with virtual time move it.
static STARTED: LazyLock<Instant> = LazyLock::new(|| tokio::time::Instant::now().into_std());

/// Both clocks, now.
#[must_use]
pub fn now() -> Now {
    Now { mono: moment(), wall: wall() }
}

/// The monotonic clock, now.
#[must_use]
pub fn moment() -> Moment {
    let elapsed = tokio::time::Instant::now().into_std().saturating_duration_since(*STARTED);
    Moment::default().after(elapsed)
}

/// The wall clock, now.
#[must_use]
#[allow(clippy::disallowed_methods)] // this is the one reader the ban speaks of
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().after(since)
}

/// When `moment` comes, as a tokio instant to sleep until.
#[must_use]
pub fn instant(moment: Moment) -> tokio::time::Instant {
    tokio::time::Instant::now() + moment.since(self::moment())
}
