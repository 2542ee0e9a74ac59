//! Lists filtered by what cannot be.

use windlass_shared::limits;
use windlass_shared::pb;

use super::{Row, invalid};

pub(super) fn filter_rows() -> Vec<Row> {
    let list = |change: &dyn Fn(&mut pb::ListJobsRequest)| {
        let mut request = pb::ListJobsRequest::default();
        change(&mut request);
        request
    };
    let labelled = |key: &str, value: &str| list(&|request| drop(request.labels.insert(key.into(), value.into())));
    let at = |nanos| Some(prost_types::Timestamp { seconds: 1, nanos });
    let many = |n: usize| list(&|request| request.labels.extend((0..n).map(|n| (n.to_string(), String::new()))));
    let rpc = "JobService/ListJobs";
    vec![
        invalid(rpc, many(limits::LABEL_FILTERS_MAX + 1), &["labels"]),
        invalid(rpc, labelled("", "x"), &["labels"]),
        invalid(rpc, labelled(&"x".repeat(129), ""), &["labels"]),
        invalid(rpc, labelled("k", &"x".repeat(257)), &["labels"]),
        invalid(rpc, list(&|request| request.group = "a b".into()), &["group"]),
        invalid(rpc, list(&|request| request.created_from = at(-1)), &["created_from"]),
        invalid(rpc, list(&|request| request.created_before = at(1_000_000_000)), &["created_before"]),
    ]
}
