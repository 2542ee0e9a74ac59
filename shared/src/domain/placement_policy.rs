//! Which of the agents that have room for a job gets it.

/// Which of the agents that have room for a job gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum PlacementPolicy {
    /// The one with the fewest attempts for its slots or workers.
    #[default]
    LeastLoaded,
    /// One after the other.
    RoundRobin,
    /// One after the other, each as often as its weight says.
    WeightedRoundRobin,
    /// The fullest that has room still, so that others are left empty.
    BinPack,
    /// The one with the fewest jobs of the same kind.
    Spread,
    /// The same for the same key or handler, where it has room.
    Sticky,
}
