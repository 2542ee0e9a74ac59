//! Rules that decide what follows from a failure, step by step.

use std::sync::Arc;
use std::time::Duration;

use windlass_core::{Effect, Input};
use windlass_shared::domain::{
    AgentHello, AttemptRecord, AttemptState, Demand, Execution, ExitStatus, HandlerError, JobHeader, News, Outcome,
    Placement, Preset, Reason, ReportItem, RetryPolicy, Traits,
};
use windlass_shared::ids::SessionId;
use windlass_shared::resilience::delay::{Delay, Growth, Jitter};
use windlass_shared::resilience::plan::RetryPlan;
use windlass_shared::resilience::rules::{Action, Again, CodePattern, FailureClass, Match, MoreMemory, RetryRule};

use crate::rig::{Rig, agent, call, header, hello, outcome, pool};

const SECOND: Duration = Duration::from_secs(1);

fn rule(when: Match, action: Action) -> RetryRule {
    RetryRule { when, action }
}

fn retry(times_max: u16) -> Action {
    Action::Retry(Again { times_max: Some(times_max), delay: Some(Delay::NONE), ..Again::default() })
}

fn reasons(of: &[Reason]) -> Match {
    Match { reasons: of.iter().copied().collect(), ..Match::default() }
}

fn exit(code: u8) -> Match {
    Match { exit_codes: [code..=code].into(), ..Match::default() }
}

fn fixed(first: Duration) -> Delay {
    Delay { growth: Growth::Fixed, first, cap: first, jitter: Jitter::None }
}

fn planned(attempts_max: u16, plan: RetryPlan) -> JobHeader {
    JobHeader { retry_plan: Some(Arc::new(plan)), ..header(0, RetryPolicy { preset: Preset::Default, attempts_max }) }
}

fn ruled(attempts_max: u16, rules: &[RetryRule]) -> JobHeader {
    planned(attempts_max, RetryPlan { rules: rules.into(), ..RetryPlan::default() })
}

/// Job 1 of this header runs on agent 1.
fn running(header: JobHeader) -> Rig {
    let mut rig = Rig::default();
    let traits = Traits { resources: [("memory".into(), 8_000)].into(), ..Traits::default() };
    rig.greet(10, AgentHello { traits: Arc::new(traits), ..hello(1, 1) });
    rig.submit_as(1, header);
    rig.started(1, 1, 1);
    rig
}

fn exited(code: u8) -> Box<Outcome> {
    let mut end = outcome(AttemptState::Failed, Some(Reason::ExitCode));
    end.exit.as_mut().expect("set").status = ExitStatus::Code(code);
    end
}

fn exits(rig: &mut Rig, attempt: u32, code: u8) -> Vec<String> {
    rig.report(1, 1, attempt, News::Ended(exited(code)))
}

/// The attempt as it is on record after this end.
fn attempt_after(rig: &mut Rig, attempt: u32, end: Box<Outcome>) -> AttemptRecord {
    let items = vec![ReportItem { lease: rig.lease(1, attempt), news: News::Ended(end) }];
    let effects = rig.core.handle(rig.now, Input::Report { session: SessionId(10), sequence: 1, items });
    let attempts = effects.into_iter().filter_map(|effect| match effect {
        Effect::Record(change) => change.attempt,
        _ => None,
    });
    attempts.into_iter().next().expect("the end is recorded")
}

#[test]
fn the_first_rule_that_matches_decides_and_is_on_record_with_the_attempt() {
    let rules = [rule(exit(2), Action::Fail), rule(exit(3), Action::DeadLetter), rule(exit(75), retry(9))];
    let mut rig = running(ruled(9, &rules));
    assert_eq!(
        attempt_after(&mut rig, 1, exited(75)).retry_rule.as_deref(),
        Some("rule 3: exit 75 -> RETRY 9 times, at once")
    );

    let mut rig = running(ruled(9, &rules));
    assert_eq!(exits(&mut rig, 1, 2), ["record 1 FAILED (exit code), 1 FAILED", "ack a1/0"]);
    assert!(!rig.record(1).dead_lettered);

    let mut rig = running(ruled(9, &rules));
    assert_eq!(exits(&mut rig, 1, 3), ["record 1 FAILED (exit code), 1 FAILED", "ack a1/0"]);
    assert!(rig.record(1).dead_lettered);

    let mut rig = running(ruled(9, &rules));
    assert_eq!(attempt_after(&mut rig, 1, exited(1)).retry_rule, None);
}

#[test]
fn what_no_rule_matches_is_tried_again_as_without_rules() {
    let mut rig = running(ruled(2, &[rule(exit(2), Action::Fail)]));
    assert_eq!(exits(&mut rig, 1, 1), ["record 1 DELAYED (exit code), 1 FAILED", "ack a1/0"]);
    rig.pass_hearing(SECOND, &[10]);
    assert_eq!(exits(&mut rig, 2, 1), ["record 1 FAILED (exit code), 2 FAILED", "ack a1/0"]);
}

#[test]
fn a_rule_waits_by_its_own_delay_and_others_by_the_policys() {
    let own = Action::Retry(Again { delay: Some(fixed(7 * SECOND)), ..Again::default() });
    let plan = RetryPlan { delay: Some(fixed(3 * SECOND)), rules: [rule(exit(75), own)].into(), dead_letter: false };
    let mut rig = running(planned(9, plan));
    exits(&mut rig, 1, 75);
    assert_eq!(rig.record(1).ready_at, Some(rig.now.wall.after(7 * SECOND)));
    rig.pass_hearing(7 * SECOND, &[10]);
    exits(&mut rig, 2, 1);
    assert_eq!(rig.record(1).ready_at, Some(rig.now.wall.after(3 * SECOND)));
}

#[test]
fn decorrelated_waits_build_on_the_wait_before_also_over_a_restart() {
    let growth = Delay { growth: Growth::Decorrelated, first: SECOND, cap: 3_600 * SECOND, jitter: Jitter::None };
    let mut rig = running(planned(99, RetryPlan { delay: Some(growth), ..RetryPlan::default() }));
    let mut previous = SECOND;
    for attempt in 1..20 {
        exits(&mut rig, attempt, 1);
        let wait = rig.record(1).tried.as_ref().expect("it failed").wait;
        assert!(wait >= SECOND && wait <= 3 * previous, "{previous:?} then {wait:?}");
        previous = wait;
        if attempt == 10 {
            rig.restart();
            rig.join(1, 1);
        }
        rig.pass_hearing(wait, &[10]);
    }
    assert!(previous > 3 * SECOND, "it grew: {previous:?}");
}

#[test]
fn a_rule_with_a_number_of_its_own_counts_alone() {
    let mut rig = running(ruled(1, &[rule(exit(75), retry(2))]));
    for attempt in 1..=2 {
        let lines = exits(&mut rig, attempt, 75);
        assert_eq!(lines[0], format!("record 1 QUEUED (exit code), {attempt} FAILED"), "at once");
    }
    let last = attempt_after(&mut rig, 3, exited(75));
    assert_eq!(
        last.retry_rule.as_deref(),
        Some("rule 1: exit 75 -> RETRY 2 times, at once; not tried again: its attempts are used up")
    );
    assert_eq!(rig.core.jobs_live(), 0);
}

#[test]
fn what_a_rule_answers_for_uses_up_no_attempt_of_the_policys() {
    let mut rig = running(ruled(2, &[rule(exit(75), retry(5))]));
    for attempt in 1..=3 {
        exits(&mut rig, attempt, 75);
    }
    assert_eq!(exits(&mut rig, 4, 1)[0], "record 1 DELAYED (exit code), 4 FAILED", "the policy's first failure");
    rig.pass_hearing(60 * SECOND, &[10]);
    assert_eq!(exits(&mut rig, 5, 1)[0], "record 1 FAILED (exit code), 5 FAILED");
    assert_eq!(rig.record(1).failures, 5);
}

#[test]
fn what_rules_counted_holds_over_a_restart() {
    let mut rig = running(ruled(1, &[rule(exit(75), retry(2))]));
    exits(&mut rig, 1, 75);
    rig.restart();
    let mut back = hello(1, 1);
    back.session = 2;
    back.inventory = vec![rig.lease(1, 2)];
    rig.greet(11, back);
    assert_eq!(rig.report_on(11, rig.lease(1, 2), News::Ended(exited(75)))[0], "record 1 QUEUED (exit code), 2 FAILED");
    assert_eq!(rig.report_on(11, rig.lease(1, 3), News::Ended(exited(75)))[0], "record 1 FAILED (exit code), 3 FAILED");
}

#[test]
fn a_rule_may_look_at_which_failure_it_is() {
    let first = Match { nth: Some(1..=1), ..Match::default() };
    let mut rig = running(ruled(9, &[rule(first, retry(9)), rule(Match::default(), Action::DeadLetter)]));
    assert_eq!(exits(&mut rig, 1, 1)[0], "record 1 QUEUED (exit code), 1 FAILED");
    assert_eq!(exits(&mut rig, 2, 1)[0], "record 1 FAILED (exit code), 2 FAILED");
    assert!(rig.record(1).dead_lettered);
}

#[test]
fn a_job_whose_attempts_are_used_up_is_a_dead_letter_where_its_policy_says_so() {
    for (dead_letter, kept) in [(true, true), (false, false)] {
        let mut rig = running(planned(1, RetryPlan { dead_letter, ..RetryPlan::default() }));
        assert_eq!(exits(&mut rig, 1, 1)[0], "record 1 FAILED (exit code), 1 FAILED");
        assert_eq!(rig.record(1).dead_lettered, kept);
    }
}

#[test]
fn poison_is_a_dead_letter_always() {
    let mut rig = running(header(0, RetryPolicy::NONE));
    for attempt in 1..=5 {
        rig.ended(1, 1, attempt, AttemptState::Interrupted, Some(Reason::SupervisorLost));
        rig.pass_hearing(60 * SECOND, &[10]);
    }
    assert_eq!((rig.record(1).reason, rig.record(1).dead_lettered), (Some(Reason::Poison), true));
}

#[test]
fn a_rule_that_names_memory_keeps_a_job_from_being_poison() {
    let oom = Match { reasons: FailureClass::Oom.reasons().iter().copied().collect(), ..Match::default() };
    let mut rig = running(ruled(1, &[rule(oom, retry(4))]));
    for attempt in 1..=4 {
        let lines = rig.ended(1, 1, attempt, AttemptState::Failed, Some(Reason::OomKilled));
        assert_eq!(lines[0], format!("record 1 QUEUED (out of memory), {attempt} FAILED"));
    }
    assert_eq!(rig.record(1).worker_deaths, 0);
    let lines = rig.ended(1, 1, 5, AttemptState::Failed, Some(Reason::OomKilled));
    assert_eq!(lines[0], "record 1 FAILED (out of memory), 5 FAILED");

    let mut rig = running(ruled(9, &[rule(Match::default(), retry(9))]));
    for attempt in 1..=3 {
        rig.ended(1, 1, attempt, AttemptState::Failed, Some(Reason::OomKilled));
    }
    assert_eq!(rig.record(1).reason, Some(Reason::Poison), "a rule for everything names nothing");
}

#[test]
fn memory_grows_from_attempt_to_attempt_up_to_its_cap() {
    let more = MoreMemory { factor_milli: 2_000, amount_max: 3_000 };
    let again = Action::Retry(Again { memory: Some(more), delay: Some(Delay::NONE), ..Again::default() });
    let mut demand = Demand::default();
    demand.placement.resources = vec![("memory".into(), 1_000)];
    let mut rig = running(JobHeader { demand: Some(Arc::new(demand)), ..ruled(9, &[rule(exit(9), again)]) });
    for (attempt, memory) in [(1, 2_000), (2, 3_000), (3, 3_000)] {
        exits(&mut rig, attempt, 9);
        assert_eq!(rig.record(1).tried.as_ref().and_then(|tried| tried.memory), Some(memory));
    }
}

#[test]
fn a_lost_attempt_asks_the_rules_too_and_keeps_its_own_counter() {
    let lost = reasons(FailureClass::Host.reasons());
    let mut rig = running(ruled(9, &[rule(lost.clone(), Action::Fail)]));
    let lines = rig.ended(1, 1, 1, AttemptState::Interrupted, Some(Reason::SupervisorLost));
    assert_eq!(lines[0], "record 1 FAILED (supervisor lost), 1 INTERRUPTED");
    assert_eq!((rig.record(1).infra_losses, rig.record(1).failures), (1, 0));

    let mut rig = running(ruled(1, &[rule(lost, retry(9))]));
    for attempt in 1..=4 {
        let lines = rig.ended(1, 1, attempt, AttemptState::Interrupted, Some(Reason::AgentFault));
        assert_eq!(lines[0], format!("record 1 QUEUED (agent fault), {attempt} INTERRUPTED"), "at once");
    }
    rig.ended(1, 1, 5, AttemptState::Interrupted, Some(Reason::AgentFault));
    assert_eq!(rig.record(1).reason, Some(Reason::Poison), "whatever its rules");
}

#[test]
fn an_attempt_that_comes_back_gives_its_rule_its_use_back() {
    let lost = reasons(&[Reason::AgentLost]);
    let wait = Action::Retry(Again { delay: Some(fixed(600 * SECOND)), times_max: Some(1), ..Again::default() });
    let mut rig = running(ruled(1, &[rule(lost, wait)]));
    rig.pass(21 * SECOND);
    let tried = rig.record(1).tried.clone().expect("it was lost");
    assert_eq!((tried.uses(1), &tried.agents[..]), (1, &[agent(1)][..]));
    let mut back = hello(1, 1);
    back.session = 2;
    back.inventory = vec![rig.lease(1, 1)];
    rig.greet(11, back);
    let record = rig.record(1);
    let tried = record.tried.as_ref().expect("kept");
    assert_eq!((record.infra_losses, tried.uses(1), tried.agents.len()), (0, 0, 0));
}

#[test]
fn interruptions_ask_no_rule() {
    let mut rig = running(ruled(1, &[rule(Match::default(), Action::Fail)]));
    let lines = rig.ended(1, 1, 1, AttemptState::Interrupted, Some(Reason::Drain));
    assert_eq!(lines[0], "record 1 QUEUED (drain), 1 INTERRUPTED");
    assert_eq!(rig.record(1).interruptions, 1);
}

#[test]
fn work_that_a_host_refused_is_tried_elsewhere_only_by_a_rule() {
    let elsewhere = Action::Retry(Again { other_agent: true, ..Again::default() });
    let mut rig = running(ruled(3, &[rule(reasons(&[Reason::Rejected]), elsewhere)]));
    let lines = rig.ended(1, 1, 1, AttemptState::Rejected, Some(Reason::Rejected));
    assert_eq!(lines[0], "record 1 DELAYED (rejected), 1 REJECTED");
    let tried = rig.record(1).tried.as_ref().expect("it failed");
    assert_eq!((tried.other_agent, &tried.agents[..]), (true, &[agent(1)][..]));
    assert_eq!(rig.record(1).failures, 1);
}

#[test]
fn a_job_that_must_go_elsewhere_waits_for_another_agent_and_holds_up_nobody_also_over_a_restart() {
    let elsewhere = Action::Retry(Again { other_agent: true, ..Again::default() });
    let mut rig = running(ruled(3, &[rule(reasons(&[Reason::Rejected]), elsewhere)]));
    rig.ended(1, 1, 1, AttemptState::Rejected, Some(Reason::Rejected));
    assert_eq!(rig.pass_hearing(Duration::from_secs(3), &[10]), ["record 1 QUEUED (rejected)"], "agent 1 has room");
    let why = rig.core.why_waiting(rig.now, crate::rig::job(1));
    assert_eq!(why.as_deref(), Some("every agent that could run it is one that it must not go to again"));
    assert_eq!(rig.submit(2).last().map(String::as_str), Some("assign 2.1 to a1/0"));
    rig.succeeded(1, 2, 1);
    rig.restart();
    assert_eq!(rig.greet(11, AgentHello { session: 2, ..hello(1, 1) }), ["welcome a1/1"]);
    assert_eq!(rig.join(2, 1).last().map(String::as_str), Some("assign 1.2 to a2/0"));
}

#[test]
fn a_job_that_ran_out_of_memory_is_given_more_of_it_up_to_its_cap_also_over_a_restart() {
    let more = Action::Retry(Again {
        memory: Some(MoreMemory { factor_milli: 2_000, amount_max: 10_000 }),
        delay: Some(Delay::NONE),
        ..Again::default()
    });
    let placement = Placement { resources: vec![("memory".into(), 3_000)], ..Placement::default() };
    let demand = Some(Arc::new(Demand { placement, ..Demand::default() }));
    let mut rig = running(JobHeader { demand, ..ruled(9, &[rule(reasons(&[Reason::OomKilled]), more)]) });
    let asked = |rig: &Rig| rig.record(1).header.demand.as_ref().expect("it asks").placement.resources[0].1;
    let lines = rig.ended(1, 1, 1, AttemptState::Failed, Some(Reason::OomKilled));
    assert_eq!((lines.last().map(String::as_str), asked(&rig)), (Some("assign 1.2 to a1/0"), 6_000));
    rig.started(1, 1, 2);
    let lines = rig.ended(1, 1, 2, AttemptState::Failed, Some(Reason::OomKilled));
    assert!(!lines.iter().any(|line| line.starts_with("assign")), "agent 1 has 8 and it wants 10: {lines:?}");
    assert_eq!(rig.submit(2).last().map(String::as_str), Some("assign 2.1 to a1/0"), "it holds up nobody");
    rig.restart();
    assert_eq!(asked(&rig), 10_000);
    let large = Traits { resources: [("memory".into(), 10_000)].into(), ..Traits::default() };
    let lines = rig.greet(20, AgentHello { traits: Arc::new(large), ..hello(2, 1) });
    assert_eq!(lines.last().map(String::as_str), Some("assign 1.3 to a2/0"));
}

#[test]
fn a_retry_goes_to_an_agent_that_it_did_not_fail_on_where_there_is_one() {
    let mut rig = Rig::default();
    rig.join(1, 4);
    rig.submit_retrying(1, 9);
    rig.failed(1, 1, 1);
    assert!(rig.pass_hearing(Duration::from_secs(9), &[10]).contains(&"assign 1.2 to a1/0".to_owned()), "nobody else");
    rig.join(2, 1);
    rig.failed(1, 1, 2);
    assert!(rig.pass_hearing(Duration::from_secs(9), &[10, 20]).contains(&"assign 1.3 to a2/0".to_owned()));
}

fn calling(header: JobHeader) -> Rig {
    let mut rig = Rig::default();
    rig.join_with(1, &[pool("p", &["resize"], 1)]);
    rig.submit_as(1, JobHeader { retry_plan: header.retry_plan, retry: header.retry, ..call("resize", 0) });
    rig.started(1, 1, 1);
    rig
}

fn errs(rig: &mut Rig, attempt: u32, error: HandlerError) -> Vec<String> {
    let mut end = outcome(AttemptState::Failed, Some(Reason::HandlerError));
    end.error = Some(error);
    rig.report(1, 1, attempt, News::Ended(end))
}

#[test]
fn what_the_handler_asks_for_wins_over_the_wait_of_a_rule() {
    let codes = Match { error_codes: [CodePattern::of("RATE_*")].into(), ..Match::default() };
    let slow = Action::Retry(Again { delay: Some(fixed(600 * SECOND)), ..Again::default() });
    let mut rig = calling(ruled(9, &[rule(codes, slow)]));
    let error =
        |retry_after| HandlerError { code: Some("RATE_LIMITED".into()), retry_after, ..HandlerError::default() };
    errs(&mut rig, 1, error(Some(5 * SECOND)));
    assert_eq!(rig.record(1).ready_at, Some(rig.now.wall.after(5 * SECOND)));
    rig.pass_hearing(5 * SECOND, &[10]);
    errs(&mut rig, 2, error(None));
    assert_eq!(rig.record(1).ready_at, Some(rig.now.wall.after(600 * SECOND)));
}

#[test]
fn a_passing_error_that_asks_for_no_wait_is_tried_again_at_once() {
    let mut rig = calling(header(0, RetryPolicy { preset: Preset::Default, attempts_max: 2 }));
    let error = HandlerError { retry_after: Some(Duration::ZERO), ..HandlerError::default() };
    let lines = errs(&mut rig, 1, error.clone());
    assert_eq!(
        lines,
        [
            "record 1 QUEUED (handler error), 1 FAILED",
            "ack a1/0",
            "record 1 LEASED (handler error), 2 LEASED",
            "assign 1.2 to a1/0"
        ]
    );
    assert_eq!(errs(&mut rig, 2, error), ["record 1 FAILED (handler error), 2 FAILED", "ack a1/0"]);
}

#[test]
fn a_permanent_error_is_not_tried_again_whatever_a_rule_says_and_may_be_a_dead_letter() {
    let plan = RetryPlan { rules: [rule(Match::default(), retry(9))].into(), dead_letter: true, delay: None };
    let mut rig = calling(planned(9, plan));
    let lines = errs(&mut rig, 1, HandlerError { permanent: true, ..HandlerError::default() });
    assert_eq!(lines, ["record 1 FAILED (handler error), 1 FAILED", "ack a1/0"]);
    assert!(rig.record(1).dead_lettered);
}

#[test]
fn a_failure_on_the_way_to_a_cancel_is_the_end_and_no_dead_letter() {
    let plan = RetryPlan { rules: [rule(Match::default(), retry(9))].into(), dead_letter: true, delay: None };
    let mut rig = running(planned(9, plan));
    rig.cancel(1);
    assert_eq!(exits(&mut rig, 1, 1), ["record 1 FAILED (exit code), 1 FAILED", "ack a1/0"]);
    assert!(!rig.record(1).dead_lettered);
}

#[test]
fn what_may_begin_once_is_not_begun_twice_by_a_rule() {
    let once = JobHeader { execution: Execution::AtMostOnce, ..ruled(9, &[rule(Match::default(), retry(9))]) };
    let mut rig = running(once);
    assert_eq!(exits(&mut rig, 1, 1), ["record 1 FAILED (exit code), 1 FAILED", "ack a1/0"]);
}

#[test]
fn an_exit_code_of_what_windlass_stopped_is_nobodys_word() {
    let mut rig = running(ruled(1, &[rule(exit(75), retry(9))]));
    let mut end = exited(75);
    (end.state, end.reason) = (AttemptState::TimedOut, Some(Reason::RunTimeout));
    assert_eq!(rig.report(1, 1, 1, News::Ended(end))[0], "record 1 FAILED (run timeout), 1 TIMED_OUT");
}
