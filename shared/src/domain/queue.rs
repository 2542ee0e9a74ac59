//! A queue as it is shown.

use std::sync::Arc;

/// The queue of jobs that name none.
pub const DEFAULT_QUEUE: &str = "default";

/// A queue as it is shown. It is there while jobs of it are not final, or while it is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRecord {
    /// Its name.
    pub name: Arc<str>,
    /// That it hands out nothing, and why.
    pub pause: Option<Pause>,
    /// Jobs that wait in it, delayed ones included.
    pub queued: u64,
    /// Jobs of it that an agent has.
    pub running: u64,
}

/// A queue hands out nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pause {
    /// Why, in the operator's words.
    pub reason: Option<Arc<str>>,
}
