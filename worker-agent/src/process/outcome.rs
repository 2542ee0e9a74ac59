//! How a process, and the tree below it, ended.

use std::time::Duration;

/// What became of the leader, the process that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaderEnd {
    /// It ended and was reaped by its keeper.
    Exited(ExitInfo),
    /// How it ended will not be known: its keeper or the warden died under it, or the kernel would not let it go in time.
    Lost,
}

impl LeaderEnd {
    /// Whether it called exit, with whatever code.
    pub(crate) fn is_exit(self) -> bool {
        matches!(self, Self::Exited(ExitInfo { status: ExitKind::Code(_), .. }))
    }
}

/// The leader's own end, as the kernel told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitInfo {
    /// Exit code or signal.
    pub status: ExitKind,
    /// CPU time in user mode, of the leader and of those children it waited for.
    pub user_time: Duration,
    /// CPU time in the kernel, of the same.
    pub system_time: Duration,
    /// Largest resident set in bytes. Never below the keeper's own (about 2 MB): the kernel counts what was there before exec.
    pub max_rss_bytes: u64,
    /// From fork to reaping, on the monotonic clock.
    pub wall_time: Duration,
}

/// How the leader left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitKind {
    /// It called exit.
    Code(i32),
    /// A signal ended it.
    Signal {
        /// Its number.
        signo: i32,
        /// Whether the kernel wrote a core dump.
        core_dumped: bool,
    },
}

/// Why a tree is believed to be empty, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The kernel says that its control group is empty, and so does its keeper where that lived.
    Cgroup,
    /// Its keeper, parent of every orphan of the tree, was told by the kernel that it has no child left (ECHILD).
    Keeper,
    /// The keeper was gone; its heir (the warden, or the agent) killed every stranger among its children until none was left.
    Swept,
    /// No proof within the proof timeout. The killing goes on.
    None,
}

/// The end of the whole tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeEnd {
    /// How sure that is.
    pub proof: Proof,
}
