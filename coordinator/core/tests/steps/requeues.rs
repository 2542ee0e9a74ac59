//! A finished job begins again: another generation, the same id.

use std::sync::Arc;
use std::time::Duration;

use windlass_core::{Input, Options};
use windlass_shared::domain::{
    AttemptState, Demand, JobHeader, JobState, News, OnConflict, Preset, Reason, RetryPolicy, Unique,
};

use crate::rig::{Rig, header, hello, outcome};

/// Job 1 failed on agent 1, which has one slot.
fn failed() -> Rig {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    rig.started(1, 1, 1);
    assert_eq!(rig.failed(1, 1, 1)[0], "record 1 FAILED (exit code), 1 FAILED");
    rig
}

#[test]
fn a_requeued_job_runs_again_in_another_generation_under_another_lease() {
    let mut rig = failed();
    let before = rig.lease(1, 1);
    assert_eq!(
        rig.requeue(1),
        ["record 1 QUEUED", "reply requeued ok", "record 1 LEASED, 2 LEASED", "assign 1.2 to a1/0"]
    );
    let lease = rig.lease(1, 2);
    assert_eq!((lease.generation, lease.attempt), (2, 2));
    assert!(lease.fencing_token > before.fencing_token);
    assert_eq!(rig.report_on(10, before, News::Ended(outcome(AttemptState::Succeeded, None))), ["ack a1/0 stale"]);
    assert_eq!(rig.succeeded(1, 1, 2), ["record 1 SUCCEEDED, 2 SUCCEEDED", "ack a1/0"]);
    assert_eq!(rig.record(1).generation, 2);
}

#[test]
fn nothing_of_its_former_life_counts() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit_as(1, header(0, RetryPolicy { preset: Preset::Default, attempts_max: 2 }));
    for attempt in 1..=2 {
        rig.failed(1, 1, attempt);
        rig.pass_hearing(Duration::from_secs(60), &[10]);
    }
    rig.requeue(1);
    assert_eq!(rig.failed(1, 1, 3)[0], "record 1 DELAYED (exit code), 3 FAILED", "its first of two failures");
    let record = rig.record(1);
    assert_eq!((record.failures, record.attempts, record.generation), (1, 3, 2));
}

#[test]
fn a_cancel_ends_with_the_generation_it_was_meant_for() {
    let mut rig = Rig::default();
    rig.submit(1);
    rig.cancel(1);
    assert_eq!(rig.requeue(1), ["record 1 QUEUED", "reply requeued ok"]);
    let record = rig.record(1);
    assert_eq!((record.cancel_requested, record.reason, record.ended_at), (false, None, None));
}

#[test]
fn a_poisoned_job_is_no_dead_letter_while_it_runs_again() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    for attempt in 1..=5 {
        rig.ended(1, 1, attempt, AttemptState::Interrupted, Some(Reason::SupervisorLost));
        rig.pass_hearing(Duration::from_secs(60), &[10]);
    }
    assert!(rig.record(1).dead_lettered);
    rig.requeue(1);
    let record = rig.record(1);
    assert_eq!((record.dead_lettered, record.infra_losses, record.tried.is_none()), (false, 0, true));
}

#[test]
fn what_is_not_over_is_not_requeued() {
    let mut rig = Rig::default();
    rig.submit(1);
    assert_eq!(rig.requeue(1), ["reply requeued JOB_NOT_FINAL"]);
    let mut rig = failed();
    let old = rig.record(1).clone();
    rig.requeue(1);
    let ticket = rig.ticket();
    assert_eq!(rig.step(Input::Requeue { ticket, jobs: vec![old] }), ["reply requeued JOB_NOT_FINAL"], "asked twice");
    assert_eq!(rig.core.jobs_live(), 1);
}

#[test]
fn a_key_that_another_has_meanwhile_is_not_taken_from_it() {
    let unique = Unique { key: "k".into(), on_conflict: OnConflict::CancelRunning };
    let demand = Arc::new(Demand { unique: Some(unique), ..Demand::default() });
    let keyed = || JobHeader { demand: Some(demand.clone()), ..header(0, RetryPolicy::NONE) };
    let mut rig = Rig::default();
    rig.submit_as(1, keyed());
    rig.cancel(1);
    rig.submit_as(2, keyed());
    assert_eq!(rig.requeue(1), ["reply requeued UNIQUE_KEY_TAKEN"]);
    rig.cancel(2);
    assert_eq!(rig.requeue(1), ["record 1 QUEUED", "reply requeued ok"]);
}

#[test]
fn a_requeued_job_waits_behind_those_that_wait() {
    let mut rig = failed();
    rig.pause("default");
    rig.submit(2);
    rig.requeue(1);
    let lines = rig.resume("default");
    assert!(lines.contains(&"assign 2.1 to a1/0".to_owned()), "{lines:?}");
    assert_eq!(rig.record(1).state, JobState::Queued);
}

#[test]
fn as_many_jobs_as_are_held_leave_no_room_for_one_more() {
    let mut rig = Rig::new(Options { jobs_live_max: 1, ..Options::default() });
    rig.submit(1);
    rig.cancel(1);
    rig.submit(2);
    assert_eq!(rig.requeue(1), ["reply requeued JOBS_FULL"]);
}

#[test]
fn a_requeued_job_is_there_after_a_restart_and_its_former_lease_takes_nothing_back() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    rig.started(1, 1, 1);
    let lost = rig.lease(1, 1);
    rig.pass(Duration::from_secs(21));
    rig.cancel(1);
    rig.requeue(1);
    rig.restart();
    assert_eq!((rig.record(1).state, rig.record(1).generation), (JobState::Queued, 2));
    let mut back = hello(1, 1);
    (back.session, back.inventory) = (2, vec![lost]);
    let lines = rig.greet(11, back);
    assert!(lines.iter().any(|line| line.starts_with("stop 1.1")), "{lines:?}");
    assert!(lines.contains(&"assign 1.2 to a1/1".to_owned()), "{lines:?}");
}
