//! What becomes of a job when its attempt is over. The three counters are never mixed.

use std::time::Duration;

use windlass_core::{Effect, Input};
use windlass_shared::domain::{AttemptState, JobRecord, News, Proof, Reason, ReportItem};
use windlass_shared::ids::SessionId;

use crate::rig::{Rig, outcome};

/// A rig whose job 1 runs on agent 1, with so many attempts to its name.
fn running(attempts_max: u16) -> Rig {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit_retrying(1, attempts_max);
    assert_eq!(rig.started(1, 1, 1), ["record 1 RUNNING, 1 RUNNING", "ack a1/0"]);
    rig
}

/// Ends attempt 1 of job 1 and answers the job's record.
fn record_after(rig: &mut Rig, state: AttemptState, reason: Option<Reason>) -> JobRecord {
    let items = vec![ReportItem { lease: rig.lease(1, 1), news: News::Ended(outcome(state, reason)) }];
    let effects = rig.core.handle(rig.now, Input::Report { session: SessionId(10), sequence: 1, items });
    let records = effects.into_iter().filter_map(|effect| match effect {
        Effect::Record(change) => Some(change.job),
        _ => None,
    });
    records.into_iter().next().expect("the end is recorded")
}

#[test]
fn a_failure_without_a_retry_policy_ends_the_job_with_its_reason() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    rig.started(1, 1, 1);
    assert_eq!(rig.failed(1, 1, 1), ["record 1 FAILED (exit code), 1 FAILED", "ack a1/0"]);
    assert_eq!(rig.core.jobs_live(), 0);
}

#[test]
fn failures_are_retried_until_the_attempts_are_used_up() {
    let mut rig = running(2);
    assert_eq!(rig.failed(1, 1, 1), ["record 1 DELAYED (exit code), 1 FAILED", "ack a1/0"]);
    // Full jitter: the first delay is anything up to a second.
    assert_eq!(
        rig.pass_hearing(Duration::from_secs(1), &[10]),
        ["record 1 QUEUED (exit code)", "record 1 LEASED (exit code), 2 LEASED", "assign 1.2 to a1/0"]
    );
    assert_eq!(rig.failed(1, 1, 2), ["record 1 FAILED (exit code), 2 FAILED", "ack a1/0"]);
}

#[test]
fn a_run_timeout_counts_as_a_failure_of_the_job() {
    let mut rig = running(1);
    assert_eq!(
        rig.ended(1, 1, 1, AttemptState::TimedOut, Some(Reason::RunTimeout)),
        ["record 1 FAILED (run timeout), 1 TIMED_OUT", "ack a1/0"]
    );
}

#[test]
fn each_kind_of_end_moves_its_own_counter() {
    let counters = |state, reason| {
        let record = record_after(&mut running(9), state, Some(reason));
        (record.failures, record.infra_losses, record.interruptions)
    };
    assert_eq!(counters(AttemptState::Failed, Reason::Signal), (1, 0, 0));
    assert_eq!(counters(AttemptState::TimedOut, Reason::RunTimeout), (1, 0, 0));
    assert_eq!(counters(AttemptState::Interrupted, Reason::Drain), (0, 0, 1));
    assert_eq!(counters(AttemptState::Interrupted, Reason::Shutdown), (0, 0, 1));
    assert_eq!(counters(AttemptState::Interrupted, Reason::SupervisorLost), (0, 1, 0));
    assert_eq!(counters(AttemptState::Interrupted, Reason::AgentFault), (0, 1, 0));
    assert_eq!(counters(AttemptState::Succeeded, Reason::ExitCode), (0, 0, 0));
}

#[test]
fn work_given_back_before_it_started_counts_nowhere_and_goes_on_at_once() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    assert_eq!(
        rig.report(1, 1, 1, News::Returned(Reason::Returned)),
        [
            "record 1 QUEUED (returned), 1 RETURNED",
            "ack a1/0",
            "record 1 LEASED (returned), 2 LEASED",
            "assign 1.2 to a1/0"
        ]
    );
}

#[test]
fn an_interrupted_job_goes_on_at_once_and_uses_up_no_attempt() {
    let mut rig = running(1);
    assert_eq!(
        rig.ended(1, 1, 1, AttemptState::Interrupted, Some(Reason::Drain)),
        [
            "record 1 QUEUED (drain), 1 INTERRUPTED",
            "ack a1/0",
            "record 1 LEASED (drain), 2 LEASED",
            "assign 1.2 to a1/0"
        ]
    );
}

#[test]
fn five_losses_to_supervision_make_a_job_poison() {
    let mut rig = running(1);
    for attempt in 1..5 {
        let lines = rig.ended(1, 1, attempt, AttemptState::Interrupted, Some(Reason::SupervisorLost));
        assert_eq!(lines[0], format!("record 1 DELAYED (supervisor lost), {attempt} INTERRUPTED"));
        rig.pass_hearing(Duration::from_secs(60), &[10]);
    }
    assert_eq!(
        rig.ended(1, 1, 5, AttemptState::Interrupted, Some(Reason::SupervisorLost)),
        ["record 1 FAILED (poison), 5 INTERRUPTED", "ack a1/0"]
    );
}

#[test]
fn after_an_end_without_proof_nothing_of_the_job_ever_runs_again() {
    for state in [AttemptState::Succeeded, AttemptState::Failed, AttemptState::Interrupted] {
        let mut rig = running(9);
        let mut unproven = outcome(state, Some(Reason::Drain));
        unproven.exit.as_mut().expect("set").proof = Proof::None;
        let lines = rig.report(1, 1, 1, News::Ended(unproven));
        assert_eq!(lines, [format!("record 1 FAILED (unproven), 1 {}", state.name()), "ack a1/0".into()]);
    }
}

#[test]
fn work_the_host_refuses_fails_without_a_retry() {
    let mut rig = running(9);
    assert_eq!(
        rig.ended(1, 1, 1, AttemptState::Rejected, Some(Reason::Rejected)),
        ["record 1 FAILED (rejected), 1 REJECTED", "ack a1/0"]
    );
}

#[test]
fn a_second_word_about_a_recorded_end_is_acked_stale_and_changes_nothing() {
    let mut rig = running(1);
    rig.succeeded(1, 1, 1);
    let before = rig.core.revision();
    assert_eq!(rig.failed(1, 1, 1), ["ack a1/0 stale"]);
    assert_eq!(rig.core.revision(), before);
}

#[test]
fn a_lease_that_differs_in_any_part_is_stale() {
    let mut rig = running(1);
    let real = rig.lease(1, 1);
    let mut forged = [real; 5];
    forged[0].generation += 1;
    forged[1].attempt += 1;
    forged[2].incarnation += 1;
    forged[3].epoch += 1;
    forged[4].fencing_token += 1;
    for lease in forged {
        let news = News::Ended(outcome(AttemptState::Succeeded, None));
        assert_eq!(rig.report_on(10, lease, news), ["ack a1/0 stale"], "{lease:?}");
    }
    assert_eq!(rig.succeeded(1, 1, 1), ["record 1 SUCCEEDED, 1 SUCCEEDED", "ack a1/0"]);
}

#[test]
fn another_agent_cannot_end_an_attempt_even_with_its_lease() {
    let mut rig = running(1);
    rig.join(2, 1);
    assert_eq!(rig.succeeded(2, 1, 1), ["ack a2/0 stale"]);
}

#[test]
fn a_start_reported_twice_is_recorded_once() {
    let mut rig = running(1);
    assert_eq!(rig.started(1, 1, 1), ["ack a1/0"]);
}

#[test]
fn a_start_that_is_told_with_the_end_is_recorded_before_it() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    let mut both = outcome(AttemptState::Succeeded, None);
    both.started_at = Some(rig.now.wall);
    assert_eq!(
        rig.report(1, 1, 1, News::Ended(both)),
        ["record 1 RUNNING, 1 RUNNING", "record 1 SUCCEEDED, 1 SUCCEEDED", "ack a1/0"]
    );
}
