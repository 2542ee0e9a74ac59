//! What a job asks beyond a slot: out of its spec, and back into the part of a spec that the store keeps beside the job.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;

use super::{placement, span, span_from};
use crate::domain::{Demand, Fairness, LimitUse, OnConflict, Placement, Unique};
use crate::fault::Invalid;
use crate::limits;
use crate::pb;

/// What the spec asks; none where it asks nothing.
pub(super) fn demand_from(wire: &mut pb::JobSpec, invalid: &mut Invalid) -> Option<Arc<Demand>> {
    let demand = Demand {
        placement: Placement {
            resources: placement::resources(std::mem::take(&mut wire.resources), invalid),
            constraints: placement::constraints(std::mem::take(&mut wire.constraints), invalid),
            affinities: placement::affinities(std::mem::take(&mut wire.affinities), invalid),
            min_lifetime: min_lifetime(wire.min_lifetime.take(), invalid),
        },
        fairness: wire.fairness.take().map(|fairness| fairness_from(fairness, invalid)),
        ordering_key: ordering_key(std::mem::take(&mut wire.ordering_key), invalid),
        unique: wire.unique.take().map(|unique| unique_from(unique, invalid)),
        limits: limit_uses(std::mem::take(&mut wire.limits), invalid),
    };
    (demand != Demand::default()).then(|| Arc::new(demand))
}

/// What [`read_demand`] reads.
#[must_use]
pub fn demand_bytes(demand: &Demand) -> Vec<u8> {
    let Demand { placement, fairness, ordering_key, unique, limits } = demand.clone();
    let use_to_wire = |one: LimitUse| pb::LimitUse {
        key: one.key.to_string(),
        units: Some(one.units),
        cost: Some(f64::from(one.cost) / 1_000.0),
    };
    let spec = pb::JobSpec {
        resources: placement.resources.iter().map(|(name, amount)| (name.to_string(), *amount)).collect(),
        constraints: placement.constraints.iter().map(placement::constraint_to_wire).collect(),
        affinities: placement.affinities.iter().map(placement::affinity_to_wire).collect(),
        min_lifetime: placement.min_lifetime.map(span),
        fairness: fairness
            .map(|one| pb::Fairness { key: one.key.to_string(), cost: Some(f64::from(one.cost) / 1_000.0) }),
        ordering_key: ordering_key.map(|key| key.to_string()).unwrap_or_default(),
        unique: unique.map(|unique| pb::Unique {
            key: unique.key.to_string(),
            on_conflict: on_conflict_to_wire(unique.on_conflict).into(),
        }),
        limits: limits.into_iter().map(use_to_wire).collect(),
        ..pb::JobSpec::default()
    };
    spec.encode_to_vec()
}

/// A demand as it was kept.
///
/// # Errors
/// Where these are not the bytes of one.
pub fn read_demand(bytes: &[u8]) -> Result<Option<Arc<Demand>>, Invalid> {
    let mut spec = pb::JobSpec::decode(bytes).map_err(|err| Invalid::one("demand", err))?;
    let mut invalid = Invalid::default();
    let demand = demand_from(&mut spec, &mut invalid);
    invalid.check().map(|()| demand)
}

fn min_lifetime(wire: Option<prost_types::Duration>, invalid: &mut Invalid) -> Option<std::time::Duration> {
    let wire = wire?;
    let time = span_from(&wire).filter(|time| !time.is_zero() && *time <= limits::LIFETIME_MAX);
    if time.is_none() {
        invalid.add("min_lifetime", "must be longer than 0 s and at most 365 days; leave it out where any will do");
    }
    time
}

fn fairness_from(wire: pb::Fairness, invalid: &mut Invalid) -> Fairness {
    let key = key("fairness.key", wire.key, invalid);
    Fairness { key, cost: cost("fairness.cost", wire.cost, 1, invalid) }
}

fn ordering_key(wire: String, invalid: &mut Invalid) -> Option<Arc<str>> {
    (!wire.is_empty()).then(|| key("ordering_key", wire, invalid))
}

fn unique_from(wire: pb::Unique, invalid: &mut Invalid) -> Unique {
    use pb::unique::OnConflict as Wire;
    let on_conflict = match Wire::try_from(wire.on_conflict) {
        Ok(Wire::Unspecified | Wire::Reject) => OnConflict::Reject,
        Ok(Wire::ReturnExisting) => OnConflict::ReturnExisting,
        Ok(Wire::ReplaceQueued) => OnConflict::ReplaceQueued,
        Ok(Wire::CancelRunning) => OnConflict::CancelRunning,
        Err(_) => {
            invalid.add("unique.on_conflict", format!("{} is no value this coordinator knows", wire.on_conflict));
            OnConflict::Reject
        }
    };
    Unique { key: key("unique.key", wire.key, invalid), on_conflict }
}

fn on_conflict_to_wire(on_conflict: OnConflict) -> pb::unique::OnConflict {
    match on_conflict {
        OnConflict::Reject => pb::unique::OnConflict::Reject,
        OnConflict::ReturnExisting => pb::unique::OnConflict::ReturnExisting,
        OnConflict::ReplaceQueued => pb::unique::OnConflict::ReplaceQueued,
        OnConflict::CancelRunning => pb::unique::OnConflict::CancelRunning,
    }
}

fn limit_uses(wire: Vec<pb::LimitUse>, invalid: &mut Invalid) -> Vec<LimitUse> {
    if wire.len() > limits::LIMIT_USES_MAX {
        invalid.add("limits", format!("holds {}, the limit is {}", wire.len(), limits::LIMIT_USES_MAX));
        return Vec::new();
    }
    // By key, so that the same uses in another order are the same demand.
    let mut uses = BTreeMap::new();
    for (i, one) in wire.into_iter().enumerate() {
        let field = format!("limits[{i}]");
        let key = key(&format!("{field}.key"), one.key, invalid);
        let cost = cost(&format!("{field}.cost"), one.cost, 0, invalid);
        let units = one.units.unwrap_or(1);
        if units == 0 || units > limits::COST_MAX {
            invalid.add(format!("{field}.units"), format!("must be 1 to {}", limits::COST_MAX));
        }
        if uses.insert(key.clone(), LimitUse { key, units, cost }).is_some() {
            invalid.add(
                format!("{field}.key"),
                "is named before; name each key once, with the sum of its units and costs",
            );
        }
    }
    uses.into_values().collect()
}

fn key(field: &str, text: String, invalid: &mut Invalid) -> Arc<str> {
    if !limits::is_key(&text) {
        invalid.add(field, format!("must be 1 to {} of [a-zA-Z0-9._:/@-]", limits::NAME_BYTES_MAX));
    }
    text.into()
}

/// A cost in thousandths, at least `min` of them.
fn cost(field: &str, wire: Option<f64>, min: u32, invalid: &mut Invalid) -> u32 {
    let thousandths = (wire.unwrap_or(1.0) * 1_000.0).round();
    // False for what is no number too.
    if (f64::from(min)..=f64::from(limits::COST_MAX) * 1_000.0).contains(&thousandths) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be 0 to 10^9")]
        return thousandths as u32;
    }
    invalid.add(field, format!("must be {} to {}", f64::from(min) / 1_000.0, limits::COST_MAX));
    1_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Affinity, Constraint, Must};

    /// Everything there is to ask, each at an edge.
    fn demand() -> Demand {
        let text = Arc::<str>::from;
        let constraint = |label: &str, must| Constraint { label: label.into(), must };
        Demand {
            placement: Placement {
                resources: vec![(text("cpus"), 1_500), (text("gpu"), limits::RESOURCE_AMOUNT_MAX)],
                constraints: vec![
                    constraint("arch", Must::In(vec![text("arm64"), text("x86")])),
                    constraint("cores", Must::Exceed(-1)),
                    constraint("spot", Must::NotExist),
                ],
                affinities: vec![Affinity {
                    constraint: constraint("zone", Must::NotIn(vec![text("b")])),
                    weight: -100,
                }],
                min_lifetime: Some(std::time::Duration::from_nanos(1)),
            },
            fairness: Some(Fairness { key: text("tenant:1"), cost: 1 }),
            ordering_key: Some(text("a/b@c")),
            unique: Some(Unique { key: text("u"), on_conflict: OnConflict::CancelRunning }),
            limits: vec![LimitUse { key: text("api"), units: limits::COST_MAX, cost: 0 }],
        }
    }

    #[test]
    fn a_demand_comes_back_from_its_bytes_as_it_was() {
        assert_eq!(read_demand(&demand_bytes(&demand())), Ok(Some(Arc::new(demand()))));
    }

    #[test]
    fn what_asks_for_nothing_is_no_demand() {
        assert_eq!(read_demand(&demand_bytes(&Demand::default())), Ok(None));
        assert_eq!(read_demand(b""), Ok(None));
    }

    #[test]
    fn demands_that_differ_only_in_order_are_the_same() {
        let limit = |key: &str| pb::LimitUse { key: key.into(), ..pb::LimitUse::default() };
        let must = |label: &str| pb::Constraint { label: label.into(), operator: 3, values: Vec::new() };
        let spec = |keys: [&str; 2]| pb::JobSpec {
            limits: keys.map(limit).to_vec(),
            constraints: keys.map(must).to_vec(),
            ..pb::JobSpec::default()
        };
        let read = |keys| demand_from(&mut spec(keys), &mut Invalid::default());
        assert!(read(["a", "b"]).is_some());
        assert_eq!(read(["a", "b"]), read(["b", "a"]));
    }

    #[test]
    fn amounts_are_kept_to_thousandths() {
        let mut invalid = Invalid::default();
        let read = [0.001, 0.000_6, 2.5, 1_000_000.0].map(|given| cost("cost", Some(given), 1, &mut invalid));
        assert_eq!((read, invalid), ([1, 1, 2_500, 1_000_000_000], Invalid::default()));
    }
}
