//! Against records of all that was taken, kept the simple way.

use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::{LimitSettings, Rate};
use windlass_shared::time::Moment;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn key(name: &str) -> Key {
    Key::Named(name.into())
}

fn exact(name: &str) -> Pattern {
    Pattern::Key(key(name))
}

fn prefix(name: &str) -> Pattern {
    Pattern::Prefix(name.into())
}

fn units(max: u32) -> Option<LimitSettings> {
    Some(LimitSettings { units_max: Some(max), rate: None })
}

/// Costs in whole units.
fn rate(cost: u64, period: Duration, burst: u64) -> Option<LimitSettings> {
    Some(LimitSettings { units_max: None, rate: Some(Rate { cost: cost * 1_000, period, burst: burst * 1_000 }) })
}

fn one(limit: LimitIx) -> Take {
    Take { limit, units: 1, cost: 1_000 }
}

/// A cooldown that ends then.
fn until(millis: u64) -> Option<(Moment, Cooldown)> {
    Some((at(millis), Cooldown { until: windlass_shared::time::Timestamp(0), reason: None }))
}

fn at(millis: u64) -> Moment {
    Moment(millis * 1_000_000)
}

#[test]
fn three_a_second_are_exactly_three_in_every_second() {
    let mut limits = Limits::default();
    limits.set(at(0), &exact("k"), rate(3, SECOND, 3));
    let take = [one(limits.enter(&key("k")))];
    for _ in 0..3 {
        limits.try_take(at(0), &take).unwrap();
    }
    let blocked = limits.try_take(at(0), &take).unwrap_err();
    assert_eq!((blocked.by, blocked.until), (By::Rate, Some(Moment(333_333_334))));
    assert!(limits.try_take(Moment(333_333_333), &take).is_err());
    for n in 1..=300 {
        limits.try_take(Moment(1_000_000_000 * n / 3 + 1), &take).unwrap();
    }
    assert!(limits.try_take(at(100_000), &take).is_err(), "300 in 100 s, with no error added up");
}

#[test]
fn what_costs_more_than_a_burst_goes_after_a_rest_and_is_paid_for() {
    let mut limits = Limits::default();
    limits.set(at(0), &exact("k"), rate(1, SECOND, 1));
    let limit = limits.enter(&key("k"));
    let big = [Take { limit, units: 1, cost: 5_000 }];
    limits.try_take(at(0), &big).unwrap();
    assert_eq!(limits.try_take(at(0), &[one(limit)]).unwrap_err().until, Some(at(5_000)));
    assert_eq!(limits.try_take(at(1_000), &big).unwrap_err().until, Some(at(5_000)));
}

#[test]
fn what_costs_nothing_of_a_rate_does_not_wait_for_it() {
    let mut limits = Limits::default();
    limits.set(at(0), &exact("k"), rate(1, SECOND, 1));
    let limit = limits.enter(&key("k"));
    limits.try_take(at(0), &[Take { limit, units: 1, cost: 9_000 }]).unwrap();
    limits.try_take(at(0), &[Take { limit, units: 1, cost: 0 }]).unwrap();
}

#[test]
fn units_are_free_when_they_are_given_back_and_no_earlier() {
    let mut limits = Limits::default();
    limits.set(at(0), &exact("k"), units(3));
    let limit = limits.enter(&key("k"));
    let two = [Take { limit, units: 2, cost: 0 }];
    limits.try_take(at(0), &two).unwrap();
    assert_eq!(limits.try_take(at(0), &two), Err(Blocked { limit, by: By::Units, until: None }));
    limits.try_take(at(0), &[one(limit)]).unwrap();
    limits.give_back(&two);
    limits.try_take(at(0), &two).unwrap();
}

#[test]
fn of_several_limits_that_block_nothing_is_taken_and_the_longest_is_told() {
    let mut limits = Limits::default();
    limits.set(at(0), &exact("slow"), rate(1, 60 * SECOND, 1));
    limits.set(at(0), &exact("fast"), rate(1, SECOND, 1));
    limits.set(at(0), &exact("free"), units(1));
    let [slow, fast, free] = ["slow", "fast", "free"].map(|name| limits.enter(&key(name)));
    limits.try_take(at(0), &[one(slow), one(fast)]).unwrap();
    let blocked = limits.try_take(at(0), &[one(free), one(fast), one(slow)]).unwrap_err();
    assert_eq!(blocked, Blocked { limit: slow, by: By::Rate, until: Some(at(60_000)) });
    assert_eq!(limits.blocking(at(0), &[one(fast), one(free), one(slow)]).count(), 2);
    limits.try_take(at(0), &[one(free)]).unwrap();
}

#[test]
fn a_cooldown_holds_until_its_end_and_a_later_word_replaces_it() {
    let mut limits = Limits::default();
    let limit = limits.enter(&key("api"));
    assert!(limits.cool(at(0), &key("api"), until(500)));
    let blocked = limits.try_take(at(0), &[one(limit)]).unwrap_err();
    assert_eq!(blocked, Blocked { limit, by: By::Cooldown, until: Some(at(500)) });
    assert!(limits.cool(at(10), &key("api"), until(100)));
    assert_eq!(limits.next_cooled(), Some(at(100)));
    assert_eq!(limits.pop_cooled(at(99)), None);
    assert_eq!(limits.pop_cooled(at(100)), Some((limit, key("api"))));
    limits.try_take(at(100), &[one(limit)]).unwrap();
    assert_eq!(limits.next_cooled(), None);
}

#[test]
fn a_cooldown_outlives_all_that_name_its_key() {
    let mut limits = Limits::default();
    assert!(limits.cool(at(0), &key("api"), until(500)));
    let limit = limits.enter(&key("api"));
    assert!(limits.try_take(at(1), &[one(limit)]).is_err());
    limits.leave(at(1), limit);
    let limit = limits.enter(&key("api"));
    assert!(limits.try_take(at(2), &[one(limit)]).is_err());
    limits.leave(at(2), limit);
    limits.pop_cooled(at(500)).unwrap();
    assert_eq!(limits.table.len(), (0, 0));
}

#[test]
fn each_key_of_a_prefix_counts_for_itself_and_the_longest_prefix_wins() {
    let mut limits = Limits::default();
    limits.set(at(0), &prefix("tenant:"), units(1));
    limits.set(at(0), &prefix("tenant:big"), units(2));
    limits.set(at(0), &exact("tenant:big:1"), units(3));
    let mut room = |name: &str| {
        let limit = limits.enter(&key(name));
        (0..9).take_while(|_| limits.try_take(at(0), &[one(limit)]).is_ok()).count()
    };
    let rooms = ["tenant:1", "tenant:2", "tenant:big", "tenant:big:1", "tenant", "x"].map(&mut room);
    assert_eq!(rooms, [1, 1, 2, 3, 9, 9]);
    for (pattern, left) in [(exact("tenant:big:1"), 2), (prefix("tenant:big"), 1), (prefix("tenant:"), 9)] {
        limits.set(at(0), &pattern, None);
        let limit = limits.enter(&key("tenant:big:1"));
        limits.table.get_mut(limit).in_use = 0;
        assert_eq!((0..9).take_while(|_| limits.try_take(at(0), &[one(limit)]).is_ok()).count(), left, "{pattern:?}");
    }
}

#[test]
fn a_prefix_is_none_of_a_queue() {
    let mut limits = Limits::default();
    limits.set(at(0), &prefix(""), units(0));
    let (queue, named) = (limits.enter(&Key::Queue("bulk".into())), limits.enter(&key("bulk")));
    limits.try_take(at(0), &[one(queue)]).unwrap();
    assert!(limits.try_take(at(0), &[one(named)]).is_err());
    limits.set(at(0), &Pattern::Key(Key::Queue("bulk".into())), units(1));
    assert!(limits.try_take(at(0), &[one(queue)]).is_err());
}

#[test]
fn what_is_owed_is_the_same_cost_under_another_rate() {
    let mut limits = Limits::default();
    limits.set(at(0), &exact("k"), rate(1, 3_600 * SECOND, 5));
    let limit = limits.enter(&key("k"));
    (0..5).for_each(|_| limits.try_take(at(0), &[one(limit)]).unwrap());
    assert_eq!(limits.set(at(0), &exact("k"), rate(10, SECOND, 5)), [limit]);
    assert_eq!(limits.try_take(at(0), &[one(limit)]).unwrap_err().until, Some(at(100)));
    limits.set(at(0), &exact("k"), None);
    limits.try_take(at(0), &[one(limit)]).unwrap();
}

#[test]
fn units_in_use_stay_so_when_less_is_allowed() {
    let mut limits = Limits::default();
    let limit = limits.enter(&key("k"));
    let take = [one(limit)];
    (0..3).for_each(|_| limits.try_take(at(0), &take).unwrap());
    limits.set(at(0), &exact("k"), units(2));
    for _ in 0..2 {
        assert!(limits.try_take(at(0), &take).is_err());
        limits.give_back(&take);
    }
    limits.try_take(at(0), &take).unwrap();
}

#[test]
fn what_was_taken_before_a_restart_is_in_use_even_where_less_is_allowed_now() {
    let mut limits = Limits::default();
    limits.set(at(0), &exact("k"), units(1));
    let take = [one(limits.enter(&key("k")))];
    limits.hold(&take);
    limits.hold(&take);
    limits.give_back(&take);
    assert!(limits.try_take(at(0), &take).is_err());
    limits.give_back(&take);
    limits.try_take(at(0), &take).unwrap();
}

#[test]
fn a_key_that_nobody_names_is_remembered_for_as_long_as_it_owes() {
    let mut limits = Limits::default();
    limits.set(at(0), &prefix(""), rate(1, SECOND, 2));
    for n in 0..3 {
        let limit = limits.enter(&key(&format!("k{n}")));
        limits.try_take(at(n), &[one(limit)]).unwrap();
        limits.give_back(&[one(limit)]);
        limits.leave(at(n), limit);
    }
    assert_eq!(limits.table.len(), (3, 3));
    let again = limits.enter(&key("k1"));
    limits.try_take(at(3), &[one(again)]).unwrap();
    assert!(limits.try_take(at(3), &[one(again)]).is_err(), "it owed still");
    assert_eq!(limits.table.len(), (3, 2));
    limits.leave(at(5_000), again);
    assert_eq!(limits.table.len(), (0, 0));
}

#[test]
fn as_many_idle_keys_as_may_be_are_remembered_and_those_that_owe_least_go_first() {
    let mut limits = Limits::default();
    limits.set(at(0), &prefix(""), rate(1, 3_600 * SECOND, 2));
    for n in 0..=table::IDLE_MAX as u64 {
        let limit = limits.enter(&key(&format!("k{n}")));
        limits.try_take(at(n), &[one(limit)]).unwrap();
        limits.leave(at(n), limit);
    }
    assert_eq!(limits.table.len(), (table::IDLE_MAX, table::IDLE_MAX));
    assert_eq!(limits.table.find(&key("k0")), None);
}

#[test]
fn no_more_keys_cool_down_than_may_and_those_that_do_may_be_prolonged() {
    let mut limits = Limits::default();
    for n in 0..COOLDOWNS_MAX as u64 {
        assert!(limits.cool(at(0), &key(&format!("k{n}")), until(n + 1)));
    }
    assert!(!limits.cool(at(0), &key("more"), until(9)));
    assert!(limits.cool(at(0), &key("k0"), until(9)));
    assert!(limits.cool(at(0), &key("k1"), None));
    assert!(limits.cool(at(0), &key("more"), until(9)));
}

/// What ran, and when it began: the whole truth, kept the simple way.
#[derive(Default)]
struct Truth {
    begun: Vec<(Moment, Arc<[Take]>)>,
    runs: Vec<Arc<[Take]>>,
}

impl Truth {
    fn in_use(&self, limit: LimitIx) -> u64 {
        let takes = self.runs.iter().flat_map(|takes| takes.iter());
        takes.filter(|take| take.limit == limit).map(|take| u64::from(take.units)).sum()
    }

    /// No window has more than its rate and a burst in it; what costs more than a burst by itself is its own burst.
    fn check_rate(&self, limit: LimitIx, rate: &Rate) {
        let of = |takes: &[Take]| takes.iter().find(|take| take.limit == limit).map_or(0, |take| u128::from(take.cost));
        let begun: Vec<(u64, u128)> = self.begun.iter().map(|(at, takes)| (at.0, of(takes))).collect();
        for (i, (from, _)) in begun.iter().enumerate() {
            let (mut sum, mut largest) = (0, u128::from(rate.burst));
            for (to, cost) in &begun[i..] {
                sum += cost;
                largest = largest.max(*cost);
                let allowed = u128::from(to - from) * u128::from(rate.cost) + largest * rate.period.as_nanos();
                assert!(sum * rate.period.as_nanos() <= allowed, "{sum} of {rate:?} within {} ns", to - from);
            }
        }
    }
}

#[test]
fn no_limit_is_exceeded_at_any_instant_and_what_may_go_goes() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut limits, mut truth, mut now) = (Limits::default(), Truth::default(), Moment(0));
        let settings: Vec<LimitSettings> = (0..4)
            .map(|n| {
                let settings = LimitSettings {
                    units_max: random.bool().then(|| random.u32(1..6)),
                    rate: random.bool().then(|| Rate {
                        cost: random.u64(1..5_000),
                        period: SECOND * random.u32(1..90),
                        burst: random.u64(1..5_000),
                    }),
                };
                limits.set(now, &exact(&format!("k{n}")), Some(settings));
                settings
            })
            .collect();
        let keys: Vec<LimitIx> = (0..4).map(|n| limits.enter(&key(&format!("k{n}")))).collect();
        for _ in 0..200 {
            now = Moment(now.0 + random.u64(0..3_000_000_000));
            if random.u8(..4) == 0 && !truth.runs.is_empty() {
                limits.give_back(&truth.runs.swap_remove(random.usize(..truth.runs.len())));
            }
            let mut takes = Vec::new();
            for limit in &keys {
                if random.bool() {
                    takes.push(Take { limit: *limit, units: random.u32(1..3), cost: random.u32(0..6_000) });
                }
            }
            try_one(&mut limits, &mut truth, now, takes.into());
            for (limit, settings) in keys.iter().zip(&settings) {
                assert_eq!(limits.table.get(*limit).in_use, truth.in_use(*limit), "seed {seed}");
                assert!(settings.units_max.is_none_or(|max| truth.in_use(*limit) <= max.into()), "seed {seed}");
            }
        }
        for (limit, settings) in keys.iter().zip(&settings) {
            settings.rate.iter().for_each(|rate| truth.check_rate(*limit, rate));
        }
    }
}

/// Refused, it changes nothing, and the time that is told is the very first at which it may go.
fn try_one(limits: &mut Limits, truth: &mut Truth, now: Moment, takes: Arc<[Take]>) {
    let before = format!("{:?}", limits.table);
    match limits.try_take(now, &takes) {
        Ok(()) => {
            truth.begun.push((now, takes.clone()));
            truth.runs.push(takes);
        }
        Err(blocked) => {
            assert_eq!(format!("{:?}", limits.table), before);
            assert_eq!(blocked.until.is_none(), blocked.by == By::Units);
            if let Some(until) = blocked.until {
                assert!(until > now);
                assert_eq!(limits.blocking(until, &takes).next(), None);
                assert_ne!(limits.blocking(Moment(until.0 - 1), &takes).next(), None);
            }
        }
    }
}

#[test]
fn whatever_overlaps_all_of_it_ends() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut limits = Limits::default();
        let keys: Vec<LimitIx> = (0..6).map(|n| limits.enter(&key(&format!("k{n}")))).collect();
        limits.set(at(0), &prefix("k"), units(3));
        let any = |random: &mut fastrand::Rng| {
            let takes = keys.iter().filter(|_| random.bool());
            takes.map(|limit| Take { limit: *limit, units: 1, cost: 0 }).collect::<Vec<Take>>()
        };
        let mut waits: Vec<Vec<Take>> = (0..100).map(|_| any(&mut random)).collect();
        let mut runs: Vec<Vec<Take>> = Vec::new();
        while !waits.is_empty() {
            random.shuffle(&mut waits);
            let (begun, rest) = waits.into_iter().partition(|takes: &Vec<Take>| limits.try_take(at(0), takes).is_ok());
            runs.extend::<Vec<_>>(begun);
            waits = rest;
            assert!(!runs.is_empty(), "seed {seed}: all wait for each other");
            limits.give_back(&runs.swap_remove(random.usize(..runs.len())));
        }
    }
}
