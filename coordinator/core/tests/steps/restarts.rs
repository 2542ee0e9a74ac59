//! What a restart of the coordinator, and a return from the lost, must not change.

use std::time::Duration;

use windlass_core::Input;
use windlass_shared::domain::RetryPolicy;
use windlass_shared::domain::{
    AgentHello, AttemptState, Execution, JobHeader, JobState, News, OnAgentLost, Reason, Seen,
};
use windlass_shared::ids::SessionId;

use crate::rig::{Rig, header, hello, outcome};

const NOTHING: [&str; 0] = [];

/// Agent 1 says hello again, on session 11, holding attempt `attempt` of job 1.
fn back_with(rig: &Rig, attempt: u32) -> AgentHello {
    let mut hello = hello(1, 1);
    hello.session = 2;
    hello.inventory = vec![rig.lease(1, attempt)];
    hello
}

fn running() -> Rig {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    rig.started(1, 1, 1);
    rig
}

fn running_as(change: impl FnOnce(&mut JobHeader)) -> Rig {
    let mut rig = Rig::default();
    rig.join(1, 1);
    let mut header = header(0, RetryPolicy { attempts_max: 5, ..RetryPolicy::NONE });
    change(&mut header);
    rig.submit_as(1, header);
    rig.started(1, 1, 1);
    rig
}

#[test]
fn a_job_that_runs_while_the_coordinator_restarts_runs_on_and_its_end_is_recorded_once() {
    let mut rig = running();
    rig.restart();
    let back = back_with(&rig, 1);
    assert_eq!(rig.greet(11, back), ["welcome a1/1"]);
    let news = News::Ended(outcome(AttemptState::Succeeded, None));
    assert_eq!(rig.report_on(11, rig.lease(1, 1), news.clone()), ["record 1 SUCCEEDED, 1 SUCCEEDED", "ack a1/1"]);
    assert_eq!(rig.report_on(11, rig.lease(1, 1), news), ["ack a1/1 stale"]);
}

#[test]
fn nothing_is_lost_before_its_agent_had_a_whole_lease_and_the_margin_to_come_back() {
    let mut rig = running();
    rig.restart();
    assert_eq!(rig.pass(Duration::from_millis(19_900)), NOTHING);
    assert_eq!(rig.pass(Duration::from_millis(200)), ["record 1 QUEUED (agent lost), 1 LOST"]);
}

#[test]
fn a_lease_that_was_cut_and_never_delivered_is_given_out_again_after_the_restart() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    rig.restart();
    let mut empty_handed = hello(1, 1);
    empty_handed.session = 2;
    let lines = rig.greet(11, empty_handed);
    assert_eq!(
        lines[1..],
        ["record 1 QUEUED (returned), 1 RETURNED", "record 1 LEASED (returned), 2 LEASED", "assign 1.2 to a1/1"]
    );
    assert!(rig.lease(1, 2).fencing_token > rig.lease(1, 1).fencing_token, "tokens grow over restarts");
    assert_eq!(rig.lease(1, 2).epoch, 2);
}

#[test]
fn waiting_delayed_and_cancelling_jobs_go_on_as_they_were() {
    let mut rig = running();
    rig.submit_retrying(2, 2);
    rig.cancel(1);
    rig.join(2, 1);
    rig.failed(2, 2, 1);
    assert_eq!(rig.record(2).state, JobState::Delayed);
    rig.submit_as(3, header(5, RetryPolicy::NONE));
    rig.submit_as(4, header(9, RetryPolicy::NONE));
    let before = rig.core.jobs_live();
    rig.restart();
    assert_eq!(rig.core.jobs_live(), before);
    let back = back_with(&rig, 1);
    assert_eq!(rig.greet(11, back), ["welcome a1/1", "stop 1.1 at a1/1 (cancel requested)"]);
    let mut second = hello(2, 1);
    second.session = 2;
    // Job 3 was assigned to agent 2 before the restart; only that hello shows that it was never delivered.
    let lines = rig.greet(21, second);
    assert!(lines.contains(&"record 3 QUEUED (returned), 1 RETURNED".to_owned()), "{lines:?}");
    assert!(lines.contains(&"assign 4.1 to a2/1".to_owned()), "higher priority first: {lines:?}");
    let later = rig.pass_hearing(Duration::from_secs(1), &[11, 21]);
    assert_eq!(later, ["record 2 QUEUED (exit code)"]);
}

#[test]
fn a_lost_attempt_that_comes_back_before_another_was_begun_goes_on_and_is_no_loss() {
    let mut rig = running();
    rig.pass(Duration::from_secs(21));
    assert_eq!((rig.record(1).state, rig.record(1).infra_losses), (JobState::Queued, 1));
    let back = back_with(&rig, 1);
    assert_eq!(rig.greet(11, back), ["welcome a1/1", "record 1 RUNNING, 1 RUNNING"]);
    assert_eq!(rig.record(1).infra_losses, 0);
    let news = News::Ended(outcome(AttemptState::Succeeded, None));
    assert_eq!(rig.report_on(11, rig.lease(1, 1), news), ["record 1 SUCCEEDED, 1 SUCCEEDED", "ack a1/1"]);
}

#[test]
fn a_report_alone_takes_nothing_back_for_a_lost_agent_has_no_session_and_its_hello_comes_first() {
    let news = || News::Ended(outcome(AttemptState::Succeeded, None));
    let mut rig = running();
    assert_eq!(rig.pass(Duration::from_secs(21)).last().unwrap(), "record 1 QUEUED (agent lost), 1 LOST");
    let lease = rig.lease(1, 1);
    assert_eq!(rig.report_on(10, lease, news()), [""; 0], "not acknowledged, so it is said again after the hello");
    let back = back_with(&rig, 1);
    assert_eq!(rig.greet(11, back)[1], "record 1 RUNNING, 1 RUNNING");
    assert_eq!(rig.report_on(11, lease, news()), ["record 1 SUCCEEDED, 1 SUCCEEDED", "ack a1/1"]);
}

#[test]
fn what_an_agents_own_hello_left_out_is_not_taken_back_by_a_report() {
    let mut rig = running();
    rig.pass(Duration::from_secs(21));
    // Takes the one slot, so that the lost attempt has no successor yet.
    rig.submit_as(2, header(9, RetryPolicy::NONE));
    let mut without = hello(1, 1);
    without.session = 2;
    assert_eq!(rig.greet(11, without), ["welcome a1/1", "record 2 LEASED, 1 LEASED", "assign 2.1 to a1/1"]);
    let lines = rig.report_on(11, rig.lease(1, 1), News::Ended(outcome(AttemptState::Succeeded, None)));
    assert_eq!(lines, ["ack a1/1 stale"]);
    assert_eq!(rig.record(1).state, JobState::Queued);
}

#[test]
fn a_successor_after_a_restart_of_both_is_known_by_its_lock_and_a_clone_is_not() {
    for (boot_id, answer) in [("boot", "welcome a1/1"), ("another", "close a1/1 AGENT_ID_IN_USE")] {
        let mut rig = running();
        rig.restart();
        let mut other = hello(1, 1);
        (other.instance, other.boot_id) = (2, boot_id.into());
        assert_eq!(rig.greet(11, other)[0], answer);
    }
}

#[test]
fn a_lost_attempt_is_taken_back_after_a_restart_too() {
    let mut rig = running();
    rig.pass(Duration::from_secs(21));
    rig.restart();
    let back = back_with(&rig, 1);
    assert_eq!(rig.greet(11, back), ["welcome a1/1", "record 1 RUNNING, 1 RUNNING"]);
}

#[test]
fn what_was_lost_is_not_taken_back_from_another_agent_or_under_another_lease() {
    let mut rig = running();
    rig.pass(Duration::from_secs(21));
    let mut thief = hello(2, 1);
    thief.credit.capacity = 1;
    thief.inventory = vec![rig.lease(1, 1)];
    let lines = rig.greet(20, thief);
    assert_eq!(lines[..2], ["welcome a2/0", "stop 1.1 at a2/0 (agent lost)"]);
}

#[test]
fn work_that_may_begin_once_never_begins_again() {
    let at_most_once = |header: &mut JobHeader| header.execution = Execution::AtMostOnce;
    let mut rig = running_as(at_most_once);
    assert_eq!(rig.failed(1, 1, 1), ["record 1 FAILED (exit code), 1 FAILED", "ack a1/0"]);
    let mut rig = running_as(at_most_once);
    let lines = rig.ended(1, 1, 1, AttemptState::Interrupted, Some(Reason::Drain));
    assert_eq!(lines, ["record 1 FAILED (drain), 1 INTERRUPTED", "ack a1/0"]);
    let mut rig = running_as(at_most_once);
    assert_eq!(rig.pass(Duration::from_secs(21)), ["close a1/0 LEASE_EXPIRED", "record 1 FAILED (agent lost), 1 LOST"]);
    // Given back unstarted is the one end that is known not to be a beginning.
    let mut rig = Rig::default();
    rig.join(1, 1);
    let mut once = header(0, RetryPolicy::NONE);
    at_most_once(&mut once);
    rig.submit_as(1, once);
    let lines = rig.report(1, 1, 1, News::Returned(Reason::Drain));
    assert_eq!(lines.last().map(String::as_str), Some("assign 1.2 to a1/0"));
}

#[test]
fn a_job_says_what_becomes_of_it_when_its_agent_is_lost() {
    let mut rig = running_as(|header| header.on_agent_lost = OnAgentLost::Fail);
    assert_eq!(rig.pass(Duration::from_secs(21)), ["close a1/0 LEASE_EXPIRED", "record 1 FAILED (agent lost), 1 LOST"]);
    let mut rig = running_as(|header| header.on_agent_lost = OnAgentLost::Wait);
    assert_eq!(rig.pass(Duration::from_secs(600)), ["close a1/0 LEASE_EXPIRED"]);
    assert_eq!(rig.record(1).state, JobState::Running);
    let back = back_with(&rig, 1);
    assert_eq!(rig.greet(11, back), ["welcome a1/1"]);
    let news = News::Ended(outcome(AttemptState::Succeeded, None));
    assert_eq!(rig.report_on(11, rig.lease(1, 1), news), ["record 1 SUCCEEDED, 1 SUCCEEDED", "ack a1/1"]);
}

#[test]
fn an_agent_that_has_seen_more_of_the_record_than_is_here_is_refused() {
    let mut rig = running();
    let mut ahead = hello(2, 1);
    ahead.seen = Some(Seen { incarnation: 7, epoch: 1, revision: rig.core.revision() + 1 });
    assert_eq!(rig.greet(20, ahead.clone()), ["close a2/0 RECORD_BEHIND"]);
    ahead.seen = Some(Seen { incarnation: 7, epoch: 2, revision: 0 });
    assert_eq!(rig.greet(21, ahead.clone()), ["close a2/1 RECORD_BEHIND"]);
    ahead.seen = Some(Seen { incarnation: 8, epoch: 9, revision: 999 });
    assert_eq!(rig.greet(22, ahead), ["welcome a2/2"], "another record altogether");
    rig.step(Input::Closed { session: SessionId(22) });
}

#[test]
fn what_an_agent_holds_of_the_record_that_was_copied_is_killed_and_was_not_never_delivered() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit_as(1, JobHeader { execution: Execution::AtMostOnce, ..header(0, RetryPolicy::NONE) });
    // The copy is of before it started; whether it has since, nobody can say.
    rig.restart_as_another_record();
    let back = back_with(&rig, 1);
    assert_eq!(
        rig.greet(11, back),
        ["welcome a1/1", "stop 1.1 at a1/1 (agent lost)", "record 1 FAILED (agent lost), 1 LOST"]
    );
}

#[test]
fn an_agent_is_restored_as_its_newest_lease_knows_it_whatever_older_rows_say() {
    let mut rig = Rig::default();
    rig.join(1, 2);
    // Job 1 was lost by the agent's first process and waits for its retry; job 2 runs on the second.
    rig.submit_as(1, header(0, RetryPolicy::NONE));
    rig.started(1, 1, 1);
    let mut reborn = hello(1, 1);
    reborn.instance = 2;
    reborn.credit.capacity = 1;
    rig.submit_as(2, header(5, RetryPolicy::NONE));
    rig.greet(11, reborn.clone());
    assert_eq!(rig.record(2).state, JobState::Leased);
    let running = rig.lease(2, rig.record(2).attempts);
    rig.report_on(11, running, News::Started(rig.now.wall));
    assert_eq!((rig.record(1).state, rig.record(2).state), (JobState::Queued, JobState::Running));
    rig.restart();
    reborn.session = 2;
    reborn.inventory = vec![running];
    assert_eq!(rig.greet(12, reborn), ["welcome a1/2"], "the live process is known, and its job runs on");
}

#[test]
fn an_agent_known_only_from_what_it_lost_keeps_no_name() {
    let mut rig = running();
    rig.pass(Duration::from_secs(21));
    rig.restart();
    let mut heir = hello(2, 1);
    heir.name = "a1".into();
    assert_eq!(rig.greet(20, heir)[0], "welcome a1/0");
}

#[test]
fn a_cancelled_job_that_would_wait_for_its_agent_does_not() {
    let mut rig = running_as(|header| header.on_agent_lost = OnAgentLost::Wait);
    rig.cancel(1);
    assert_eq!(
        rig.pass(Duration::from_secs(21)),
        ["close a1/0 LEASE_EXPIRED", "record 1 CANCELLED (cancel requested), 1 LOST"]
    );
}

#[test]
fn work_that_began_cannot_be_given_back_as_if_it_had_not() {
    let mut rig = running_as(|header| header.execution = Execution::AtMostOnce);
    let lines = rig.report(1, 1, 1, News::Returned(Reason::Drain));
    assert_eq!(lines, ["record 1 FAILED (agent lost), 1 LOST", "ack a1/0"]);
}

#[test]
fn a_restart_with_a_shorter_lease_waits_out_the_longer_one_that_agents_count_on() {
    let mut rig = running();
    rig.restart_with_lease(Duration::from_secs(3));
    assert_eq!(rig.pass(Duration::from_millis(20_500)), NOTHING, "15 s and their margin, then the margin of the 3 s");
    assert_eq!(rig.pass(Duration::from_secs(1)), ["record 1 QUEUED (agent lost), 1 LOST"]);
}

#[test]
fn a_job_that_waits_for_a_lost_agent_is_cancelled_at_once() {
    let mut rig = running_as(|header| header.on_agent_lost = OnAgentLost::Wait);
    rig.pass(Duration::from_secs(21));
    assert_eq!(
        rig.cancel(1),
        ["record 1 CANCELLING, 1 STOPPING", "record 1 CANCELLED (cancel requested), 1 LOST", "reply ok"]
    );
}
