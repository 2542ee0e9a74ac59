//! Retry policies, with their delays and rules.

mod delay;
mod rules;
mod write;

use std::sync::Arc;

use prost::Message;

use crate::domain::{JobHeader, Preset, RetryPolicy, Work};
use crate::fault::Invalid;
use crate::limits;
use crate::pb;
use crate::resilience::plan::RetryPlan;
use crate::resilience::rules::{Action, MEMORY_RESOURCE};
pub use write::retry_plan_bytes;

/// The policy, and what it says beyond a preset and a number; none where it says no more. Field paths begin with `retry`.
pub(super) fn retry_from(
    wire: Option<pb::RetryPolicy>,
    invalid: &mut Invalid,
) -> (RetryPolicy, Option<Arc<RetryPlan>>) {
    let Some(wire) = wire else { return (RetryPolicy::NONE, None) };
    let preset = preset(wire.preset, invalid);
    let attempts_max = match wire.max_attempts {
        None => preset.attempts_max(),
        Some(n @ 1..=limits::ATTEMPTS_MAX) => u16::try_from(n).unwrap_or(u16::MAX),
        Some(_) => {
            invalid.add("retry.max_attempts", format!("must be 1 to {}", limits::ATTEMPTS_MAX));
            1
        }
    };
    let plan = RetryPlan {
        delay: wire.backoff.map(|backoff| delay::delay_from("retry.backoff", &backoff, invalid)),
        rules: rules::rules_from(wire.rules, invalid),
        dead_letter: wire.dead_letter,
    };
    let plan = (plan != RetryPlan::default()).then(|| Arc::new(plan));
    (RetryPolicy { preset, attempts_max }, plan)
}

fn preset(number: i32, invalid: &mut Invalid) -> Preset {
    match pb::retry_policy::Preset::try_from(number) {
        Ok(pb::retry_policy::Preset::Unspecified | pb::retry_policy::Preset::Default) => Preset::Default,
        Ok(pb::retry_policy::Preset::None) => Preset::None,
        Ok(pb::retry_policy::Preset::Conservative) => Preset::Conservative,
        Ok(pb::retry_policy::Preset::Aggressive) => Preset::Aggressive,
        Err(_) => {
            invalid.add("retry.preset", format!("{number} is no preset this coordinator knows"));
            Preset::None
        }
    }
}

/// Rules that this work can never meet, and more of what it does not ask for, are mistakes.
pub(super) fn check_header(header: &JobHeader, work: Option<&Work>, invalid: &mut Invalid) {
    let Some(plan) = &header.retry_plan else { return };
    let command = matches!(work, Some(Work::Exec(_)));
    let resources = header.demand.as_ref().map_or(&[][..], |demand| &demand.placement.resources);
    let has_memory = resources.iter().any(|(name, _)| &**name == MEMORY_RESOURCE);
    for (i, rule) in plan.rules.iter().enumerate() {
        let field = format!("retry.rules[{i}]");
        if command && !rule.when.error_codes.is_empty() {
            let why = "only the handler of a call answers error codes; a command ends by an exit code or a signal";
            invalid.add(format!("{field}.match.error_codes"), why);
        }
        if matches!(&rule.action, Action::Retry(again) if again.memory.is_some()) && !has_memory {
            let why = "there is nothing to make more of: ask for the resource \"memory\" in resources";
            invalid.add(format!("{field}.more_memory"), why);
        }
    }
}

/// A plan as it was kept.
///
/// # Errors
/// Where these are not the bytes of one.
pub fn read_retry_plan(bytes: &[u8]) -> Result<Option<Arc<RetryPlan>>, Invalid> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let wire = pb::RetryPolicy::decode(bytes).map_err(|err| Invalid::one("retry", err))?;
    let mut invalid = Invalid::default();
    let (_, plan) = retry_from(Some(wire), &mut invalid);
    invalid.check().map(|()| plan)
}

/// A number in thousandths, between two such, both included.
fn milli(field: &str, given: f64, least: u32, most: u32, invalid: &mut Invalid) -> u32 {
    let thousandths = (given * 1_000.0).round();
    // False for what is no number too.
    if (f64::from(least)..=f64::from(most)).contains(&thousandths) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be between two u32")]
        return thousandths as u32;
    }
    invalid.add(field, format!("must be {} to {}", f64::from(least) / 1_000.0, f64::from(most) / 1_000.0));
    least
}

#[cfg(test)]
mod tests;
