//! Attempts whose keeper died before its last word: the warden has inherited their trees, sweeps, and says it for them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::tree::{Swept, sweep};
use super::wire::{Report, Ticket};
use crate::containment::group::Group;
use crate::process::{Proof, SpawnError, Stage};

/// Pause between two rounds of a sweep.
const SWEEP_AGAIN: Duration = Duration::from_millis(10);

/// One of them.
#[derive(Debug)]
struct Orphan {
    ticket: Ticket,
    started: bool,
    /// What holds its tree, beside what our children are.
    leaf: Option<Group>,
    /// When to say that there is no proof yet; None once that was said.
    overdue: Option<Instant>,
}

/// All of them. Their processes cannot be told apart any more, so they are proven gone together.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    waiting: Vec<Orphan>,
    sweep_at: Option<Instant>,
}

impl Orphans {
    pub(super) fn add(&mut self, ticket: Ticket, started: bool, leaf: Option<Group>, overdue: Instant) {
        self.waiting.push(Orphan { ticket, started, leaf, overdue: Some(overdue) });
        self.begin_sweep();
    }

    pub(super) fn begin_sweep(&mut self) {
        self.sweep_at.get_or_insert_with(Instant::now);
    }

    /// No sweep is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.sweep_at.is_none()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().filter_map(|orphan| orphan.overdue).chain(self.sweep_at).min()
    }

    /// Does what is due and gives what is to be told by it. `keepers` and what is below them are left alone.
    pub(super) fn turn(&mut self, now: Instant, keepers: &HashSet<Pid>) -> Vec<(Ticket, Report)> {
        if self.sweep_at.is_some_and(|at| at <= now) {
            self.sweep_at = Some(now + SWEEP_AGAIN);
            self.waiting.iter().for_each(Orphan::kill);
            if sweep(keepers).is_ok_and(|swept| swept == Swept::Clean) {
                return self.proven();
            }
        }
        let late = self.waiting.iter_mut().filter(|orphan| orphan.overdue.is_some_and(|overdue| overdue <= now));
        late.map(Orphan::late_word).collect()
    }
}

impl Orphans {
    /// Last words on those that nothing is left of: in a control group may be what is no child of ours.
    fn proven(&mut self) -> Vec<(Ticket, Report)> {
        let (gone, left) = std::mem::take(&mut self.waiting).into_iter().partition(|orphan| !orphan.is_populated());
        self.waiting = left;
        if self.waiting.is_empty() {
            self.sweep_at = None;
        }
        let gone: Vec<Orphan> = gone;
        gone.iter().map(|orphan| orphan.word(orphan.proof())).collect()
    }
}

impl Orphan {
    fn kill(&self) {
        if let Some(leaf) = &self.leaf {
            let _ = leaf.kill(); // for want of a descriptor: the sweep does it too
        }
    }

    fn is_populated(&self) -> bool {
        self.leaf.as_ref().is_some_and(|leaf| leaf.is_populated().unwrap_or(true))
    }

    fn proof(&self) -> Proof {
        if self.leaf.is_some() { Proof::Cgroup } else { Proof::Swept }
    }

    /// Said once; the sweep goes on.
    fn late_word(&mut self) -> (Ticket, Report) {
        self.overdue = None;
        self.word(Proof::None)
    }

    fn word(&self, proof: Proof) -> (Ticket, Report) {
        let failed = SpawnError { stage: Stage::Warden, errno: libc::EOWNERDEAD, proof };
        (self.ticket, if self.started { Report::TreeEnded(proof) } else { Report::Failed(failed) })
    }
}
