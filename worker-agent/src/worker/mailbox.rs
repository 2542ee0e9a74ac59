//! Hands things over without waiting; whoever takes gets everything that gathered.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// What gathers until it is taken. Its bound is its filler's: each use says what that is.
#[derive(Debug, Default)]
pub(super) struct Mailbox<T>(Arc<Inner<T>>);

#[derive(Debug, Default)]
struct Inner<T> {
    content: Mutex<T>,
    filled: Notify,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default> Mailbox<T> {
    /// Adds to it.
    pub(super) fn put(&self, add: impl FnOnce(&mut T)) {
        add(&mut self.0.content.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.filled.notify_one();
    }

    /// Waits until something was added since the last take, and takes all of it. Cancelling it loses nothing.
    pub(super) async fn take(&self) -> T {
        self.0.filled.notified().await;
        std::mem::take(&mut *self.0.content.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
