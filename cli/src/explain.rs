//! How an attempt ended and why a job failed, in words.

use std::time::Duration;

use windlass_shared::domain::{JobState, Reason};
use windlass_shared::{convert, pb};

use crate::humane::{between, one_line, show_duration};
use crate::output::{job_state, reason};
use crate::spec::signal_name;

/// How the attempt ended, in a few words; `-` while it has not.
pub(crate) fn end(attempt: &pb::Attempt) -> String {
    if attempt.state() == pb::attempt::State::TimedOut {
        return reason(attempt.reason).to_owned();
    }
    if let Some(failure) = &attempt.spawn_failure {
        return format!("{} failed, {}", failure.stage, errno(failure.errno));
    }
    if let Some(error) = &attempt.error {
        return handler_error(error);
    }
    // That a worker died, or memory ran out, is the point; how it ended comes beside it.
    let of_the_worker = |why: Reason| why.is_worker_death() || why == Reason::WorkerProtocol;
    if convert::reason(attempt.reason).is_some_and(of_the_worker) {
        let how = attempt.exit.as_ref().and_then(exit);
        return how
            .map_or_else(|| reason(attempt.reason).to_owned(), |how| format!("{}, {how}", reason(attempt.reason)));
    }
    match attempt.exit.as_ref().and_then(exit) {
        Some(how) => how,
        None if attempt.reason == 0 => "-".into(),
        None => reason(attempt.reason).to_owned(),
    }
}

fn exit(exit: &pb::Exit) -> Option<String> {
    match (exit.code, exit.signal) {
        (Some(code), _) => Some(format!("exit code {code}")),
        (_, Some(signal)) => Some(signal_name(signal) + if exit.core_dumped { ", core dumped" } else { "" }),
        (None, None) => None,
    }
}

// `handler error E42, permanent`: its message is the attempt's detail.
fn handler_error(error: &pb::HandlerError) -> String {
    let code = if error.code.is_empty() { String::new() } else { format!(" {}", one_line(&error.code, usize::MAX)) };
    let permanent = if error.permanent { ", permanent" } else { "" };
    let again = error.retry_after.and_then(|after| Duration::try_from(after).ok());
    let again = again.map_or_else(String::new, |after| format!(", asks for {}", show_duration(after)));
    let whose = if error.cooldown_key.is_empty() { "" } else { " for " };
    format!("handler error{code}{permanent}{again}{whose}{}", error.cooldown_key)
}

/// One line on why the job did not succeed; none where it did. `title` is what the person calls it.
pub(crate) fn failure(job: &pb::Job, title: &str) -> Option<String> {
    let state = convert::job_state(job.state);
    if state == Some(JobState::Succeeded) {
        return None;
    }
    let attempt = job.attempts.last();
    let what = match attempt {
        _ if state == Some(JobState::Cancelled) => "cancelled".to_owned(),
        Some(attempt) => verdict(attempt),
        None => join(job_state(job.state).to_lowercase().as_str(), reason(job.reason)),
    };
    let detail = if job.detail.is_empty() { attempt.map_or("", |attempt| &attempt.detail) } else { &job.detail };
    // Where no process was started, the agent's words repeat stage and errno.
    let started = attempt.is_none_or(|attempt| attempt.spawn_failure.is_none());
    let detail = if started { detail } else { "" };
    let detail = if detail.is_empty() { String::new() } else { format!(": {}", detail.trim_end()) };
    Some(format!("{title}: {what}{detail} ({})", place(job)))
}

fn verdict(attempt: &pb::Attempt) -> String {
    if let Some(failure) = &attempt.spawn_failure {
        return format!("cannot be started: stage {}, {}", failure.stage, errno(failure.errno));
    }
    if attempt.state() == pb::attempt::State::TimedOut {
        let ran = between(attempt.start_time.as_ref(), attempt.end_time.as_ref());
        let after = ran.map_or_else(String::new, |ran: Duration| format!(" after {}", show_duration(ran)));
        return format!("{}{after}", reason(attempt.reason));
    }
    end(attempt)
}

fn place(job: &pb::Job) -> String {
    let Some(attempt) = job.attempts.last() else { return format!("job {}", job.id) };
    format!("job {}, attempt {} on {}", job.id, attempt.number, attempt.agent_name)
}

fn join(left: &str, right: &str) -> String {
    if right.is_empty() { left.to_owned() } else { format!("{left}: {right}") }
}

/// The system's error numbers that starting a program meets, by the names its manual uses.
const ERRNOS: [(i32, &str); 9] = [
    (1, "EPERM"),
    (2, "ENOENT"),
    (7, "E2BIG"),
    (8, "ENOEXEC"),
    (11, "EAGAIN"),
    (12, "ENOMEM"),
    (13, "EACCES"),
    (20, "ENOTDIR"),
    (40, "ELOOP"),
];

fn errno(number: i32) -> String {
    let text = std::io::Error::from_raw_os_error(number).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let name = ERRNOS.iter().find(|(known, _)| *known == number).map(|(_, name)| format!(" {name}"));
    format!("errno {number}{} ({text})", name.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pb::attempt::State as Attempt;

    fn job(state: pb::job::State, attempt: pb::Attempt) -> pb::Job {
        let attempts = vec![pb::Attempt { number: 1, agent_name: "local-1".into(), ..attempt }];
        pb::Job { id: "id".into(), state: state.into(), attempts, ..pb::Job::default() }
    }

    #[test]
    fn a_program_that_is_not_there_is_told_with_stage_and_errno() {
        let spawn_failure = Some(pb::SpawnFailure { stage: "exec".into(), errno: 2 });
        let attempt = pb::Attempt { state: Attempt::Failed.into(), spawn_failure, ..pb::Attempt::default() };
        assert_eq!(
            failure(&job(pb::job::State::Failed, attempt), "/no/such"),
            Some(
                "/no/such: cannot be started: stage exec, errno 2 ENOENT (No such file or directory) \
                 (job id, attempt 1 on local-1)"
                    .into()
            )
        );
    }

    #[test]
    fn a_time_limit_is_told_by_name() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let attempt = pb::Attempt {
            state: Attempt::TimedOut.into(),
            reason: pb::Reason::RunTimeout.into(),
            start_time: at(1),
            end_time: at(2),
            ..pb::Attempt::default()
        };
        let line = failure(&job(pb::job::State::Failed, attempt), "sleep").expect("a line");
        assert!(line.starts_with("sleep: run timeout after 1.0 s (job id"), "{line}");
    }

    #[test]
    fn codes_signals_and_cancels_are_told_apart() {
        let exit = |code, signal| {
            let exit = Some(pb::Exit { code, signal, ..pb::Exit::default() });
            pb::Attempt { state: Attempt::Failed.into(), exit, ..pb::Attempt::default() }
        };
        assert_eq!(end(&exit(Some(7), None)), "exit code 7");
        assert_eq!(end(&exit(None, Some(9))), "SIGKILL");
        assert_eq!(end(&pb::Attempt::default()), "-");
        assert_eq!(failure(&job(pb::job::State::Succeeded, exit(Some(0), None)), "x"), None);
        let line = failure(&job(pb::job::State::Cancelled, exit(None, Some(15))), "x").expect("a line");
        assert!(line.starts_with("x: cancelled ("), "{line}");
        let poison = pb::Job { state: 8, reason: pb::Reason::Poison.into(), id: "id".into(), ..pb::Job::default() };
        assert_eq!(failure(&poison, "x").as_deref(), Some("x: failed: poison (job id)"));
    }

    #[test]
    fn an_error_of_a_handler_is_told_with_its_message_and_its_code() {
        let error = |code: &str, permanent, retry_after| {
            let cooldown_key = String::new();
            let error = Some(pb::HandlerError { code: code.into(), permanent, retry_after, cooldown_key });
            let (state, reason) = (Attempt::Failed.into(), pb::Reason::HandlerError.into());
            pb::Attempt { state, reason, error, detail: "no such image".into(), ..pb::Attempt::default() }
        };
        assert_eq!(end(&error("", false, None)), "handler error");
        let soon = Some(prost_types::Duration { seconds: 2, nanos: 0 });
        assert_eq!(end(&error("E42", true, soon)), "handler error E42, permanent, asks for 2.0 s");
        let line = failure(&job(pb::job::State::Failed, error("E42", false, None)), "resize").expect("a line");
        assert_eq!(line, "resize: handler error E42: no such image (job id, attempt 1 on local-1)");
    }

    #[test]
    fn a_worker_that_died_is_told_with_how_it_ended() {
        let exit = Some(pb::Exit { signal: Some(9), ..pb::Exit::default() });
        let died = pb::Attempt { reason: pb::Reason::WorkerDied.into(), exit, ..pb::Attempt::default() };
        assert_eq!(end(&died), "worker died, SIGKILL");
        assert_eq!(end(&pb::Attempt { exit: None, ..died }), "worker died");
    }
}
