//! What a caller holds of a running attempt: a leash to kill it by, and the news of its end.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Pid;
use tokio::sync::watch;

use super::{LeaderEnd, Proof, TreeEnd};
use crate::containment::{Hold, Members, Tree};
use crate::sys::signal;
use crate::warden::{KILL_TREE, signal_tree};

/// How far an attempt has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Progress {
    pub(super) leader: Option<LeaderEnd>,
    pub(super) tree: Option<Proof>,
    /// The warden killed it, because the lease ran out.
    pub(super) fenced: bool,
    /// The kernel killed in it for want of memory.
    pub(super) oom_killed: bool,
}

impl Progress {
    fn is_proven(&self) -> bool {
        self.tree.is_some_and(|proof| proof != Proof::None)
    }
}

/// An attempt's keeper by its pidfd, which names that process and no other, however numbers are reused.
#[derive(Debug)]
pub(super) struct Keeper {
    pidfd: OwnedFd,
    /// What holds its tree beside it.
    leaf: Option<Arc<Hold>>,
    kill_asked: AtomicBool,
}

impl Keeper {
    pub(super) fn new(pidfd: OwnedFd, leaf: Option<Arc<Hold>>) -> Self {
        Self { pidfd, leaf, kill_asked: AtomicBool::new(false) }
    }

    /// Tells the keeper to kill its tree, and where a control group holds that, kills it; nothing happens when it is gone.
    pub(super) fn kill(&self) {
        self.kill_asked.store(true, Ordering::Relaxed);
        // ESRCH: its tree is proven empty, or its heir is at work already.
        let _ = signal::send(self.pidfd.as_fd(), KILL_TREE);
        // A job can stop its keeper (same user); a stopped keeper obeys nobody.
        let _ = signal::send(self.pidfd.as_fd(), libc::SIGCONT);
        // After the keeper has the word, so that it takes nothing that ends now for a leader's own end with survivors.
        if let Some(leaf) = &self.leaf {
            leaf.kill();
        }
    }

    pub(super) fn kill_asked(&self) -> bool {
        self.kill_asked.load(Ordering::Relaxed)
    }

    /// Ends the keeper itself: its leader dies with it, and the warden inherits and sweeps the rest.
    pub(super) fn kill_hard(&self) {
        let _ = signal::send(self.pidfd.as_fd(), libc::SIGKILL);
    }

    /// Its number, while it is not reaped; asked by pidfd, so never that of another.
    fn pid(&self) -> Option<Pid> {
        signal::pid_of(self.pidfd.as_fd())
    }

    fn signal(&self, signo: i32) {
        let _ = signal::queue(self.pidfd.as_fd(), signal_tree(), signo);
    }
}

/// Kills the attempt when nobody is left who could: a dropped attempt must not run on unwatched.
#[derive(Debug)]
struct Leash {
    keeper: Arc<Keeper>,
    progress: watch::Receiver<Progress>,
}

impl Drop for Leash {
    fn drop(&mut self) {
        if !self.progress.borrow().is_proven() {
            self.keeper.kill();
        }
    }
}

/// Signals and kills an attempt's tree, through its keeper, whether or not the warden lives.
#[derive(Debug, Clone)]
pub struct Control(Arc<Leash>);

impl Control {
    /// Signals every process of the tree: the leader's group, and what has left it. Nothing happens after the end.
    pub fn signal(&self, signo: i32) {
        self.0.keeper.signal(signo);
    }

    /// Kills the tree. [`Events::tree_end`] tells when it is gone.
    pub fn kill(&self) {
        self.0.keeper.kill();
    }

    /// Whether the kernel keeps its memory limit; where not, somebody has to look.
    #[must_use]
    pub fn limits_memory(&self) -> bool {
        self.0.keeper.leaf.as_ref().is_some_and(|leaf| leaf.limits_memory())
    }

    /// The tree, for a [`Sampler`](crate::containment::Sampler) to watch; it keeps nothing alive.
    #[must_use]
    pub fn tree(&self) -> Tree {
        let keeper = Arc::downgrade(&self.0.keeper);
        Tree::new(move || {
            let keeper = keeper.upgrade()?;
            match keeper.leaf.as_ref().and_then(|leaf| leaf.pids()) {
                Some(pids) => Some(Members::These(pids)),
                None => keeper.pid().map(Members::Below),
            }
        })
    }
}

/// News of the end. Each can be awaited again, and cancelled without loss.
#[derive(Debug, Clone)]
pub struct Events {
    progress: watch::Receiver<Progress>,
    /// Held only to be dropped: whoever waits for the end has not abandoned the attempt.
    _leash: Arc<Leash>,
}

impl Events {
    /// The leader's end; its tree may live on for the survivors' grace.
    pub async fn leader_exit(&mut self) -> LeaderEnd {
        let ended = self.progress.wait_for(|progress| progress.leader.is_some()).await;
        // No sender: the warden's task is gone, and the warden with it.
        ended.ok().and_then(|progress| progress.leader).unwrap_or(LeaderEnd::Lost)
    }

    /// Whether the warden killed it because the lease ran out. Known with the leader's end.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.progress.borrow().fenced
    }

    /// Whether the kernel killed in the tree because that had reached its memory limit, by the word of its control group. Known with
    /// the end of the tree.
    #[must_use]
    pub fn is_oom_killed(&self) -> bool {
        self.progress.borrow().oom_killed
    }

    /// The end of the whole tree, or with [`Proof::None`] the news that it is overdue. Comes after [`Self::leader_exit`].
    pub async fn tree_end(&mut self) -> TreeEnd {
        let ended = self.progress.wait_for(|progress| progress.tree.is_some()).await;
        TreeEnd { proof: ended.ok().and_then(|progress| progress.tree).unwrap_or(Proof::None) }
    }

    /// Waits for real proof, however long it takes; [`Proof::None`] only when the warden's task ends first.
    pub async fn proven(&mut self) -> Proof {
        self.progress.wait_for(Progress::is_proven).await.ok().and_then(|progress| progress.tree).unwrap_or(Proof::None)
    }
}

/// The two halves of a caller's hold on an attempt.
pub(super) fn hold(keeper: Arc<Keeper>, progress: watch::Receiver<Progress>) -> (Control, Events) {
    let leash = Arc::new(Leash { keeper, progress: progress.clone() });
    (Control(Arc::clone(&leash)), Events { progress, _leash: leash })
}
