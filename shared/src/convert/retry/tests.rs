use std::time::Duration;

use super::*;
use crate::domain::Reason;
use crate::resilience::delay::{Delay, Growth, Jitter};
use crate::resilience::rules::{Action, Again, CodePattern, Match, MoreMemory, Reasons, RetryRule};

fn read(wire: pb::RetryPolicy) -> Result<Option<Arc<RetryPlan>>, String> {
    let mut invalid = Invalid::default();
    let (_, plan) = retry_from(Some(wire), &mut invalid);
    invalid.check().map(|()| plan).map_err(|invalid| invalid.to_string())
}

fn rule(when: pb::RetryMatch, action: pb::retry_rule::Action) -> pb::RetryRule {
    pb::RetryRule { r#match: Some(when), action: action.into(), ..pb::RetryRule::default() }
}

fn with_rules(rules: Vec<pb::RetryRule>) -> pb::RetryPolicy {
    pb::RetryPolicy { rules, ..pb::RetryPolicy::default() }
}

fn with_backoff(backoff: pb::Backoff) -> pb::RetryPolicy {
    pb::RetryPolicy { backoff: Some(backoff), ..pb::RetryPolicy::default() }
}

fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

/// Every part of a plan, each at an edge.
fn plan() -> RetryPlan {
    let delay = |growth| Delay {
        growth,
        first: Duration::from_millis(1),
        cap: limits::RETRY_AFTER_MAX,
        jitter: Jitter::Slight,
    };
    let listed = Growth::Listed([Duration::ZERO, Duration::from_secs(9)].into());
    let again = |delay| Again {
        delay: Some(delay),
        times_max: Some(7),
        other_agent: true,
        memory: Some(MoreMemory { factor_milli: 1_001, amount_max: u64::MAX }),
    };
    let reasons = Reason::ALL.into_iter().filter(|reason| reason.is_for_rules());
    let codes = Match { exit_codes: [0..=0, 75..=255].into(), nth: Some(1..=u32::MAX), ..Match::default() };
    let signals = Match { signals: [1, 64].into(), reasons: Reasons::from_iter([Reason::Signal]), ..Match::default() };
    let errors = [CodePattern::of("BUSY"), CodePattern::of("RATE_*")].into();
    RetryPlan {
        delay: Some(Delay { first: Duration::ZERO, jitter: Jitter::None, ..delay(listed) }),
        rules: [
            RetryRule { when: Match { reasons: reasons.collect(), ..Match::default() }, action: Action::Fail },
            RetryRule { when: codes, action: Action::Retry(again(delay(Growth::Exponential { base_milli: 1_234 }))) },
            RetryRule { when: signals, action: Action::Retry(again(delay(Growth::Fibonacci))) },
            RetryRule {
                when: Match { error_codes: errors, ..Match::default() },
                action: Action::Retry(again(delay(Growth::Decorrelated))),
            },
            RetryRule {
                when: Match { nth: Some(2..=3), ..Match::default() },
                action: Action::Retry(again(delay(Growth::Linear))),
            },
            RetryRule { when: Match::default(), action: Action::DeadLetter },
        ]
        .into(),
        dead_letter: true,
    }
}

#[test]
fn a_plan_comes_back_from_its_bytes_as_it_was() {
    assert_eq!(read_retry_plan(&retry_plan_bytes(&plan())), Ok(Some(Arc::new(plan()))));
    assert_eq!(read_retry_plan(b""), Ok(None));
    assert!(read_retry_plan(b"\xff").is_err());
}

#[test]
fn a_policy_of_a_preset_and_a_number_has_no_plan() {
    let policy = pb::RetryPolicy { max_attempts: Some(4), ..pb::RetryPolicy::default() };
    assert_eq!(read(policy), Ok(None));
}

#[test]
fn what_a_backoff_leaves_out_is_as_the_contract_says() {
    let delay = |backoff| read(with_backoff(backoff)).expect("valid").expect("a plan").delay.clone().expect("a delay");
    let plain = delay(pb::Backoff::default());
    assert_eq!(plain, Delay::of(Preset::Default));
    let long = delay(pb::Backoff { initial: Some(seconds(300)), ..pb::Backoff::default() });
    assert_eq!((long.first, long.cap), (Duration::from_secs(300), Duration::from_secs(300)));
    let listed = delay(pb::Backoff { delays: vec![seconds(1), seconds(7_200)], ..pb::Backoff::default() });
    assert_eq!((listed.cap, listed.jitter), (limits::RETRY_AFTER_MAX, Jitter::None));
}

#[test]
fn a_class_stands_for_all_of_its_reasons() {
    let when = pb::RetryMatch {
        classes: vec![pb::retry_match::Class::Oom.into()],
        reasons: vec![pb::Reason::Signal.into()],
        ..pb::RetryMatch::default()
    };
    let plan = read(with_rules(vec![rule(when, pb::retry_rule::Action::Fail)])).expect("valid").expect("a plan");
    let reasons = Reasons::from_iter([Reason::Signal, Reason::MemoryLimit, Reason::OomKilled]);
    assert_eq!(plan.rules[0].when.reasons, reasons);
}

/// Refused, naming `field` and saying `what`.
fn refused(wire: pb::RetryPolicy, field: &str, what: &str) {
    let why = read(wire).expect_err(field);
    assert!(why.starts_with(&format!("{field} ")) && why.contains(what), "{why}");
}

#[test]
fn a_backoff_that_contradicts_itself_is_refused_by_field() {
    let plain = pb::Backoff::default;
    refused(with_backoff(pb::Backoff { growth: 99, ..plain() }), "retry.backoff.growth", "99");
    refused(with_backoff(pb::Backoff { jitter: 99, ..plain() }), "retry.backoff.jitter", "99");
    for base in [0.999, 10.001, -1.0, f64::NAN, f64::INFINITY] {
        refused(with_backoff(pb::Backoff { base: Some(base), ..plain() }), "retry.backoff.base", "1 to 10");
    }
    let fixed = pb::backoff::Growth::Fixed.into();
    refused(with_backoff(pb::Backoff { growth: fixed, base: Some(2.0), ..plain() }), "retry.backoff.base", "only for");
    let delays = vec![seconds(1)];
    refused(with_backoff(pb::Backoff { growth: fixed, delays, ..plain() }), "retry.backoff.delays", "GROWTH_LISTED");
    let listed = pb::backoff::Growth::Listed.into();
    refused(with_backoff(pb::Backoff { growth: listed, ..plain() }), "retry.backoff.delays", "GROWTH_LISTED");
    let many = vec![seconds(1); 65];
    refused(with_backoff(pb::Backoff { delays: many, ..plain() }), "retry.backoff.delays", "the limit is 64");
    let both = pb::Backoff { delays: vec![seconds(1)], initial: Some(seconds(1)), ..plain() };
    refused(with_backoff(both), "retry.backoff.initial", "beside delays");
    refused(with_backoff(pb::Backoff { delays: vec![seconds(-1)], ..plain() }), "retry.backoff.delays[0]", "24 h");
    refused(with_backoff(pb::Backoff { cap: Some(seconds(86_401)), ..plain() }), "retry.backoff.cap", "24 h");
    let short = pb::Backoff { initial: Some(seconds(2)), cap: Some(seconds(1)), ..plain() };
    refused(with_backoff(short), "retry.backoff.cap", "no less");
}

#[test]
fn a_rule_that_can_never_decide_or_contradicts_itself_is_refused_by_field() {
    use pb::retry_rule::Action::{Fail, Retry, Unspecified};
    let plain = pb::RetryMatch::default;
    let of = |when, action| with_rules(vec![rule(when, action)]);
    refused(of(plain(), Unspecified), "retry.rules[0].action", "ACTION_RETRY");
    refused(with_rules(vec![rule(plain(), Fail); 33]), "retry.rules", "the limit is 32");
    refused(with_rules(vec![rule(plain(), Fail); 2]), "retry.rules[0].match", "no rule after it");
    let rule = |change: fn(&mut pb::RetryRule)| {
        let mut rule = rule(plain(), Retry);
        change(&mut rule);
        with_rules(vec![rule])
    };
    refused(rule(|rule| (rule.action, rule.other_agent) = (2, true)), "retry.rules[0]", "only ACTION_RETRY");
    refused(rule(|rule| rule.max_retries = Some(0)), "retry.rules[0].max_retries", "1 to 1000");
    let more = |factor| Some(pb::MoreMemory { factor, cap: 1 });
    assert!(read(rule(|rule| rule.more_memory = Some(pb::MoreMemory { factor: 1.5, cap: 9 }))).is_ok());
    for factor in [1.0, 0.0, -2.0, 10.1, f64::NAN] {
        let mut policy = rule(|_| ());
        policy.rules[0].more_memory = more(factor);
        refused(policy, "retry.rules[0].more_memory.factor", "1.001 to 10");
    }
    let no_cap = rule(|rule| rule.more_memory = Some(pb::MoreMemory { factor: 2.0, cap: 0 }));
    refused(no_cap, "retry.rules[0].more_memory.cap", "required");
}

#[test]
fn a_match_that_nothing_can_meet_is_refused_by_field() {
    let (plain, fail) = (pb::RetryMatch::default, pb::retry_rule::Action::Fail);
    let of = |when| with_rules(vec![rule(when, fail)]);
    let codes = |first, last| vec![pb::CodeRange { first, last }];
    let field = "retry.rules[0].match";
    let when = |change: fn(&mut pb::RetryMatch)| {
        let mut when = plain();
        change(&mut when);
        of(when)
    };
    refused(of(pb::RetryMatch { exit_codes: codes(256, None), ..plain() }), &format!("{field}.exit_codes[0]"), "255");
    refused(
        of(pb::RetryMatch { exit_codes: codes(9, Some(8)), ..plain() }),
        &format!("{field}.exit_codes[0]"),
        "first",
    );
    refused(when(|when| when.signals = vec![65]), &format!("{field}.signals[0]"), "1 to 64");
    refused(when(|when| when.error_codes = vec!["A*B".into()]), &format!("{field}.error_codes[0]"), "at its end");
    refused(when(|when| when.error_codes = vec![String::new()]), &format!("{field}.error_codes[0]"), "1 to 128");
    refused(when(|when| when.first_failure = Some(0)), &format!("{field}.first_failure"), "at least 1");
    refused(
        when(|when| (when.first_failure, when.last_failure) = (Some(3), Some(2))),
        &format!("{field}.first_failure"),
        "no more",
    );
    refused(when(|when| when.classes = vec![0]), &format!("{field}.classes[0]"), "no class");
    refused(when(|when| when.reasons = vec![99]), &format!("{field}.reasons[0]"), "no reason");
    refused(
        when(|when| when.reasons = vec![pb::Reason::Drain.into()]),
        &format!("{field}.reasons[0]"),
        "without rules",
    );
    refused(when(|when| when.reasons = vec![2; 65]), &format!("{field}.reasons"), "the limit is 64");
    refused(when(|when| (when.signals, when.error_codes) = (vec![9], vec!["A".into()])), field, "a rule for each");
    let strange =
        |when: &mut pb::RetryMatch| (when.signals, when.reasons) = (vec![9], vec![pb::Reason::ExitCode.into()]);
    refused(when(strange), &format!("{field}.signals"), "signal of others");
    let strange = |when: &mut pb::RetryMatch| (when.error_codes, when.classes) = (vec!["A".into()], vec![2]);
    refused(when(strange), &format!("{field}.error_codes"), "REASON_HANDLER_ERROR");
}
