//! What the handles and the task beside them have in common.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::watch;

use super::link::Link;
use super::table::Table;
use crate::containment::Containment;
use crate::counters::Counters;

/// Settings of the warden; the same for every attempt.
#[derive(Debug, Clone)]
pub struct WardenOptions {
    /// The executable that plays [`warden::ROLE`](crate::warden::ROLE). Default: our own, pinned as /proc/self/exe, so that an
    /// upgrade on disk changes nothing under a running agent.
    pub executable: PathBuf,
    /// From fork to exec, at most. A hung mount under cwd or program is what takes that long. Default 10 s.
    pub start_timeout: Duration,
    /// What the rest of a tree gets after its leader's end before it is killed. Default 2 s: time to flush, not to linger.
    pub survivors_grace: Duration,
    /// From a kill to [`Proof::None`](super::Proof::None). Default 10 s: longer is a process the kernel cannot end.
    pub proof_timeout: Duration,
    /// An open, locked file that the warden and every keeper hold as well: the lock is free again only when the last tree
    /// is gone, which may be after this process.
    pub lock: Option<Arc<OwnedFd>>,
    /// Reap every child but the warden, for a process that starts none itself and may inherit those of others, as PID 1 does.
    /// Default: no, so that whoever starts children can wait for them.
    pub adopts: bool,
    /// What holds trees beside their keepers. Default: nothing.
    pub containment: Containment,
    /// Where starts, their failures, later wardens and what is reaped of others are counted.
    pub counters: Counters,
}

impl Default for WardenOptions {
    fn default() -> Self {
        Self {
            executable: "/proc/self/exe".into(),
            start_timeout: Duration::from_secs(10),
            survivors_grace: Duration::from_secs(2),
            proof_timeout: Duration::from_secs(10),
            lock: None,
            adopts: false,
            containment: Containment::Keeper,
            counters: Counters::default(),
        }
    }
}

/// What handles and the task have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: WardenOptions,
    pub(super) table: Table,
    /// None while one warden is dead and the next is not there yet.
    pub(super) link: watch::Sender<Option<Arc<Link>>>,
    pub(super) stage: watch::Sender<Life>,
    /// How long the lease runs, as the last warden was told and the next one will be; 0 where there was none yet.
    pub(super) lease: AtomicU64,
}

/// The life of the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum Life {
    Running,
    Stopping,
    Over,
}
