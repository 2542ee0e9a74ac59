//! Finding and killing everything below a process, by /proc: kernels built without `CONFIG_PROC_CHILDREN` offer no other way.
//!
//! A scan is a list of hearsay: by the time it is read, numbers may belong to others. So a process is signalled only through
//! a pidfd, and only if /proc, asked again *after* the pidfd was opened, still describes the process that was seen.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::os::fd::AsFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::sys;

/// Rounds of "stop what is new, look again" before killing regardless: a fork bomb that outruns this many is killed in
/// slices, and the caller comes back until none is left.
const STOP_ROUNDS_MAX: usize = 32;

/// A process as /proc/PID/stat described it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) pid: Pid,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    /// Pages it has in memory, those it shares with others included; none once it is a zombie.
    pub(crate) resident_pages: u64,
    /// Clock ticks after boot: with the pid, who it is.
    started: u64,
}

impl Seen {
    pub(crate) fn read(pid: Pid, buffer: &mut Vec<u8>) -> Option<Self> {
        buffer.clear();
        let path = format!("/proc/{}/stat", pid.as_raw_pid());
        std::fs::File::open(path).ok()?.read_to_end(buffer).ok()?;
        Self::parse(pid, buffer)
    }

    fn parse(pid: Pid, stat: &[u8]) -> Option<Self> {
        // `pid (name) state ppid pgrp …`: the name may hold anything, parentheses and spaces included.
        let after_name = stat.iter().rposition(|byte| *byte == b')')? + 2;
        let mut fields = std::str::from_utf8(stat.get(after_name..)?).ok()?.split(' ');
        // The state says too little: a process whose first thread has left shows as a zombie while the others run on.
        let parent = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let started = fields.nth(16)?.parse().ok()?;
        let resident_pages = fields.nth(1)?.parse().ok()?;
        Some(Self { pid, parent, group, resident_pages, started })
    }

    /// Signals this process, unless it is no longer the one that was seen.
    pub(crate) fn signal(&self, signo: i32) {
        let Ok(pidfd) = pidfd_open(self.pid, PidfdFlags::empty()) else {
            return;
        };
        let still = Self::read(self.pid, &mut Vec::new());
        // Its parent may have changed (an orphan is adopted); the number with the start time is who it is.
        if still.is_some_and(|still| still.started == self.started && still.group == self.group) {
            // Gone since: that is what was wanted, or it needs no signal any more.
            let _ = sys::signal::send(pidfd.as_fd(), signo);
        }
    }
}

/// All processes at about one moment.
#[derive(Debug)]
pub(crate) struct Snapshot(Vec<Seen>);

impl Snapshot {
    pub(crate) fn take() -> io::Result<Self> {
        let mut buffer = Vec::with_capacity(512);
        let pids = std::fs::read_dir("/proc")?.filter_map(|entry| {
            let name = entry.ok()?.file_name();
            Pid::from_raw(name.to_str()?.parse().ok()?)
        });
        Ok(Self(pids.filter_map(|pid| Seen::read(pid, &mut buffer)).collect()))
    }

    pub(crate) fn all(&self) -> &[Seen] {
        &self.0
    }

    /// Those of these numbers.
    pub(crate) fn these(&self, pids: &[i32]) -> Vec<Seen> {
        let pids: HashSet<_> = pids.iter().collect();
        self.0.iter().filter(|seen| pids.contains(&seen.pid.as_raw_pid())).copied().collect()
    }

    /// Children of `root`, zombies included, but those in `spared`.
    pub(crate) fn children(&self, root: Pid, spared: &HashSet<Pid>) -> Vec<Seen> {
        let is_child = |seen: &&Seen| seen.parent == root.as_raw_pid() && !spared.contains(&seen.pid);
        self.0.iter().filter(is_child).copied().collect()
    }

    /// Everything below `root`, zombies included; a process in `spared` and what is below it are left out.
    pub(crate) fn below(&self, root: Pid, spared: &HashSet<Pid>) -> Vec<Seen> {
        let mut children: HashMap<i32, Vec<&Seen>> = HashMap::new();
        for seen in &self.0 {
            children.entry(seen.parent).or_default().push(seen);
        }
        let mut found = Vec::new();
        let mut queue = vec![(root, 0)];
        while let Some((parent, parent_started)) = queue.pop() {
            for seen in children.get(&parent.as_raw_pid()).into_iter().flatten() {
                // A parent younger than its child is another process with a reused number.
                if seen.started >= parent_started && !spared.contains(&seen.pid) {
                    found.push(**seen);
                    queue.push((seen.pid, seen.started));
                }
            }
        }
        found
    }
}

/// Kills everything below `root` that one look can find. Stopping first, until a look finds nothing that runs, keeps
/// processes from forking away from under the kill. Returns without waiting for the deaths: call again while any is left.
pub(crate) fn kill_below(root: Pid, spared: &HashSet<Pid>) -> io::Result<()> {
    let mut stopped = HashSet::new();
    for _ in 0..STOP_ROUNDS_MAX {
        let found = Snapshot::take()?.below(root, spared);
        let fresh: Vec<_> = found.iter().filter(|seen| stopped.insert((seen.pid, seen.started))).collect();
        if fresh.is_empty() {
            found.iter().for_each(|seen| seen.signal(libc::SIGKILL));
            return Ok(());
        }
        fresh.into_iter().for_each(|seen| seen.signal(libc::SIGSTOP));
    }
    let found = Snapshot::take()?.below(root, spared);
    found.iter().for_each(|seen| seen.signal(libc::SIGKILL));
    Ok(())
}

/// Whether a sweep has more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Swept {
    Clean,
    Busy,
}

/// One round of killing and reaping every child of this process, and all below, but those in `spared`.
///
/// `Clean` is proof, though a scan is not atomic: a process below us that could still fork has an ancestor that is our child;
/// that child cannot vanish while we look, because only we reap it, and what stays through a whole look is seen.
pub(crate) fn sweep(spared: &HashSet<Pid>) -> io::Result<Swept> {
    let me = rustix::process::getpid();
    let children = Snapshot::take()?.children(me, spared);
    if children.is_empty() {
        return Ok(Swept::Clean);
    }
    let reaped = children.iter().filter(|child| sys::wait::reap_one(child.pid)).count();
    if reaped < children.len() {
        kill_below(me, spared)?;
    }
    Ok(Swept::Busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pid: i32, parent: i32, started: u64) -> Seen {
        Seen { pid: Pid::from_raw(pid).unwrap(), parent, group: 1, resident_pages: 0, started }
    }

    fn pids(found: &[Seen]) -> Vec<i32> {
        let mut pids: Vec<_> = found.iter().map(|seen| seen.pid.as_raw_pid()).collect();
        pids.sort_unstable();
        pids
    }

    #[test]
    fn a_name_full_of_parentheses_and_spaces_does_not_shift_the_fields() {
        let pid = Pid::from_raw(42).unwrap();
        let stat =
            b"42 (a) R 1 (b) S 7 8 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 1000 200 18446744073709551615\n";
        let expected = Seen { pid, parent: 7, group: 8, resident_pages: 200, started: 4711 };
        assert_eq!(Seen::parse(pid, stat), Some(expected));
        assert_eq!(Seen::parse(pid, b"42 (cut"), None);
        assert_eq!(Seen::parse(pid, b"42 (cut)"), None);
    }

    #[test]
    fn the_tree_below_is_found_without_spared_branches_and_strangers() {
        let list = [(10, 1, 5), (11, 10, 5), (12, 11, 6), (20, 1, 5), (13, 10, 6), (15, 13, 7)];
        let snapshot = Snapshot(list.map(|(pid, parent, started)| seen(pid, parent, started)).to_vec());
        let root = Pid::from_raw(10).unwrap();
        assert_eq!(pids(&snapshot.below(root, &HashSet::new())), [11, 12, 13, 15]);
        let spared = HashSet::from([Pid::from_raw(13).unwrap()]);
        assert_eq!(pids(&snapshot.below(root, &spared)), [11, 12]);
        assert_eq!(pids(&snapshot.children(root, &spared)), [11]);
    }

    #[test]
    fn a_parent_younger_than_its_child_is_not_its_parent() {
        let snapshot = Snapshot(vec![seen(11, 10, 50), seen(12, 11, 40)]);
        assert_eq!(pids(&snapshot.below(Pid::from_raw(10).unwrap(), &HashSet::new())), [11]);
    }
}
