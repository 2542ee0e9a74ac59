//! Plans back to what they were read from, for the record.

use prost::Message;

use crate::convert::{reason_to_wire, span};
use crate::domain::Reason;
use crate::pb;
use crate::resilience::delay::{Delay, Growth, Jitter};
use crate::resilience::plan::RetryPlan;
use crate::resilience::rules::{Action, Again, Match, RetryRule};

/// What [`read_retry_plan`](super::read_retry_plan) reads.
#[must_use]
pub fn retry_plan_bytes(plan: &RetryPlan) -> Vec<u8> {
    let policy = pb::RetryPolicy {
        backoff: plan.delay.as_ref().map(backoff),
        rules: plan.rules.iter().map(rule).collect(),
        dead_letter: plan.dead_letter,
        ..pb::RetryPolicy::default()
    };
    policy.encode_to_vec()
}

fn backoff(delay: &Delay) -> pb::Backoff {
    use pb::backoff::{Growth as WireGrowth, Jitter as WireJitter};
    let (growth, base, delays) = match &delay.growth {
        Growth::Fixed => (WireGrowth::Fixed, None, Vec::new()),
        Growth::Linear => (WireGrowth::Linear, None, Vec::new()),
        Growth::Exponential { base_milli } => (WireGrowth::Exponential, Some(thousandths(*base_milli)), Vec::new()),
        Growth::Fibonacci => (WireGrowth::Fibonacci, None, Vec::new()),
        Growth::Decorrelated => (WireGrowth::Decorrelated, None, Vec::new()),
        Growth::Listed(delays) => (WireGrowth::Listed, None, delays.iter().copied().map(span).collect()),
    };
    let jitter = match delay.jitter {
        Jitter::None => WireJitter::None,
        Jitter::Slight => WireJitter::Slight,
        Jitter::Full => WireJitter::Full,
    };
    let initial = (growth != WireGrowth::Listed).then(|| span(delay.first));
    let cap = Some(span(delay.cap));
    pb::Backoff { growth: growth.into(), initial, base, cap, delays, jitter: jitter.into() }
}

fn rule(rule: &RetryRule) -> pb::RetryRule {
    use pb::retry_rule::Action as WireAction;
    let (action, again) = match &rule.action {
        Action::Retry(again) => (WireAction::Retry, again.clone()),
        Action::Fail => (WireAction::Fail, Again::default()),
        Action::DeadLetter => (WireAction::DeadLetter, Again::default()),
    };
    pb::RetryRule {
        r#match: (!rule.when.is_any()).then(|| matches(&rule.when)),
        action: action.into(),
        backoff: again.delay.as_ref().map(backoff),
        max_retries: again.times_max.map(u32::from),
        other_agent: again.other_agent,
        more_memory: again
            .memory
            .map(|more| pb::MoreMemory { factor: thousandths(more.factor_milli), cap: more.amount_max }),
    }
}

// Classes went into their reasons.
fn matches(when: &Match) -> pb::RetryMatch {
    let codes = |codes: &std::ops::RangeInclusive<u8>| pb::CodeRange {
        first: (*codes.start()).into(),
        last: Some((*codes.end()).into()),
    };
    let reasons = Reason::ALL.into_iter().filter(|reason| when.reasons.contains(*reason));
    pb::RetryMatch {
        classes: Vec::new(),
        reasons: reasons.map(|reason| reason_to_wire(Some(reason)).into()).collect(),
        exit_codes: when.exit_codes.iter().map(codes).collect(),
        signals: when.signals.iter().copied().map(i32::from).collect(),
        error_codes: when.error_codes.iter().map(ToString::to_string).collect(),
        first_failure: when.nth.as_ref().map(|nth| *nth.start()),
        last_failure: when.nth.as_ref().map(|nth| *nth.end()),
    }
}

fn thousandths(milli: u32) -> f64 {
    f64::from(milli) / 1_000.0
}
