//! Which of the agents that have room for it gets a job.
//!
//! It is given up to [`CANDIDATES_MAX`] of them, however many there are, so that a choice costs the same with ten agents and with
//! ten thousand. The choice is exact where there are no more than that; else it is the best of as many, and what says where to begin
//! sees to it that in the end all are looked at. With two to choose from, the most loaded gets little more than its share
//! (Mitzenmacher, 1996); with 32 the difference to the best of all is not seen.
//!
//! ```text
//!   first     not unhealthy, not one of the job's last failed ones, the greatest sum of affinities
//!   then      as the queue's policy has it
//!   at last   by seat, so that equal states make equal choices
//! ```

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::keys::AgentIx;

/// Agents that one choice looks at.
pub(crate) const CANDIDATES_MAX: usize = 32;

/// Turns that are remembered where agents come and go: several times as many as one choice looks at.
const TURNS_MAX: usize = 8 * CANDIDATES_MAX;

/// How a queue's jobs are spread over agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Policy {
    /// The agent with the fewest attempts for its slots or workers.
    #[default]
    LeastLoaded,
    /// One agent after the other.
    RoundRobin,
    /// One after the other, each as often as its weight says.
    WeightedRoundRobin,
    /// The fullest agent that has room, so that others stay empty.
    BinPack,
    /// The agent with the fewest attempts of the same queue.
    Spread,
    /// The same agent for the same fairness key, handler or program, as long as that has a slot or worker free.
    Sticky,
}

/// An agent that has room for the job at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) ix: AgentIx,
    /// It is only to be used where there is no other.
    pub(crate) last_resort: bool,
    /// The job failed there lately.
    pub(crate) failed: bool,
    /// Sum of the job's affinities that hold of it.
    pub(crate) affinity: i32,
    /// Attempts for its slots or workers, as [`crate::rooms::Room::load`] has it.
    pub(crate) load: u64,
    /// The greater of that and of what is in use of the resources asked for, in 1/65536.
    pub(crate) fullness: u64,
    /// It would have to wait there for a slot or a worker.
    pub(crate) waits: bool,
    /// Attempts of the same queue, where the policy asks.
    pub(crate) of_queue: u32,
    /// By its own word; relative to others.
    pub(crate) weight: u32,
}

/// What is remembered from choice to choice, a shape.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The seat after the one that was chosen last.
    pub(crate) cursor: u32,
    /// How far each is ahead of its turn.
    turns: BTreeMap<AgentIx, i64>,
}

/// A way to choose.
pub(crate) trait Balancer {
    /// The seat that candidates are gathered from, once around.
    fn start(&self, memory: &Memory, _key: u64, _seats: u32) -> u32 {
        memory.cursor
    }

    /// The best of these, which are at least one, in the order they were gathered.
    fn choose(&self, memory: &mut Memory, candidates: &[Candidate]) -> Option<AgentIx>;
}

impl Policy {
    pub(crate) fn balancer(self) -> &'static dyn Balancer {
        match self {
            Self::LeastLoaded => &LeastLoaded,
            Self::RoundRobin => &RoundRobin,
            Self::WeightedRoundRobin => &WeightedRoundRobin,
            Self::BinPack => &BinPack,
            Self::Spread => &Spread,
            Self::Sticky => &Sticky,
        }
    }
}

/// Keeps those that nothing speaks against more than against others, then lets the policy choose.
pub(crate) fn choose(policy: Policy, memory: &mut Memory, candidates: &mut Vec<Candidate>) -> Option<AgentIx> {
    let rank = |one: &Candidate| (one.last_resort, one.failed, Reverse(one.affinity));
    let best = candidates.iter().map(rank).min()?;
    candidates.retain(|one| rank(one) == best);
    let chosen = policy.balancer().choose(memory, candidates)?;
    memory.cursor = chosen.seat + 1;
    Some(chosen)
}

struct LeastLoaded;

impl Balancer for LeastLoaded {
    fn choose(&self, _: &mut Memory, candidates: &[Candidate]) -> Option<AgentIx> {
        candidates.iter().min_by_key(|one| (one.load, one.ix)).map(|one| one.ix)
    }
}

struct RoundRobin;

impl Balancer for RoundRobin {
    fn choose(&self, memory: &mut Memory, candidates: &[Candidate]) -> Option<AgentIx> {
        let from_cursor = |one: &&Candidate| one.ix.seat.wrapping_sub(memory.cursor);
        candidates.iter().min_by_key(from_cursor).map(|one| one.ix)
    }
}

/// Smooth: everybody present gains its weight, the one furthest ahead goes and pays for all who are present. Who is absent neither
/// gains nor is paid for.
struct WeightedRoundRobin;

impl Balancer for WeightedRoundRobin {
    fn choose(&self, memory: &mut Memory, candidates: &[Candidate]) -> Option<AgentIx> {
        if memory.turns.len() > TURNS_MAX {
            memory.turns.retain(|ix, _| candidates.iter().any(|one| one.ix == *ix));
        }
        let mut all = 0;
        for one in candidates {
            *memory.turns.entry(one.ix).or_default() += i64::from(one.weight);
            all += i64::from(one.weight);
        }
        let turn = |one: &&Candidate| memory.turns.get(&one.ix).copied();
        let chosen = candidates.iter().max_by_key(|one| (turn(one), Reverse(one.ix)))?.ix;
        *memory.turns.entry(chosen).or_default() -= all;
        Some(chosen)
    }
}

struct BinPack;

impl Balancer for BinPack {
    /// Always the same, or the sample would be of other agents each time.
    fn start(&self, _: &Memory, _: u64, _: u32) -> u32 {
        0
    }

    fn choose(&self, _: &mut Memory, candidates: &[Candidate]) -> Option<AgentIx> {
        candidates.iter().max_by_key(|one| (one.fullness, Reverse(one.ix))).map(|one| one.ix)
    }
}

struct Spread;

impl Balancer for Spread {
    fn choose(&self, _: &mut Memory, candidates: &[Candidate]) -> Option<AgentIx> {
        candidates.iter().min_by_key(|one| (one.of_queue, one.load, one.ix)).map(|one| one.ix)
    }
}

struct Sticky;

impl Balancer for Sticky {
    /// The key's own seat; where that has no room, those after it.
    fn start(&self, _: &Memory, key: u64, seats: u32) -> u32 {
        u32::try_from(key % u64::from(seats.max(1))).unwrap_or(0)
    }

    fn choose(&self, _: &mut Memory, candidates: &[Candidate]) -> Option<AgentIx> {
        candidates.iter().find(|one| !one.waits).or(candidates.first()).map(|one| one.ix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(seat: u32) -> Candidate {
        Candidate {
            ix: AgentIx { seat, life: 1 },
            last_resort: false,
            failed: false,
            affinity: 0,
            load: 0,
            fullness: 0,
            waits: false,
            of_queue: 0,
            weight: 1,
        }
    }

    fn seats(policy: Policy, memory: &mut Memory, candidates: &[Candidate], times: usize) -> Vec<u32> {
        let mut next = || choose(policy, memory, &mut candidates.to_vec()).expect("one of them").seat;
        (0..times).map(|_| next()).collect()
    }

    #[test]
    fn what_speaks_against_an_agent_counts_before_any_policy() {
        let worse = [
            Candidate { last_resort: true, affinity: 9, ..candidate(0) },
            Candidate { failed: true, affinity: 9, ..candidate(1) },
            Candidate { affinity: 1, ..candidate(2) },
            Candidate { affinity: 2, load: 99, of_queue: 9, ..candidate(3) },
        ];
        for policy in [Policy::LeastLoaded, Policy::RoundRobin, Policy::BinPack, Policy::Spread, Policy::Sticky] {
            for left in (1..=4).rev() {
                let best = seats(policy, &mut Memory::default(), &worse[..left], 1);
                assert_eq!(best, [u32::try_from(left).expect("few") - 1], "{policy:?}");
            }
        }
    }

    #[test]
    fn round_robin_goes_around_whoever_is_there() {
        let mut memory = Memory::default();
        let three = [0, 1, 5].map(candidate);
        assert_eq!(seats(Policy::RoundRobin, &mut memory, &three, 5), [0, 1, 5, 0, 1]);
        assert_eq!(seats(Policy::RoundRobin, &mut memory, &three[..2], 3), [0, 1, 0]);
    }

    #[test]
    fn weights_are_mixed_smoothly() {
        let of = |(seat, weight)| Candidate { weight, ..candidate(seat) };
        let three = [(0, 5), (1, 1), (2, 1)].map(of);
        let order = seats(Policy::WeightedRoundRobin, &mut Memory::default(), &three, 14);
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn an_absent_agents_weight_counts_for_nothing() {
        let of = |(seat, weight)| Candidate { weight, ..candidate(seat) };
        let (all, mut memory) = ([(0, 900), (1, 1), (2, 1)].map(of), Memory::default());
        seats(Policy::WeightedRoundRobin, &mut memory, &all, 1_000);
        let order = seats(Policy::WeightedRoundRobin, &mut memory, &all[1..], 1_000);
        assert_eq!(order.iter().filter(|seat| **seat == 1).count(), 500, "the two that are there take turns");
        assert!(memory.turns.values().all(|turn| turn.abs() <= 902), "nobody falls behind for good: {memory:?}");
    }

    #[test]
    fn turns_of_agents_that_come_and_go_are_not_kept_for_ever() {
        let mut memory = Memory::default();
        for seat in 0..10_000 {
            seats(Policy::WeightedRoundRobin, &mut memory, &[candidate(seat)], 1);
        }
        assert!(memory.turns.len() <= TURNS_MAX + 1);
    }

    #[test]
    fn the_fullest_is_filled_up_and_the_emptiest_of_a_queue_is_spread_to() {
        let four = [(0, 1, 3), (1, 7, 2), (2, 7, 2), (3, 2, 9)].map(|(seat, fullness, of_queue)| Candidate {
            fullness,
            of_queue,
            ..candidate(seat)
        });
        assert_eq!(seats(Policy::BinPack, &mut Memory::default(), &four, 1), [1]);
        assert_eq!(seats(Policy::Spread, &mut Memory::default(), &four, 1), [1]);
    }

    #[test]
    fn a_key_sticks_to_the_first_that_has_a_slot_free() {
        let busy = Candidate { waits: true, ..candidate(4) };
        assert_eq!(seats(Policy::Sticky, &mut Memory::default(), &[busy, candidate(7), candidate(1)], 1), [7]);
        assert_eq!(seats(Policy::Sticky, &mut Memory::default(), &[busy], 1), [4]);
        assert_eq!(Sticky.start(&Memory::default(), 23, 10), 3);
    }
}
