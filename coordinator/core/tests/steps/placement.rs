//! Where work may go, where it goes of those, and that nobody is given more than there is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use windlass_core::{Input, Policy, QueueRules};
use windlass_shared::domain::{
    Affinity, AgentHello, AttemptState, Constraint, Credit, Demand, Filter, JobHeader, Must, News, Placement,
    RetryPolicy, Traits,
};
use windlass_shared::ids::SessionId;
use windlass_shared::time::Timestamp;

use crate::rig::{Rig, header, hello, hello_with, job, outcome, pool};

fn asking(placement: Placement) -> JobHeader {
    let demand = Some(Arc::new(Demand { placement, ..Demand::default() }));
    JobHeader { demand, ..header(0, RetryPolicy::NONE) }
}

fn of(resources: &[(&str, u64)]) -> JobHeader {
    let resources = resources.iter().map(|(name, milli)| (Arc::from(*name), *milli)).collect();
    asking(Placement { resources, ..Placement::default() })
}

fn is(label: &str, value: &str) -> Constraint {
    Constraint { label: label.into(), must: Must::In(vec![value.into()]) }
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<Arc<str>, Arc<str>> {
    pairs.iter().map(|(key, value)| (Arc::from(*key), Arc::from(*value))).collect()
}

fn traits(pairs: &[(&str, &str)], resources: &[(&str, u64)], devices: &[(&str, &[&str])]) -> Arc<Traits> {
    let devices = devices.iter().map(|(kind, ids)| (Arc::from(*kind), ids.iter().map(|id| Arc::from(*id)).collect()));
    Arc::new(Traits {
        labels: labels(pairs),
        resources: resources.iter().map(|(name, milli)| (Arc::from(*name), *milli)).collect(),
        devices: devices.collect(),
        ..Traits::default()
    })
}

fn join(rig: &mut Rig, n: u8, slots: u32, traits: Arc<Traits>) -> Vec<String> {
    rig.greet(u64::from(n) * 10, AgentHello { traits, ..hello(n, slots) })
}

/// Agent `n` says that it is something else now.
fn become_other(rig: &mut Rig, n: u8, slots: u32, traits: Arc<Traits>) -> Vec<String> {
    let credit = Credit { capacity: slots, traits: Some(traits), ..Credit::default() };
    rig.step(Input::Credit { session: SessionId(u64::from(n) * 10), credit })
}

fn assigned(lines: &[String]) -> Vec<&str> {
    lines.iter().filter_map(|line| line.strip_prefix("assign ")).collect()
}

fn policy(rig: &mut Rig, placement: Policy) {
    rig.core.set_rules(&"default".into(), QueueRules { placement, ..QueueRules::default() });
}

const NOBODY: [&str; 0] = [];

#[test]
fn work_goes_only_where_its_constraints_hold() {
    let mut rig = Rig::default();
    join(&mut rig, 1, 9, traits(&[("zone", "a")], &[], &[]));
    join(&mut rig, 2, 9, traits(&[("zone", "b"), ("cores", "16")], &[], &[]));
    let constrained = |constraints: Vec<Constraint>| asking(Placement { constraints, ..Placement::default() });
    let one = |label: &str, must: Must| Constraint { label: label.into(), must };
    let cases = [
        (vec![is("zone", "b")], vec!["1.1 to a2/0"]),
        (vec![one("zone", Must::NotIn(vec!["a".into()]))], vec!["2.1 to a2/0"]),
        (vec![one("cores", Must::NotExist)], vec!["3.1 to a1/0"]),
        (vec![one("cores", Must::Exceed(8))], vec!["4.1 to a2/0"]),
        (vec![one("cores", Must::Exceed(16))], vec![]),
        (vec![is("zone", "a"), one("cores", Must::Exist)], vec![]),
    ];
    for (n, (constraints, expected)) in (1..).zip(cases) {
        let lines = rig.submit_as(n, constrained(constraints.clone()));
        assert_eq!(assigned(&lines), expected, "{constraints:?}");
    }
}

#[test]
fn an_agent_that_gets_another_label_gets_what_waited_for_it_and_one_that_loses_it_keeps_what_it_has() {
    let mut rig = Rig::default();
    join(&mut rig, 1, 1, traits(&[], &[], &[]));
    let constraints = vec![is("zone", "a")];
    rig.submit_as(1, asking(Placement { constraints: constraints.clone(), ..Placement::default() }));
    assert_eq!(assigned(&become_other(&mut rig, 1, 1, traits(&[("zone", "a")], &[], &[]))), ["1.1 to a1/0"]);
    assert_eq!(assigned(&become_other(&mut rig, 1, 2, traits(&[], &[], &[]))), NOBODY);
    let lines = rig.submit_as(2, asking(Placement { constraints, ..Placement::default() }));
    assert_eq!(assigned(&lines), NOBODY);
    assert_eq!(rig.succeeded(1, 1, 1), ["record 1 SUCCEEDED, 1 SUCCEEDED", "ack a1/0"]);
}

#[test]
fn resources_are_counted_and_given_back_at_the_end() {
    let mut rig = Rig::default();
    join(&mut rig, 1, 9, traits(&[], &[("memory", 8_000)], &[]));
    assert_eq!(assigned(&rig.submit_as(1, of(&[("memory", 5_000)]))), ["1.1 to a1/0"]);
    assert_eq!(assigned(&rig.submit_as(2, of(&[("memory", 3_001)]))), NOBODY);
    assert_eq!(
        assigned(&rig.submit_as(3, of(&[("memory", 3_000)]))),
        ["3.1 to a1/0"],
        "what does not fit holds up nobody"
    );
    assert_eq!(assigned(&rig.submit_as(4, of(&[("memory", 8_001)]))), NOBODY);
    assert_eq!(assigned(&rig.submit(5)), ["5.1 to a1/0"], "what asks for nothing is not held up");
    assert_eq!(assigned(&rig.succeeded(1, 1, 1)), ["2.1 to a1/0"]);
}

#[test]
fn an_agent_has_none_of_what_it_does_not_name() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    assert_eq!(assigned(&rig.submit_as(1, of(&[("gpu", 1)]))), NOBODY);
    assert_eq!(assigned(&become_other(&mut rig, 1, 1, traits(&[], &[], &[("gpu", &["0"])]))), ["1.1 to a1/0"]);
}

#[test]
fn devices_are_lent_whole_and_in_shares_but_never_beyond_what_there_is() {
    let mut rig = Rig::default();
    join(&mut rig, 1, 9, traits(&[], &[], &[("gpu", &["0", "1"])]));
    assert_eq!(assigned(&rig.submit_as(1, of(&[("gpu", 500)]))), ["1.1 to a1/0"]);
    assert_eq!(assigned(&rig.submit_as(2, of(&[("gpu", 1_000)]))), ["2.1 to a1/0"]);
    assert_eq!(assigned(&rig.submit_as(3, of(&[("gpu", 501)]))), NOBODY);
    assert_eq!(assigned(&rig.submit_as(4, of(&[("gpu", 1_500)]))), NOBODY);
    assert_eq!(assigned(&rig.submit_as(5, of(&[("gpu", 250)]))), ["5.1 to a1/0"]);
    assert_eq!(assigned(&rig.succeeded(1, 2, 1)), ["3.1 to a1/0"]);
    assert_eq!(assigned(&rig.succeeded(1, 1, 1)), NOBODY);
    assert_eq!(assigned(&rig.succeeded(1, 3, 1)), ["4.1 to a1/0"], "a whole one, and half of one that is lent in part");
}

#[test]
fn what_an_agent_holds_is_in_use_still_after_it_says_anew_what_it_has() {
    let mut rig = Rig::default();
    let has = || traits(&[], &[("memory", 4_000)], &[("gpu", &["0", "1"])]);
    join(&mut rig, 1, 9, has());
    rig.submit_as(1, of(&[("gpu", 1_000), ("memory", 3_000)]));
    become_other(&mut rig, 1, 9, traits(&[], &[("memory", 2_000)], &[("gpu", &["1"])]));
    assert_eq!(assigned(&rig.submit_as(2, of(&[("memory", 1)]))), NOBODY, "less than is in use");
    become_other(&mut rig, 1, 9, has());
    assert_eq!(assigned(&rig.submit_as(3, of(&[("gpu", 2_000)]))), NOBODY);
    let mut again = AgentHello { traits: has(), session: 2, ..hello(1, 9) };
    again.inventory = vec![rig.lease(1, 1), rig.lease(2, 1)];
    rig.greet(11, again);
    assert_eq!(assigned(&rig.submit_as(4, of(&[("memory", 1_000)]))), NOBODY, "3.001 of 4 are in use");
    assert_eq!(assigned(&rig.submit_as(5, of(&[("gpu", 1_000)]))), ["5.1 to a1/1"]);
}

#[test]
fn what_is_lent_before_a_restart_of_the_coordinator_is_lent_to_nobody_else_after_it() {
    let mut rig = Rig::default();
    let has = || traits(&[], &[], &[("gpu", &["0", "1", "2"])]);
    join(&mut rig, 1, 9, has());
    rig.submit_as(1, of(&[("gpu", 1_000)]));
    rig.submit_as(2, of(&[("gpu", 1_000)]));
    rig.started(1, 2, 1);
    rig.succeeded(1, 1, 1);
    rig.restart();
    let mut back = AgentHello { traits: has(), session: 2, ..hello(1, 9) };
    back.inventory = vec![rig.lease(2, 1)];
    rig.greet(11, back);
    assert_eq!(rig.devices(2), ["gpu 1"]);
    rig.submit_as(3, of(&[("gpu", 2_000)]));
    assert_eq!(rig.devices(3), ["gpu 0,2"]);
    assert_eq!(assigned(&rig.submit_as(4, of(&[("gpu", 1)]))), NOBODY);
    let news = News::Ended(outcome(AttemptState::Succeeded, None));
    assert_eq!(assigned(&rig.report_on(11, rig.lease(2, 1), news)), ["4.1 to a1/1"]);
    assert_eq!(rig.devices(4), ["gpu 1"]);
}

#[test]
fn what_is_lost_is_given_back_and_what_comes_back_is_taken_again() {
    let mut rig = Rig::default();
    let has = || traits(&[], &[("memory", 4_000)], &[("gpu", &["0"])]);
    join(&mut rig, 1, 9, has());
    rig.submit_as(1, of(&[("memory", 4_000), ("gpu", 1_000)]));
    rig.started(1, 1, 1);
    rig.pass(Duration::from_secs(21));
    let mut back = AgentHello { traits: has(), session: 2, ..hello(1, 9) };
    back.inventory = vec![rig.lease(1, 1)];
    assert_eq!(rig.greet(11, back), ["welcome a1/1", "record 1 RUNNING, 1 RUNNING"]);
    assert_eq!(assigned(&rig.submit_as(2, of(&[("gpu", 1_000)]))), NOBODY);
}

#[test]
fn who_leaves_soon_gets_only_what_may_be_short() {
    let mut rig = Rig::default();
    let leaves = Traits { leaves_at: Some(Timestamp::default().after(Duration::from_secs(60))), ..Traits::default() };
    join(&mut rig, 1, 9, Arc::new(leaves));
    let lasting = |secs| Placement { min_lifetime: Some(Duration::from_secs(secs)), ..Placement::default() };
    assert_eq!(assigned(&rig.submit_as(1, asking(lasting(60)))), ["1.1 to a1/0"]);
    assert_eq!(assigned(&rig.submit_as(2, asking(lasting(61)))), NOBODY);
    rig.pass_hearing(Duration::from_secs(1), &[10]);
    assert_eq!(assigned(&rig.submit_as(3, asking(lasting(60)))), NOBODY);
    assert_eq!(assigned(&rig.submit(4)), ["4.1 to a1/0"]);
    assert_eq!(assigned(&join(&mut rig, 2, 9, Arc::new(Traits::default()))), ["2.1 to a2/0", "3.1 to a2/0"]);
}

#[test]
fn of_those_that_can_run_it_the_greatest_sum_of_affinities_goes_first() {
    let mut rig = Rig::default();
    join(&mut rig, 1, 9, traits(&[("disk", "ssd")], &[], &[]));
    join(&mut rig, 2, 9, traits(&[("disk", "ssd"), ("zone", "b")], &[], &[]));
    join(&mut rig, 3, 2, traits(&[("disk", "ssd"), ("zone", "a")], &[], &[]));
    let affinities = vec![
        Affinity { constraint: is("disk", "ssd"), weight: 10 },
        Affinity { constraint: is("zone", "a"), weight: 5 },
        Affinity { constraint: is("zone", "b"), weight: -5 },
    ];
    let near = asking(Placement { affinities, ..Placement::default() });
    let to: Vec<_> =
        (1..=4).flat_map(|n| rig.submit_as(n, near.clone())).filter(|line| line.starts_with("assign")).collect();
    assert_eq!(to, ["assign 1.1 to a3/0", "assign 2.1 to a3/0", "assign 3.1 to a1/0", "assign 4.1 to a1/0"]);
}

#[test]
fn a_queue_says_how_its_jobs_are_spread() {
    let cases = [
        (Policy::LeastLoaded, ["a1", "a2", "a3", "a3"]),
        (Policy::RoundRobin, ["a1", "a2", "a3", "a1"]),
        (Policy::BinPack, ["a1", "a1", "a1", "a2"]),
        (Policy::Spread, ["a1", "a2", "a3", "a3"]),
    ];
    for (placement, expected) in cases {
        let mut rig = Rig::default();
        policy(&mut rig, placement);
        rig.join(1, 3);
        rig.join(2, 3);
        rig.join(3, 9);
        let to: Vec<_> = (1..=4).map(|n| assigned(&rig.submit(n))[0][7..9].to_owned()).collect();
        assert_eq!(to, expected, "{placement:?}");
    }
}

#[test]
fn weights_of_agents_count_where_the_queue_says_so_and_only_of_those_that_are_there() {
    let mut rig = Rig::default();
    policy(&mut rig, Policy::WeightedRoundRobin);
    for (n, weight) in [(1, 300), (2, 100), (3, 900)] {
        join(&mut rig, n, 99, Arc::new(Traits { weight, ..Traits::default() }));
    }
    rig.step(Input::Closed { session: SessionId(30) });
    let mut counts = BTreeMap::new();
    for n in 1..=80 {
        *counts.entry(assigned(&rig.submit(n))[0].split_once(" to ").expect("to").1.to_owned()).or_insert(0) += 1;
    }
    assert_eq!(counts, [("a1/0".to_owned(), 60), ("a2/0".to_owned(), 20)].into());
}

#[test]
fn work_that_sticks_goes_to_one_agent_until_that_is_full_and_back_to_it_after_a_restart() {
    let mut rig = Rig::default();
    policy(&mut rig, Policy::Sticky);
    for n in 1..=5 {
        rig.greet(u64::from(n) * 10, hello_with(n, &[pool("p", &["resize", "crop"], 2)]));
    }
    let to = |lines: Vec<String>| assigned(&lines).first().map(|one| one[4..].to_owned());
    let sent: Vec<_> = (1..=3).map(|n| to(rig.submit_as(n, crate::rig::call("resize", 0)))).collect();
    assert_eq!(sent[0], sent[1], "one agent");
    assert_ne!(sent[0], sent[2], "until it is full");
}

#[test]
fn more_agents_than_a_choice_looks_at_all_get_work() {
    let mut rig = Rig::default();
    (1..=100).for_each(|n| drop(rig.join(n, 2)));
    let mut loads: BTreeMap<String, u32> = BTreeMap::new();
    for n in 1..=200 {
        let lines = rig.submit(n);
        *loads.entry(assigned(&lines)[0].split_once(" to ").expect("to").1.to_owned()).or_default() += 1;
    }
    assert!(loads.len() == 100 && loads.values().all(|load| *load == 2), "{loads:?}");
    assert_eq!(assigned(&rig.submit(201)), NOBODY);
    assert_eq!(rig.core.why_waiting(rig.now, job(201)).as_deref(), Some("all slots are taken (200 of 200)"));
}

fn why(rig: &Rig, n: u8) -> String {
    rig.core.why_waiting(rig.now, job(n)).unwrap_or_default()
}

#[test]
fn what_a_job_waits_for_is_what_took_out_the_last_agent() {
    let mut rig = Rig::default();
    join(&mut rig, 1, 1, traits(&[("zone", "a")], &[("memory", 4_000)], &[("gpu", &["0"])]));
    join(&mut rig, 2, 2, traits(&[("zone", "b")], &[("memory", 8_000)], &[]));
    let in_zone = |zone: &str, resources: Vec<(Arc<str>, u64)>| {
        asking(Placement { constraints: vec![is("zone", zone)], resources, ..Placement::default() })
    };
    rig.submit_as(1, in_zone("c", Vec::new()));
    assert_eq!(why(&rig, 1), "no agent with slots has zone c");
    rig.submit_as(2, of(&[("memory", 8_500)]));
    assert_eq!(why(&rig, 2), "no agent that could run it has 8.5 of memory, even with nothing in use");
    rig.submit_as(3, in_zone("b", vec![("gpu".into(), 1_000)]));
    assert_eq!(why(&rig, 3), "no agent that could run it has 1 of gpu, even with nothing in use");
    rig.submit_as(4, of(&[("memory", 8_000)]));
    assert_eq!(why(&rig, 4), "", "it runs");
    rig.submit_as(5, in_zone("b", vec![("memory".into(), 500)]));
    assert_eq!(why(&rig, 5), "0.5 of memory is nowhere free where it could run (1 agents)");
    rig.submit_as(6, in_zone("a", Vec::new()));
    rig.submit_as(7, in_zone("a", Vec::new()));
    assert_eq!(why(&rig, 7), "all slots are taken (1 of 1)", "those of other zones do not count");
}

#[test]
fn every_agent_is_counted_under_the_first_filter_that_takes_it_out() {
    let mut rig = Rig::default();
    join(&mut rig, 1, 1, traits(&[("zone", "a")], &[("memory", 4_000)], &[]));
    join(&mut rig, 2, 1, traits(&[("zone", "a")], &[("memory", 1_000)], &[]));
    join(&mut rig, 3, 1, traits(&[("zone", "b")], &[], &[]));
    rig.join_with(4, &[pool("p", &["resize"], 1)]);
    rig.join(5, 1);
    rig.step(Input::Closed { session: SessionId(50) });
    let asked = |memory: u64| {
        let resources = vec![("memory".into(), memory)];
        asking(Placement { constraints: vec![is("zone", "a")], resources, ..Placement::default() })
    };
    rig.submit_as(1, asked(2_000));
    rig.submit_as(2, asked(2_000));
    rig.submit_as(3, asked(2_000));
    let explained = rig.core.explain(rig.now, job(3)).expect("it waits");
    let filters = vec![
        (Filter::NotConnected, 1),
        (Filter::Class, 1),
        (Filter::Constraint(is("zone", "a")), 1),
        (Filter::Resource("memory".into(), 2_000), 1),
        (Filter::Room, 1),
    ];
    assert_eq!(explained.filters, filters);
    assert_eq!((explained.ahead, explained.agents, explained.left), (1, 5, 0));
    assert_eq!(explained.waiting_for.as_deref(), Some("all slots are taken (1 of 1)"));
}

fn impatient(rig: &mut Rig, secs: u64) {
    let rules = QueueRules { unsatisfiable_after: Some(Duration::from_secs(secs)), ..QueueRules::default() };
    rig.core.set_rules(&"default".into(), rules);
}

#[test]
fn what_no_agent_could_ever_run_fails_after_its_queues_patience_and_says_why() {
    let mut rig = Rig::default();
    impatient(&mut rig, 30);
    join(&mut rig, 1, 1, traits(&[], &[("memory", 4_000)], &[]));
    rig.submit_as(1, of(&[("memory", 5_000)]));
    rig.submit_as(2, of(&[("memory", 4_000)]));
    rig.submit_as(3, of(&[("memory", 4_000)]));
    assert_eq!(rig.pass_hearing(Duration::from_secs(29), &[10]), NOBODY);
    rig.submit_as(4, of(&[("memory", 6_000)]));
    assert_eq!(rig.pass_hearing(Duration::from_secs(4), &[10]), ["record 1 FAILED (unschedulable)"]);
    let why = "no agent that could run it has 5 of memory, even with nothing in use";
    assert_eq!(rig.record(1).detail.as_deref(), Some(why));
    let lines = rig.pass_hearing(Duration::from_secs(40), &[10]);
    assert_eq!(lines, ["record 4 FAILED (unschedulable)"], "one that waits for room only goes on waiting");
}

#[test]
fn patience_begins_anew_once_somebody_was_there_who_could() {
    let mut rig = Rig::default();
    impatient(&mut rig, 30);
    rig.submit(1);
    rig.pass(Duration::from_secs(20));
    rig.join(1, 1);
    rig.submit(2);
    rig.cordon(1);
    assert_eq!(rig.pass_hearing(Duration::from_secs(60), &[10]), NOBODY, "a cordoned agent could still");
    rig.ended(1, 1, 1, AttemptState::Succeeded, None);
    rig.step(Input::Goodbye { session: SessionId(10) });
    assert_eq!(rig.pass(Duration::from_secs(29)), NOBODY);
    assert_eq!(rig.pass(Duration::from_secs(6)), ["record 2 FAILED (unschedulable)"]);
}

#[test]
fn nobody_is_given_up_without_a_queues_word_nor_before_agents_could_say_hello() {
    let mut rig = Rig::default();
    rig.submit(1);
    assert_eq!(rig.pass(Duration::from_secs(1_000)), NOBODY);
    rig.restart();
    impatient(&mut rig, 1);
    assert_eq!(rig.pass(Duration::from_secs(15)), NOBODY, "a whole lease to say hello in");
    assert_eq!(rig.pass(Duration::from_secs(6)), ["record 1 FAILED (unschedulable)"]);
}
