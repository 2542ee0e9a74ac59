//! Limits, as `[exec.limits]` and `[pool.limits]` spell them: of one process (setrlimit), and of its whole tree.

use serde::Deserialize;

use crate::containment::Limits;
use crate::process::{Limit, Resource};

/// Below what any program takes, a limit would be a mistaken unit.
const MEMORY_BYTES_MIN: u64 = 4 << 20;
/// Processes and threads: more than any build starts, and a fork bomb ends before the host's table is full (32768 on many).
const PIDS: u32 = 1024;
/// The kernel's own bound.
const CPU_WEIGHT_MAX: u16 = 10_000;

/// Resource limits (setrlimit), each for one process and not for its tree, none of them set unless said. Never above what the agent
/// has itself. And the first three, which are a whole tree's.
// No limit on processes and address space by default: the one counts the user's and not the job's, the other breaks what reserves
// much and uses little.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitOptions {
    /// Bytes of memory for all of a command's tree, at least 4 MiB; past it the tree is ended. The kernel keeps it where control
    /// groups can (--containment), exactly and at once; elsewhere the agent looks every half second, and counts what processes
    /// share once for each. Not for workers: a pool has its `memory_limit`.
    pub memory_bytes: Option<u64>,
    /// Processes and threads of all of a tree, at least 1. Only where control groups keep it. Absent: 1024.
    pub pids: Option<u32>,
    /// Its share of the processors where they are scarce, 1 to 10000, to be held against the 100 that everything else has (the kernel's
    /// `cpu.weight`): it takes nothing from anybody while there is enough. Only where control groups keep it. Absent: 100.
    pub cpu_weight: Option<u16>,
    /// Bytes of any file that it writes.
    pub fsize_bytes: Option<u64>,
    /// Seconds on processors, at least 1.
    pub cpu_s: Option<u64>,
    /// Bytes of data segment and private writable mappings, at least 1 MiB.
    pub data_bytes: Option<u64>,
    /// Bytes of the first thread's stack, at least 64 KiB.
    pub stack_bytes: Option<u64>,
    /// Bytes locked in memory.
    pub memlock_bytes: Option<u64>,
    /// Processes and threads of the whole user, at least 1.
    pub nproc: Option<u64>,
    /// Bytes of address space, used or not, at least 1 MiB.
    pub as_bytes: Option<u64>,
}

impl LimitOptions {
    /// Key, value, least that a program can start with, what the kernel calls it.
    fn table(&self) -> [(&'static str, Option<u64>, u64, Resource); 7] {
        let Self { fsize_bytes, cpu_s, data_bytes, stack_bytes, memlock_bytes, nproc, as_bytes, .. } = *self;
        [
            ("fsize_bytes", fsize_bytes, 0, Resource::Fsize),
            ("cpu_s", cpu_s, 1, Resource::Cpu),
            ("data_bytes", data_bytes, 1 << 20, Resource::Data),
            ("stack_bytes", stack_bytes, 64 << 10, Resource::Stack),
            ("memlock_bytes", memlock_bytes, 0, Resource::Memlock),
            ("nproc", nproc, 1, Resource::Nproc),
            ("as_bytes", as_bytes, 1 << 20, Resource::AddressSpace),
        ]
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.memory_bytes.is_some_and(|bytes| bytes < MEMORY_BYTES_MIN) {
            return Err(format!("limits.memory_bytes must be at least {MEMORY_BYTES_MIN}"));
        }
        if self.pids == Some(0) {
            return Err("limits.pids must be at least 1".into());
        }
        if self.cpu_weight.is_some_and(|weight| !(1..=CPU_WEIGHT_MAX).contains(&weight)) {
            return Err(format!("limits.cpu_weight must be 1 to {CPU_WEIGHT_MAX}"));
        }
        let low = self.table().into_iter().find(|(_, value, min, _)| value.is_some_and(|value| value < *min));
        low.map_or(Ok(()), |(key, _, min, _)| Err(format!("limits.{key} must be at least {min}")))
    }

    /// This, with what it does not say from `base`.
    pub(super) fn or(&self, base: &Self) -> Self {
        Self {
            // What is right for a command says nothing about a worker.
            memory_bytes: self.memory_bytes,
            pids: self.pids.or(base.pids),
            cpu_weight: self.cpu_weight.or(base.cpu_weight),
            fsize_bytes: self.fsize_bytes.or(base.fsize_bytes),
            cpu_s: self.cpu_s.or(base.cpu_s),
            data_bytes: self.data_bytes.or(base.data_bytes),
            stack_bytes: self.stack_bytes.or(base.stack_bytes),
            memlock_bytes: self.memlock_bytes.or(base.memlock_bytes),
            nproc: self.nproc.or(base.nproc),
            as_bytes: self.as_bytes.or(base.as_bytes),
        }
    }

    /// Those of the whole tree.
    pub(super) fn to_tree(&self) -> Limits {
        let (memory_bytes, cpu_weight) = (self.memory_bytes, self.cpu_weight);
        Limits { memory_bytes, pids: Some(self.pids.unwrap_or(PIDS)), cpu_weight }
    }

    /// As the kernel is told. Hard limits: one that a job can lift is none.
    pub(super) fn to_limits(&self) -> impl Iterator<Item = Limit> {
        let said = self.table().into_iter().filter_map(|(_, value, _, resource)| Some((value?, resource)));
        said.map(|(value, resource)| Limit { resource, soft: None, hard: Some(value) })
    }
}
