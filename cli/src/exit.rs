//! What the exit code says. Scripts rely on it: see the table in `windlass --help`.

use std::process::ExitCode;

use tonic::Code;
use windlass_shared::domain::JobState;
use windlass_shared::{convert, pb};

/// An exit code with its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exit(u8);

impl Exit {
    pub(crate) const OK: Self = Self(0);
    pub(crate) const OTHER: Self = Self(1);
    pub(crate) const USAGE: Self = Self(2);
    pub(crate) const JOB_FAILED: Self = Self(3);
    pub(crate) const JOB_CANCELLED: Self = Self(4);
    pub(crate) const NOT_FOUND: Self = Self(5);
    pub(crate) const AUTH: Self = Self(6);
    pub(crate) const UNREACHABLE: Self = Self(7);
    pub(crate) const PRECONDITION: Self = Self(8);
    /// What sysexits calls `EX_CONFIG`: starting again without a change is pointless.
    pub(crate) const CONFIG: Self = Self(78);
    /// What GNU `timeout` answers.
    pub(crate) const TIMED_OUT: Self = Self(124);
    /// What a shell answers where the program is there but cannot be started.
    pub(crate) const NOT_EXECUTABLE: Self = Self(126);
    /// What a shell answers where there is no such program.
    pub(crate) const NO_PROGRAM: Self = Self(127);
    /// What a shell shows of a program whose reader went away.
    pub(crate) const BROKEN_PIPE: Self = Self(128 + 13);

    /// What a shell answers where a signal ended the program.
    pub(crate) fn signal(number: i32) -> Self {
        Self(u8::try_from(number).map_or(u8::MAX, |number| number.saturating_add(128)))
    }

    /// What clap asks for: 0 after `--help`, else 2.
    pub(crate) fn of_clap(code: i32) -> Self {
        if code == 0 { Self::OK } else { Self::USAGE }
    }

    /// What a refused call comes to.
    pub(crate) fn of_refusal(code: Code) -> Self {
        match code {
            Code::InvalidArgument | Code::OutOfRange => Self::USAGE,
            Code::NotFound => Self::NOT_FOUND,
            Code::Unauthenticated | Code::PermissionDenied => Self::AUTH,
            Code::Unavailable | Code::DeadlineExceeded => Self::UNREACHABLE,
            Code::FailedPrecondition | Code::AlreadyExists | Code::ResourceExhausted | Code::Aborted => {
                Self::PRECONDITION
            }
            _ => Self::OTHER,
        }
    }

    /// What several finished jobs come to: a failure weighs more than a cancel.
    pub(crate) fn of_jobs(states: impl IntoIterator<Item = Option<JobState>>) -> Self {
        let mut worst = Self::OK;
        for state in states {
            match state {
                Some(JobState::Succeeded) => {}
                Some(JobState::Cancelled) if worst == Self::OK => worst = Self::JOB_CANCELLED,
                Some(JobState::Cancelled) => {}
                _ => worst = Self::JOB_FAILED,
            }
        }
        worst
    }

    /// What one finished job comes to, as if its program had been run by a shell.
    pub(crate) fn of_job(job: &pb::Job) -> Self {
        match convert::job_state(job.state) {
            Some(JobState::Succeeded) => return Self::OK,
            Some(JobState::Cancelled) => return Self::JOB_CANCELLED,
            _ => {}
        }
        job.attempts.last().and_then(Self::of_attempt).unwrap_or(Self::JOB_FAILED)
    }

    fn of_attempt(attempt: &pb::Attempt) -> Option<Self> {
        if attempt.state() == pb::attempt::State::TimedOut {
            return Some(Self::TIMED_OUT);
        }
        if let Some(failure) = &attempt.spawn_failure {
            return Some(Self::of_spawn_failure(failure));
        }
        let exit = attempt.exit.as_ref()?;
        let code = exit.code.and_then(|code| u8::try_from(code).ok()).map(Self);
        // A failed job never exits 0, whatever its process said.
        code.or(exit.signal.map(Self::signal)).filter(|exit| *exit != Self::OK)
    }

    // ENOENT of another step, such as `chdir`, says nothing about the program.
    fn of_spawn_failure(failure: &pb::SpawnFailure) -> Self {
        let missing = failure.stage == "exec" && failure.errno == rustix::io::Errno::NOENT.raw_os_error();
        if missing { Self::NO_PROGRAM } else { Self::NOT_EXECUTABLE }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pb::attempt::State as Attempt;
    use pb::job::State as Job;

    fn job(state: Job, attempt: pb::Attempt) -> pb::Job {
        pb::Job { state: state.into(), attempts: vec![attempt], ..pb::Job::default() }
    }

    fn exited(code: Option<i32>, signal: Option<i32>) -> pb::Attempt {
        let exit = pb::Exit { code, signal, ..pb::Exit::default() };
        pb::Attempt { state: Attempt::Failed.into(), exit: Some(exit), ..pb::Attempt::default() }
    }

    fn not_started(stage: &str, errno: i32) -> pb::Attempt {
        let spawn_failure = Some(pb::SpawnFailure { stage: stage.into(), errno });
        pb::Attempt { state: Attempt::Failed.into(), spawn_failure, ..pb::Attempt::default() }
    }

    #[test]
    fn one_job_passes_its_own_code_through() {
        let failed = |attempt| Exit::of_job(&job(Job::Failed, attempt));
        assert_eq!(Exit::of_job(&job(Job::Succeeded, exited(Some(0), None))), Exit::OK);
        assert_eq!(failed(exited(Some(7), None)), Exit(7));
        assert_eq!(failed(exited(None, Some(9))), Exit(137));
        assert_eq!(failed(not_started("exec", 2)), Exit(127));
        assert_eq!(failed(not_started("exec", 13)), Exit(126));
        assert_eq!(failed(not_started("chdir", 2)), Exit(126));
        let late = pb::Attempt { state: Attempt::TimedOut.into(), ..exited(None, Some(15)) };
        assert_eq!(failed(late), Exit(124));
        assert_eq!(Exit::of_job(&job(Job::Cancelled, exited(None, Some(15)))), Exit(4));
    }

    #[test]
    fn a_failed_job_never_exits_0() {
        assert_eq!(Exit::of_job(&job(Job::Failed, exited(Some(0), None))), Exit::JOB_FAILED);
        assert_eq!(Exit::of_job(&job(Job::Failed, pb::Attempt::default())), Exit::JOB_FAILED);
        assert_eq!(Exit::of_job(&pb::Job::default()), Exit::JOB_FAILED);
    }

    #[test]
    fn several_jobs_come_to_0_or_3_or_4() {
        use JobState::{Cancelled, Expired, Failed, Succeeded};
        let of = |states: &[JobState]| Exit::of_jobs(states.iter().copied().map(Some));
        assert_eq!(of(&[]), Exit(0));
        assert_eq!(of(&[Succeeded, Succeeded]), Exit(0));
        assert_eq!(of(&[Succeeded, Cancelled]), Exit(4));
        assert_eq!(of(&[Failed, Cancelled]), Exit(3));
        assert_eq!(of(&[Cancelled, Expired, Cancelled]), Exit(3));
        assert_eq!(Exit::of_jobs([None]), Exit(3));
    }

    #[test]
    fn refusals_have_the_documented_codes() {
        let of = |code| Exit::of_refusal(code).0;
        assert_eq!(of(Code::InvalidArgument), 2);
        assert_eq!(of(Code::NotFound), 5);
        assert_eq!((of(Code::Unauthenticated), of(Code::PermissionDenied)), (6, 6));
        assert_eq!(of(Code::Unavailable), 7);
        assert_eq!((of(Code::FailedPrecondition), of(Code::ResourceExhausted)), (8, 8));
        assert_eq!(of(Code::Internal), 1);
    }

    #[test]
    fn signals_count_from_128() {
        assert_eq!((Exit::signal(2).0, Exit::signal(-1).0), (130, 255));
    }
}
