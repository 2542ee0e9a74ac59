//! Which of the agents that have room for it gets a job.
//!
//! It is given up to [`CANDIDATES_MAX`] of them, however many there are, so that a choice costs the same with ten agents and with
//! ten thousand. The choice is exact where there are no more than that; else it is the best of as many, begun after the last that
//! was chosen, so that in the end all are looked at. With two to choose from the most loaded gets little more than its share
//! (Mitzenmacher, 1996); with 32 the difference to the best of all is not seen.

use crate::keys::AgentIx;

/// Agents that one choice looks at.
pub(crate) const CANDIDATES_MAX: usize = 32;

/// An agent that has room for the job at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) ix: AgentIx,
    /// Attempts for its slots or workers, as [`crate::rooms::Room::load`] has it.
    pub(crate) load: u64,
}

/// A way to choose.
pub(crate) trait Balancer {
    /// The best of these, which are at least one.
    fn choose<'a>(&mut self, candidates: &'a [Candidate]) -> Option<&'a Candidate>;
}

/// The one with the fewest attempts for its slots or workers; of equals the one that came first.
#[derive(Debug, Default)]
pub(crate) struct LeastLoaded;

impl Balancer for LeastLoaded {
    fn choose<'a>(&mut self, candidates: &'a [Candidate]) -> Option<&'a Candidate> {
        candidates.iter().min_by_key(|candidate| (candidate.load, candidate.ix))
    }
}
