//! The leaves: one for each tree, used again by the next once it is proven empty, because making and removing one costs more than
//! a fork.
//!
//! ```text
//!            hold            given back, empty, never killed
//!  free ───────────► held ────────────────────────────────────► free
//!                      │ empty                   somebody in it
//!                      ├──────► removed ◄── empty ── unproven: killed again, each time somebody tends
//!                      └─────────────────────────────►┘
//! ```
//! One that was killed is never used again: since Linux 6.14 a process that is cloned into a group shares the fate of its last kill,
//! however long ago that was, unless its parent's group was killed as often ("cgroup: fix race between fork and cgroup.kill").

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::group::{Group, PROCS, field};
use super::limits::{Controllers, Limits, change};

/// Empty leaves kept for later: enough for a burst of short jobs. Each costs the kernel some tens of kilobytes.
const FREE_MAX: usize = 256;
/// What may be charged to a leaf that is used again: pages of files that a former tree read or left in memory. Beyond it, the next one's
/// limit would be used up by somebody else.
const CHARGED_BYTES_MAX: u64 = 16 << 20;
/// Names tried for a new leaf. Taken ones are those of a former life that cannot be removed yet.
const NAMES_TRIED_MAX: u32 = 1_024;

/// What makes and removes leaves: the kernel, or a test that plays it.
pub(super) trait Nursery: Send + Sync + std::fmt::Debug {
    fn make(&self, name: &str) -> io::Result<Group>;
    fn remove(&self, name: &str) -> io::Result<()>;
}

impl Nursery for Group {
    fn make(&self, name: &str) -> io::Result<Group> {
        Self::make(self, name)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Self::remove(self, name)
    }
}

/// All leaves of an agent.
#[derive(Debug)]
pub(crate) struct Leaves {
    nursery: Box<dyn Nursery>,
    offered: Controllers,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    free: Vec<Leaf>,
    /// Dropped with somebody in them.
    unproven: Vec<Leaf>,
    /// To be removed, which the kernel did not do at once.
    doomed: Vec<String>,
}

#[derive(Debug)]
struct Leaf {
    group: Group,
    name: String,
    limits: Limits,
    /// Somebody wrote to its `cgroup.kill`, or may have.
    killed: bool,
    /// Kills by the kernel for want of memory, before the tree that has it now.
    oom_kills: u64,
}

impl Leaves {
    pub(super) fn new(nursery: impl Nursery + 'static, offered: Controllers) -> Self {
        Self { nursery: Box::new(nursery), offered, state: Mutex::default() }
    }

    /// Whether the kernel itself keeps memory limits here.
    pub(crate) fn limits_memory(&self) -> bool {
        self.offered.memory
    }

    /// An empty leaf with these limits.
    ///
    /// # Errors
    /// What the kernel says to a new directory, or to a limit.
    pub(crate) fn hold(self: &Arc<Self>, limits: &Limits) -> io::Result<Hold> {
        let mut leaf = match self.pop() {
            Some(leaf) => leaf,
            None => self.make()?,
        };
        if let Err(error) = change(&leaf.group, self.offered, &leaf.limits, limits) {
            // What it has now is not known.
            self.discard(leaf);
            return Err(error);
        }
        leaf.limits = *limits;
        leaf.oom_kills = self.oom_kills(&leaf);
        Ok(Hold { leaves: Arc::clone(self), leaf: Mutex::new(Some(leaf)) })
    }

    /// A free one that is still there: it may have been tidied away by somebody.
    fn pop(&self) -> Option<Leaf> {
        let free = &mut self.lock().free;
        std::iter::from_fn(|| free.pop()).find(|leaf| leaf.group.has(PROCS))
    }

    fn make(&self) -> io::Result<Leaf> {
        for _ in 0..NAMES_TRIED_MAX {
            let name = {
                let mut state = self.lock();
                state.next += 1;
                format!("{}{}", super::root::LEAF, state.next)
            };
            match self.nursery.make(&name) {
                Ok(group) => return Ok(Leaf { group, name, limits: Limits::default(), killed: false, oom_kills: 0 }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Takes a leaf back. Whether it is empty is asked here and nowhere else: one that is given away twice would be two trees'.
    fn take_back(&self, mut leaf: Leaf) {
        match leaf.group.is_populated() {
            Ok(false) if self.is_as_new(&leaf) && self.lock().free.len() < FREE_MAX => self.lock().free.push(leaf),
            Ok(false) => self.discard(leaf),
            // Or it does not say, because there is no descriptor left to ask it by.
            Ok(true) | Err(_) => {
                leaf.killed = true;
                let _ = leaf.group.kill();
                self.lock().unproven.push(leaf);
            }
        }
    }

    fn is_as_new(&self, leaf: &Leaf) -> bool {
        let charged = || leaf.group.read("memory.current").ok()?.trim().parse().ok();
        let is_light = || !self.offered.memory || charged().is_some_and(|bytes: u64| bytes <= CHARGED_BYTES_MAX);
        !leaf.killed && !leaf.group.has_children() && is_light()
    }

    fn discard(&self, leaf: Leaf) {
        let Leaf { group, name, .. } = leaf;
        drop(group);
        self.remove(name);
    }

    fn remove(&self, name: String) {
        // EBUSY: its last process is not quite through yet.
        if self.nursery.remove(&name).is_err() {
            self.lock().doomed.push(name);
        }
    }

    /// Kills again what is left in leaves that were dropped, and removes those that would not go: to be called now and then.
    pub(crate) fn tend(&self) {
        let (unproven, doomed) = {
            let mut state = self.lock();
            (std::mem::take(&mut state.unproven), std::mem::take(&mut state.doomed))
        };
        unproven.into_iter().for_each(|leaf| self.take_back(leaf));
        doomed.into_iter().for_each(|name| self.remove(name));
    }

    /// Removes all that is empty; nothing is held any more.
    pub(super) fn remove_all(&self) {
        self.tend();
        let free = std::mem::take(&mut self.lock().free);
        free.into_iter().for_each(|leaf| self.discard(leaf));
    }

    fn oom_kills(&self, leaf: &Leaf) -> u64 {
        let events = || field(&leaf.group.read("memory.events").ok()?, "oom_kill");
        if self.offered.memory { events().unwrap_or(leaf.oom_kills) } else { 0 }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever holds the lock leaves the lists whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One tree's hold on its leaf. A leaf that was taken back may be another's already, so everything goes through the lock.
#[derive(Debug)]
pub(crate) struct Hold {
    leaves: Arc<Leaves>,
    leaf: Mutex<Option<Leaf>>,
}

impl Hold {
    /// The leaf itself, to start a tree in; None once it was taken back.
    pub(crate) fn group(&self) -> Option<Group> {
        self.lock().as_ref().map(|leaf| leaf.group.clone())
    }

    /// Kills the tree, without anybody's help.
    pub(crate) fn kill(&self) {
        if let Some(leaf) = &mut *self.lock() {
            leaf.killed = true;
            // It cannot fail but for want of a descriptor, or of memory; then the tree's keeper does it.
            let _ = leaf.group.kill();
        }
    }

    /// Whether it is known that something of the tree lives; also true where it cannot be asked.
    pub(crate) fn is_populated(&self) -> bool {
        self.lock().as_ref().is_some_and(|leaf| leaf.group.is_populated().unwrap_or(true))
    }

    /// Whether the kernel ended any of the tree for want of memory.
    pub(crate) fn oom_killed(&self) -> bool {
        self.lock().as_ref().is_some_and(|leaf| self.leaves.oom_kills(leaf) > leaf.oom_kills)
    }

    /// Whether the kernel keeps its memory limit.
    pub(crate) fn limits_memory(&self) -> bool {
        self.leaves.limits_memory()
    }

    /// Numbers of the processes in it.
    pub(crate) fn pids(&self) -> Option<Vec<i32>> {
        let text = self.group()?.read(PROCS).ok()?;
        Some(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Gives the leaf back: for another tree, where it is empty and nobody can have killed it.
    pub(crate) fn give_back(&self, never_killed: bool) {
        if let Some(mut leaf) = self.lock().take() {
            leaf.killed |= !never_killed;
            self.leaves.take_back(leaf);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Leaf>> {
        // There is a leaf in it, or there is not.
        self.leaf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.give_back(false);
    }
}
