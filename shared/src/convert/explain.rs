//! Why a job waits.

use crate::domain::{Constraint, Explanation, Filter, show_amount};
use crate::pb;
use crate::pb::explain_job_response::filter::Kind;

/// The answer of `ExplainJob`; none: the job is over, and waits for nothing.
#[must_use]
pub fn explanation_to_wire(explained: Option<&Explanation>) -> pb::ExplainJobResponse {
    let Some(explained) = explained else { return pb::ExplainJobResponse::default() };
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let filters = explained.filters.iter().map(|(filter, agents)| {
        let (kind, what) = filter_to_wire(filter);
        pb::explain_job_response::Filter { kind: kind.into(), what, agents: count(*agents) }
    });
    pb::ExplainJobResponse {
        waiting_for: explained.waiting_for.clone().unwrap_or_default(),
        ahead: count(explained.ahead),
        agents: count(explained.agents),
        filters: filters.collect(),
        left: count(explained.left),
    }
}

fn filter_to_wire(filter: &Filter) -> (Kind, String) {
    let amount = |name: &str, milli: &u64| format!("{} of {name}", show_amount(*milli));
    match filter {
        Filter::NotConnected => (Kind::NotConnected, String::new()),
        Filter::Class => (Kind::Work, String::new()),
        Filter::Constraint(Constraint { label, .. }) => (Kind::Constraint, label.to_string()),
        Filter::Resource(name, milli) => (Kind::Resource, amount(name, milli)),
        Filter::Lifetime => (Kind::Lifetime, String::new()),
        Filter::Closed => (Kind::Closed, String::new()),
        Filter::Barred => (Kind::Barred, String::new()),
        Filter::Room => (Kind::Room, String::new()),
        Filter::Busy(name, milli) => (Kind::Busy, amount(name, milli)),
    }
}
