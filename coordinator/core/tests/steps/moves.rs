//! Jobs that wait get another priority or another queue, or are purged.

use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::{Demand, JobHeader, RetryPolicy};

use crate::rig::{Rig, header};

fn assigned(lines: &[String]) -> Vec<&str> {
    lines.iter().filter_map(|line| line.strip_prefix("assign ")).collect()
}

fn ordered(queue: &str) -> JobHeader {
    let demand = Some(Arc::new(Demand { ordering_key: Some("k".into()), ..Demand::default() }));
    JobHeader { queue: queue.into(), demand, ..header(0, RetryPolicy::NONE) }
}

#[test]
fn a_job_that_waits_gets_another_priority_and_goes_by_it() {
    let mut rig = Rig::default();
    (1..=3).for_each(|n| drop(rig.submit(n)));
    assert_eq!(rig.update(3, Some(7), None), ["record 3 QUEUED", "reply updated"]);
    assert_eq!(rig.update(3, Some(7), None), ["reply updated"], "nothing to change");
    assert_eq!(rig.record(3).header.priority, 7);
    rig.restart();
    assert_eq!(assigned(&rig.join(1, 2)), ["3.1 to a1/0", "1.1 to a1/0"], "over a restart too");
}

#[test]
fn a_job_that_waits_moves_to_another_queue_and_is_held_by_what_holds_that() {
    let mut rig = Rig::default();
    rig.pause("slow");
    rig.submit(1);
    assert_eq!(rig.update(1, None, Some("slow")), ["record 1 QUEUED", "reply updated"]);
    assert_eq!(assigned(&rig.join(1, 1)), [""; 0]);
    let counts = |rig: &Rig, queue: &str| rig.core.queue(queue).queued;
    assert_eq!((counts(&rig, "default"), counts(&rig, "slow")), (0, 1));
    assert_eq!(rig.update(1, None, Some("default"))[2..], ["record 1 LEASED, 1 LEASED", "assign 1.1 to a1/0"]);
}

#[test]
fn a_job_that_is_delayed_is_changed_without_becoming_ready() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit_retrying(1, 2);
    rig.failed(1, 1, 1);
    let lines = rig.update(1, Some(1), Some("other"));
    assert_eq!(lines, ["record 1 DELAYED (exit code)", "reply updated"]);
    assert_eq!(assigned(&rig.pass_hearing(Duration::from_secs(2), &[10])), ["1.2 to a1/0"]);
    assert_eq!(&*rig.record(1).header.queue, "other");
}

#[test]
fn what_an_agent_has_keeps_its_place_and_what_is_over_is_unknown() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    assert_eq!(rig.update(1, Some(1), None), ["reply refused JOB_NOT_WAITING"]);
    rig.succeeded(1, 1, 1);
    assert_eq!(rig.update(1, Some(1), None), ["reply unknown"]);
}

#[test]
fn a_job_that_moves_leaves_its_ordering_key_to_the_next_and_takes_its_place_in_the_other_queues() {
    let mut rig = Rig::default();
    rig.submit_as(1, ordered("a"));
    rig.submit_as(2, ordered("a"));
    rig.submit_as(3, ordered("b"));
    rig.update(1, None, Some("b"));
    assert_eq!(assigned(&rig.join(1, 9)), ["1.1 to a1/0", "2.1 to a1/0"], "1 was submitted before 3");
    assert_eq!(assigned(&rig.succeeded(1, 1, 1)), ["3.1 to a1/0"]);
}

#[test]
fn a_purge_cancels_what_waits_in_its_queue_and_nothing_else() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit_retrying(1, 2);
    rig.failed(1, 1, 1);
    (2..=3).for_each(|n| drop(rig.submit(n)));
    rig.submit_as(4, JobHeader { queue: "other".into(), ..header(0, RetryPolicy::NONE) });
    assert_eq!(
        rig.purge("default"),
        ["record 1 CANCELLED (cancel requested)", "record 3 CANCELLED (cancel requested)", "reply purged 2"]
    );
    assert_eq!(rig.record(3).detail.as_deref(), Some("mistake"));
    assert_eq!(rig.purge("default"), ["reply purged 0"], "what runs is left alone");
    assert_eq!(rig.purge("unheard of"), ["reply purged 0"]);
    assert_eq!(assigned(&rig.succeeded(1, 2, 1)), ["4.1 to a1/0"]);
}

#[test]
fn a_job_that_moves_before_one_of_its_key_that_runs_waits_for_its_end() {
    let mut rig = Rig::default();
    rig.pause("a");
    rig.submit_as(1, ordered("a"));
    rig.join(1, 9);
    rig.submit_as(2, ordered("b"));
    rig.submit_as(3, ordered("b"));
    assert_eq!(rig.update(1, None, Some("b")), ["record 1 QUEUED", "reply updated"], "2 runs");
    assert_eq!(assigned(&rig.succeeded(1, 2, 1)), ["1.1 to a1/0"], "and 3 was submitted later");
    assert_eq!(assigned(&rig.succeeded(1, 1, 1)), ["3.1 to a1/0"]);
}
