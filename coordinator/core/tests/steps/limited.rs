//! Jobs wait for limits: all they count against is taken at once, or they wait for what blocks them.

use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::{
    AttemptState, Demand, Fairness, HandlerError, JobHeader, LimitSettings, LimitUse, News, QueueField, QueueSettings,
    Rate, Reason, RetryPolicy,
};

use crate::rig::{Rig, call, header, pool};

const SECOND: Duration = Duration::from_secs(1);

fn uses(uses: &[(&str, u32)]) -> Vec<LimitUse> {
    uses.iter().map(|(key, units)| LimitUse { key: (*key).into(), units: *units, cost: 1_000 }).collect()
}

/// A command that counts against limits by so many units.
fn limited(limits: &[(&str, u32)]) -> JobHeader {
    let demand = Demand { limits: uses(limits), ..Demand::default() };
    JobHeader { demand: Some(Arc::new(demand)), ..header(0, RetryPolicy::NONE) }
}

fn of_tenant(tenant: &str, limits: &[(&str, u32)]) -> JobHeader {
    let fairness = Some(Fairness { key: tenant.into(), cost: 1_000 });
    let demand = Demand { limits: uses(limits), fairness, ..Demand::default() };
    JobHeader { demand: Some(Arc::new(demand)), ..header(0, RetryPolicy::NONE) }
}

fn units(max: u32) -> Option<LimitSettings> {
    Some(LimitSettings { units_max: Some(max), rate: None })
}

fn rate(cost: u64, period: Duration, burst: u64) -> Option<LimitSettings> {
    Some(LimitSettings { units_max: None, rate: Some(Rate { cost: cost * 1_000, period, burst: burst * 1_000 }) })
}

/// The jobs that were handed out, in order.
fn assigned(lines: &[String]) -> Vec<&str> {
    let words = lines.iter().filter_map(|line| line.strip_prefix("assign "));
    words.filter_map(|line| line.split('.').next()).collect()
}

fn waits_for(rig: &Rig, n: u8) -> String {
    rig.core.why_waiting(rig.now, crate::rig::job(n)).unwrap_or_default()
}

#[test]
fn no_more_run_than_a_limit_lets_and_the_next_goes_when_one_has_ended() {
    let mut rig = Rig::default();
    rig.set_limit("api", units(2));
    rig.join(1, 9);
    for n in 1..=4 {
        rig.submit_as(n, limited(&[("api", 1)]));
    }
    assert!(rig.find_lease(2, 1).is_some() && rig.find_lease(3, 1).is_none());
    assert_eq!(waits_for(&rig, 3), "limit api: 2 of 2 units are in use");
    assert_eq!(assigned(&rig.submit(5)), ["5"], "what names no limit goes on");
    rig.started(1, 1, 1);
    assert_eq!(
        rig.succeeded(1, 1, 1),
        ["record 1 SUCCEEDED, 1 SUCCEEDED", "ack a1/0", "record 3 LEASED, 1 LEASED", "assign 3.1 to a1/0"]
    );
}

#[test]
fn all_limits_are_taken_or_none() {
    let mut rig = Rig::default();
    rig.set_limit("a", units(1));
    rig.set_limit("b", units(1));
    rig.join(1, 9);
    rig.submit_as(1, limited(&[("a", 1)]));
    rig.submit_as(2, limited(&[("a", 1), ("b", 1)]));
    assert_eq!(rig.core.limit(&"b".into()).units_in_use, Some(0));
    assert_eq!(assigned(&rig.submit_as(3, limited(&[("b", 1)]))), ["3"]);
    assert_eq!(assigned(&rig.succeeded(1, 1, 1)), [""; 0], "a is free, and b is not");
    assert_eq!(waits_for(&rig, 2), "limit b: 1 of 1 units are in use");
    assert_eq!(assigned(&rig.succeeded(1, 3, 1)), ["2"]);
}

#[test]
fn a_rate_lets_a_burst_go_and_then_each_at_its_time() {
    let mut rig = Rig::default();
    rig.set_limit("api", rate(2, SECOND, 2));
    rig.join(1, 9);
    let mut first = Vec::new();
    for n in 1..=4 {
        first.extend(rig.submit_as(n, limited(&[("api", 1)])));
    }
    assert_eq!(assigned(&first), ["1", "2"]);
    assert_eq!(waits_for(&rig, 3), "limit api: its rate lets it go in 0.5 s");
    assert_eq!(assigned(&rig.pass_hearing(Duration::from_millis(499), &[10])), [""; 0]);
    assert_eq!(assigned(&rig.pass_hearing(Duration::from_millis(1), &[10])), ["3"]);
    assert_eq!(assigned(&rig.pass_hearing(Duration::from_millis(500), &[10])), ["4"]);
}

#[test]
fn the_jobs_of_a_queue_that_run_and_that_begin_are_limited_by_its_settings() {
    let mut rig = Rig::default();
    let fields = [QueueField::RunningMax, QueueField::Rate];
    let set = |units_max, rate| QueueSettings { limit: LimitSettings { units_max, rate }, ..QueueSettings::default() };
    rig.update_queue("default", set(Some(1), None), &fields);
    rig.join(1, 9);
    rig.submit(1);
    rig.submit_as(2, of_tenant("ann", &[]));
    assert_eq!(waits_for(&rig, 2), "queue default: 1 of 1 jobs at a time are with agents");
    assert_eq!(assigned(&rig.update_queue("default", set(Some(2), None), &fields)), ["2"]);
    assert_eq!(assigned(&rig.submit(3)), [""; 0]);
    let slow = Rate { cost: 1_000, period: 10 * SECOND, burst: 1_000 };
    assert_eq!(assigned(&rig.update_queue("default", set(None, Some(slow)), &fields)), ["3"]);
    rig.submit(4);
    assert_eq!(waits_for(&rig, 4), "queue default: its rate lets it go in 10.0 s");
    assert_eq!(assigned(&rig.pass_hearing(10 * SECOND, &[10])), ["4"]);
}

#[test]
fn a_cooldown_holds_its_key_back_on_all_agents_and_ends_by_itself_or_by_word() {
    let mut rig = Rig::default();
    rig.cool("api", Some(5 * SECOND));
    rig.join(1, 1);
    rig.join_with(2, &[pool("p", &["resize"], 1)]);
    rig.submit_as(1, limited(&[("api", 1)]));
    let demand = Some(Arc::new(Demand { limits: uses(&[("api", 1)]), ..Demand::default() }));
    rig.submit_as(2, JobHeader { demand, ..call("resize", 0) });
    assert_eq!(waits_for(&rig, 1), "limit api: it cools down for 5.0 s");
    let lines = rig.pass_hearing(5 * SECOND, &[10, 20]);
    assert_eq!(assigned(&lines), ["1", "2"]);
    rig.cool("api", Some(5 * SECOND));
    rig.submit_as(3, limited(&[("api", 1)]));
    rig.succeeded(1, 1, 1);
    assert_eq!(assigned(&rig.cool("api", None)), ["3"]);
}

#[test]
fn lanes_that_wait_for_a_limit_go_by_share_however_many_jobs_one_of_them_has() {
    let mut rig = Rig::default();
    rig.set_limit("api", units(1));
    rig.join(1, 9);
    for n in 1..=4 {
        rig.submit_as(n, of_tenant("flood", &[("api", 1)]));
    }
    rig.submit_as(5, of_tenant("ann", &[("api", 1)]));
    rig.submit_as(6, of_tenant("bob", &[("api", 1)]));
    let mut order = vec!["1".to_owned()];
    for _ in 0..5 {
        let last: u8 = order.last().and_then(|last| last.parse().ok()).expect("a job");
        let lines = rig.succeeded(1, last, 1);
        order.push(assigned(&lines).join(" "));
    }
    assert_eq!(order, ["1", "5", "6", "2", "3", "4"]);
}

#[test]
fn a_lane_that_woke_and_vanished_leaves_its_turn_to_the_next() {
    let mut rig = Rig::default();
    rig.set_limit("api", units(1));
    rig.join(1, 2);
    rig.submit_as(1, of_tenant("ann", &[("api", 1)]));
    rig.submit(2); // all slots are taken
    rig.submit_as(3, of_tenant("bob", &[("api", 1)]));
    rig.submit_as(4, of_tenant("cy", &[("api", 1)]));
    rig.submit(5);
    rig.submit(6);
    // The limit gives way while there is no slot for whom it wakes.
    assert_eq!(assigned(&rig.succeeded(1, 1, 1)).len(), 1);
    rig.cancel(3);
    let mut gone = Vec::new();
    for n in [2, 5, 6, 3, 4] {
        if rig.find_lease(n, 1).is_some() {
            gone.extend(rig.succeeded(1, n, 1));
        }
    }
    assert!(rig.find_lease(4, 1).is_some(), "{gone:?}");
}

#[test]
fn units_in_use_are_counted_anew_after_a_restart_and_given_back_when_lost() {
    let mut rig = Rig::default();
    rig.set_limit("api", units(1));
    rig.join(1, 2);
    rig.submit_as(1, limited(&[("api", 1)]));
    rig.started(1, 1, 1);
    rig.submit_as(2, limited(&[("api", 1)]));
    rig.restart();
    assert_eq!(rig.core.limit(&"api".into()).units_in_use, Some(1));
    rig.join(2, 2);
    assert!(rig.find_lease(2, 1).is_none());
    let lines = rig.pass_hearing(Duration::from_secs(40), &[20]);
    assert_eq!(assigned(&lines), ["1"], "agent 1 is lost, and what it had goes first: {lines:?}");
    assert_eq!(rig.core.limit(&"api".into()).units_in_use, Some(1));
}

#[test]
fn a_cancelled_attempt_keeps_its_units_until_it_is_proven_over() {
    let mut rig = Rig::default();
    rig.set_limit("api", units(1));
    rig.join(1, 2);
    rig.submit_as(1, limited(&[("api", 1)]));
    rig.started(1, 1, 1);
    rig.submit_as(2, limited(&[("api", 1)]));
    assert_eq!(assigned(&rig.cancel(1)), [""; 0]);
    assert_eq!(rig.core.limit(&"api".into()).units_in_use, Some(1));
    let lines = rig.ended(1, 1, 1, AttemptState::Cancelled, None);
    assert_eq!(assigned(&lines), ["2"]);
}

#[test]
fn what_can_never_go_says_so() {
    let mut rig = Rig::default();
    rig.set_limit("api", units(2));
    rig.join(1, 2);
    rig.submit_as(1, limited(&[("api", 3)]));
    assert_eq!(waits_for(&rig, 1), "limit api: it takes 3 units, and never more than 2 may be in use");
    assert_eq!(assigned(&rig.set_limit("api", units(3))), ["1"]);
}

#[test]
fn a_paused_queue_and_a_limit_hold_back_together_and_neither_forgets() {
    let mut rig = Rig::default();
    rig.set_limit("api", units(0));
    rig.join(1, 2);
    rig.submit_as(1, limited(&[("api", 1)]));
    rig.pause("default");
    assert_eq!(assigned(&rig.set_limit("api", units(1))), [""; 0]);
    assert_eq!(assigned(&rig.resume("default")), ["1"]);
}

#[test]
fn a_handlers_answer_lets_its_key_cool_down_for_all_agents_over_a_restart_and_counts_as_a_failure() {
    let mut rig = Rig::default();
    rig.join_with(1, &[pool("p", &["fetch"], 1)]);
    rig.join_with(2, &[pool("p", &["fetch"], 1)]);
    let fetch = || {
        let demand = Some(Arc::new(Demand { limits: uses(&[("api", 1)]), ..Demand::default() }));
        JobHeader { demand, ..call("fetch", 0) }
    };
    for n in 1..=3 {
        rig.submit_as(n, fetch());
    }
    let error = HandlerError {
        code: Some("429".into()),
        retry_after: Some(30 * SECOND),
        cooldown_key: Some("api".into()),
        ..HandlerError::default()
    };
    let answer = |retry_after| {
        let mut end = crate::rig::outcome(AttemptState::Failed, Some(Reason::HandlerError));
        end.error = Some(HandlerError { retry_after: Some(retry_after), ..error.clone() });
        News::Ended(end)
    };
    let lines = rig.report(1, 1, 1, answer(30 * SECOND));
    assert_eq!(lines, ["mark cooldown api set", "record 1 DELAYED (handler error), 1 FAILED", "ack a1/0"]);
    let why = waits_for(&rig, 3);
    assert!(why.starts_with("limit api: it cools down for 30.0 s: job 01010101-"), "{why}");
    assert!(why.ends_with("answered 429"), "{why}");
    let lines = rig.report(2, 2, 1, answer(5 * SECOND));
    assert!(lines[0].starts_with("record 2 DELAYED"), "a shorter wait shortens nothing: {lines:?}");
    rig.restart();
    rig.join_with(1, &[pool("p", &["fetch"], 1)]);
    rig.join_with(2, &[pool("p", &["fetch"], 1)]);
    assert_eq!(assigned(&rig.pass_hearing(29 * SECOND, &[10, 20])), [""; 0]);
    let lines = rig.pass_hearing(SECOND, &[10, 20]);
    assert_eq!(assigned(&lines).len(), 2, "two workers, and the key is warm again: {lines:?}");
}

#[test]
fn an_answer_whose_key_is_none_or_that_asks_for_no_wait_lets_nothing_cool_down() {
    let mut rig = Rig::default();
    rig.join_with(1, &[pool("p", &["fetch"], 1)]);
    rig.submit_as(1, call("fetch", 0));
    let mut end = crate::rig::outcome(AttemptState::Failed, Some(Reason::HandlerError));
    let error = HandlerError { cooldown_key: Some("no key".into()), ..HandlerError::default() };
    end.error = Some(HandlerError { retry_after: Some(SECOND), ..error });
    assert!(rig.report(1, 1, 1, News::Ended(end))[0].starts_with("record 1 DELAYED"));
}

#[test]
fn a_limit_that_gives_way_wakes_one_lane_at_a_time_and_each_leaves_its_turn_to_the_next() {
    let mut rig = Rig::default();
    rig.set_limit("api", units(1));
    rig.join(1, 2);
    rig.submit_as(1, of_tenant("t1", &[("api", 1)]));
    for n in 2..=6 {
        rig.submit_as(n, of_tenant(&format!("t{n}"), &[("api", 1)]));
    }
    rig.submit(7); // all slots are taken
    assert_eq!(rig.core.lanes_parked(), 5);
    rig.set_limit("api", units(9));
    assert_eq!(rig.core.lanes_parked(), 4, "one woke, and has no slot");
    rig.cancel(2);
    assert_eq!(rig.core.lanes_parked(), 3, "it vanished, and the next woke");
    assert_eq!(assigned(&rig.succeeded(1, 7, 1)), ["3"]);
    assert_eq!(rig.core.lanes_parked(), 2, "it went, and the next woke");
    assert_eq!(assigned(&rig.succeeded(1, 3, 1)), ["4"]);
    assert_eq!(assigned(&rig.succeeded(1, 4, 1)), ["5"]);
    assert_eq!(assigned(&rig.succeeded(1, 5, 1)), ["6"]);
    assert_eq!(rig.core.lanes_parked(), 0);
}

#[test]
fn a_lane_that_goes_wakes_the_next_also_where_it_has_more_to_hand_out_itself() {
    let mut rig = Rig::default();
    rig.set_limit("api", units(1));
    rig.join(1, 4);
    rig.submit_as(1, of_tenant("ann", &[("api", 1)]));
    for n in 2..=4 {
        rig.submit_as(n, of_tenant("flood", &[("api", 1)]));
    }
    rig.submit_as(5, of_tenant("bob", &[("api", 1)]));
    assert_eq!(assigned(&rig.set_limit("api", units(3))), ["2", "5"], "by share, and not the flood's second");
}
