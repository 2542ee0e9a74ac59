//! What jobs ask beyond a slot, asked wrongly.

use windlass_shared::limits;
use windlass_shared::pb;

use super::{seconds, with_spec};

fn must(label: &str, operator: pb::constraint::Operator, values: &[&str]) -> pb::Constraint {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    pb::Constraint { label: label.into(), operator: operator.into(), values }
}

fn with(constraints: &[pb::Constraint]) -> pb::JobSpec {
    with_spec(|spec| spec.constraints = constraints.to_vec())
}

fn resource(name: &str, amount: u64) -> pb::JobSpec {
    with_spec(|spec| spec.resources.extend([(name.into(), amount)]))
}

fn limit(key: &str, units: u32, cost: f64) -> pb::LimitUse {
    pb::LimitUse { key: key.into(), units: Some(units), cost: Some(cost) }
}

pub(super) fn bad_demands() -> Vec<(pb::JobSpec, &'static str)> {
    [bad_placements(), contradictions(), bad_keys(), bad_costs()].concat()
}

fn bad_placements() -> Vec<(pb::JobSpec, &'static str)> {
    use pb::constraint::Operator::{Exists, Greater, In, Less, NotExists, NotIn};
    let many = |n: usize| (0..n).map(|n| n.to_string()).collect::<Vec<_>>();
    let affinity = |constraint, weight| with_spec(|spec| spec.affinities = vec![pb::Affinity { constraint, weight }]);
    vec![
        (resource("gpu", 0), "spec.resources[gpu]"),
        (resource("gpu", limits::RESOURCE_AMOUNT_MAX + 1), "spec.resources[gpu]"),
        (resource("a b", 1_000), "spec.resources[a b]"),
        (with_spec(|spec| spec.resources = many(33).into_iter().map(|name| (name, 1)).collect()), "spec.resources"),
        (with(&vec![must("a", Exists, &[]); 33]), "spec.constraints"),
        (with(&[must("", Exists, &[])]), "spec.constraints[0].label"),
        (with(&[must(&"x".repeat(129), Exists, &[])]), "spec.constraints[0].label"),
        (with(&[pb::Constraint { operator: 99, ..must("a", In, &["b"]) }]), "spec.constraints[0].operator"),
        (with(&[must("a", In, &[])]), "spec.constraints[0].values"),
        (with(&[must("a", NotIn, &["x"; 65])]), "spec.constraints[0].values"),
        (with(&[must("a", In, &[&"x".repeat(257)])]), "spec.constraints[0].values"),
        (with(&[must("a", NotExists, &["x"])]), "spec.constraints[0].values"),
        (with(&[must("a", Greater, &["1", "2"])]), "spec.constraints[0].values"),
        (with(&[must("a", Less, &["1.5"])]), "spec.constraints[0].values"),
        (affinity(None, 1), "spec.affinities[0].constraint"),
        (affinity(Some(must("a", Exists, &[])), 0), "spec.affinities[0].weight"),
        (affinity(Some(must("a", Exists, &[])), 101), "spec.affinities[0].weight"),
        (affinity(Some(must("a", In, &[])), 1), "spec.affinities[0].constraint.values"),
        (with_spec(|spec| spec.affinities = vec![pb::Affinity::default(); 17]), "spec.affinities"),
        (with_spec(|spec| spec.min_lifetime = seconds(0, 0)), "spec.min_lifetime"),
        (with_spec(|spec| spec.min_lifetime = seconds(366 * 86_400, 0)), "spec.min_lifetime"),
    ]
}

/// Each could hold alone; together, no agent can match.
fn contradictions() -> Vec<(pb::JobSpec, &'static str)> {
    use pb::constraint::Operator::{Exists, Greater, In, Less, NotExists, NotIn};
    let together = [
        [must("a", In, &["x"]), must("a", In, &["y"])],
        [must("a", In, &["x", "y"]), must("a", NotIn, &["y", "x"])],
        [must("a", Exists, &[]), must("a", NotExists, &[])],
        [must("a", Greater, &["1"]), must("a", NotExists, &[])],
        [must("a", Greater, &["4"]), must("a", Less, &["5"])],
        [must("a", In, &["1", "7"]), must("a", Greater, &["7"])],
    ];
    together.iter().map(|musts| (with(musts), "spec.constraints")).collect()
}

fn bad_keys() -> Vec<(pb::JobSpec, &'static str)> {
    let unique =
        |key: &str, on_conflict| with_spec(|spec| spec.unique = Some(pb::Unique { key: key.into(), on_conflict }));
    let fairness = |key: &str| with_spec(|spec| spec.fairness = Some(pb::Fairness { key: key.into(), cost: None }));
    let limits_of = |uses: Vec<pb::LimitUse>| with_spec(|spec| spec.limits = uses);
    vec![
        (fairness(""), "spec.fairness.key"),
        (fairness("a b"), "spec.fairness.key"),
        (with_spec(|spec| spec.ordering_key = "x".repeat(129)), "spec.ordering_key"),
        (unique("", 0), "spec.unique.key"),
        (unique("a", 9), "spec.unique.on_conflict"),
        (limits_of(vec![limit("", 1, 1.0)]), "spec.limits[0].key"),
        (limits_of(vec![limit("a", 1, 1.0), limit("a", 2, 1.0)]), "spec.limits[1].key"),
        (limits_of(vec![limit("a", 1, 1.0); 9]), "spec.limits"),
        (limits_of(vec![limit("a", 0, 1.0)]), "spec.limits[0].units"),
        (limits_of(vec![limit("a", limits::COST_MAX + 1, 1.0)]), "spec.limits[0].units"),
    ]
}

fn bad_costs() -> Vec<(pb::JobSpec, &'static str)> {
    let bad = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, f64::from(limits::COST_MAX) + 1.0];
    let fairness = |cost| with_spec(|spec| spec.fairness = Some(pb::Fairness { key: "a".into(), cost: Some(cost) }));
    let rate = |cost| with_spec(|spec| spec.limits = vec![limit("a", 1, cost)]);
    let of_share = bad.into_iter().chain([0.0]).map(|cost| (fairness(cost), "spec.fairness.cost"));
    of_share.chain(bad.into_iter().map(|cost| (rate(cost), "spec.limits[0].cost"))).collect()
}
