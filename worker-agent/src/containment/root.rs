//! The agent's part of the hierarchy: made at its start, swept of what a former life left in it, removed when it leaves.
//!
//! ```text
//!  base                      our own group at the start, or --cgroup-root
//!  └─ windlass-AGENT         locked while its agent lives
//!     ├─ supervisor          agent, warden and keepers: killing a leaf kills no keeper, which then says how the leader ended
//!     ├─ leaf-1              one tree each
//!     └─ leaf-2
//! ```
//! Processes are in leaves only: version 2 hands controllers on to groups below none but an empty one.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FlockOperation;

use super::Swept;
use super::group::{Group, KILL, PROCS, look};
use super::limits::Controllers;

const GROUP: &str = "windlass-";
const SUPERVISOR: &str = "supervisor";
pub(super) const LEAF: &str = "leaf-";
const HANDED_ON: &str = "cgroup.subtree_control";

/// Times a directory is made anew that somebody who tidies up removed between its making and its lock.
const TRIES: u32 = 16;
/// Directories of dead agents removed at a start: what ephemeral ones leave that were killed. More can wait for the next.
const TIDIED_MAX: usize = 64;
/// Time between two tries of what the kernel is not through with.
const AGAIN: Duration = Duration::from_millis(5);
/// Time for the kernel to let go of a group whose last process has gone.
const BUSY_MAX: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub(super) struct Root {
    base: Group,
    name: String,
    pub(super) group: Group,
    /// Where we were before, to go back to.
    home: PathBuf,
    pub(super) offered: Controllers,
    /// Those of the base that we handed on.
    handed_on: Vec<&'static str>,
}

impl Root {
    /// Makes the agent's groups and moves this process into one of them. `home` is where it is now.
    ///
    /// # Errors
    /// What the kernel says, with what was tried.
    pub(super) fn enter(base: &Path, home: &Path, agent: &str) -> Result<Self, (String, io::Error)> {
        let failed = |what: &str| {
            let what = format!("{what} in {}", base.display());
            move |error| (what, error)
        };
        let name = format!("{GROUP}{agent}");
        let base_group = Group::open(base).map_err(failed("cannot look for groups"))?;
        let group = claim(&base_group, &name).map_err(failed("cannot make a group"))?;
        // A new one: a former life's may have been killed as a whole, and what is cloned from it would die of that. See `leaves`.
        let _ = group.remove(SUPERVISOR);
        let supervisor = child(&group, SUPERVISOR).map_err(failed("cannot make a group"))?;
        if !supervisor.has(KILL) {
            return Err((format!("no {KILL} in {}", base.display()), io::Error::from_raw_os_error(libc::ENOSYS)));
        }
        supervisor.write(PROCS, "0").map_err(failed("cannot move the agent to a group"))?;
        let (base, home) = (base_group, home.to_owned());
        let mut root = Self { base, name, group, home, offered: Controllers::default(), handed_on: Vec::new() };
        root.hand_on();
        root.tidy();
        Ok(root)
    }

    /// Takes the controllers there are. One that cannot be had, because others run in the base, limits nothing and hurts nothing.
    fn hand_on(&mut self) {
        let before = Controllers::parse(&self.base.read(HANDED_ON).unwrap_or_default());
        for name in Controllers::NAMES {
            let had = Controllers::parse(name).all_in(&before);
            if self.base.write(HANDED_ON, &format!("+{name}")).is_ok() && !had {
                self.handed_on.push(name);
            }
            // Not there, or refused: the next line finds it missing.
            let _ = self.group.write(HANDED_ON, &format!("+{name}"));
        }
        self.offered = Controllers::parse(&self.group.read(HANDED_ON).unwrap_or_default());
    }

    /// Kills all that a former life left in its leaves and removes them, waiting for at most `patience`. Blocks.
    ///
    /// # Errors
    /// Where leaves cannot be listed.
    pub(super) fn sweep(&self, patience: Duration) -> io::Result<Swept> {
        let until = Instant::now() + patience;
        let left: Vec<_> = self.group.children()?.into_iter().filter(|name| name.starts_with(LEAF)).collect();
        let leaves: Vec<_> = left.iter().filter_map(|name| Some((name, self.group.child(name).ok()?))).collect();
        let (mut populated, mut killed) = (0, 0);
        for (_, leaf) in &leaves {
            populated += u32::from(leaf.is_populated().unwrap_or(true));
            killed += leaf.processes();
            // All of them before the first is waited for. One without that file is no leaf of ours, or the wait says so.
            let _ = leaf.kill();
        }
        let stuck = leaves.iter().filter(|(name, leaf)| !(is_empty_by(leaf, until) && self.remove(name))).count();
        if populated > 0 {
            tracing::warn!(leaves = populated, killed, stuck, "a former life left processes in control groups: killed");
        }
        Ok(Swept { stuck: u32::try_from(stuck).unwrap_or(u32::MAX), killed })
    }

    fn remove(&self, name: &str) -> bool {
        persist(|| self.group.remove(name)).is_ok()
    }

    /// Removes what dead agents beside us left, as far as nothing runs in it.
    fn tidy(&self) {
        let names = self.base.children().unwrap_or_default();
        let others = names.into_iter().filter(|name| name.starts_with(GROUP) && *name != self.name);
        for name in others.take(TIDIED_MAX) {
            let Ok(group) = self.base.child(&name) else { continue };
            // Whoever has the lock lives, and may be about to fill it.
            let free = rustix::fs::flock(&group, FlockOperation::NonBlockingLockExclusive).is_ok();
            if free && group.is_populated().is_ok_and(|populated| !populated) {
                let children = group.children().unwrap_or_default();
                // What cannot be removed stays for the next.
                let _ =
                    children.iter().try_for_each(|child| group.remove(child)).and_then(|()| self.base.remove(&name));
            }
        }
    }

    /// Goes back to where it was, and removes what it made. What is not empty stays for the next life.
    pub(super) fn leave(&self) {
        for name in Controllers::NAMES {
            let _ = self.group.write(HANDED_ON, &format!("-{name}"));
        }
        for name in &self.handed_on {
            let _ = self.base.write(HANDED_ON, &format!("-{name}"));
        }
        let home = Group::open(&self.home).and_then(|home| home.write(PROCS, "0"));
        let gone = home.and_then(|()| {
            let children = self.group.children()?;
            children.iter().try_for_each(|name| persist(|| self.group.remove(name)))?;
            persist(|| self.base.remove(&self.name))
        });
        if let Err(error) = gone {
            tracing::debug!(%error, group = self.name, "control groups stay for the next life");
        }
    }
}

impl Controllers {
    fn all_in(self, other: &Self) -> bool {
        (!self.memory || other.memory) && (!self.pids || other.pids) && (!self.cpu || other.cpu)
    }
}

/// The agent's group, locked: made where there is none.
fn claim(base: &Group, name: &str) -> io::Result<Group> {
    for _ in 0..TRIES {
        let group = child(base, name)?;
        // Somebody who tidies has it for a moment. A former agent cannot: it has the data directory, or none.
        persist(|| Ok(rustix::fs::flock(&group, FlockOperation::NonBlockingLockExclusive)?))?;
        // Whoever tidied had the lock before us, and may have removed what we hold.
        if group.has(PROCS) {
            return Ok(group);
        }
    }
    Err(io::Error::from_raw_os_error(libc::EBUSY))
}

fn child(group: &Group, name: &str) -> io::Result<Group> {
    match group.make(name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => group.child(name),
        made => made,
    }
}

/// Waits until nothing lives in it; whether that came in time.
fn is_empty_by(leaf: &Group, until: Instant) -> bool {
    let Ok(events) = leaf.events() else { return leaf.is_populated().is_ok_and(|populated| !populated) };
    while look(&events).unwrap_or(true) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        wait_for_change(&events, left);
    }
    true
}

fn wait_for_change(events: &OwnedFd, at_most: Duration) {
    let timeout = Timespec::try_from(at_most).ok();
    // However it ends, the next look tells.
    let _ = rustix::event::poll(&mut [PollFd::new(events, PollFlags::PRI)], timeout.as_ref());
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::WouldBlock)
}

/// Tries again while the kernel, or another's lock, says "not now".
fn persist(mut action: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let until = Instant::now() + BUSY_MAX;
    loop {
        match action() {
            Err(error) if is_passing(&error) && Instant::now() < until => {
                std::thread::park_timeout(AGAIN);
            }
            done => return done,
        }
    }
}
