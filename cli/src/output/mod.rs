//! What goes to standard output: tables for people, the protobuf JSON mapping for programs, ids for pipes.

mod json;
mod screen;
mod table;

use std::io::Write;

use windlass_shared::domain::Work;
use windlass_shared::{convert, pb};

use crate::failure::Failure;
use crate::humane::one_line;

pub(crate) use json::{Json, failure};
pub(crate) use screen::{Screen, interject};
pub(crate) use table::{agent_table, event_head, event_lines, job_sheet, job_table};

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
    let json = Json::new()?;
    match format {
        Format::Table => print(&table(jobs)),
        Format::Id => print(&jobs.iter().map(|job| format!("{}\n", job.id)).collect::<String>()),
        Format::Jsonl => print(&json.lines(jobs)?),
        Format::Json => match jobs {
            [job] => print(&json.document(job)?),
            jobs => print(&json.document(&list(jobs, ""))?),
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
    use prost::Message;

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
