//! What is asked of finished jobs, asked wrongly.

use windlass_shared::limits;
use windlass_shared::pb;

use super::{Row, invalid};

fn with(change: fn(&mut pb::FinishedFilter)) -> Option<pb::FinishedFilter> {
    let mut filter = pb::FinishedFilter::default();
    change(&mut filter);
    Some(filter)
}

fn both(filter: Option<pb::FinishedFilter>, limit: u32, request_id: &str, field: &'static str) -> [Row; 2] {
    let request_id = request_id.to_owned();
    let requeue = pb::RequeueJobsRequest { filter: filter.clone(), limit, request_id: request_id.clone() };
    let purge = pb::PurgeJobsRequest { filter, limit, request_id };
    [invalid("JobService/RequeueJobs", requeue, &[field]), invalid("JobService/PurgeJobs", purge, &[field])]
}

pub(super) fn finished_rows() -> Vec<Row> {
    let any = || with(|_| ());
    let too_many = u32::try_from(limits::PAGE_MAX).expect("small") + 1;
    let handler = pb::ListJobsRequest { handler: "a b".into(), ..Default::default() };
    let rows = [
        both(None, 0, "", "filter"),
        both(with(|filter| filter.states = vec![pb::job::State::Running.into()]), 0, "", "filter.states"),
        both(with(|filter| filter.states = vec![99]), 0, "", "filter.states[0]"),
        both(with(|filter| filter.queue = "a b".into()), 0, "", "filter.queue"),
        both(with(|filter| filter.group = "a b".into()), 0, "", "filter.group"),
        both(with(|filter| filter.handler = "a b".into()), 0, "", "filter.handler"),
        both(with(|filter| drop(filter.labels.insert(String::new(), "x".into()))), 0, "", "filter.labels"),
        both(any(), too_many, "", "limit"),
        both(any(), 0, &"x".repeat(37), "request_id"),
    ];
    rows.into_iter().flatten().chain([invalid("JobService/ListJobs", handler, &["handler"])]).collect()
}
