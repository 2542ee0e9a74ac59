//! Children that nobody here started. As PID 1 of a container the agent inherits whatever its parent left behind, and a shell that ends
//! in `exec windlass-worker-agent` hands over those it had. Nobody else can reap them: unreaped, they fill the table of processes.

use std::collections::HashSet;

use rustix::process::Pid;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::debug;

use crate::counters::Counters;
use crate::sys::wait::{Reaped, ended_child, reap_any, reap_one};
use crate::warden::Snapshot;

/// What this process has of them.
#[derive(Debug)]
pub(super) struct Strangers {
    /// Tells of a child's end, where they are ours to reap.
    ends: Option<Signal>,
    adopted: bool,
    /// Those that were there before the first warden, and so are none of its own: a sweep leaves them alone.
    spared: HashSet<Pid>,
    reaped: u64,
    counters: Counters,
}

impl Strangers {
    /// Before the first warden is started. `adopted` says that every child but a warden is one of them.
    pub(super) fn new(adopted: bool, counters: Counters) -> Self {
        // Without it, the next look at what is silent finds them.
        let ends = if adopted { signal(SignalKind::child()).ok() } else { None };
        let me = rustix::process::getpid();
        let children = |seen: Snapshot| seen.children(me, &HashSet::new()).into_iter().map(|child| child.pid).collect();
        let spared = if adopted { Snapshot::take().map(children).unwrap_or_default() } else { HashSet::new() };
        Self { ends, adopted, spared, reaped: 0, counters }
    }

    /// Comes back when a child has ended, whosever.
    pub(super) async fn end(&mut self) {
        match &mut self.ends {
            Some(ends) => drop(ends.recv().await),
            None => std::future::pending().await,
        }
    }

    /// Reaps those that have ended. Up to the warden, whose own end is told by its socket.
    pub(super) fn reap(&mut self, warden: Pid) {
        while let Some(pid) = ended_child().filter(|pid| self.adopted && *pid != warden) {
            let name = std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_pid())).unwrap_or_default();
            reap_one(pid);
            self.forget(pid);
            self.counters.orphan_reaped();
            self.reaped += 1;
            debug!(
                pid = pid.as_raw_pid(),
                name = name.trim(),
                reaped = self.reaped,
                "reaped a process of somebody else"
            );
        }
    }

    /// Reaps whatever has ended, with this warden gone; whether the kernel says that this process has no child.
    pub(super) fn no_child_is_left(&mut self, warden: Pid) -> bool {
        loop {
            match reap_any() {
                Ok(Reaped::Child(pid, _)) => {
                    self.forget(pid);
                    if pid != warden {
                        self.counters.orphan_reaped();
                    }
                }
                Ok(Reaped::Stopped(_)) => {}
                Ok(Reaped::Empty) => return true,
                Ok(Reaped::Busy) | Err(_) => return false,
            }
        }
    }

    /// What a sweep leaves alone: those that are older than any warden, and the warden where there is one.
    pub(super) fn spared(&self, warden: Option<Pid>) -> HashSet<Pid> {
        self.spared.iter().copied().chain(warden).collect()
    }

    /// Its number may be anybody's from now on.
    fn forget(&mut self, pid: Pid) {
        self.spared.remove(&pid);
    }
}
