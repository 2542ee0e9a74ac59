//! What holds a process tree, and what it may take.
//!
//! ```text
//!  Setting ─► Containment ── CGROUP: a leaf for each tree ─► kill = one write, proof = "populated 0", limits by the kernel
//!                         └─ KEEPER: the keeper alone
//! ```
//! The keeper is there in both: it says how the leader ended, and a process that left its leaf (root can) is still below it.
//!
//! - [`host`] what there is · [`root`] the agent's part of it · [`group`] one group · [`leaves`] those for trees, used again ·
//!   [`limits`] what the kernel is told.
//! - [`memory`] adds up what a tree has in memory · [`sampler`] does it every half second, for those who set a limit that no
//!   kernel keeps.
//!
//! Not here: what a job is, and what becomes of one that took too much.

pub(crate) mod group;
mod host;
mod leaves;
mod limits;
mod memory;
mod root;
mod sampler;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;

use host::Place;
pub(crate) use leaves::{Hold, Leaves};
pub use limits::Limits;
pub(crate) use memory::Members;
pub use memory::Tree;
use root::Root;
pub use sampler::{SAMPLE_EVERY, SAMPLE_OFTEN, Sampler, Watched};

/// What is to hold trees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// Control groups where they are ours to use, else keepers alone.
    #[default]
    Auto,
    /// Control groups, or no start.
    Cgroup,
    /// Keepers alone.
    Keeper,
}

/// How an agent is to contain what it runs.
#[derive(Debug, Clone, Default)]
pub struct Setting {
    /// What is to hold trees.
    pub choice: Choice,
    /// A group that is ours; none is the one we are in.
    pub root: Option<PathBuf>,
}

/// What holds trees here. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub enum Containment {
    /// A leaf of the hierarchy for each, beside its keeper.
    Cgroup(Cgroups),
    /// Its keeper.
    #[default]
    Keeper,
}

/// The agent's control groups.
#[derive(Debug, Clone)]
pub struct Cgroups {
    root: Arc<Root>,
    pub(crate) leaves: Arc<Leaves>,
    /// Whether a tree may run without a leaf where none can be had.
    pub(crate) optional: bool,
}

/// What came of a former life's groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Groups whose processes would not die.
    pub stuck: u32,
    /// Processes that were there to be killed, those of groups that a job made below its own aside.
    pub killed: u64,
}

/// Why control groups cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("control groups cannot be used: {problem}; {remedy}, or say --containment keeper")]
pub struct ContainmentError {
    problem: String,
    remedy: &'static str,
}

impl Containment {
    /// Decides, and where it decides for control groups, moves this process into one. Everything that a former life of `agent` left
    /// in its own is killed, for at most `patience`. Blocks.
    ///
    /// # Errors
    /// Where [`Choice::Cgroup`] cannot be had.
    pub fn start(setting: &Setting, agent: &str, patience: Duration) -> Result<(Self, Swept), ContainmentError> {
        let begun = match setting.choice {
            Choice::Keeper => return Ok((Self::Keeper, Swept::default())),
            Choice::Auto | Choice::Cgroup => Cgroups::start(setting, agent, patience),
        };
        match begun {
            Ok((cgroups, swept)) => Ok((Self::Cgroup(cgroups), swept)),
            Err(error) if setting.choice == Choice::Auto && setting.root.is_none() => {
                tracing::info!(why = error.problem, "no control groups here: keepers alone hold what runs");
                Ok((Self::Keeper, Swept::default()))
            }
            Err(error) => Err(error),
        }
    }

    /// Goes back to where the process was, and removes what was made for it. Nothing it ran is left.
    pub fn leave(&self) {
        if let Self::Cgroup(cgroups) = self {
            cgroups.leaves.remove_all();
            cgroups.root.leave();
        }
    }

    /// Whether the kernel itself keeps memory limits; where not, somebody has to look.
    #[must_use]
    pub fn limits_memory(&self) -> bool {
        matches!(self, Self::Cgroup(cgroups) if cgroups.leaves.limits_memory())
    }

    /// A leaf for a tree with these limits; none where keepers do.
    pub(crate) fn hold(&self, limits: &Limits) -> io::Result<Option<Hold>> {
        let Self::Cgroup(cgroups) = self else { return Ok(None) };
        match cgroups.leaves.hold(limits) {
            Ok(hold) => Ok(Some(hold)),
            Err(error) if cgroups.optional => {
                tracing::warn!(%error, "no control group for a process: its keeper alone holds it");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// To be called now and then: what would not die or go is tried again.
    pub(crate) fn tend(&self) {
        if let Self::Cgroup(cgroups) = self {
            cgroups.leaves.tend();
        }
    }
}

impl Cgroups {
    fn start(setting: &Setting, agent: &str, patience: Duration) -> Result<(Self, Swept), ContainmentError> {
        let place = Place::of_this_process();
        let home = place.as_ref().map(Place::own_path);
        let base = base(setting, place.as_ref(), agent)?;
        let refused = |(what, error): (String, io::Error)| ContainmentError {
            problem: format!("{what}: {error}"),
            remedy: "start the agent where groups are its own (systemd: Delegate=yes), name one by --cgroup-root",
        };
        let root = Root::enter(&base, home.as_deref().unwrap_or(&base), agent).map_err(refused)?;
        let swept = root.sweep(patience).map_err(|error| refused(("cannot list leaves".into(), error)))?;
        let offered = root.offered;
        tracing::info!(base = %base.display(), memory = offered.memory, pids = offered.pids, cpu = offered.cpu, "control groups hold what runs");
        let leaves = Arc::new(Leaves::new(root.group.clone(), offered));
        Ok((Self { root: Arc::new(root), leaves, optional: setting.choice == Choice::Auto }, swept))
    }
}

/// Where the agent's part begins.
fn base(setting: &Setting, place: Option<&Place>, agent: &str) -> Result<PathBuf, ContainmentError> {
    if let Some(root) = &setting.root {
        return if host::is_version_2(root) { Ok(root.clone()) } else { Err(no_group(root)) };
    }
    let Some(place) = place else {
        let problem = format!("version 2 is not mounted at {} or {0}/unified, or hides us", host::MOUNT);
        return Err(ContainmentError {
            problem,
            remedy: "mount it (mount -t cgroup2 none DIR) and name it by --cgroup-root",
        });
    };
    // A successor that was started by a job of ours, or from our own part: the leaf it is in is about to be swept.
    let part = format!("/windlass-{agent}");
    let own = match place.own.find(&part) {
        Some(0) => Place { own: "/".into(), ..place.clone() },
        Some(at) => Place { own: place.own[..at].into(), ..place.clone() },
        None => place.clone(),
    };
    if setting.choice == Choice::Cgroup || own.is_ours() {
        return Ok(own.own_path());
    }
    let problem = format!("the group {} was not left to us", own.own_path().display());
    Err(ContainmentError { problem, remedy: "let systemd do that (Delegate=yes), name one by --cgroup-root" })
}

fn no_group(path: &Path) -> ContainmentError {
    let problem = format!("--cgroup-root {} is no group of version 2", path.display());
    ContainmentError { problem, remedy: "name a directory of a cgroup2 mount" }
}

#[cfg(test)]
mod tests;
