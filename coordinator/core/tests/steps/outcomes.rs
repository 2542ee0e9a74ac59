//! What becomes of a job when its attempt is over. The three counters are never mixed.

use std::time::Duration;

use windlass_core::{Effect, Input};
use windlass_shared::domain::{AttemptState, CallResult, HandlerError, JobRecord, News, Proof, Reason, ReportItem};
use windlass_shared::ids::SessionId;

use crate::rig::{Rig, call, hello_with, outcome, pool};

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

/// Ends attempt `attempt` of call 1 by an error of its handler.
fn handler_error(rig: &mut Rig, attempt: u32, error: HandlerError) -> Vec<String> {
    let mut end = outcome(AttemptState::Failed, Some(Reason::HandlerError));
    end.error = Some(error);
    rig.report(1, 1, attempt, News::Ended(end))
}

fn calling(attempts_max: u16) -> Rig {
    let mut rig = Rig::default();
    rig.join_with(1, &[pool("p", &["resize"], 1)]);
    let mut call = call("resize", 0);
    call.retry.attempts_max = attempts_max;
    rig.submit_as(1, call);
    rig.started(1, 1, 1);
    rig
}

#[test]
fn a_handlers_error_is_a_failure_of_the_job_and_tried_again_like_any() {
    let mut rig = calling(2);
    let lines = handler_error(&mut rig, 1, HandlerError::default());
    assert_eq!(lines, ["record 1 DELAYED (handler error), 1 FAILED", "ack a1/0"]);
    assert_eq!(rig.record(1).failures, 1);
    rig.pass_hearing(Duration::from_secs(2), &[10]);
    let lines = handler_error(&mut rig, 2, HandlerError::default());
    assert_eq!(lines, ["record 1 FAILED (handler error), 2 FAILED", "ack a1/0"]);
}

#[test]
fn a_permanent_error_is_never_tried_again() {
    let mut rig = calling(9);
    let lines = handler_error(&mut rig, 1, HandlerError { permanent: true, ..HandlerError::default() });
    assert_eq!(lines, ["record 1 FAILED (handler error), 1 FAILED", "ack a1/0"]);
    assert_eq!(rig.record(1).failures, 1);
}

#[test]
fn a_handler_says_when_to_try_again_up_to_a_day() {
    let after = |retry_after| HandlerError { retry_after: Some(retry_after), ..HandlerError::default() };
    let mut rig = calling(9);
    handler_error(&mut rig, 1, after(Duration::from_secs(600)));
    assert_eq!(rig.record(1).ready_at, Some(rig.now.wall.after(Duration::from_secs(600))));
    assert_eq!(rig.pass_hearing(Duration::from_secs(599), &[10]), Vec::<String>::new());
    assert_eq!(rig.pass_hearing(Duration::from_secs(2), &[10])[0], "record 1 QUEUED (handler error)");
    handler_error(&mut rig, 2, after(Duration::from_secs(400 * 24 * 3600)));
    assert_eq!(rig.record(1).ready_at, Some(rig.now.wall.after(windlass_shared::limits::RETRY_AFTER_MAX)));
}

#[test]
fn a_time_to_try_again_makes_no_attempt_that_the_policy_has_not() {
    let mut rig = calling(1);
    let error = HandlerError { retry_after: Some(Duration::from_secs(1)), ..HandlerError::default() };
    assert_eq!(handler_error(&mut rig, 1, error), ["record 1 FAILED (handler error), 1 FAILED", "ack a1/0"]);
}

#[test]
fn a_job_that_killed_three_workers_is_poison_whatever_its_policy() {
    let mut rig = calling(9);
    for attempt in 1..3 {
        let lines = rig.ended(1, 1, attempt, AttemptState::Failed, Some(Reason::WorkerDied));
        assert_eq!(lines[0], format!("record 1 DELAYED (worker died), {attempt} FAILED"));
        rig.pass_hearing(Duration::from_secs(60), &[10]);
    }
    assert_eq!((rig.record(1).worker_deaths, rig.record(1).failures), (2, 2));
    let lines = rig.ended(1, 1, 3, AttemptState::Failed, Some(Reason::WorkerDied));
    assert_eq!(lines, ["record 1 FAILED (poison), 3 FAILED", "ack a1/0"]);
    assert_eq!((rig.record(1).worker_deaths, rig.record(1).infra_losses), (3, 0));
}

#[test]
fn a_worker_that_hung_and_memory_that_ran_out_are_deaths_as_any_other() {
    for reason in [Reason::MemoryLimit, Reason::OomKilled, Reason::WorkerUnresponsive] {
        let mut rig = calling(9);
        let record = record_after(&mut rig, AttemptState::Failed, Some(reason));
        assert_eq!((record.reason, record.failures, record.worker_deaths), (Some(reason), 1, 1));
        assert_eq!((record.infra_losses, record.interruptions), (0, 0));
    }
}

#[test]
fn workers_that_died_are_counted_over_a_restart() {
    let mut rig = calling(9);
    for attempt in 1..3 {
        rig.ended(1, 1, attempt, AttemptState::Failed, Some(Reason::WorkerDied));
        rig.pass_hearing(Duration::from_secs(60), &[10]);
    }
    rig.restart();
    let mut back = hello_with(1, &[pool("p", &["resize"], 1)]);
    back.session = 2;
    back.inventory = vec![rig.lease(1, 3)];
    rig.greet(11, back);
    let news = News::Ended(outcome(AttemptState::Failed, Some(Reason::WorkerDied)));
    assert_eq!(rig.report_on(11, rig.lease(1, 3), news)[0], "record 1 FAILED (poison), 3 FAILED");
}

#[test]
fn a_worker_that_breaks_the_protocol_is_a_failure_and_no_death() {
    let mut rig = calling(9);
    let lines = rig.ended(1, 1, 1, AttemptState::Failed, Some(Reason::WorkerProtocol));
    assert_eq!(lines[0], "record 1 DELAYED (worker protocol), 1 FAILED");
    assert_eq!((rig.record(1).failures, rig.record(1).worker_deaths), (1, 0));
}

#[test]
fn what_a_handler_answered_goes_to_the_record_with_its_attempt() {
    let mut rig = calling(1);
    let mut end = outcome(AttemptState::Succeeded, None);
    let result = CallResult { value: "42".into(), content_type: None };
    end.result = Some(result.clone());
    let items = vec![ReportItem { lease: rig.lease(1, 1), news: News::Ended(end) }];
    let effects = rig.core.handle(rig.now, Input::Report { session: SessionId(10), sequence: 1, items });
    let Effect::Record(change) = &effects[0] else { panic!("{effects:?}") };
    let ended = change.attempt.as_ref().and_then(|attempt| attempt.outcome.as_ref()).expect("an end");
    assert_eq!(ended.result, Some(result));
}

#[test]
fn an_answer_of_what_did_not_succeed_is_kept_nowhere() {
    for (state, proof) in [(AttemptState::Failed, Proof::Keeper), (AttemptState::Succeeded, Proof::None)] {
        let mut rig = calling(1);
        let mut end = outcome(state, None);
        end.exit.as_mut().expect("set").proof = proof;
        end.result = Some(CallResult { value: "42".into(), content_type: None });
        let items = vec![ReportItem { lease: rig.lease(1, 1), news: News::Ended(end) }];
        let effects = rig.core.handle(rig.now, Input::Report { session: SessionId(10), sequence: 1, items });
        let Effect::Record(change) = &effects[0] else { panic!("{effects:?}") };
        let attempt = change.attempt.as_ref().expect("it ended");
        assert_eq!((attempt.result_bytes, &attempt.outcome.as_ref().expect("an end").result), (0, &None));
    }
}
