//! Which job goes first, and where to.

use std::time::Duration;

use windlass_core::Options;
use windlass_shared::domain::RetryPolicy;

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
