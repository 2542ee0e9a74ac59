//! `windlass dead`: jobs that failed and are kept for a person.

use windlass_shared::pb;

use super::job_list::parse_label;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::humane::parse_instant;
use crate::output::{interject, job_table, print, print_jobs};
use crate::submit::request_id;

/// Jobs a call, for calls that change something: none takes the coordinator long.
const STEP: u32 = 200;
/// Jobs a page.
const PAGE: u32 = 100;

/// Which dead letters.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// Only jobs of this queue
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// Only jobs with this label, whatever its value where none is given; repeat for more, of which jobs have all
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = parse_label)]
    label: Vec<(String, String)>,
    /// Only jobs of this group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Only calls of this handler
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    /// Only jobs submitted since then: 1h or 2d for as long ago, or a time such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_instant)]
    since: Option<prost_types::Timestamp>,
    /// Only jobs submitted before then, written the same way
    #[arg(long, value_name = "TIME", value_parser = parse_instant)]
    until: Option<prost_types::Timestamp>,
    /// Jobs at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// Which of them, for what changes something.
#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    #[command(flatten)]
    which: Which,
    /// All of them: needed where nothing else says which
    #[arg(long)]
    all: bool,
}

impl Which {
    fn filter(&self) -> pb::FinishedFilter {
        pb::FinishedFilter {
            states: Vec::new(),
            queue: self.queue.clone().unwrap_or_default(),
            labels: self.label.iter().cloned().collect(),
            group: self.group.clone().unwrap_or_default(),
            handler: self.handler.clone().unwrap_or_default(),
            created_from: self.since,
            created_before: self.until,
        }
    }

    fn page(&self, size: u32, page_token: String) -> pb::ListJobsRequest {
        let filter = self.filter();
        pb::ListJobsRequest {
            page_size: size as i32,
            page_token,
            queue: filter.queue,
            labels: filter.labels,
            group: filter.group,
            handler: filter.handler,
            created_from: filter.created_from,
            created_before: filter.created_before,
            dead_lettered: Some(true),
            ..pb::ListJobsRequest::default()
        }
    }
}

impl Change {
    /// The filter, where one was meant.
    fn filter(&self) -> Result<pb::FinishedFilter, Failure> {
        let filter = self.which.filter();
        if filter == pb::FinishedFilter::default() && !self.all {
            return Err(Failure::usage("say which dead letters, or --all".to_owned()));
        }
        Ok(filter)
    }

    fn left(&self, done: u32) -> u32 {
        self.which.limit.map_or(STEP, |limit| STEP.min(limit - done))
    }
}

/// Lists them, newest first.
pub(crate) async fn list(client: &Client, global: &Global, which: &Which) -> Result<Exit, Failure> {
    let limit = which.limit.unwrap_or(50) as usize;
    let (mut jobs, mut page_token): (Vec<pb::Job>, String) = (Vec::new(), String::new());
    loop {
        let size = PAGE.min(u32::try_from(limit - jobs.len()).unwrap_or(PAGE));
        let request = which.page(size, page_token);
        let page = client.patiently("list the jobs", || client.list_jobs(request.clone())).await?;
        jobs.extend(page.jobs);
        page_token = page.next_page_token;
        if jobs.len() >= limit || page_token.is_empty() {
            break;
        }
    }
    print_jobs(global.output, &jobs, job_table)?;
    Ok(Exit::OK)
}

/// Takes them in again, step by step, and prints the ids.
pub(crate) async fn requeue(client: &Client, args: &Change) -> Result<Exit, Failure> {
    let filter = args.filter()?;
    let mut done = 0;
    loop {
        // Asked again after a lost answer, nothing is requeued twice; what the lost answer named is not told.
        let request =
            pb::RequeueJobsRequest { filter: Some(filter.clone()), limit: args.left(done), request_id: request_id()? };
        let answer = client.patiently("requeue the jobs", || client.requeue_jobs(request.clone())).await?;
        print(&answer.job_ids.iter().map(|id| format!("{id}\n")).collect::<String>())?;
        let some = u32::try_from(answer.job_ids.len()).unwrap_or(u32::MAX);
        done = done.saturating_add(some);
        let enough = args.which.limit.is_some_and(|limit| done >= limit);
        if !answer.more || enough || (some == 0 && !answer.repeated) {
            interject(&format!("{done} requeued"));
            return Ok(Exit::OK);
        }
    }
}

/// Forgets them, step by step.
pub(crate) async fn purge(client: &Client, args: &Change) -> Result<Exit, Failure> {
    let filter = args.filter()?;
    let mut done = 0;
    loop {
        let request =
            pb::PurgeJobsRequest { filter: Some(filter.clone()), limit: args.left(done), request_id: String::new() };
        let answer = client.patiently("purge the jobs", || client.purge_jobs(request.clone())).await?;
        done += answer.purged;
        let enough = args.which.limit.is_some_and(|limit| done >= limit);
        if !answer.more || enough || answer.purged == 0 {
            print(&format!("{done} purged\n"))?;
            return Ok(Exit::OK);
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        change: Change,
    }

    fn parse(line: &str) -> Change {
        Line::try_parse_from(line.split_whitespace()).expect("a valid line").change
    }

    #[test]
    fn every_flag_reaches_its_field() {
        let change = parse("purge --queue q --label a=b --group g --handler h --since 2023-11-14T22:13:20Z");
        let filter = change.filter().expect("it says which");
        let wanted = pb::FinishedFilter {
            queue: "q".into(),
            labels: [("a".into(), "b".into())].into(),
            group: "g".into(),
            handler: "h".into(),
            created_from: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
            ..pb::FinishedFilter::default()
        };
        assert_eq!(filter, wanted);
        let page = change.which.page(7, "t".into());
        assert_eq!((page.page_size, page.dead_lettered, &*page.handler), (7, Some(true), "h"));
    }

    #[test]
    fn all_of_them_must_be_said() {
        assert!(parse("purge").filter().is_err());
        assert!(parse("purge --limit 3").filter().is_err());
        assert_eq!(parse("purge --all").filter().ok(), Some(pb::FinishedFilter::default()));
    }

    #[test]
    fn steps_stay_within_the_limit() {
        assert_eq!(parse("purge --all").left(1_000), STEP);
        assert_eq!(parse("purge --all --limit 250").left(200), 50);
    }
}
