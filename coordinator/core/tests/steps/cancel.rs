//! Cancel is sticky: no attempt ever follows it.

use std::time::Duration;

use windlass_shared::domain::{AttemptState, News, Reason};

use crate::rig::{Rig, hello};

fn running() -> Rig {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit_retrying(1, 9);
    rig.started(1, 1, 1);
    rig
}

#[test]
fn a_waiting_job_is_cancelled_at_once() {
    let mut rig = Rig::default();
    rig.submit(1);
    assert_eq!(rig.cancel(1), ["record 1 CANCELLED (cancel requested)", "reply ok"]);
    assert_eq!(rig.join(1, 1), ["welcome a1/0"], "nothing is left to hand out");
}

#[test]
fn a_delayed_job_is_cancelled_at_once_and_its_timer_with_it() {
    let mut rig = running();
    rig.failed(1, 1, 1);
    assert_eq!(rig.cancel(1), ["record 1 CANCELLED (cancel requested)", "reply ok"]);
    assert_eq!(rig.pass_hearing(Duration::from_secs(120), &[10]), Vec::<String>::new());
}

#[test]
fn a_running_job_is_stopped_and_cancelled_only_when_its_agent_says_it_is_over() {
    let mut rig = running();
    assert_eq!(rig.cancel(1), ["record 1 CANCELLING, 1 STOPPING", "stop 1.1 at a1/0 (cancel requested)", "reply ok"]);
    assert_eq!(
        rig.ended(1, 1, 1, AttemptState::Cancelled, Some(Reason::CancelRequested)),
        ["record 1 CANCELLED (cancel requested), 1 CANCELLED", "ack a1/0"]
    );
}

#[test]
fn a_result_the_agent_read_first_wins_over_the_cancel() {
    let mut rig = running();
    rig.cancel(1);
    assert_eq!(rig.succeeded(1, 1, 1), ["record 1 SUCCEEDED, 1 SUCCEEDED", "ack a1/0"]);
}

#[test]
fn a_failure_after_a_cancel_is_never_retried() {
    let mut rig = running();
    rig.cancel(1);
    assert_eq!(rig.failed(1, 1, 1), ["record 1 FAILED (exit code), 1 FAILED", "ack a1/0"]);
}

#[test]
fn an_interruption_a_return_or_a_loss_after_a_cancel_cancels_the_job() {
    let mut rig = running();
    rig.cancel(1);
    let lines = rig.ended(1, 1, 1, AttemptState::Interrupted, Some(Reason::Drain));
    assert_eq!(lines[0], "record 1 CANCELLED (cancel requested), 1 INTERRUPTED");

    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    rig.cancel(1);
    let lines = rig.report(1, 1, 1, News::Returned(Reason::Drain));
    assert_eq!(lines[0], "record 1 CANCELLED (cancel requested), 1 RETURNED");

    let mut rig = running();
    rig.cancel(1);
    assert_eq!(
        rig.pass(Duration::from_secs(21)),
        ["close a1/0 LEASE_EXPIRED", "record 1 CANCELLED (cancel requested), 1 LOST"]
    );
}

#[test]
fn a_start_that_crosses_with_a_cancel_leaves_the_job_cancelling() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    rig.cancel(1);
    assert_eq!(rig.started(1, 1, 1), ["record 1 CANCELLING, 1 STOPPING", "ack a1/0"]);
}

#[test]
fn cancelling_twice_or_after_the_end_changes_nothing() {
    let mut rig = running();
    rig.cancel(1);
    assert_eq!(rig.cancel(1), ["reply ok"]);
    rig.ended(1, 1, 1, AttemptState::Cancelled, Some(Reason::CancelRequested));
    assert_eq!(rig.cancel(1), ["reply unknown"]);
}

#[test]
fn an_agent_that_comes_back_is_told_again_of_a_cancel_it_missed() {
    let mut rig = running();
    rig.step(windlass_core::Input::Closed { session: windlass_shared::ids::SessionId(10) });
    assert_eq!(rig.cancel(1), ["record 1 CANCELLING, 1 STOPPING", "reply ok"]);
    let mut again = hello(1, 1);
    again.session = 2;
    again.inventory = vec![rig.lease(1, 1)];
    assert_eq!(rig.greet(11, again), ["welcome a1/1", "stop 1.1 at a1/1 (cancel requested)"]);
}
