//! How many workers a pool should have: plain state, told how they stand and what time it is.
//!
//! ```text
//!  static     max, always
//!  dynamic    one for each call that runs or waits, and min_idle to spare, between min and max; up 1, 2, 4 … at a time,
//!             down one for each shrink interval
//!  ondemand   one for each call that runs or waits, up to max; all of those that idle for too long end
//! ```
//! A worker that is due to be replaced goes on until another is ready in its place: for that, and for nothing else, a few
//! more than `max` may live.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

/// Time after which the next, larger round of starts may follow though the one before is not ready: a worker that boots slower
/// than this says nothing about how many are needed.
const ROUND: Duration = Duration::from_secs(1);

/// How a pool decides how many workers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// All of them, always.
    Static,
    /// As many as there is work for, and some to spare, between `min` and `max`.
    Dynamic,
    /// As many as there is work for, and none without any.
    Ondemand,
}

/// How a pool decides; what its options come to on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) mode: Mode,
    pub(super) min: usize,
    pub(super) max: usize,
    /// Workers that a dynamic pool keeps ready for the next call.
    pub(super) min_idle: usize,
    /// Time without a call after which a worker that is not needed ends.
    pub(super) idle_timeout: Duration,
    /// Time between two that end so, in a dynamic pool.
    pub(super) shrink_interval: Duration,
    /// Workers that may be between their start and their hello.
    pub(super) start_concurrency: usize,
}

/// How the places of a pool stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Census {
    /// Their hello is due.
    pub(super) starting: usize,
    /// They take calls and have none.
    pub(super) idle: usize,
    /// They take calls and have some.
    pub(super) busy: usize,
    /// Those of the two before that are to be replaced.
    pub(super) due: usize,
    /// They are replaced and finish what they have, or were told to end.
    pub(super) parting: usize,
    /// They end for any other reason, and are not proven gone.
    pub(super) ending: usize,
    /// Another try is made there later.
    pub(super) backoff: usize,
    /// Nothing can be started there.
    pub(super) lost: usize,
    /// Calls that no worker has.
    pub(super) waiting: usize,
    /// Those of the idle that are so for the idle timeout.
    pub(super) expired: usize,
    /// When the longest idle had its last call.
    pub(super) idle_since: Option<Instant>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Plan {
    /// Workers to start.
    pub(super) start: usize,
    /// Workers too many for the bounds: they finish what they have.
    pub(super) shed: usize,
    /// Of those that are due, so many have been replaced.
    pub(super) replaced: usize,
    /// Workers that have idled for too long.
    pub(super) shrink: usize,
}

impl Plan {
    /// Whether everybody who is there stays.
    pub(super) fn changes_nobody(&self) -> bool {
        self.shed + self.replaced + self.shrink == 0
    }
}

/// What sizing remembers.
#[derive(Debug, Default)]
pub(super) struct Sizing {
    /// Workers that the last round started beyond `min`.
    round: usize,
    /// When the next may begin though that one is not ready.
    round_until: Option<Instant>,
    /// Whether the round's size is what keeps more from being started.
    ramped: bool,
    /// Whether there was more to do than to let somebody go who idles, at the last look.
    occupied: bool,
    shrunk_at: Option<Instant>,
}

impl Policy {
    /// Workers that may be replaced at a time: every tenth, and at least one.
    pub(super) fn surge(&self) -> usize {
        (self.max / 10).max(1)
    }

    /// Workers that there should be.
    pub(super) fn wanted(&self, census: &Census) -> usize {
        let max = self.max.saturating_sub(census.lost);
        let work = census.busy + census.waiting;
        match self.mode {
            Mode::Static => max,
            Mode::Dynamic => (work + self.min_idle).max(self.min).min(max),
            Mode::Ondemand => work.max(self.min).min(max),
        }
    }
}

impl Census {
    /// Workers that take calls.
    pub(super) fn ready(&self) -> usize {
        self.idle + self.busy
    }

    /// Workers that take calls, or will.
    pub(super) fn have(&self) -> usize {
        self.starting + self.ready() + self.backoff
    }

    /// Places where there is somebody, or will be, or can be nobody.
    pub(super) fn taken(&self) -> usize {
        self.have() + self.parting + self.ending + self.lost
    }

    /// Workers that calls can be given to, and those that could be started for them.
    pub(super) fn takers(&self, max: usize) -> usize {
        // What waits for another try is started before those that are off.
        let startable = max.saturating_sub(self.taken()).saturating_sub(self.backoff);
        (self.starting + self.ready()).min(max) + startable
    }
}

impl Sizing {
    /// What follows from how the pool stands.
    pub(super) fn plan(&mut self, now: Instant, policy: &Policy, census: &Census) -> Plan {
        let wanted = policy.wanted(census);
        let start = self.starts(now, policy, census, wanted);
        // Of those that are ready: what only starts may yet fail to.
        let shed = census.ready().saturating_sub(policy.max + policy.surge().min(census.due));
        let replaced = Self::replaced(policy, census, wanted);
        // One thing at a time: each of them alone leaves enough.
        self.occupied = start + shed + replaced > 0;
        let shrink = if !self.occupied { self.shrinks(now, policy, census) } else { 0 };
        Plan { start, shed, replaced, shrink }
    }

    fn starts(&mut self, now: Instant, policy: &Policy, census: &Census, wanted: usize) -> usize {
        let (have, surge) = (census.have(), policy.surge());
        let lacking = (wanted + surge.min(census.due)).saturating_sub(have);
        let room = (policy.max + surge.min(census.due + census.parting)).saturating_sub(census.taken());
        let room = room.min(policy.start_concurrency.saturating_sub(census.starting));
        let basic = policy.min.saturating_sub(have).min(lacking);
        self.ramped = false;
        if lacking == 0 {
            (self.round, self.round_until) = (0, None);
        }
        if policy.mode != Mode::Dynamic || lacking <= basic || room <= basic {
            return lacking.min(room);
        }
        if census.starting > 0 && self.round_until.is_some_and(|until| now < until) {
            self.ramped = true;
            return basic;
        }
        self.round = (self.round * 2).max(1);
        self.round_until = Some(now + ROUND);
        (basic + self.round).min(lacking).min(room)
    }

    /// One goes only where that leaves as many ready as there should be.
    fn replaced(policy: &Policy, census: &Census, wanted: usize) -> usize {
        let spare = census.ready().saturating_sub(wanted);
        spare.min(census.due).min(policy.surge().saturating_sub(census.parting))
    }

    fn shrinks(&mut self, now: Instant, policy: &Policy, census: &Census) -> usize {
        match self.shrink_at(policy, census) {
            Some(at) if at <= now && policy.mode == Mode::Dynamic => {
                self.shrunk_at = Some(now);
                1
            }
            Some(at) if at <= now => Self::spare(policy, census).min(census.expired),
            _ => 0,
        }
    }

    /// Workers that nobody needs.
    fn spare(policy: &Policy, census: &Census) -> usize {
        let keep_idle = if policy.mode == Mode::Dynamic { policy.min_idle } else { 0 };
        census.idle.saturating_sub(keep_idle.max(census.due)).min(census.ready().saturating_sub(policy.min))
    }

    /// When the next worker that nobody needs has idled for long enough.
    fn shrink_at(&self, policy: &Policy, census: &Census) -> Option<Instant> {
        if policy.mode == Mode::Static || census.waiting > 0 || Self::spare(policy, census) == 0 {
            return None;
        }
        let idle_until = census.idle_since? + policy.idle_timeout;
        let paced = self.shrunk_at.filter(|_| policy.mode == Mode::Dynamic).map(|at| at + policy.shrink_interval);
        Some(paced.map_or(idle_until, |paced| paced.max(idle_until)))
    }

    /// When the plan changes though nothing else does.
    pub(super) fn deadline(&self, policy: &Policy, census: &Census) -> Option<Instant> {
        let next_round = self.round_until.filter(|_| self.ramped);
        let shrink_at = self.shrink_at(policy, census).filter(|_| !self.occupied);
        shrink_at.into_iter().chain(next_round).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn policy(mode: Mode, min: usize, max: usize) -> Policy {
        let (idle_timeout, shrink_interval) = (300 * S, 10 * S);
        Policy { mode, min, max, min_idle: 1, idle_timeout, shrink_interval, start_concurrency: 100 }
    }

    /// Starts at once whatever is planned, and counts rounds.
    fn rounds(policy: &Policy, mut census: Census) -> Vec<usize> {
        let (mut sizing, mut rounds) = (Sizing::default(), Vec::new());
        let now = Instant::now();
        while rounds.len() < 20 {
            match sizing.plan(now, policy, &census).start {
                0 => break,
                start => {
                    rounds.push(start);
                    // Each is given one of the calls.
                    let busy = start.min(census.waiting);
                    census.waiting -= busy;
                    census.busy += busy;
                    census.idle += start - busy;
                }
            }
        }
        rounds
    }

    #[test]
    fn a_static_pool_starts_all_of_its_workers_and_never_shrinks() {
        let all = policy(Mode::Static, 8, 8);
        assert_eq!(rounds(&all, Census::default()), [8]);
        let now = Instant::now();
        let idle = Census { idle: 8, idle_since: Some(now), ..Census::default() };
        assert_eq!(Sizing::default().plan(now + 3_600 * S, &all, &idle), Plan::default());
        assert_eq!(Sizing::default().deadline(&all, &idle), None);
    }

    #[test]
    fn a_dynamic_pool_begins_with_its_least_and_doubles_what_it_adds() {
        let pool = policy(Mode::Dynamic, 2, 20);
        assert_eq!(rounds(&pool, Census::default()), [2]);
        assert_eq!(rounds(&pool, Census { busy: 2, waiting: 50, ..Census::default() }), [1, 2, 4, 8, 3]);
    }

    #[test]
    fn a_round_that_does_not_get_ready_delays_the_next_by_a_second_and_no_longer() {
        let (pool, now) = (policy(Mode::Dynamic, 1, 20), Instant::now());
        let mut sizing = Sizing::default();
        let mut census = Census { busy: 1, waiting: 9, ..Census::default() };
        assert_eq!(sizing.plan(now, &pool, &census).start, 1);
        census.starting = 1;
        assert_eq!(sizing.plan(now, &pool, &census).start, 0);
        assert_eq!(sizing.deadline(&pool, &census), Some(now + S));
        assert_eq!(sizing.plan(now + S, &pool, &census).start, 2);
    }

    #[test]
    fn a_dynamic_pool_keeps_some_idle_and_lets_the_rest_go_one_by_one() {
        let (pool, now) = (Policy { min_idle: 2, ..policy(Mode::Dynamic, 1, 9) }, Instant::now());
        let mut sizing = Sizing::default();
        let busy = Census { busy: 3, ..Census::default() };
        assert_eq!(sizing.plan(now, &pool, &busy).start, 1);
        let mut census = Census { idle: 5, idle_since: Some(now), ..Census::default() };
        assert_eq!(sizing.plan(now + 299 * S, &pool, &census), Plan::default());
        assert_eq!(sizing.deadline(&pool, &census), Some(now + 300 * S));
        let mut gone = Vec::new();
        for second in 300..400 {
            if sizing.plan(now + second * S, &pool, &census).shrink == 1 {
                census.idle -= 1;
                gone.push(second);
            }
        }
        assert_eq!((gone, census.idle), (vec![300, 310, 320], 2));
        assert_eq!(sizing.deadline(&pool, &census), None);
    }

    #[test]
    fn an_ondemand_pool_has_nobody_without_calls_and_one_for_each_that_waits() {
        let (pool, now) = (Policy { idle_timeout: 10 * S, ..policy(Mode::Ondemand, 0, 4) }, Instant::now());
        assert_eq!(rounds(&pool, Census::default()), [0; 0]);
        assert_eq!(rounds(&pool, Census { waiting: 9, ..Census::default() }), [4]);
        let idle = Census { idle: 3, expired: 2, idle_since: Some(now), ..Census::default() };
        assert_eq!(Sizing::default().plan(now + 10 * S, &pool, &idle).shrink, 2);
    }

    #[test]
    fn no_more_start_at_a_time_than_may() {
        let pool = Policy { start_concurrency: 3, ..policy(Mode::Static, 8, 8) };
        let plan = |starting| Sizing::default().plan(Instant::now(), &pool, &Census { starting, ..Census::default() });
        assert_eq!([0, 2, 3].map(|starting| plan(starting).start), [3, 1, 0]);
    }

    #[test]
    fn one_that_is_due_goes_when_another_is_ready_in_its_place() {
        let (pool, now) = (policy(Mode::Static, 2, 2), Instant::now());
        let plan = |census: Census| Sizing::default().plan(now, &pool, &census);
        let due = Census { busy: 2, due: 2, ..Census::default() };
        assert_eq!(plan(due), Plan { start: 1, ..Plan::default() });
        assert_eq!(plan(Census { starting: 1, ..due }), Plan::default());
        assert_eq!(plan(Census { backoff: 1, ..due }), Plan::default());
        let ready = Census { idle: 1, ..due };
        assert_eq!(plan(ready), Plan { replaced: 1, ..Plan::default() });
        // The next one waits until this one is gone.
        let parting = Census { busy: 1, idle: 1, due: 1, parting: 1, ..Census::default() };
        assert_eq!(plan(parting), Plan::default());
        // And a crash meanwhile does not wait for it.
        assert_eq!(plan(Census { busy: 0, due: 0, ..parting }).start, 1);
    }

    #[test]
    fn what_cannot_be_started_any_more_takes_its_place_along() {
        let pool = policy(Mode::Static, 4, 4);
        let census = Census { idle: 2, lost: 1, ..Census::default() };
        assert_eq!(Sizing::default().plan(Instant::now(), &pool, &census).start, 1);
        assert_eq!(census.takers(4), 3);
        let ending = Census { ending: 1, ..census };
        assert_eq!((Sizing::default().plan(Instant::now(), &pool, &ending).start, ending.takers(4)), (0, 2));
    }

    #[test]
    fn what_is_beyond_the_bounds_is_shed() {
        let pool = policy(Mode::Static, 2, 2);
        let census = Census { busy: 3, idle: 1, ..Census::default() };
        assert_eq!(Sizing::default().plan(Instant::now(), &pool, &census), Plan { shed: 2, ..Plan::default() });
    }
}
