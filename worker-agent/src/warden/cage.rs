//! The control group of a tree, as its keeper uses it.

use std::os::fd::OwnedFd;

use crate::containment::group::{Group, look};

pub(super) struct Cage {
    leaf: Group,
    /// Its events, once something is in it that is no child of the keeper's.
    events: Option<OwnedFd>,
    /// It was killed once. What is left after that is not in it.
    killed: bool,
}

impl Cage {
    pub(super) fn new(leaf: Group) -> Self {
        Self { leaf, events: None, killed: false }
    }

    /// Whether that was the first kill, and has all of it.
    pub(super) fn kill(&mut self) -> bool {
        let first = !std::mem::replace(&mut self.killed, true);
        self.leaf.kill().is_ok() && first
    }

    pub(super) fn was_killed(&self) -> bool {
        self.killed
    }

    /// Whether nothing is in it, with a wake-up by its [`events`](Self::events) when that changes. None: it cannot be asked.
    pub(super) fn is_empty(&mut self) -> Option<bool> {
        if self.events.is_none() {
            self.events = self.leaf.events().ok();
        }
        look(self.events.as_ref()?).ok().map(|populated| !populated)
    }

    /// To be polled, once it was looked at.
    pub(super) fn events(&self) -> Option<&OwnedFd> {
        self.events.as_ref()
    }
}
