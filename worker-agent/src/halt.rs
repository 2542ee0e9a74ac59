//! An order to stop an attempt that runs.

use windlass_shared::domain::Reason;

/// An order to stop an attempt that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Halt {
    /// Why. The first order to reach the attempt decides how it ends.
    pub(crate) reason: Reason,
    /// Without the stop signal and its grace.
    pub(crate) kill: bool,
}

impl Halt {
    /// Orders add up: the first reason stays, and a kill is never taken back.
    pub(crate) fn after(self, first: Option<Self>) -> Self {
        match first {
            Some(first) => Self { reason: first.reason, kill: first.kill || self.kill },
            None => self,
        }
    }
}
