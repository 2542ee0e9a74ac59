//! Which job goes first, and where to.

use std::sync::Arc;
use std::time::Duration;

use windlass_core::Options;
use windlass_shared::domain::{AttemptState, Demand, JobHeader, Preset, Reason, RetryPolicy};

use crate::rig::{Rig, header};

#[test]
fn a_job_submitted_while_a_slot_is_free_is_recorded_and_leased_at_once() {
    let mut rig = Rig::default();
    assert_eq!(rig.join(1, 1), ["welcome a1/0"]);
    assert_eq!(rig.submit(1), ["record 1 QUEUED", "reply ok", "record 1 LEASED, 1 LEASED", "assign 1.1 to a1/0"]);
}

#[test]
fn a_job_submitted_while_nobody_has_room_waits_for_a_slot() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    assert_eq!(rig.submit(2), ["record 2 QUEUED", "reply ok"]);
    assert_eq!(
        rig.succeeded(1, 1, 1),
        ["record 1 SUCCEEDED, 1 SUCCEEDED", "ack a1/0", "record 2 LEASED, 1 LEASED", "assign 2.1 to a1/0"]
    );
}

#[test]
fn higher_priority_goes_first_and_equals_go_in_submit_order() {
    let mut rig = Rig::default();
    rig.submit_as(1, header(0, RetryPolicy::NONE));
    rig.submit_as(2, header(5, RetryPolicy::NONE));
    rig.submit_as(3, header(5, RetryPolicy::NONE));
    rig.submit_as(4, header(-5, RetryPolicy::NONE));
    assert_eq!(
        rig.join(1, 4).into_iter().filter(|line| line.starts_with("assign")).collect::<Vec<_>>(),
        ["assign 2.1 to a1/0", "assign 3.1 to a1/0", "assign 1.1 to a1/0", "assign 4.1 to a1/0"]
    );
}

#[test]
fn work_goes_to_the_agent_with_the_fewest_attempts_for_its_slots() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.join(2, 3);
    let assigned: Vec<_> = (1..=4).map(|n| rig.submit(n).pop().expect("an effect")).collect();
    assert_eq!(assigned, ["assign 1.1 to a1/0", "assign 2.1 to a2/0", "assign 3.1 to a2/0", "assign 4.1 to a2/0"]);
    assert_eq!(rig.submit(5), ["record 5 QUEUED", "reply ok"]);
}

#[test]
fn a_retried_job_keeps_its_place_before_those_submitted_after_it() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit_retrying(1, 2);
    rig.submit(2);
    rig.submit(3);
    assert_eq!(
        rig.failed(1, 1, 1),
        ["record 1 DELAYED (exit code), 1 FAILED", "ack a1/0", "record 2 LEASED, 1 LEASED", "assign 2.1 to a1/0"]
    );
    assert_eq!(rig.pass_hearing(Duration::from_secs(1), &[10]), ["record 1 QUEUED (exit code)"]);
    let next = rig.succeeded(1, 2, 1);
    assert_eq!(next.last().map(String::as_str), Some("assign 1.2 to a1/0"));
}

#[test]
fn jobs_past_the_limit_are_refused_and_leave_nothing_behind() {
    let mut rig = Rig::new(Options { jobs_live_max: 1, ..Options::default() });
    assert_eq!(rig.submit(1), ["record 1 QUEUED", "reply ok"]);
    let before = rig.core.revision();
    let refused = rig.submit(2);
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains("jobs_live_max"), "{refused:?}");
    assert_eq!((rig.core.jobs_live(), rig.core.revision()), (1, before));
}

fn ordered(key: &str, attempts_max: u16) -> JobHeader {
    let demand = Some(Arc::new(Demand { ordering_key: Some(key.into()), ..Demand::default() }));
    let retry = RetryPolicy { preset: Preset::Default, attempts_max };
    JobHeader { demand, ..header(0, retry) }
}

fn assigned(lines: &[String]) -> Vec<&str> {
    lines.iter().filter_map(|line| line.strip_prefix("assign ")).collect()
}

#[test]
fn jobs_of_one_ordering_key_go_one_at_a_time_in_submit_order_while_others_pass() {
    let mut rig = Rig::default();
    rig.join(1, 9);
    assert_eq!(assigned(&rig.submit_as(1, ordered("k", 1))), ["1.1 to a1/0"]);
    let urgent = JobHeader { priority: 100, ..ordered("k", 1) };
    assert_eq!(rig.submit_as(2, ordered("k", 1)), ["record 2 QUEUED", "reply ok"]);
    assert_eq!(rig.submit_as(3, urgent), ["record 3 QUEUED", "reply ok"]);
    assert_eq!(assigned(&rig.submit_as(4, ordered("other", 1))), ["4.1 to a1/0"]);
    let elsewhere = JobHeader { queue: "elsewhere".into(), ..ordered("k", 1) };
    assert_eq!(assigned(&rig.submit_as(5, elsewhere)), ["5.1 to a1/0"], "a key is of one queue");
    assert_eq!(assigned(&rig.succeeded(1, 1, 1)), ["2.1 to a1/0"]);
    assert_eq!(assigned(&rig.failed(1, 2, 1)), ["3.1 to a1/0"]);
}

#[test]
fn nothing_passes_the_head_of_an_ordering_key_while_it_waits_for_its_retry() {
    let mut rig = Rig::default();
    rig.join(1, 9);
    rig.submit_as(1, ordered("k", 2));
    rig.submit_as(2, ordered("k", 1));
    assert_eq!(rig.failed(1, 1, 1), ["record 1 DELAYED (exit code), 1 FAILED", "ack a1/0"]);
    assert_eq!(assigned(&rig.pass_hearing(Duration::from_secs(2), &[10])), ["1.2 to a1/0"]);
    assert_eq!(assigned(&rig.succeeded(1, 1, 2)), ["2.1 to a1/0"]);
}

#[test]
fn a_cancelled_head_lets_the_next_go_only_once_it_is_proven_over() {
    let mut rig = Rig::default();
    rig.join(1, 9);
    (1..=4).for_each(|n| drop(rig.submit_as(n, ordered("k", 1))));
    rig.started(1, 1, 1);
    assert_eq!(rig.cancel(2), ["record 2 CANCELLED (cancel requested)", "reply ok"], "it was not the head");
    assert_eq!(assigned(&rig.cancel(1)), [""; 0]);
    let ended = rig.ended(1, 1, 1, AttemptState::Cancelled, Some(Reason::CancelRequested));
    assert_eq!(assigned(&ended), ["3.1 to a1/0"]);
}

#[test]
fn the_order_of_a_key_holds_over_a_restart_and_while_the_heads_agent_is_lost() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    (1..=3).for_each(|n| drop(rig.submit_as(n, ordered("k", 1))));
    rig.started(1, 1, 1);
    rig.restart();
    assert_eq!(assigned(&rig.join(2, 9)), [""; 0], "the head runs, as far as anybody knows");
    let lines = rig.pass_hearing(Duration::from_secs(25), &[20]);
    assert_eq!(assigned(&lines), ["1.2 to a2/0"], "lost, and the first to go again");
    assert_eq!(assigned(&rig.succeeded(2, 1, 2)), ["2.1 to a2/0"]);
}

#[test]
fn priorities_are_numbers_and_higher_ones_never_go_last() {
    let mut rig = Rig::default();
    for (n, priority) in [(1, -100), (2, 9), (3, 100), (4, -9), (5, 10), (6, 0)] {
        rig.submit_as(n, header(priority, RetryPolicy::NONE));
    }
    let lines = rig.join(1, 6);
    let order: Vec<_> = assigned(&lines).iter().map(|line| line.split('.').next().unwrap_or_default()).collect();
    assert_eq!(order, ["3", "5", "2", "6", "4", "1"]);
}
