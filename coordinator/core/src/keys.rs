//! How jobs and agents are named inside the core: places in their tables, 4 bytes each.

/// A live job's place in the slab; used again after the job is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) u32);

/// An agent's place; never used again, so that a stale timer cannot judge another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AgentIx(pub(crate) u32);
