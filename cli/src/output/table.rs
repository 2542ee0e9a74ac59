//! Tables for people: no borders, stable columns, within 100 characters where the ids allow it.

use comfy_table::{Table, presets};
use windlass_shared::pb;

use super::{command, group, handler, job_state, reason};
use crate::humane::{between, one_line, show_age, show_duration, show_instant};

/// Room for a command, the one column that can grow without bound.
const COMMAND_CHARS_MAX: usize = 40;

pub(super) fn render<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Jobs, a line each.
pub(crate) fn job_table(jobs: &[pb::Job]) -> String {
    let rows = jobs.iter().map(|job| {
        let spec = command(&job.spec);
        let why = reason(job.reason);
        [
            job.id.clone(),
            job_state(job.state).into(),
            show_age(job.create_time.as_ref()),
            why.into(),
            one_line(&spec, COMMAND_CHARS_MAX),
        ]
    });
    render(["ID", "STATE", "AGE", "REASON", "COMMAND"], rows)
}

/// The head over [`event_lines`].
pub(crate) fn event_head() -> String {
    event_line(["TIME", "REVISION", "JOB", "STATE", "ATTEMPT", "AGENT", "REASON"])
}

/// Changes, a line each, in columns of fixed width: what is still to come cannot be measured.
pub(crate) fn event_lines(events: &[pb::JobEvent]) -> String {
    let lines = events.iter().map(|event| {
        let (time, revision) = (show_instant(event.time.as_ref()), event.revision.to_string());
        let attempt = if event.attempt == 0 { String::new() } else { event.attempt.to_string() };
        // Its first part is enough to tell agents apart; the whole is in jsonl.
        let agent = event.agent_id.split('-').next().unwrap_or_default();
        event_line([&time, &revision, &event.job_id, job_state(event.state), &attempt, agent, reason(event.reason)])
    });
    lines.collect()
}

fn event_line([time, revision, job, state, attempt, agent, reason]: [&str; 7]) -> String {
    let line = format!("{time:<24}  {revision:>9}  {job:<36}  {state:<10}  {attempt:>7}  {agent:<8}  {reason}");
    line.trim_end().to_owned() + "\n"
}

/// One job in full, with its attempts.
pub(crate) fn job_sheet(job: &pb::Job) -> String {
    let mut sheet = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() && value != "-" {
            sheet += &format!("{name:<10}{value}\n");
        }
    };
    line("job", job.id.clone());
    line("state", job_state(job.state).into());
    line("reason", join(reason(job.reason), &job.detail));
    let (handler, group) = (handler(&job.spec), group(&job.spec));
    match handler {
        Some(handler) => line("handler", handler),
        None => line("command", command(&job.spec)),
    }
    line("group", group);
    line("waits for", job.waiting_for.clone());
    line("created", show_instant(job.create_time.as_ref()));
    line("ready", show_instant(job.ready_time.as_ref()));
    line("ended", show_instant(job.end_time.as_ref()));
    if job.cancel_requested {
        line("cancel", "requested".into());
    }
    line("counted", counted(job));
    let answer = job.attempts.last().map_or(0, |attempt| attempt.result_bytes);
    if answer > 0 {
        line("result", format!("{answer} bytes"));
    }
    if !job.attempts.is_empty() {
        sheet += "\n";
        sheet += &attempt_table(&job.attempts);
    }
    sheet
}

fn counted(job: &pb::Job) -> String {
    let kinds = [
        (job.failures, "failed"),
        (job.infra_losses, "lost"),
        (job.interruptions, "interrupted"),
        (job.worker_deaths, "killed its worker"),
    ];
    let told = kinds.iter().filter(|(number, _)| *number > 0).map(|(number, kind)| format!("{number} {kind}"));
    told.collect::<Vec<_>>().join(", ")
}

fn attempt_table(attempts: &[pb::Attempt]) -> String {
    let rows = attempts.iter().map(|attempt| {
        let state = attempt.state().as_str_name().trim_start_matches("STATE_").to_owned();
        let ran = between(attempt.start_time.as_ref(), attempt.end_time.as_ref());
        let ran = ran.map_or_else(|| "-".into(), show_duration);
        let bytes = format!("{} + {}", attempt.stdout_bytes, attempt.stderr_bytes);
        [attempt.number.to_string(), state, attempt.agent_name.clone(), ran, crate::explain::end(attempt), bytes]
    });
    render(["ATTEMPT", "STATE", "AGENT", "RAN", "END", "OUT + ERR BYTES"], rows)
}

fn join(reason: &str, detail: &str) -> String {
    match (reason, detail) {
        (reason, "") => reason.to_owned(),
        ("", detail) => detail.to_owned(),
        (reason, detail) => format!("{reason}: {detail}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn columns_line_up_without_borders_or_trailing_blanks() {
        let rows = [["a".to_owned(), "bb".to_owned()], ["ccc".to_owned(), String::new()]];
        assert_eq!(render(["X", "LONGER"], rows.into_iter()), "X    LONGER\na    bb\nccc\n");
    }

    #[test]
    fn changes_line_up_under_their_head() {
        let event = pb::JobEvent {
            revision: 12,
            time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
            job_id: "0193a5b0-7c3e-7f00-8000-0123456789ab".into(),
            state: 4,
            attempt: 1,
            agent_id: "f81d4fae-7dec-41d0-a765-00a0c91e6bf6".into(),
            reason: 6,
        };
        let waiting = pb::JobEvent { attempt: 0, agent_id: String::new(), reason: 0, state: 3, ..event.clone() };
        let wanted = concat!(
            "TIME                       REVISION  JOB                                   STATE       ATTEMPT  AGENT     REASON\n",
            "2023-11-14T22:13:20.000Z         12  0193a5b0-7c3e-7f00-8000-0123456789ab  LEASED            1  f81d4fae  drain\n",
            "2023-11-14T22:13:20.000Z         12  0193a5b0-7c3e-7f00-8000-0123456789ab  QUEUED\n",
        );
        assert_eq!(event_head() + &event_lines(&[event, waiting]), wanted);
    }

    #[test]
    fn a_sheet_leaves_out_what_is_not_there() {
        let job = pb::Job { id: "id".into(), state: 7, ..pb::Job::default() };
        assert_eq!(job_sheet(&job), "job       id\nstate     SUCCEEDED\n");
        let exit = Some(pb::Exit { code: Some(7), ..pb::Exit::default() });
        let attempt = pb::Attempt { number: 1, state: 6, agent_name: "local-1".into(), exit, ..pb::Attempt::default() };
        let job = pb::Job { state: 8, reason: 1, failures: 1, attempts: vec![attempt], ..job };
        let sheet = job_sheet(&job);
        assert!(sheet.contains("reason    exit code\n") && sheet.contains("counted   1 failed\n"), "{sheet}");
        assert!(sheet.contains("\n1        FAILED  local-1  -    exit code 7  0 + 0\n"), "{sheet}");
    }

    #[test]
    fn the_sheet_of_a_call_tells_of_its_handler_its_group_and_what_it_waits_for() {
        let work = Some(pb::job_spec::Work::Call(pb::Call { handler: "upper".into(), ..pb::Call::default() }));
        let spec = pb::JobSpec { work, group: "g".into(), ..pb::JobSpec::default() }.encode_to_vec().into();
        let waiting_for = "no agent offers the handler upper".into();
        let job = pb::Job { id: "id".into(), state: 3, spec, waiting_for, worker_deaths: 2, ..pb::Job::default() };
        let wanted = concat!(
            "job       id\n",
            "state     QUEUED\n",
            "handler   upper\n",
            "group     g\n",
            "waits for no agent offers the handler upper\n",
            "counted   2 killed its worker\n",
        );
        assert_eq!(job_sheet(&job), wanted);
    }

    #[test]
    fn the_sheet_shows_what_a_handler_answered() {
        let error = Some(pb::HandlerError { code: "E42".into(), permanent: true, ..pb::HandlerError::default() });
        let failed = pb::Attempt { number: 1, state: 6, reason: 16, error, ..pb::Attempt::default() };
        let answered = pb::Attempt { number: 2, state: 5, result_bytes: 7, ..pb::Attempt::default() };
        let sheet = job_sheet(&pb::Job { state: 7, attempts: vec![failed, answered], ..pb::Job::default() });
        assert!(sheet.contains("result    7 bytes\n"), "{sheet}");
        assert!(sheet.contains("handler error E42, permanent"), "{sheet}");
    }
}
