//! What one tree may take, and how the kernel is told.

use std::io;

use super::group::Group;

/// What one tree may take. None: whatever there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory, swap excluded: a tree that reaches them is ended as a whole.
    pub memory_bytes: Option<u64>,
    /// Processes and threads at a time.
    pub pids: Option<u32>,
    /// Its share of processors where they are scarce, 1 to 10000; 100 is what everybody has.
    pub cpu_weight: Option<u16>,
}

/// Which limits the kernel keeps for us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Controllers {
    pub(crate) memory: bool,
    pub(crate) pids: bool,
    pub(crate) cpu: bool,
}

impl Controllers {
    /// Their names in `cgroup.controllers` and `cgroup.subtree_control`.
    pub(crate) const NAMES: [&'static str; 3] = ["memory", "pids", "cpu"];

    /// From the content of either file.
    pub(crate) fn parse(text: &str) -> Self {
        let has = |name| text.split_whitespace().any(|word| word == name);
        Self { memory: has("memory"), pids: has("pids"), cpu: has("cpu") }
    }
}

/// Tells the kernel of the difference between two limits, where it can be told at all.
pub(crate) fn change(group: &Group, offered: Controllers, from: &Limits, to: &Limits) -> io::Result<()> {
    if offered.memory && from.memory_bytes != to.memory_bytes {
        set_memory(group, to.memory_bytes)?;
    }
    if offered.pids && from.pids != to.pids {
        group.write("pids.max", &or_max(to.pids))?;
    }
    if offered.cpu && from.cpu_weight != to.cpu_weight {
        group.write("cpu.weight", &to.cpu_weight.unwrap_or(100).to_string())?;
    }
    Ok(())
}

fn set_memory(group: &Group, bytes: Option<u64>) -> io::Result<()> {
    // Slower at nine tenths, dead at the whole: what can give memory back gets the chance.
    group.write("memory.high", &or_max(bytes.map(|bytes| bytes / 10 * 9)))?;
    group.write("memory.max", &or_max(bytes))?;
    // Half a tree is worth nothing, and would leave no trace in the leader's end.
    group.write("memory.oom.group", "1")?;
    // Kernels without swap have no such file. With it, the limit would only move the tree to the disk.
    if group.has("memory.swap.max") {
        group.write("memory.swap.max", &bytes.map_or("max".into(), |_| "0".to_owned()))?;
    }
    Ok(())
}

fn or_max<T: ToString>(limit: Option<T>) -> String {
    limit.map_or_else(|| "max".into(), |limit| limit.to_string())
}
