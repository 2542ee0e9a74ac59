//! `windlass job list`: jobs, newest first.

use std::io::IsTerminal;

use windlass_shared::domain::JobState;
use windlass_shared::{convert, pb};

use crate::cli::Global;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
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
        let request = pb::ListJobsRequest {
            page_size: PAGE.min(limit - jobs.len()) as i32,
            page_token: page_token.clone(),
            states: args.state.iter().map(|state| state.to_wire()).collect(),
            queue: args.queue.clone().unwrap_or_default(),
            ..pb::ListJobsRequest::default()
        };
        let page = client.patiently("list the jobs", || client.list_jobs(request.clone())).await?;
        jobs.extend(page.jobs);
        page_token = page.next_page_token;
        if jobs.len() >= limit || page_token.is_empty() {
            return Ok((jobs, page_token));
        }
    }
}
