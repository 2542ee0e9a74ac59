//! What goes to standard output: tables for people, the protobuf JSON mapping for programs, ids for pipes.

mod agent;
mod json;
mod limit;
mod pool;
mod queue;
mod screen;
mod table;

use std::io::Write;

use prost::Message;
use windlass_shared::domain::Work;
use windlass_shared::{convert, pb};

use crate::failure::Failure;
use crate::humane::one_line;

pub(crate) use agent::{agent_sheet, agent_table};
pub(crate) use json::{Document, Json, failure, parse_json};
pub(crate) use limit::limit_table;
pub(crate) use pool::{counter_table, pool_sheet, pool_table, worker_table};
pub(crate) use queue::queue_table;
pub(crate) use screen::{Screen, interject};
pub(crate) use table::{event_head, event_lines, job_sheet, job_table};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// One JSON document, by the protobuf JSON mapping of the API
    Json,
    /// The same, one object a line
    Jsonl,
    /// Ids alone, one a line
    Id,
}

/// Writes text as a whole.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|err| Failure::io("write to standard output", &err))
}

/// Shows jobs: one alone in JSON is the job itself, several are the API's list.
pub(crate) fn print_jobs(
    format: Format,
    jobs: &[pb::Job],
    table: impl Fn(&[pb::Job]) -> String,
) -> Result<(), Failure> {
    print_all(format, jobs, |job| &job.id, table, |jobs| list(&jobs, ""))
}

/// Shows why jobs wait, each after its id.
pub(crate) fn print_explained(
    format: Format,
    explained: &[(String, pb::ExplainJobResponse)],
    sheet: impl Fn(&str, &pb::ExplainJobResponse) -> String,
) -> Result<(), Failure> {
    let answers = || explained.iter().map(|(_, answer)| answer);
    match (format, explained) {
        (Format::Table, _) => print(&explained.iter().map(|(id, answer)| sheet(id, answer)).collect::<String>()),
        (Format::Id, _) => print(&explained.iter().map(|(id, _)| format!("{id}\n")).collect::<String>()),
        (Format::Json, [(_, one)]) => print(&Json::new()?.document(one)?),
        (Format::Json | Format::Jsonl, _) => print(&Json::new()?.lines(answers())?),
    }
}

/// Shows agents in the same way.
pub(crate) fn print_agents(
    format: Format,
    agents: &[pb::Agent],
    table: impl Fn(&[pb::Agent]) -> String,
) -> Result<(), Failure> {
    let list = |agents| pb::ListAgentsResponse { agents, next_page_token: String::new() };
    print_all(format, agents, |agent| &agent.id, table, list)
}

/// Shows queues in the same way; their names are their ids.
pub(crate) fn print_queues(format: Format, queues: &[pb::Queue]) -> Result<(), Failure> {
    let list = |queues| pb::ListQueuesResponse { queues, next_page_token: String::new() };
    print_all(format, queues, |queue| &queue.name, queue_table, list)
}

/// Shows limits in the same way; their keys are their ids.
pub(crate) fn print_limits(format: Format, limits: &[pb::Limit]) -> Result<(), Failure> {
    let list = |limits| pb::ListLimitsResponse { limits, next_page_token: String::new() };
    print_all(format, limits, |limit| &limit.key, limit_table, list)
}

/// Shows one pool; its name is its id.
pub(crate) fn print_pool(format: Format, pool: &pb::PoolState) -> Result<(), Failure> {
    match format {
        Format::Table => print(&pool_sheet(pool)),
        Format::Id => print(&format!("{}\n", pool.name)),
        Format::Jsonl => print(&Json::new()?.lines([pool])?),
        Format::Json => print(&Json::new()?.document(pool)?),
    }
}

/// Shows workers as jobs are.
pub(crate) fn print_workers(format: Format, workers: &[pb::WorkerState]) -> Result<(), Failure> {
    let list = |workers| pb::ListWorkersResponse { workers, next_page_token: String::new() };
    print_all(format, workers, |worker| &worker.id, worker_table, list)
}

fn print_all<M: Document + Clone, L: Document>(
    format: Format,
    all: &[M],
    id: impl Fn(&M) -> &String,
    table: impl Fn(&[M]) -> String,
    list: impl Fn(Vec<M>) -> L,
) -> Result<(), Failure> {
    match format {
        Format::Table => print(&table(all)),
        Format::Id => print(&all.iter().map(|one| format!("{}\n", id(one))).collect::<String>()),
        Format::Jsonl => print(&Json::new()?.lines(all)?),
        Format::Json => match all {
            [one] => print(&Json::new()?.document(one)?),
            all => print(&Json::new()?.document(&list(all.to_vec()))?),
        },
    }
}

/// A page of jobs as the API has it.
pub(crate) fn list(jobs: &[pb::Job], next_page_token: &str) -> pb::ListJobsResponse {
    pb::ListJobsResponse { jobs: jobs.to_vec(), next_page_token: next_page_token.to_owned() }
}

/// The name of a job's state.
pub(crate) fn job_state(state: i32) -> &'static str {
    convert::job_state(state).map_or("UNKNOWN", windlass_shared::domain::JobState::name)
}

/// Why, in words; empty where there is nothing to say.
pub(crate) fn reason(reason: i32) -> &'static str {
    convert::reason(reason).map_or("", windlass_shared::domain::Reason::name)
}

/// The command of an encoded spec, on one line.
pub(crate) fn command(spec: &[u8]) -> String {
    match convert::read_spec(spec).map(|spec| spec.work) {
        Ok(Work::Exec(exec)) => exec.argv.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "),
        Ok(Work::Call(call)) => format!("call {}", call.handler),
        Err(_) => "-".into(),
    }
}

/// The handler of an encoded spec; none where it is a command.
pub(crate) fn handler(spec: &[u8]) -> Option<String> {
    match convert::read_spec(spec).map(|spec| spec.work) {
        Ok(Work::Call(call)) => Some(one_line(&call.handler, usize::MAX)),
        Ok(Work::Exec(_)) | Err(_) => None,
    }
}

/// The group in an encoded spec; empty where there is none.
pub(crate) fn group(spec: &[u8]) -> String {
    pb::JobSpec::decode(spec).map_or_else(|_| String::new(), |spec| one_line(&spec.group, usize::MAX))
}

// As a shell would take it, so that it can be copied; control characters must not reach the terminal.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", one_line(word, usize::MAX).replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_shell_would_take_it() {
        let argv = ["sh", "-c", "echo it's\n{}", ""].map(String::from).to_vec();
        let work = Some(pb::job_spec::Work::Exec(pb::Exec { argv, ..pb::Exec::default() }));
        let spec = pb::JobSpec { work, ..pb::JobSpec::default() }.encode_to_vec();
        assert_eq!(command(&spec), r"sh -c 'echo it'\''s·{}' ''");
        assert_eq!(command(b""), "-");
    }

    #[test]
    fn numbers_newer_than_we_are_have_a_name() {
        assert_eq!((job_state(7), job_state(99)), ("SUCCEEDED", "UNKNOWN"));
        assert_eq!((reason(3), reason(99)), ("run timeout", ""));
    }
}
