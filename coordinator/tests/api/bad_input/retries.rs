//! Retry policies that contradict themselves or their work. What single fields may be is tested where they are read.

use windlass_shared::limits;
use windlass_shared::pb;
use windlass_shared::pb::retry_rule::Action::{Fail, Retry};

use super::with_spec;

fn with(retry: pb::RetryPolicy) -> pb::JobSpec {
    with_spec(|spec| spec.retry = Some(retry))
}

fn ruled(when: pb::RetryMatch, action: pb::retry_rule::Action, change: fn(&mut pb::RetryRule)) -> pb::JobSpec {
    let mut rule = pb::RetryRule { r#match: Some(when), action: action.into(), ..Default::default() };
    change(&mut rule);
    with(pb::RetryPolicy { rules: vec![rule], ..Default::default() })
}

pub(super) fn bad_retries() -> Vec<(pb::JobSpec, &'static str)> {
    let any = pb::RetryMatch::default;
    let fixed = pb::backoff::Growth::Fixed.into();
    let backoff = pb::Backoff { growth: fixed, base: Some(2.0), ..Default::default() };
    let nan = pb::Backoff { base: Some(f64::NAN), ..Default::default() };
    let rules = vec![pb::RetryRule { action: Fail.into(), ..Default::default() }; limits::RETRY_RULES_MAX + 1];
    let codes = pb::RetryMatch { error_codes: vec!["RATE_*".into()], ..any() };
    let exit_codes = vec![pb::CodeRange { first: 1, last: None }];
    let both = pb::RetryMatch { signals: vec![9], exit_codes, ..any() };
    let drained = pb::RetryMatch { reasons: vec![pb::Reason::Drain.into()], ..any() };
    vec![
        (with(pb::RetryPolicy { backoff: Some(backoff), ..Default::default() }), "spec.retry.backoff.base"),
        (with(pb::RetryPolicy { backoff: Some(nan), ..Default::default() }), "spec.retry.backoff.base"),
        (with(pb::RetryPolicy { rules, ..Default::default() }), "spec.retry.rules"),
        (ruled(codes, Fail, |_| ()), "spec.retry.rules[0].match.error_codes"),
        (ruled(both, Fail, |_| ()), "spec.retry.rules[0].match"),
        (ruled(drained, Fail, |_| ()), "spec.retry.rules[0].match.reasons[0]"),
        (ruled(any(), Fail, |rule| rule.other_agent = true), "spec.retry.rules[0]"),
        (ruled(any(), Retry, |rule| rule.max_retries = Some(0)), "spec.retry.rules[0].max_retries"),
        (
            ruled(any(), Retry, |rule| rule.more_memory = Some(pb::MoreMemory { factor: 2.0, cap: 1 })),
            "spec.retry.rules[0].more_memory",
        ),
    ]
}
