//! Where a job may run: resources, constraints, affinities.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{Affinity, Constraint, Must};
use crate::fault::Invalid;
use crate::limits;
use crate::pb;
use crate::pb::constraint::Operator;

/// Amounts in thousandths, by name.
pub(super) fn resources(wire: BTreeMap<String, u64>, invalid: &mut Invalid) -> Vec<(Arc<str>, u64)> {
    if wire.len() > limits::RESOURCES_MAX {
        invalid.add("resources", format!("holds {}, the limit is {}", wire.len(), limits::RESOURCES_MAX));
        return Vec::new();
    }
    for (name, amount) in &wire {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(32).collect();
        let field = format!("resources[{shown}]");
        if !limits::is_name(name) {
            invalid
                .add(&*field, format!("a resource's name must be 1 to {} of [a-zA-Z0-9._-]", limits::NAME_BYTES_MAX));
        }
        if *amount == 0 || *amount > limits::RESOURCE_AMOUNT_MAX {
            invalid.add(&*field, format!("must be 1 to {} thousandths", limits::RESOURCE_AMOUNT_MAX));
        }
    }
    wire.into_iter().map(|(name, amount)| (name.into(), amount)).collect()
}

pub(super) fn constraints(wire: Vec<pb::Constraint>, invalid: &mut Invalid) -> Vec<Constraint> {
    if wire.len() > limits::CONSTRAINTS_MAX {
        invalid.add("constraints", format!("holds {}, the limit is {}", wire.len(), limits::CONSTRAINTS_MAX));
        return Vec::new();
    }
    let numbered = wire.into_iter().enumerate();
    let mut constraints: Vec<Constraint> =
        numbered.filter_map(|(i, one)| constraint(&format!("constraints[{i}]"), one, invalid)).collect();
    constraints.sort();
    constraints.dedup();
    for label in contradictions(&constraints) {
        invalid.add("constraints", format!("what they ask of {label} contradicts itself: no agent can ever match"));
    }
    constraints
}

pub(super) fn affinities(wire: Vec<pb::Affinity>, invalid: &mut Invalid) -> Vec<Affinity> {
    if wire.len() > limits::AFFINITIES_MAX {
        invalid.add("affinities", format!("holds {}, the limit is {}", wire.len(), limits::AFFINITIES_MAX));
        return Vec::new();
    }
    let numbered = wire.into_iter().enumerate();
    numbered.filter_map(|(i, one)| affinity(&format!("affinities[{i}]"), one, invalid)).collect()
}

fn affinity(field: &str, wire: pb::Affinity, invalid: &mut Invalid) -> Option<Affinity> {
    let max = limits::AFFINITY_WEIGHT_MAX;
    let weight = i8::try_from(wire.weight).ok().filter(|weight| *weight != 0 && (-max..=max).contains(&wire.weight));
    if weight.is_none() {
        invalid.add(format!("{field}.weight"), format!("must be -{max} to {max}, and not 0"));
    }
    let Some(constraint) = wire.constraint else {
        invalid.add(format!("{field}.constraint"), "is required");
        return None;
    };
    let constraint = self::constraint(&format!("{field}.constraint"), constraint, invalid)?;
    Some(Affinity { constraint, weight: weight? })
}

fn constraint(field: &str, wire: pb::Constraint, invalid: &mut Invalid) -> Option<Constraint> {
    let max = limits::LABEL_KEY_BYTES_MAX;
    if wire.label.is_empty() || wire.label.len() > max {
        invalid.add(format!("{field}.label"), format!("must be 1 to {max} bytes"));
    }
    let Ok(operator) = Operator::try_from(wire.operator) else {
        invalid.add(format!("{field}.operator"), format!("{} is no value this coordinator knows", wire.operator));
        return None;
    };
    match must(operator, wire.values) {
        Ok(must) => Some(Constraint { label: wire.label.into(), must }),
        Err(why) => {
            invalid.add(format!("{field}.values"), why);
            None
        }
    }
}

fn must(operator: Operator, values: Vec<String>) -> Result<Must, String> {
    let number = |values: Vec<String>| match &values[..] {
        [value] => value.parse().map_err(|_err| format!("must be a whole number, not {value:?}")),
        _ => Err("must hold one whole number".to_owned()),
    };
    match operator {
        Operator::Unspecified | Operator::In => list(values).map(Must::In),
        Operator::NotIn => list(values).map(Must::NotIn),
        Operator::Greater => number(values).map(Must::Exceed),
        Operator::Less => number(values).map(Must::StayBelow),
        Operator::Exists if values.is_empty() => Ok(Must::Exist),
        Operator::NotExists if values.is_empty() => Ok(Must::NotExist),
        Operator::Exists | Operator::NotExists => {
            Err("must be left out where only the label's presence counts".to_owned())
        }
    }
}

fn list(mut values: Vec<String>) -> Result<Vec<Arc<str>>, String> {
    let max = limits::CONSTRAINT_VALUES_MAX;
    if values.is_empty() || values.len() > max {
        return Err(format!("must hold 1 to {max}, not {}", values.len()));
    }
    if values.iter().any(|value| value.len() > limits::LABEL_VALUE_BYTES_MAX) {
        return Err(format!("must be at most {} bytes each", limits::LABEL_VALUE_BYTES_MAX));
    }
    values.sort();
    values.dedup();
    Ok(values.into_iter().map(Arc::from).collect())
}

/// The labels of which no value, and no absence, would do.
fn contradictions(constraints: &[Constraint]) -> Vec<&str> {
    let mut by_label: BTreeMap<&str, Vec<&Must>> = BTreeMap::new();
    constraints.iter().for_each(|one| by_label.entry(&one.label).or_default().push(&one.must));
    by_label.into_iter().filter(|(_, musts)| contradict(musts)).map(|(label, _)| label).collect()
}

fn contradict(musts: &[&Must]) -> bool {
    let all = |value: Option<&str>| musts.iter().all(|must| must.holds(value));
    if all(None) {
        return false;
    }
    if musts.contains(&&Must::NotExist) {
        return true;
    }
    let listed = musts.iter().find_map(|must| if let Must::In(values) = must { Some(values) } else { None });
    if let Some(values) = listed {
        return !values.iter().any(|value| all(Some(value)));
    }
    // No list to choose from: only a range without a number in it is impossible.
    let (low, high) = musts.iter().fold((i64::MIN, i64::MAX), |(low, high), must| match must {
        Must::Exceed(than) => (low.max(*than), high),
        Must::StayBelow(than) => (low, high.min(*than)),
        _ => (low, high),
    });
    low.saturating_add(1) >= high
}

pub(super) fn constraint_to_wire(constraint: &Constraint) -> pb::Constraint {
    let texts = |values: &[Arc<str>]| values.iter().map(ToString::to_string).collect();
    let (operator, values) = match &constraint.must {
        Must::In(values) => (Operator::In, texts(values)),
        Must::NotIn(values) => (Operator::NotIn, texts(values)),
        Must::Exist => (Operator::Exists, Vec::new()),
        Must::NotExist => (Operator::NotExists, Vec::new()),
        Must::Exceed(than) => (Operator::Greater, vec![than.to_string()]),
        Must::StayBelow(than) => (Operator::Less, vec![than.to_string()]),
    };
    pb::Constraint { label: constraint.label.to_string(), operator: operator.into(), values }
}

pub(super) fn affinity_to_wire(affinity: &Affinity) -> pb::Affinity {
    pb::Affinity { constraint: Some(constraint_to_wire(&affinity.constraint)), weight: affinity.weight.into() }
}
