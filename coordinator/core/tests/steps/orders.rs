//! Operators take agents out of service and put them back.

use std::time::Duration;

use windlass_core::Input;
use windlass_shared::domain::{AgentHello, AgentRecord, AgentState, AttemptState, Execution, News, Reason, Scheduling};
use windlass_shared::domain::{JobState, RetryPolicy};
use windlass_shared::ids::SessionId;

use crate::rig::{Rig, agent, header, hello, job, outcome, takes};

const NOTHING: [&str; 0] = [];
const TEN: SessionId = SessionId(10);

fn shown(rig: &Rig, n: u8) -> AgentRecord {
    rig.core.agent(agent(n)).expect("known")
}

/// Job 1 runs on agent 1, job 2 waits there, and nobody else is there.
fn busy() -> Rig {
    let mut rig = Rig::default();
    let mut one = hello(1, 1);
    one.credit = takes(2);
    rig.greet(10, one);
    rig.submit(1);
    rig.submit(2);
    rig.started(1, 1, 1);
    rig
}

fn back(rig: &Rig, instance: u64, held: &[(u8, u32)]) -> AgentHello {
    let mut hello = hello(1, 1);
    (hello.session, hello.instance) = (9, instance);
    hello.inventory = held.iter().map(|(n, attempt)| rig.lease(*n, *attempt)).collect();
    hello
}

#[test]
fn a_cordoned_agent_gets_nothing_new_and_keeps_what_it_has() {
    let mut rig = busy();
    assert_eq!(rig.cordon(1), ["mark agent 1 cordoned", "reply Cordoned"]);
    assert_eq!(rig.succeeded(1, 1, 1), ["record 1 SUCCEEDED, 1 SUCCEEDED", "ack a1/0"]);
    assert_eq!(rig.submit(3), ["record 3 QUEUED", "reply ok"]);
    assert_eq!(
        rig.core.why_waiting(rig.now, job(3)).as_deref(),
        Some("every agent with slots is cordoned or draining")
    );
    assert_eq!(shown(&rig, 1).reason.as_deref(), Some("disk"));
    assert_eq!(
        rig.uncordon(1),
        ["mark agent 1 active", "reply Active", "record 3 LEASED, 1 LEASED", "assign 3.1 to a1/0"]
    );
    assert_eq!(shown(&rig, 1).reason, None);
}

#[test]
fn a_cordon_holds_for_the_next_stream_the_next_process_and_the_next_coordinator() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.cordon(1);
    rig.step(Input::Closed { session: TEN });
    let stream = back(&rig, 1, &[]);
    assert_eq!(rig.greet(11, stream), ["welcome a1/1"]);
    let process = back(&rig, 2, &[]);
    assert_eq!(rig.greet(12, process), ["close a1/1 SESSION_SUPERSEDED", "welcome a1/2"]);
    assert_eq!(rig.submit(1), ["record 1 QUEUED", "reply ok"]);
    rig.restart();
    assert_eq!((shown(&rig, 1).state, shown(&rig, 1).scheduling), (AgentState::Lost, Scheduling::Cordoned));
    assert_eq!(&*shown(&rig, 1).name, "a1", "shown by its name before it is back");
    let process = back(&rig, 3, &[]);
    assert_eq!(rig.greet(13, process), ["welcome a1/3"]);
    assert_eq!(rig.uncordon(1).last().map(String::as_str), Some("assign 1.1 to a1/3"));
}

#[test]
fn a_drain_takes_back_what_has_not_started_and_lets_run_what_has() {
    let mut rig = busy();
    assert_eq!(rig.drain(1, None), ["mark agent 1 draining", "recall 2.1 from a1/0", "reply Draining"]);
    rig.join(2, 1);
    assert_eq!(
        rig.report(1, 2, 1, News::Returned(Reason::Returned)),
        [
            "record 2 QUEUED (returned), 1 RETURNED",
            "ack a1/0",
            "record 2 LEASED (returned), 2 LEASED",
            "assign 2.2 to a2/0"
        ]
    );
    assert_eq!(rig.pass_hearing(Duration::from_secs(3600), &[10, 20]), NOTHING, "it runs for as long as it needs");
    assert_eq!(shown(&rig, 1).scheduling, Scheduling::Draining);
    rig.succeeded(1, 1, 1);
    assert_eq!(shown(&rig, 1).scheduling, Scheduling::Drained);
}

#[test]
fn at_the_deadline_of_a_drain_what_runs_is_stopped_and_goes_on_elsewhere_for_free() {
    let mut rig = busy();
    assert_eq!(
        rig.drain(1, Some(Duration::from_secs(60))),
        ["mark agent 1 draining with a deadline", "recall 2.1 from a1/0", "reply Draining"]
    );
    assert_eq!(shown(&rig, 1).drain_at, Some(rig.now.wall.after(Duration::from_secs(60))));
    rig.report(1, 2, 1, News::Returned(Reason::Returned));
    assert_eq!(rig.pass_hearing(Duration::from_secs(59), &[10]), NOTHING);
    assert_eq!(rig.pass_hearing(Duration::from_secs(2), &[10]), ["stop 1.1 at a1/0 (drain)"], "once");
    rig.join(2, 2);
    let lines = rig.ended(1, 1, 1, AttemptState::Interrupted, Some(Reason::Drain));
    assert_eq!(lines[0], "record 1 QUEUED (drain), 1 INTERRUPTED");
    assert_eq!(lines.last().map(String::as_str), Some("assign 1.2 to a2/0"));
    assert_eq!((rig.record(1).interruptions, rig.record(1).failures, rig.record(1).infra_losses), (1, 0, 0));
    assert_eq!(shown(&rig, 1).scheduling, Scheduling::Drained);
}

#[test]
fn draining_twice_sets_the_deadline_anew() {
    let mut rig = busy();
    rig.drain(1, Some(Duration::from_secs(60)));
    rig.pass_hearing(Duration::from_secs(30), &[10]);
    rig.drain(1, Some(Duration::from_secs(60)));
    assert_eq!(rig.pass_hearing(Duration::from_secs(59), &[10]), NOTHING);
    let stops = rig.pass_hearing(Duration::from_secs(2), &[10]);
    assert_eq!(stops, ["stop 1.1 at a1/0 (drain)", "stop 2.1 at a1/0 (drain)"]);
    rig.drain(1, None);
    assert_eq!(shown(&rig, 1).drain_at, None);
}

#[test]
fn an_uncordon_ends_a_drain_and_its_deadline_and_makes_no_second_attempt() {
    let mut rig = busy();
    rig.drain(1, Some(Duration::from_secs(60)));
    assert_eq!(rig.uncordon(1), ["mark agent 1 active", "reply Active"]);
    assert_eq!(rig.pass_hearing(Duration::from_secs(600), &[10]), NOTHING, "nothing is stopped, nothing begins");
    // What was asked back before may still come back; only then it is given out again.
    assert_eq!(
        rig.report(1, 2, 1, News::Returned(Reason::Returned)),
        [
            "record 2 QUEUED (returned), 1 RETURNED",
            "ack a1/0",
            "record 2 LEASED (returned), 2 LEASED",
            "assign 2.2 to a1/0"
        ]
    );
    assert_eq!(rig.uncordon(1), ["reply Active"], "a second time changes nothing");
}

#[test]
fn a_drain_reaches_an_agent_that_was_out_of_touch_with_its_next_hello() {
    let mut rig = busy();
    rig.step(Input::Closed { session: TEN });
    assert_eq!(rig.drain(1, Some(Duration::from_secs(5))), ["mark agent 1 draining with a deadline", "reply Draining"]);
    let hello = back(&rig, 1, &[(1, 1), (2, 1)]);
    assert_eq!(rig.greet(11, hello), ["welcome a1/1", "recall 2.1 from a1/1"]);
    rig.step(Input::Closed { session: SessionId(11) });
    assert_eq!(rig.pass(Duration::from_secs(6)), NOTHING);
    let mut again = back(&rig, 1, &[(1, 1)]);
    again.session = 10;
    assert_eq!(
        rig.greet(12, again),
        ["welcome a1/2", "record 2 QUEUED (returned), 1 RETURNED", "stop 1.1 at a1/2 (drain)"]
    );
}

#[test]
fn the_deadline_of_a_drain_holds_over_a_restart_of_the_coordinator() {
    let mut rig = busy();
    rig.drain(1, Some(Duration::from_secs(60)));
    rig.now.wall = rig.now.wall.after(Duration::from_secs(50)); // it is away for so long
    rig.restart();
    let hello = back(&rig, 1, &[(1, 1), (2, 1)]);
    assert_eq!(rig.greet(11, hello), ["welcome a1/1", "recall 2.1 from a1/1"]);
    assert_eq!(rig.pass_hearing(Duration::from_secs(9), &[11]), NOTHING);
    let stops = rig.pass_hearing(Duration::from_secs(2), &[11]);
    assert_eq!(stops, ["stop 1.1 at a1/1 (drain)", "stop 2.1 at a1/1 (drain)"]);
}

#[test]
fn a_deadline_that_passed_while_the_coordinator_was_away_is_kept_with_the_first_hello() {
    let mut rig = busy();
    rig.drain(1, Some(Duration::from_secs(60)));
    rig.now.wall = rig.now.wall.after(Duration::from_secs(3600));
    rig.restart();
    assert_eq!(rig.pass(Duration::from_secs(1)), NOTHING);
    let hello = back(&rig, 1, &[(1, 1), (2, 1)]);
    assert_eq!(rig.greet(11, hello), ["welcome a1/1", "stop 1.1 at a1/1 (drain)", "stop 2.1 at a1/1 (drain)"]);
}

#[test]
fn a_job_that_is_being_cancelled_is_neither_recalled_nor_stopped_twice() {
    let mut rig = busy();
    rig.cancel(1);
    rig.cancel(2);
    assert_eq!(rig.drain(1, Some(Duration::ZERO)), ["mark agent 1 draining with a deadline", "reply Draining"]);
    assert_eq!(rig.step(Input::Tick), NOTHING);
}

#[test]
fn what_may_begin_once_ends_with_a_drain_that_stops_it() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    let mut once = header(0, RetryPolicy::NONE);
    once.execution = Execution::AtMostOnce;
    rig.submit_as(1, once);
    rig.started(1, 1, 1);
    rig.drain(1, Some(Duration::ZERO));
    assert_eq!(rig.step(Input::Tick), ["stop 1.1 at a1/0 (drain)"]);
    let lines = rig.ended(1, 1, 1, AttemptState::Interrupted, Some(Reason::Drain));
    assert_eq!(lines, ["record 1 FAILED (drain), 1 INTERRUPTED", "ack a1/0"]);
}

#[test]
fn an_agents_own_drain_and_an_operators_are_two_things() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.step(Input::Draining { session: TEN });
    rig.cordon(1);
    assert_eq!(rig.uncordon(1), ["mark agent 1 active", "reply Draining"], "its own goes on");
    rig.drain(1, None);
    rig.step(Input::Goodbye { session: TEN });
    let process = back(&rig, 2, &[]);
    rig.greet(11, process);
    assert_eq!(shown(&rig, 1).scheduling, Scheduling::Drained, "the operator's holds for the next process");
    assert_eq!(rig.uncordon(1), ["mark agent 1 active", "reply Active"]);
}

#[test]
fn an_agent_nobody_knows_cannot_be_given_an_order() {
    let mut rig = Rig::default();
    assert_eq!(rig.cordon(1), ["reply unknown"]);
    assert_eq!(rig.drain(1, None), ["reply unknown"]);
    assert_eq!(rig.uncordon(1), ["reply unknown"]);
}

#[test]
fn an_agent_with_an_order_is_not_forgotten() {
    let mut rig = Rig::new(windlass_core::Options { agents_max: 1, ..Default::default() });
    rig.join(1, 1);
    rig.cordon(1);
    rig.step(Input::Goodbye { session: TEN });
    assert_eq!(rig.join(2, 1), ["close a2/0 AGENTS_FULL"]);
    rig.uncordon(1);
    assert_eq!(rig.join(2, 1), ["welcome a2/0"]);
}

#[test]
fn a_report_of_an_end_that_crosses_with_the_stop_of_a_drain_wins() {
    let mut rig = busy();
    rig.drain(1, Some(Duration::ZERO));
    rig.step(Input::Tick);
    let news = News::Ended(outcome(AttemptState::Succeeded, None));
    assert_eq!(rig.report(1, 1, 1, news), ["record 1 SUCCEEDED, 1 SUCCEEDED", "ack a1/0"]);
    assert_eq!(rig.record(2).state, JobState::Leased);
}
