//! What is said to the agent: by handlers, by the reader, and between jobs, each frame whole.

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// Speaks for the whole process.
#[derive(Debug)]
pub(crate) struct Voice(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    to: File,
    /// What may go out with the next frame.
    held: Vec<u8>,
}

impl Voice {
    pub(crate) fn new(to: File) -> Self {
        Self(Mutex::new(Inner { to, held: Vec::with_capacity(64 << 10) }))
    }

    /// Says it with the next that is said at once, in the same write.
    pub(crate) fn hold(&self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).held);
    }

    /// Says it, and what is held before it, in one write.
    pub(crate) fn say(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { to, held } = &mut *inner;
        write(held);
        if !held.is_empty() {
            // With the agent gone there is nobody to tell, and the end of standard input says so too.
            let _ = to.write_all(held);
            held.clear();
        }
    }

    /// Says what is held.
    pub(crate) fn flush(&self) {
        self.say(|_| {});
    }
}
