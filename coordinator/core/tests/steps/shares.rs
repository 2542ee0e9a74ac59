//! Who gets how much: queues by weight, keys within their queue, and no job passed for ever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use windlass_core::{Options, QueueRules};
use windlass_shared::domain::{AttemptState, Demand, Fairness, JobHeader, LimitUse, Placement, RetryPolicy};

use crate::rig::{Rig, call, header, pool};

fn of(queue: &str) -> JobHeader {
    JobHeader { queue: queue.into(), ..header(0, RetryPolicy::NONE) }
}

fn of_key(queue: &str, key: &str, cost: u32) -> JobHeader {
    let fairness = Some(Fairness { key: key.into(), cost });
    JobHeader { demand: Some(Arc::new(Demand { fairness, ..Demand::default() })), ..of(queue) }
}

fn rules(weight: u32) -> QueueRules {
    QueueRules { weight, ..QueueRules::default() }
}

/// Job `n` as it was submitted, by whom.
type Owners = BTreeMap<u8, &'static str>;

fn assigned(lines: &[String]) -> Option<u8> {
    lines.iter().find_map(|line| line.strip_prefix("assign ")?.split('.').next()?.parse().ok())
}

/// Lets agent 1, which runs one at a time, end that many, `first` first; who was served.
fn serve(rig: &mut Rig, owners: &Owners, first: u8, times: usize) -> Vec<&'static str> {
    let (mut now, mut served) = (first, Vec::new());
    for _ in 0..times {
        let Some(next) = assigned(&rig.ended(1, now, 1, AttemptState::Succeeded, None)) else { break };
        served.push(owners[&next]);
        now = next;
    }
    served
}

fn count(served: &[&str], of: &str) -> usize {
    served.iter().filter(|who| **who == of).count()
}

/// Job 1 runs at agent 1; then `jobs` wait.
fn crowd(rules: &[(&str, QueueRules)], jobs: &[(&'static str, JobHeader, u8)]) -> (Rig, Owners) {
    let mut rig = Rig::default();
    rules.iter().for_each(|(queue, rules)| rig.core.set_rules(&(*queue).into(), rules.clone()));
    rig.join(1, 1);
    rig.submit_as(1, of("first"));
    let mut owners = Owners::new();
    for (who, header, times) in jobs {
        for _ in 0..*times {
            let n = u8::try_from(owners.len() + 2).expect("few");
            rig.submit_as(n, header.clone());
            owners.insert(n, who);
        }
    }
    (rig, owners)
}

#[test]
fn one_queues_flood_does_not_delay_another_beyond_its_share() {
    let (mut rig, owners) = crowd(&[], &[("flood", of("flood"), 100), ("few", of("few"), 10)]);
    let served = serve(&mut rig, &owners, 1, 20);
    assert_eq!((count(&served, "flood"), count(&served, "few")), (10, 10), "{served:?}");
}

#[test]
fn queues_share_by_weight_whatever_each_has_waiting() {
    let weights = [("a", rules(1)), ("b", rules(2)), ("c", rules(5))];
    let (mut rig, owners) = crowd(&weights, &[("a", of("a"), 90), ("b", of("b"), 70), ("c", of("c"), 60)]);
    let served = serve(&mut rig, &owners, 1, 80);
    assert_eq!(["a", "b", "c"].map(|who| count(&served, who)), [10, 20, 50], "{served:?}");
}

#[test]
fn a_weight_that_is_changed_counts_from_then_on() {
    let (mut rig, owners) = crowd(&[("b", rules(3))], &[("a", of("a"), 90), ("b", of("b"), 90)]);
    let served = serve(&mut rig, &owners, 1, 40);
    assert_eq!((count(&served, "a"), count(&served, "b")), (10, 30));
    rig.core.set_rules(&"b".into(), rules(1));
    let now = *owners
        .keys()
        .find(|n| rig.core.why_waiting(rig.now, crate::rig::job(**n)).is_none() && rig.record(**n).ended_at.is_none())
        .expect("one runs");
    let served = serve(&mut rig, &owners, now, 40);
    assert_eq!((count(&served, "a"), count(&served, "b")), (20, 20));
}

#[test]
fn keys_share_what_their_queue_gets_and_no_more() {
    let keys = [("k1", of_key("q", "k1", 1_000), 60), ("k2", of_key("q", "k2", 1_000), 60), ("other", of("o"), 60)];
    let (mut rig, owners) = crowd(&[], &keys);
    let served = serve(&mut rig, &owners, 1, 80);
    assert_eq!(["k1", "k2", "other"].map(|who| count(&served, who)), [20, 20, 40], "{served:?}");
}

#[test]
fn a_key_with_a_weight_gets_more_and_one_whose_jobs_cost_more_gets_fewer() {
    let key_weights = [("k1".into(), 2)].into();
    let rules = QueueRules { key_weights, ..QueueRules::default() };
    let keys = [("k1", of_key("q", "k1", 1_000), 90), ("k2", of_key("q", "k2", 2_000), 60), ("none", of("q"), 60)];
    let (mut rig, owners) = crowd(&[("q", rules)], &keys);
    let served = serve(&mut rig, &owners, 1, 70);
    assert_eq!(["k1", "k2", "none"].map(|who| count(&served, who)), [40, 10, 20], "{served:?}");
}

#[test]
fn jobs_of_one_key_go_by_priority_whatever_lane_they_are_in() {
    let limit = LimitUse { key: "l".into(), units: 1, cost: 1_000 };
    let limited = Demand { limits: vec![limit], ..Demand::default() };
    let mut rig = Rig::default();
    rig.submit_as(1, JobHeader { program: Some("a".into()), ..of("q") });
    rig.submit_as(2, JobHeader { program: Some("b".into()), priority: 1, ..of("q") });
    rig.submit_as(3, JobHeader { demand: Some(Arc::new(limited)), priority: 2, ..of("q") });
    let lines = rig.join(1, 3);
    let assigned: Vec<_> = lines.iter().filter(|line| line.starts_with("assign")).collect();
    assert_eq!(assigned, ["assign 3.1 to a1/0", "assign 2.1 to a1/0", "assign 1.1 to a1/0"]);
}

#[test]
fn a_queue_that_was_paused_has_saved_nothing_up() {
    let (mut rig, owners) = crowd(&[], &[("a", of("a"), 100), ("b", of("b"), 60)]);
    rig.pause("b");
    let served = serve(&mut rig, &owners, 1, 40);
    assert_eq!(count(&served, "a"), 40);
    let now = *owners.keys().nth(39).expect("the fortieth runs");
    rig.resume("b");
    let served = serve(&mut rig, &owners, now, 20);
    assert!(count(&served, "b") <= 11, "{served:?}");
}

#[test]
fn what_nobody_can_run_holds_up_nobody() {
    let mut rig = Rig::default();
    rig.submit_as(1, JobHeader { priority: 100, ..call("nowhere", 0) });
    rig.submit(2);
    rig.join(1, 1);
    assert_eq!(rig.core.why_waiting(rig.now, crate::rig::job(2)), None, "it runs");
}

#[test]
fn a_job_is_passed_only_by_those_submitted_soon_after_it_however_high_their_priority() {
    let mut rig = Rig::default();
    rig.core.set_rules(&"default".into(), QueueRules { aging_step: Duration::from_secs(10), ..QueueRules::default() });
    rig.submit_as(1, header(0, RetryPolicy::NONE));
    rig.pass(Duration::from_secs(29));
    rig.submit_as(2, header(3, RetryPolicy::NONE));
    rig.pass(Duration::from_secs(1));
    rig.submit_as(3, header(3, RetryPolicy::NONE));
    rig.submit_as(4, header(4, RetryPolicy::NONE));
    let lines = rig.join(1, 4);
    let order: Vec<_> = lines.iter().filter(|line| line.starts_with("assign")).cloned().collect();
    assert_eq!(
        order,
        ["assign 4.1 to a1/0", "assign 2.1 to a1/0", "assign 1.1 to a1/0", "assign 3.1 to a1/0"],
        "30 s and 3 steps of 10 s are the same: then the older one goes"
    );
}

#[test]
fn what_age_is_worth_can_be_changed_while_jobs_wait() {
    let mut rig = Rig::default();
    rig.submit_as(1, header(0, RetryPolicy::NONE));
    rig.pass(Duration::from_secs(59));
    rig.submit_as(2, header(1, RetryPolicy::NONE));
    rig.core.set_rules(&"default".into(), QueueRules { aging_step: Duration::from_secs(10), ..QueueRules::default() });
    let lines = rig.join(1, 1);
    assert_eq!(lines.last().map(String::as_str), Some("assign 1.1 to a1/0"), "a minute is six steps now");
}

#[test]
fn combinations_past_the_limit_are_refused_and_leave_nothing_behind() {
    let mut rig = Rig::new(Options { shapes_max: 2, ..Options::default() });
    rig.submit_as(1, call("a", 0));
    rig.submit_as(2, call("b", 0));
    let refused = rig.submit_as(3, call("c", 0));
    assert!(refused.len() == 1 && refused[0].contains("shapes_max"), "{refused:?}");
    rig.submit_as(4, JobHeader { queue: "other".into(), ..call("b", 7) });
    assert_eq!(rig.core.jobs_live(), 3, "one that is there already is no new one");
    rig.cancel(1);
    assert_eq!(rig.submit_as(5, call("c", 0)), ["record 5 QUEUED", "reply ok"], "the last job of a took it along");
}

#[test]
fn amounts_that_differ_are_shapes_of_their_own_and_agents_that_come_later_are_matched_with_all() {
    let mut rig = Rig::default();
    for (n, handler) in (1..).zip(["a", "b", "c"]) {
        rig.submit_as(n, call(handler, 0));
    }
    let placement = Placement { min_lifetime: Some(Duration::from_secs(1)), ..Placement::default() };
    let demand = Some(Arc::new(Demand { placement, ..Demand::default() }));
    rig.submit_as(4, JobHeader { demand, ..call("a", 0) });
    let lines = rig.join_with(1, &[pool("p", &["a", "c"], 9)]);
    let assigned = lines.iter().filter(|line| line.starts_with("assign")).count();
    assert_eq!(assigned, 3, "{lines:?}");
}
