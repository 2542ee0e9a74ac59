//! What arrived and was not kept: only how far it went is known, so that its agent does not send it for ever.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use windlass_shared::clock;
use windlass_shared::time::Moment;

use super::LogKey;

/// Streams whose dropped end is remembered, at about 60 bytes each. Forgetting one costs nothing but that its end seems to be
/// where the last kept byte is.
const STREAMS_MAX: usize = 65_536;
/// A full disk drops thousands of pieces a second; one line a minute says it as well.
const WARN_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Dropped {
    ends: HashMap<LogKey, u64>,
    warned: Option<Moment>,
    /// Since the last warning.
    bytes: u64,
}

impl Dropped {
    pub(super) fn end(&self, key: &LogKey) -> u64 {
        self.ends.get(key).copied().unwrap_or(0)
    }

    pub(super) fn note(&mut self, key: LogKey, end: u64) {
        if self.ends.len() >= STREAMS_MAX && !self.ends.contains_key(&key) {
            self.ends.clear();
        }
        let noted = self.ends.entry(key).or_default();
        *noted = end.max(*noted);
    }

    /// Says that so many bytes could not be written.
    pub(super) fn warn(&mut self, bytes: usize, error: &io::Error) {
        self.bytes += bytes as u64;
        let now = clock::moment();
        if self.warned.is_none_or(|warned| now.since(warned) >= WARN_EVERY) {
            tracing::warn!(%error, bytes = self.bytes, "logs cannot be written: what jobs print is dropped");
            (self.warned, self.bytes) = (Some(now), 0);
        }
    }
}
