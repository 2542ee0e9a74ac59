//! Where a job may run, and in what order with others.

use std::time::Duration;

use pb::constraint::Operator;
use windlass_shared::pb;

use super::{parse_pair, span};
use crate::humane::parse_duration;

/// The flags for it.
#[derive(Debug, clap::Args)]
pub(crate) struct PlacementArgs {
    /// What it takes of a resource that agents declare, such as `cpus=1.5` or `gpu=1`; repeat for more
    #[arg(long, value_name = "NAME=AMOUNT", value_parser = parse_resource, help_heading = "Placement")]
    resource: Vec<(String, u64)>,
    /// What must hold of an agent's label: `zone=a,b`, `zone!=a`, `ssd` (is there), `!ssd` (is not), `cores>7` or `cores<65`;
    /// repeat for more, all of which must hold
    #[arg(long, value_name = "LABEL…", value_parser = parse_constraint, allow_hyphen_values = true, help_heading = "Placement")]
    constraint: Vec<pb::Constraint>,
    /// What makes an agent the better choice, as for --constraint, with a weight of -100 to 100 behind a colon [default: 10]
    #[arg(long, value_name = "LABEL…[:WEIGHT]", value_parser = parse_affinity, help_heading = "Placement")]
    prefer: Vec<pb::Affinity>,
    /// How long an agent that says when it leaves must be there yet
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Placement")]
    min_lifetime: Option<Duration>,
    /// Run the queue's jobs with the same key one at a time, strictly in the order they were submitted
    #[arg(long, value_name = "KEY", help_heading = "Placement")]
    ordering_key: Option<String>,
}

impl PlacementArgs {
    /// Adds what they ask to the spec.
    pub(super) fn add_to(&self, spec: &mut pb::JobSpec) {
        spec.resources = self.resource.iter().cloned().collect();
        spec.constraints.clone_from(&self.constraint);
        spec.affinities.clone_from(&self.prefer);
        spec.min_lifetime = self.min_lifetime.map(span);
        spec.ordering_key = self.ordering_key.clone().unwrap_or_default();
    }
}

/// `NAME=AMOUNT`, with up to three decimals, as thousandths.
fn parse_resource(text: &str) -> Result<(String, u64), String> {
    let (name, amount) = parse_pair(text)?;
    let wrong = || format!("{amount} is no amount: a number with up to three decimals, such as 2 or 0.5");
    let (whole, part) = amount.split_once('.').unwrap_or((&amount, ""));
    if part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) || amount.starts_with('+') {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_err| wrong())?;
    let part: u64 = format!("{part:0<3}").parse().map_err(|_err| wrong())?;
    let thousandths = whole.checked_mul(1_000).and_then(|whole| whole.checked_add(part)).ok_or_else(wrong)?;
    Ok((name, thousandths))
}

/// `label=a,b`, `label!=a,b`, `label`, `!label`, `label>n`, `label<n`.
fn parse_constraint(text: &str) -> Result<pb::Constraint, String> {
    let list = |values: &str| values.split(',').map(str::to_owned).collect();
    let (label, operator, values) = if let Some((label, values)) = text.split_once("!=") {
        (label, Operator::NotIn, list(values))
    } else if let Some((label, values)) = text.split_once('=') {
        (label, Operator::In, list(values))
    } else if let Some((label, number)) = text.split_once('>') {
        (label, Operator::Greater, vec![number.to_owned()])
    } else if let Some((label, number)) = text.split_once('<') {
        (label, Operator::Less, vec![number.to_owned()])
    } else if let Some(label) = text.strip_prefix('!') {
        (label, Operator::NotExists, Vec::new())
    } else {
        (text, Operator::Exists, Vec::new())
    };
    if label.is_empty() {
        return Err("it names no label; write it as zone=a,b, zone!=a, ssd, !ssd, cores>7 or cores<65".to_owned());
    }
    Ok(pb::Constraint { label: label.to_owned(), operator: operator.into(), values })
}

/// A constraint, and a weight behind its last colon.
fn parse_affinity(text: &str) -> Result<pb::Affinity, String> {
    let weighed = text.rsplit_once(':').and_then(|(rest, weight)| Some((rest, weight.parse().ok()?)));
    let (constraint, weight) = weighed.unwrap_or((text, 10));
    Ok(pb::Affinity { constraint: Some(parse_constraint(constraint)?), weight })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn must(label: &str, operator: Operator, values: &[&str]) -> Result<pb::Constraint, String> {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Ok(pb::Constraint { label: label.to_owned(), operator: operator.into(), values })
    }

    #[test]
    fn constraints_are_written_as_they_are_read() {
        assert_eq!(parse_constraint("zone=a,b"), must("zone", Operator::In, &["a", "b"]));
        assert_eq!(parse_constraint("zone!=a"), must("zone", Operator::NotIn, &["a"]));
        assert_eq!(parse_constraint("ssd"), must("ssd", Operator::Exists, &[]));
        assert_eq!(parse_constraint("!ssd"), must("ssd", Operator::NotExists, &[]));
        assert_eq!(parse_constraint("cores>-7"), must("cores", Operator::Greater, &["-7"]));
        assert_eq!(parse_constraint("cores<65"), must("cores", Operator::Less, &["65"]));
        assert!(parse_constraint("=a").is_err() && parse_constraint("!").is_err());
    }

    #[test]
    fn an_affinity_has_its_weight_behind_the_last_colon() {
        let affinity = |text| parse_affinity(text).map(|affinity| (affinity.constraint, affinity.weight));
        let zone = |value| must("zone", Operator::In, &[value]).ok();
        assert_eq!(affinity("zone=a:-50"), Ok((zone("a"), -50)));
        assert_eq!(affinity("zone=a"), Ok((zone("a"), 10)));
        assert_eq!(affinity("zone=a:b"), Ok((zone("a:b"), 10)));
    }

    #[test]
    fn amounts_have_up_to_three_decimals() {
        let amount = |text| parse_resource(text).map(|(_, amount)| amount).ok();
        let given = ["cpus=2", "cpus=0.5", "cpus=1.", "cpus=1.234", "cpus=1.2345", "cpus=-1", "cpus=1e3", "cpus="];
        let read = [Some(2_000), Some(500), Some(1_000), Some(1_234), None, None, None, None];
        assert_eq!(given.map(amount), read);
    }
}
