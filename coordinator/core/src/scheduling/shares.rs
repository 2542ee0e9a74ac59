//! Fair shares: queues share what there is by weight, and the fairness keys of a queue share what the queue gets.
//!
//! ```text
//!   clock      start of the latest turn that anybody took
//!   tag        where a share stands: least goes first
//!   served     start = max(tag, clock);  clock = start;  tag = start + cost / weight
//! ```
//!
//! That is start-time fair queueing (Goyal, Vin and Cheng, 1996): the shares of deficit round robin, but whoever is first *of those
//! that can be served now* goes, so that shares need not want the same. A share that was away, paused or had no room comes back at
//! the clock and has saved nothing up; one that ran alone owes nothing.
//!
//! One thing is added. Where others are served faster elsewhere, the clock runs ahead of whoever is slow, and all slow ones would
//! start at the clock, whatever their weights. So a share that the clock has overtaken first gets a whole turn, which is one job of
//! cost 1 at weight 1, and more of them the greater its weight; then it starts at the clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::names::{NameId, Names};

/// A point of virtual time. Wide enough never to end: a job of the greatest cost moves it by 2^40, and there are 2^88 of those.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Virtual(u128);

/// Fractions of a thousandth of cost, so that weights of thousands still divide it.
const FRACTIONS: u128 = 1 << 10;
/// A turn: one job of cost 1 (1,000 thousandths) at weight 1.
const TURN: u128 = 1_000 * FRACTIONS;

/// Place of a share in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShareId(u32);

#[derive(Debug, Default)]
struct Share {
    tag: Virtual,
    /// What is left of the turn it has; 0: it has none.
    left: u128,
    /// Of its own keys; none of a key's.
    clock: Virtual,
    weight: u32,
    /// The queue it is a key of; none: it is a queue.
    parent: Option<ShareId>,
    name: Option<NameId>,
    /// Lanes, and keys of a queue.
    users: u32,
}

/// The shares of all queues and of their keys. Those without an unfinished job are forgotten, and begin anew.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    table: Vec<Share>,
    free: Vec<u32>,
    by_name: BTreeMap<(Option<ShareId>, Option<NameId>), ShareId>,
    clock: Virtual,
}

impl Shares {
    /// The share of a queue, with one more user, who keeps the name.
    pub(crate) fn of_queue(&mut self, queue: NameId, weight: u32) -> ShareId {
        self.add(None, Some(queue), weight)
    }

    /// The share of a key in a queue, with one more user; of the jobs that name none, where there is none. It keeps the name.
    pub(crate) fn of_key(&mut self, queue: ShareId, key: Option<&Arc<str>>, weight: u32, names: &mut Names) -> ShareId {
        let known = key.and_then(|key| names.find(key)).filter(|key| self.is_there(queue, *key));
        let name = known.or_else(|| key.map(|key| names.add(key)));
        self.add(Some(queue), name, weight)
    }

    fn is_there(&self, queue: ShareId, key: NameId) -> bool {
        self.by_name.contains_key(&(Some(queue), Some(key)))
    }

    fn add(&mut self, parent: Option<ShareId>, name: Option<NameId>, weight: u32) -> ShareId {
        if let Some(id) = self.by_name.get(&(parent, name)) {
            self.table[id.0 as usize].users += 1;
            return *id;
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.table.push(Share::default());
            u32::try_from(self.table.len() - 1).expect("shares are as many as unfinished jobs at most")
        });
        self.table[at as usize] = Share { weight, parent, name, users: 1, ..Share::default() };
        self.by_name.insert((parent, name), ShareId(at));
        ShareId(at)
    }

    /// One user less.
    pub(crate) fn remove(&mut self, id: ShareId, names: &mut Names) {
        let share = &mut self.table[id.0 as usize];
        share.users -= 1;
        if share.users > 0 {
            return;
        }
        self.by_name.remove(&(share.parent, share.name));
        if share.parent.is_some() {
            share.name.into_iter().for_each(|name| names.remove(name));
        }
        self.free.push(id.0);
    }

    /// The share that is there already.
    pub(crate) fn find(&self, queue: NameId) -> Option<ShareId> {
        self.by_name.get(&(None, Some(queue))).copied()
    }

    /// The keys of a queue.
    pub(crate) fn keys(&self, queue: ShareId) -> impl Iterator<Item = (Option<NameId>, ShareId)> {
        let of_queue = (Some(queue), None)..;
        let keys = self.by_name.range(of_queue).take_while(move |((parent, _), _)| *parent == Some(queue));
        keys.map(|((_, name), id)| (*name, *id))
    }

    pub(crate) fn set_weight(&mut self, id: ShareId, weight: u32) {
        self.table[id.0 as usize].weight = weight;
    }

    pub(crate) fn tag(&self, id: ShareId) -> Virtual {
        self.table[id.0 as usize].tag
    }

    /// The queue of a key.
    pub(crate) fn queue_of(&self, key: ShareId) -> ShareId {
        self.table[key.0 as usize].parent.unwrap_or(key)
    }

    /// A job of this cost, in thousandths, was handed out from a key of a queue.
    pub(crate) fn serve(&mut self, key: ShareId, cost: u32) {
        let queue = self.queue_of(key);
        let mut clock = self.table[queue.0 as usize].clock;
        self.table[key.0 as usize].serve(&mut clock, cost);
        self.table[queue.0 as usize].clock = clock;
        self.table[queue.0 as usize].serve(&mut self.clock, cost);
    }

    /// Names that keys use, for checks of the names' counts.
    pub(crate) fn names(&self) -> impl Iterator<Item = NameId> {
        self.by_name.keys().filter(|(parent, _)| parent.is_some()).filter_map(|(_, name)| *name)
    }
}

impl Share {
    fn serve(&mut self, clock: &mut Virtual, cost: u32) {
        let charge = (u128::from(cost) * FRACTIONS / u128::from(self.weight.max(1))).max(1);
        if self.left == 0 && self.tag < *clock {
            self.left = TURN;
        }
        if self.left > charge {
            self.left -= charge;
            return;
        }
        self.left = 0;
        let start = self.tag.max(*clock);
        *clock = start;
        self.tag = Virtual(start.0 + charge);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(names: &mut Names, name: &str) -> NameId {
        names.add(&name.into())
    }

    struct Bench {
        shares: Shares,
        keys: Vec<ShareId>,
    }

    /// One queue a weight, each with one key.
    fn bench(weights: &[u32]) -> Bench {
        let (mut shares, mut names) = (Shares::default(), Names::default());
        let mut of = |(at, weight): (usize, &u32)| {
            let queue = shares.of_queue(name(&mut names, &at.to_string()), *weight);
            shares.of_key(queue, None, 1, &mut names)
        };
        let keys = weights.iter().enumerate().map(&mut of).collect();
        Bench { shares, keys }
    }

    impl Bench {
        /// Serves whoever is first of these; ties go by number.
        fn next(&mut self, of: &[usize]) -> usize {
            let tag = |at: &usize| (self.shares.tag(self.shares.queue_of(self.keys[*at])), *at);
            let first = of.iter().copied().min_by_key(tag).expect("somebody");
            self.shares.serve(self.keys[first], 1_000);
            first
        }

        fn counts(&mut self, of: &[usize], times: usize) -> Vec<usize> {
            let mut counts = vec![0; self.keys.len()];
            (0..times).for_each(|_| counts[self.next(of)] += 1);
            counts
        }
    }

    #[test]
    fn shares_are_served_by_weight_and_never_more_than_one_job_apart() {
        let weights = [1, 2, 5];
        let mut bench = bench(&weights);
        let mut counts = [0_i64; 3];
        for served in 1..=8_000_i64 {
            counts[bench.next(&[0, 1, 2])] += 1;
            for (count, weight) in counts.iter().zip(weights) {
                let due = served * i64::from(weight);
                assert!((count * 8 - due).abs() <= 8 * 2, "{counts:?} of {served}");
            }
        }
        assert_eq!(counts, [1_000, 2_000, 5_000]);
    }

    #[test]
    fn a_share_that_was_away_has_saved_nothing_up() {
        let mut bench = bench(&[1, 1]);
        assert_eq!(bench.counts(&[0], 1_000), [1_000, 0]);
        let both = bench.counts(&[0, 1], 100);
        assert!(both[1] <= 51, "{both:?}");
    }

    #[test]
    fn a_share_that_ran_alone_owes_nothing() {
        let mut bench = bench(&[1, 1]);
        bench.counts(&[0], 1_000);
        let both = bench.counts(&[0, 1], 100);
        assert!(both[0] >= 49, "{both:?}");
    }

    #[test]
    fn weights_hold_among_the_slow_while_others_are_served_a_hundred_times_as_fast() {
        let mut bench = bench(&[1, 2, 5, 1]);
        let mut counts = [0; 4];
        for _ in 0..800 {
            counts[bench.next(&[0, 1, 2])] += 1;
            counts[3] += bench.counts(&[3], 100)[3];
        }
        assert_eq!(counts, [100, 200, 500, 80_000]);
    }

    #[test]
    fn what_costs_more_is_served_less_often() {
        let mut bench = bench(&[1, 1]);
        let mut counts = [0; 2];
        for _ in 0..400 {
            let tag = |at: usize| bench.shares.tag(bench.shares.queue_of(bench.keys[at]));
            let first = usize::from(tag(1) < tag(0));
            bench.shares.serve(bench.keys[first], [1_000, 3_000][first]);
            counts[first] += 1;
        }
        assert_eq!(counts, [300, 100]);
    }

    #[test]
    fn a_share_is_forgotten_with_its_last_user_and_its_place_is_used_again() {
        let (mut shares, mut names) = (Shares::default(), Names::default());
        let queue = name(&mut names, "q");
        let share = shares.of_queue(queue, 1);
        let of_key = shares.of_key(share, Some(&"k".into()), 1, &mut names);
        let key = names.find("k").expect("kept");
        shares.serve(of_key, 1_000);
        assert_eq!(shares.keys(share).collect::<Vec<_>>(), [(Some(key), of_key)]);
        shares.remove(of_key, &mut names);
        assert_eq!(names.find("k"), None, "the name goes with it");
        shares.remove(share, &mut names);
        assert_eq!((shares.find(queue), shares.names().count()), (None, 0));
        assert_eq!(shares.of_queue(queue, 1), of_key.max(share).min(share), "the place freed last");
        assert_eq!(shares.tag(share), Virtual::default());
    }
}
