//! The keepers that a warden forked, and how far the agent has been told of what they keep.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use rustix::process::Pid;

use super::KILL_TREE;
use super::fence::Guard;
use super::wire::{Report, Ticket};
use crate::containment::group::Group;
use crate::process::Proof;
use crate::sys::signal::send_to_child;

/// Times that a keeper is made to go on after it was stopped, which only its own job does. One that is stopped more often
/// supervises nothing any more: it is killed, its leader dies with it, and the rest of its tree is swept.
const WAKES_MAX: u8 = 100;

/// How far an attempt has come, as far as the agent has been told.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) ticket: Ticket,
    pub(super) guard: Guard,
    /// The control group that holds its tree.
    pub(super) leaf: Option<Group>,
    /// For the agent; opened before the keeper can possibly be reaped, held until it has started its leader.
    pidfd: Option<OwnedFd>,
    pub(super) started: bool,
    pub(super) leader_told: bool,
    /// The last word was said.
    over: bool,
    /// How often its keeper was stopped, and made to go on.
    wakes: u8,
}

impl Attempt {
    pub(super) fn new(ticket: Ticket, guard: Guard, leaf: Option<Group>, pidfd: Option<OwnedFd>) -> Self {
        Self { ticket, guard, leaf, pidfd, started: false, leader_told: false, over: false, wakes: 0 }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Remembers what the agent is told by a report; the descriptor that goes along with it.
    pub(super) fn note(&mut self, report: &Report) -> Option<OwnedFd> {
        match report {
            Report::Started { .. } => {
                self.started = true;
                return self.pidfd.take();
            }
            Report::Failed(error) => self.over = error.proof != Proof::None,
            Report::Ended { tree, .. } => {
                self.leader_told = true;
                self.over = tree.is_some();
            }
            Report::LeaderLost => self.leader_told = true,
            Report::TreeEnded(proof) => self.over = *proof != Proof::None,
            // The warden's to say, not a keeper's.
            Report::Fenced => {}
        }
        None
    }
}

/// All of them, by process and by ticket.
#[derive(Debug, Default)]
pub(super) struct Keepers {
    attempts: HashMap<Pid, Attempt>,
    tickets: HashMap<Ticket, Pid>,
}

impl Keepers {
    pub(super) fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    pub(super) fn pids(&self) -> impl Iterator<Item = Pid> {
        self.attempts.keys().copied()
    }

    pub(super) fn insert(&mut self, keeper: Pid, attempt: Attempt) {
        self.tickets.insert(attempt.ticket, keeper);
        self.attempts.insert(keeper, attempt);
    }

    /// What a keeper that is no more kept.
    pub(super) fn remove(&mut self, keeper: Pid) -> Option<Attempt> {
        let attempt = self.attempts.remove(&keeper)?;
        self.tickets.remove(&attempt.ticket);
        Some(attempt)
    }

    pub(super) fn find(&mut self, ticket: Ticket) -> Option<&mut Attempt> {
        self.attempts.get_mut(self.tickets.get(&ticket)?)
    }

    pub(super) fn kill(&self, ticket: Ticket) {
        let keeper = self.tickets.get(&ticket);
        if let Some((keeper, attempt)) = keeper.and_then(|keeper| self.attempts.get_key_value(keeper)) {
            kill_tree(*keeper, attempt);
        }
    }

    pub(super) fn kill_all(&self) {
        self.attempts.iter().for_each(|(keeper, attempt)| kill_tree(*keeper, attempt));
    }

    /// The lease has run out: kills what is fenced.
    pub(super) fn strike(&mut self) {
        for (keeper, attempt) in &mut self.attempts {
            if attempt.guard == Guard::Fenced && !attempt.over {
                attempt.guard = Guard::Struck;
                kill_tree(*keeper, attempt);
            }
        }
    }

    /// A keeper was stopped: it would neither hear its leader's end nor prove anything.
    pub(super) fn wake(&mut self, keeper: Pid) {
        let Some(attempt) = self.attempts.get_mut(&keeper) else { return };
        attempt.wakes = attempt.wakes.saturating_add(1);
        send_to_child(keeper, if attempt.wakes > WAKES_MAX { libc::SIGKILL } else { libc::SIGCONT });
    }
}

fn kill_tree(keeper: Pid, attempt: &Attempt) {
    send_to_child(keeper, KILL_TREE);
    send_to_child(keeper, libc::SIGCONT); // a stopped keeper kills nothing
    // Told first, the keeper knows what its leader died of. And whatever it is at, its tree is dead by this.
    if let Some(leaf) = &attempt.leaf {
        let _ = leaf.kill();
    }
}
