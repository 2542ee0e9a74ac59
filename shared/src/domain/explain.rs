//! Why a job waits, filter by filter.

use std::sync::Arc;

use super::Constraint;

/// What takes an agent out of the choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// It is not connected.
    NotConnected,
    /// It takes no commands, or does not offer the handler.
    Class,
    /// A constraint does not hold of its labels.
    Constraint(Constraint),
    /// It has less of a resource than is asked for, were nothing in use; in thousandths.
    Resource(Arc<str>, u64),
    /// It leaves too soon.
    Lifetime,
    /// It is cordoned, draining or quarantined.
    Closed,
    /// The job may not go there.
    Barred,
    /// Its slots, or its workers of the handler, are taken.
    Room,
    /// Too little of a resource is free; in thousandths.
    Busy(Arc<str>, u64),
}

/// Why a job waits, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// In a sentence; none where it does not wait, or is about to be handed out.
    pub waiting_for: Option<String>,
    /// Jobs of its own kind that go first: same queue, fairness key and work. Counted up to 10,000.
    pub ahead: usize,
    /// Agents known.
    pub agents: usize,
    /// How many of them each filter takes out of what the filters before it left.
    pub filters: Vec<(Filter, usize)>,
    /// Agents that are left: it can go to one of these now, as far as agents go.
    pub left: usize,
}
