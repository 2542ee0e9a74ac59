//! Rules, each checked to be one that can ever decide something, and that does not contradict itself.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::{delay, milli};
use crate::convert::reason;
use crate::domain::Reason;
use crate::fault::Invalid;
use crate::limits::{ATTEMPTS_MAX, ERROR_CODE_BYTES_MAX, RETRY_MATCHES_MAX, RETRY_RULES_MAX};
use crate::pb;
use crate::pb::retry_match::Class;
use crate::resilience::rules::{Action, Again, CodePattern, FailureClass, Match, MoreMemory, Reasons, RetryRule};

/// Greatest factor memory grows by: more is a size of its own.
const FACTOR_MILLI_MAX: u32 = 10_000;
const SIGNAL_MAX: i32 = 64;

pub(super) fn rules_from(wire: Vec<pb::RetryRule>, invalid: &mut Invalid) -> Box<[RetryRule]> {
    if wire.len() > RETRY_RULES_MAX {
        invalid.add("retry.rules", format!("holds {}, the limit is {RETRY_RULES_MAX}", wire.len()));
        return Box::default();
    }
    let fields = (0..wire.len()).map(|i| format!("retry.rules[{i}]"));
    let rules: Vec<RetryRule> = fields.zip(wire).map(|(field, rule)| rule_from(&field, rule, invalid)).collect();
    let ahead = rules.split_last().map_or(&[][..], |(_, ahead)| ahead);
    if let Some(at) = ahead.iter().position(|rule| rule.when.is_any()) {
        invalid.add(format!("retry.rules[{at}].match"), "matches every failure, so no rule after it is ever asked");
    }
    rules.into()
}

fn rule_from(field: &str, wire: pb::RetryRule, invalid: &mut Invalid) -> RetryRule {
    let when = match_from(&format!("{field}.match"), wire.r#match.unwrap_or_default(), invalid);
    let again = Again {
        delay: wire.backoff.map(|backoff| delay::delay_from(&format!("{field}.backoff"), &backoff, invalid)),
        times_max: wire.max_retries.map(|times| times_from(field, times, invalid)),
        other_agent: wire.other_agent,
        memory: wire.more_memory.map(|more| memory_from(&format!("{field}.more_memory"), more, invalid)),
    };
    let action = pb::retry_rule::Action::try_from(wire.action);
    if again != Again::default() && !matches!(action, Ok(pb::retry_rule::Action::Retry)) {
        invalid.add(field, "says how the next attempt is made, which only ACTION_RETRY makes");
    }
    let action = match action {
        Ok(pb::retry_rule::Action::Retry) => Action::Retry(again),
        Ok(pb::retry_rule::Action::Fail) => Action::Fail,
        Ok(pb::retry_rule::Action::DeadLetter) => Action::DeadLetter,
        Ok(pb::retry_rule::Action::Unspecified) | Err(_) => {
            invalid.add(format!("{field}.action"), "must be ACTION_RETRY, ACTION_FAIL or ACTION_DEAD_LETTER");
            Action::Fail
        }
    };
    RetryRule { when, action }
}

fn times_from(field: &str, times: u32, invalid: &mut Invalid) -> u16 {
    if !(1..=ATTEMPTS_MAX).contains(&times) {
        invalid.add(format!("{field}.max_retries"), format!("must be 1 to {ATTEMPTS_MAX}"));
    }
    u16::try_from(times).unwrap_or(u16::MAX)
}

fn memory_from(field: &str, wire: pb::MoreMemory, invalid: &mut Invalid) -> MoreMemory {
    let factor_milli = milli(&format!("{field}.factor"), wire.factor, 1_001, FACTOR_MILLI_MAX, invalid);
    if wire.cap == 0 {
        invalid.add(format!("{field}.cap"), "is required: the most it grows to, in thousandths");
    }
    MoreMemory { factor_milli, amount_max: wire.cap }
}

fn match_from(field: &str, wire: pb::RetryMatch, invalid: &mut Invalid) -> Match {
    let sizes = [
        ("reasons", wire.reasons.len()),
        ("classes", wire.classes.len()),
        ("exit_codes", wire.exit_codes.len()),
        ("signals", wire.signals.len()),
        ("error_codes", wire.error_codes.len()),
    ];
    if let Some((name, have)) = sizes.into_iter().find(|(_, have)| *have > RETRY_MATCHES_MAX) {
        invalid.add(format!("{field}.{name}"), format!("holds {have}, the limit is {RETRY_MATCHES_MAX}"));
        return Match::default();
    }
    let when = Match {
        reasons: reasons_from(field, &wire, invalid),
        exit_codes: indexed(wire.exit_codes).map(|(i, codes)| codes_from(field, i, codes, invalid)).collect(),
        signals: indexed(wire.signals).map(|(i, signal)| signal_from(field, i, signal, invalid)).collect(),
        error_codes: indexed(wire.error_codes).map(|(i, code)| error_from(field, i, &code, invalid)).collect(),
        nth: nth_from(field, wire.first_failure, wire.last_failure, invalid),
    };
    contradictions(field, &when, invalid);
    when
}

fn indexed<T>(items: Vec<T>) -> impl Iterator<Item = (usize, T)> {
    items.into_iter().enumerate()
}

fn reasons_from(field: &str, wire: &pb::RetryMatch, invalid: &mut Invalid) -> Reasons {
    let mut reasons = BTreeSet::new();
    for (i, number) in wire.reasons.iter().enumerate() {
        match reason(*number) {
            Some(reason) if reason.is_for_rules() => drop(reasons.insert(reason as u8)),
            Some(reason) => {
                let why = format!("{} is decided without rules; leave it out", reason.name());
                invalid.add(format!("{field}.reasons[{i}]"), why);
            }
            None => {
                let why = format!("{number} is no reason this coordinator knows");
                invalid.add(format!("{field}.reasons[{i}]"), why);
            }
        }
    }
    for (i, number) in wire.classes.iter().enumerate() {
        match class_from(*number) {
            Some(class) => reasons.extend(class.reasons().iter().map(|reason| *reason as u8)),
            None => {
                invalid.add(format!("{field}.classes[{i}]"), format!("{number} is no class this coordinator knows"));
            }
        }
    }
    Reason::ALL.into_iter().filter(|reason| reasons.contains(&(*reason as u8))).collect()
}

fn class_from(number: i32) -> Option<FailureClass> {
    Some(match Class::try_from(number).ok()? {
        Class::Unspecified => return None,
        Class::Timeout => FailureClass::Timeout,
        Class::Oom => FailureClass::Oom,
        Class::Worker => FailureClass::Worker,
        Class::Host => FailureClass::Host,
    })
}

fn codes_from(field: &str, i: usize, wire: pb::CodeRange, invalid: &mut Invalid) -> RangeInclusive<u8> {
    let codes = (u8::try_from(wire.first), u8::try_from(wire.last.unwrap_or(wire.first)));
    if let (Ok(first), Ok(last)) = codes
        && first <= last
    {
        return first..=last;
    }
    invalid.add(format!("{field}.exit_codes[{i}]"), "must be 0 to 255, with last no less than first");
    0..=0
}

fn signal_from(field: &str, i: usize, signal: i32, invalid: &mut Invalid) -> u8 {
    if !(1..=SIGNAL_MAX).contains(&signal) {
        invalid.add(format!("{field}.signals[{i}]"), format!("must be a signal number, 1 to {SIGNAL_MAX}"));
    }
    u8::try_from(signal).unwrap_or(0)
}

fn error_from(field: &str, i: usize, code: &str, invalid: &mut Invalid) -> CodePattern {
    let pattern = CodePattern::of(code);
    let (CodePattern::Exact(text) | CodePattern::Prefix(text)) = &pattern;
    if code.is_empty() || code.len() > ERROR_CODE_BYTES_MAX || text.contains('*') {
        let field = format!("{field}.error_codes[{i}]");
        invalid.add(field, format!("must be 1 to {ERROR_CODE_BYTES_MAX} bytes, with a \"*\" only at its end"));
    }
    pattern
}

fn nth_from(field: &str, first: Option<u32>, last: Option<u32>, invalid: &mut Invalid) -> Option<RangeInclusive<u32>> {
    if first.is_none() && last.is_none() {
        return None;
    }
    let nth = first.unwrap_or(1)..=last.unwrap_or(u32::MAX);
    if *nth.start() == 0 || nth.is_empty() {
        invalid.add(format!("{field}.first_failure"), "must be at least 1 and no more than last_failure");
    }
    Some(nth)
}

/// A match that nothing can ever meet is a mistake, and is said to be one.
fn contradictions(field: &str, when: &Match, invalid: &mut Invalid) {
    let can_be =
        |reasons: &[Reason]| when.reasons.is_empty() || reasons.iter().any(|reason| when.reasons.contains(*reason));
    let parts = [!when.exit_codes.is_empty(), !when.signals.is_empty(), !when.error_codes.is_empty()];
    if parts.into_iter().filter(|given| *given).count() > 1 {
        invalid.add(field, "an attempt ends by an exit code, a signal or a handler's error: use a rule for each");
    }
    if !when.exit_codes.is_empty() && !can_be(&[Reason::ExitCode, Reason::WorkerDied]) {
        invalid.add(format!("{field}.exit_codes"), "nothing that ends for these reasons has an exit code");
    }
    if !when.signals.is_empty() && !can_be(&[Reason::Signal, Reason::WorkerDied]) {
        invalid.add(format!("{field}.signals"), "nothing that ends for these reasons was ended by a signal of others");
    }
    if !when.error_codes.is_empty() && !can_be(&[Reason::HandlerError]) {
        invalid.add(format!("{field}.error_codes"), "only REASON_HANDLER_ERROR has an error code");
    }
}
