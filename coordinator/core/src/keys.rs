//! How jobs and agents are named inside the core: places in their tables.

/// A live job's place in the slab; used again after the job is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) u32);

/// An agent's seat, and which of those who had it before: a seat is used again, and a stale timer cannot judge another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AgentIx {
    pub(crate) seat: u32,
    pub(crate) life: u32,
}
