//! `windlass job list`: jobs, newest first.

use std::io::IsTerminal;

use windlass_shared::domain::JobState;
use windlass_shared::{convert, pb};

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::humane::parse_instant;
use crate::output::{self, Format, Json, interject, job_table, print, print_jobs};

/// Jobs a call: a page of large specs still fits one message.
const PAGE: usize = 100;

/// Which jobs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only jobs in this state; repeat for more
    #[arg(long, value_name = "STATE", ignore_case = true)]
    state: Vec<State>,
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
    /// Jobs to show at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// States by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum State {
    Blocked,
    Delayed,
    Queued,
    Leased,
    Running,
    Cancelling,
    Succeeded,
    Failed,
    Cancelled,
    Expired,
    Coalesced,
}

impl State {
    fn to_wire(self) -> i32 {
        let state = match self {
            Self::Blocked => JobState::Blocked,
            Self::Delayed => JobState::Delayed,
            Self::Queued => JobState::Queued,
            Self::Leased => JobState::Leased,
            Self::Running => JobState::Running,
            Self::Cancelling => JobState::Cancelling,
            Self::Succeeded => JobState::Succeeded,
            Self::Failed => JobState::Failed,
            Self::Cancelled => JobState::Cancelled,
            Self::Expired => JobState::Expired,
            Self::Coalesced => JobState::Coalesced,
        };
        convert::job_state_to_wire(state).into()
    }
}

/// Lists the jobs.
pub(crate) async fn list(client: &Client, global: &Global, args: &Args) -> Result<Exit, Failure> {
    let (jobs, next_page_token) = collect(client, args).await?;
    match global.output {
        // Always the list here, even of one, so that its shape does not depend on what it holds.
        Format::Json => print(&Json::new()?.document(&output::list(&jobs, &next_page_token))?)?,
        format => print_jobs(format, &jobs, job_table)?,
    }
    if !next_page_token.is_empty() && std::io::stdout().is_terminal() {
        interject(&format!("these are the newest {}; --limit shows more", jobs.len()));
    }
    Ok(Exit::OK)
}

async fn collect(client: &Client, args: &Args) -> Result<(Vec<pb::Job>, String), Failure> {
    let limit = args.limit as usize;
    let mut jobs: Vec<pb::Job> = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = request(args, PAGE.min(limit - jobs.len()), page_token);
        let page = client.patiently("list the jobs", || client.list_jobs(request.clone())).await?;
        jobs.extend(page.jobs);
        page_token = page.next_page_token;
        if jobs.len() >= limit || page_token.is_empty() {
            return Ok((jobs, page_token));
        }
    }
}

fn request(args: &Args, page: usize, page_token: String) -> pb::ListJobsRequest {
    pb::ListJobsRequest {
        page_size: page as i32,
        page_token,
        states: args.state.iter().map(|state| state.to_wire()).collect(),
        queue: args.queue.clone().unwrap_or_default(),
        labels: args.label.iter().cloned().collect(),
        group: args.group.clone().unwrap_or_default(),
        created_from: args.since,
        created_before: args.until,
        id_prefix: String::new(),
        dead_lettered: None,
        handler: args.handler.clone().unwrap_or_default(),
    }
}

// In the contract an empty value stands for any.
pub(super) fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=').unwrap_or((text, "")) {
        ("", _) => Err("must be KEY or KEY=VALUE".into()),
        (key, value) => Ok((key.to_owned(), value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        list: Args,
    }

    #[test]
    fn every_filter_reaches_its_field() {
        let line = "list --state failed --queue q --label team=ml --label gpu --group g --handler h --since \
                    2023-11-14T22:13:20Z --until 2023-11-14T22:13:21Z";
        let args = Line::try_parse_from(line.split_whitespace()).expect("a valid line").list;
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let wanted = pb::ListJobsRequest {
            page_size: 7,
            page_token: "t".into(),
            states: vec![pb::job::State::Failed.into()],
            queue: "q".into(),
            id_prefix: String::new(),
            labels: [("team".into(), "ml".into()), ("gpu".into(), String::new())].into(),
            group: "g".into(),
            created_from: at(1_700_000_000),
            created_before: at(1_700_000_001),
            dead_lettered: None,
            handler: "h".into(),
        };
        assert_eq!(request(&args, 7, "t".into()), wanted);
    }

    #[test]
    fn a_label_may_go_without_a_value_but_not_without_a_key() {
        assert_eq!(parse_label("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(parse_label("a"), Ok(("a".into(), String::new())));
        assert!(parse_label("=a").is_err() && parse_label("").is_err());
    }
}
