//! From the way an attempt ended to its outcome: pure, no `_` arm where a new case must choose.

use std::time::Duration;

use windlass_shared::domain::{AttemptState, Exit, ExitStatus, Outcome, Proof, Reason, SpawnFailure, WorkerExit};
use windlass_shared::limits;

use super::memory::Weight;
use crate::logs::Offsets;
use crate::process::{self, ExitInfo, ExitKind, LeaderEnd, SpawnError, Stage, Wanted};
use crate::worker::{CallEnd, Death, How};

/// How a process that ran came to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// Why it was sent the stop signal, where it was before its end was read.
    pub(super) stopped: Option<Reason>,
    pub(super) leader: LeaderEnd,
    pub(super) proof: process::Proof,
    pub(super) weight: Weight,
    /// From its start to the end of its tree.
    pub(super) wall_time: Duration,
    pub(super) offsets: Offsets,
}

/// The outcome of an attempt whose process ran.
pub(super) fn ended(end: &End) -> Outcome {
    let (state, reason) = match (end.stopped, end.leader) {
        (Some(reason), _) => stopped(reason),
        (None, LeaderEnd::Lost) => (AttemptState::Interrupted, Some(Reason::SupervisorLost)),
        (None, LeaderEnd::Exited(exit)) => match exit.status {
            ExitKind::Code(0) => (AttemptState::Succeeded, None),
            ExitKind::Code(_) => (AttemptState::Failed, Some(Reason::ExitCode)),
            ExitKind::Signal { .. } if matches!(end.weight, Weight::OomKilled { .. }) => {
                (AttemptState::Failed, Some(Reason::OomKilled))
            }
            ExitKind::Signal { .. } => (AttemptState::Failed, Some(Reason::Signal)),
        },
    };
    let detail = matches!(reason, Some(Reason::MemoryLimit | Reason::OomKilled | Reason::Signal));
    let detail = Some(end.weight.to_string()).filter(|text| detail && !text.is_empty());
    Outcome {
        stdout_bytes: end.offsets.stdout,
        stderr_bytes: end.offsets.stderr,
        exit: Some(exit(end)),
        ..outcome(state, reason, detail.as_deref())
    }
}

/// The outcome of a call. A stop that was asked for before its end was read is its end.
pub(super) fn called(end: CallEnd) -> Outcome {
    let CallEnd { how, stopped, started_at, offsets } = end;
    let (state, reason) = match (stopped, &how) {
        (Some(reason), _) => self::stopped(reason),
        (None, How::Result(_)) => (AttemptState::Succeeded, None),
        (None, How::Error(..)) => (AttemptState::Failed, Some(Reason::HandlerError)),
        (None, How::Broke(_, Death { exit: WorkerExit::Unresponsive, .. })) => {
            (AttemptState::Failed, Some(Reason::WorkerUnresponsive))
        }
        (None, How::Broke(..)) => (AttemptState::Failed, Some(Reason::WorkerProtocol)),
        // Only what is stopped ends without having begun.
        (None, How::NotBegun) => (AttemptState::Interrupted, Some(Reason::AgentFault)),
        (None, How::Died(Death { leader: LeaderEnd::Lost, .. })) => {
            (AttemptState::Interrupted, Some(Reason::SupervisorLost))
        }
        (None, How::Died(death)) => died(death.exit),
    };
    let outcome = Outcome {
        started_at,
        stdout_bytes: offsets.stdout,
        stderr_bytes: offsets.stderr,
        ..Outcome::bare(state, reason)
    };
    match how {
        How::Result(result) if state == AttemptState::Succeeded => Outcome { result: Some(result), ..outcome },
        How::Error(message, error) if stopped.is_none() => {
            let detail = (!message.is_empty()).then(|| clip(&message).into());
            Outcome { detail, error: Some(error), ..outcome }
        }
        How::Broke(why, death) => {
            Outcome { detail: Some(clip(&why).into()), exit: Some(death_of(&death, stopped)), ..outcome }
        }
        How::Died(death) => Outcome { exit: Some(death_of(&death, stopped)), ..outcome },
        How::NotBegun | How::Result(_) | How::Error(..) => outcome,
    }
}

/// What became of the call that ran when its worker ended so. An end that an operator or this agent decided is not the call's doing.
fn died(exit: WorkerExit) -> (AttemptState, Option<Reason>) {
    match exit {
        WorkerExit::MemoryLimit => (AttemptState::Failed, Some(Reason::MemoryLimit)),
        WorkerExit::OomKilled => (AttemptState::Failed, Some(Reason::OomKilled)),
        WorkerExit::Unresponsive => (AttemptState::Failed, Some(Reason::WorkerUnresponsive)),
        WorkerExit::Killed | WorkerExit::RecycledAsked => (AttemptState::Interrupted, Some(Reason::WorkerDied)),
        _ => (AttemptState::Failed, Some(Reason::WorkerDied)),
    }
}

fn death_of(death: &Death, stopped: Option<Reason>) -> Exit {
    let Death { leader, proof, wall_time, .. } = *death;
    exit(&End { stopped, leader, proof, weight: Weight::Fine, wall_time, offsets: Offsets::default() })
}

/// The outcome of an attempt that was stopped before it had a slot.
pub(super) fn stopped_unstarted(reason: Reason) -> Outcome {
    let (state, reason) = stopped(reason);
    outcome(state, reason, None)
}

/// The outcome of work that this agent does not do.
pub(super) fn rejected(why: &str) -> Outcome {
    outcome(AttemptState::Rejected, Some(Reason::Rejected), Some(why))
}

/// The outcome where the host failed before anything was started.
pub(super) fn host_failed(what: &str) -> Outcome {
    outcome(AttemptState::Interrupted, Some(Reason::AgentFault), Some(what))
}

/// The outcome of a process that did not start, in a working directory of the job's choice or of ours; or that nobody saw start.
pub(super) fn spawn_failed(wanted: Wanted<'_>, cwd_is_the_jobs: bool, error: &SpawnError) -> Outcome {
    if may_have_run(error) {
        let detail = format!("who was starting {} died, and it may have run: {error}", wanted.program);
        let lost = outcome(AttemptState::Interrupted, Some(Reason::SupervisorLost), Some(&detail));
        return Outcome { exit: Some(Exit::unknown(proof_of(error.proof), Duration::ZERO)), ..lost };
    }
    let (state, reason) = if is_hosts_doing(error, cwd_is_the_jobs) {
        (AttemptState::Interrupted, Reason::AgentFault)
    } else {
        (AttemptState::Failed, Reason::SpawnFailed)
    };
    // Half-started and unwilling to die: only then is there something to say about a process.
    let left = (error.proof == process::Proof::None).then_some(Exit::unknown(Proof::None, Duration::ZERO));
    let failure = SpawnFailure { stage: error.stage.as_str().into(), errno: error.errno };
    Outcome { exit: left, spawn_failure: Some(failure), ..outcome(state, Some(reason), Some(&error.sentence(wanted))) }
}

/// Whether warden or keeper died before it had said that the program runs: a job can kill them in its first instruction.
fn may_have_run(error: &SpawnError) -> bool {
    error.stage == Stage::Warden && [libc::ECONNRESET, libc::EOWNERDEAD].contains(&error.errno)
}

/// What the host owes every job, as opposed to what the job asked for.
fn is_hosts_doing(error: &SpawnError, cwd_is_the_jobs: bool) -> bool {
    let exhausted = [libc::EMFILE, libc::ENFILE, libc::EAGAIN, libc::ENOMEM, libc::ENOSPC].contains(&error.errno);
    exhausted
        || match error.stage {
            Stage::Prepare | Stage::Warden | Stage::Fork | Stage::Group | Stage::Fence => true,
            Stage::Session | Stage::Stdio | Stage::Guard | Stage::Signals => true,
            // What the operator asks for every job, not the job for itself.
            Stage::OomScore | Stage::Nice | Stage::Limits | Stage::User | Stage::Privileges => true,
            Stage::Chdir => !cwd_is_the_jobs,
            Stage::Exec => false,
        }
}

const fn stopped(reason: Reason) -> (AttemptState, Option<Reason>) {
    let state = match reason {
        Reason::RunTimeout => AttemptState::TimedOut,
        Reason::MemoryLimit => AttemptState::Failed,
        Reason::Drain | Reason::Shutdown | Reason::OutOfTouch => AttemptState::Interrupted,
        // An order by any other reason is somebody's wish; AGENT_LOST is never reported.
        _ => AttemptState::Cancelled,
    };
    (state, Some(reason))
}

const fn proof_of(proof: process::Proof) -> Proof {
    match proof {
        process::Proof::Cgroup => Proof::Cgroup,
        process::Proof::Keeper => Proof::Keeper,
        process::Proof::Swept => Proof::Swept,
        process::Proof::None => Proof::None,
    }
}

fn exit(end: &End) -> Exit {
    let proof = proof_of(end.proof);
    match end.leader {
        LeaderEnd::Exited(ExitInfo { status, user_time, system_time, max_rss_bytes, wall_time }) => Exit {
            status: status_of(status),
            user_time,
            system_time,
            max_rss_bytes,
            wall_time: wall_time.max(end.wall_time),
            proof,
        },
        LeaderEnd::Lost => Exit::unknown(proof, end.wall_time),
    }
}

fn status_of(kind: ExitKind) -> ExitStatus {
    match kind {
        // The kernel keeps eight bits of each.
        ExitKind::Code(code) => u8::try_from(code).map_or(ExitStatus::Unknown, ExitStatus::Code),
        ExitKind::Signal { signo, core_dumped } => {
            u8::try_from(signo).map_or(ExitStatus::Unknown, |number| ExitStatus::Signal { number, core_dumped })
        }
    }
}

fn outcome(state: AttemptState, reason: Option<Reason>, detail: Option<&str>) -> Outcome {
    let detail = detail.map(|text| clip(text).into());
    Outcome { detail, ..Outcome::bare(state, reason) }
}

/// As much of a text as the contract takes.
fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(limits::DETAIL_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exited(status: ExitKind) -> LeaderEnd {
        let (user_time, system_time, wall_time) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        LeaderEnd::Exited(ExitInfo { status, user_time, system_time, max_rss_bytes: 0, wall_time })
    }

    fn weighed(stopped: Option<Reason>, leader: LeaderEnd, weight: Weight) -> Outcome {
        let (proof, offsets) = (process::Proof::Keeper, Offsets::default());
        ended(&End { stopped, leader, proof, weight, wall_time: Duration::ZERO, offsets })
    }

    fn verdict(stopped: Option<Reason>, leader: LeaderEnd) -> (AttemptState, Option<Reason>) {
        let outcome = weighed(stopped, leader, Weight::Fine);
        (outcome.state, outcome.reason)
    }

    #[test]
    fn out_of_memory_is_said_by_proof_a_limit_by_who_kept_it_and_anything_else_is_a_hint() {
        let killed = exited(ExitKind::Signal { signo: 9, core_dumped: false });
        let said = |stopped, leader, weight| {
            let Outcome { state, reason, detail, .. } = weighed(stopped, leader, weight);
            (state, reason.unwrap(), detail.is_some())
        };
        let failed = AttemptState::Failed;
        let oom = Weight::OomKilled { limit: None };
        assert_eq!(said(None, killed, oom), (failed, Reason::OomKilled, true));
        assert_eq!(said(None, killed, Weight::HostShort), (failed, Reason::Signal, true));
        assert_eq!(said(None, killed, Weight::Fine), (failed, Reason::Signal, false));
        let above = Weight::Above { bytes: 2, limit: 1 };
        for leader in [killed, exited(ExitKind::Code(0)), LeaderEnd::Lost] {
            assert_eq!(said(Some(Reason::MemoryLimit), leader, above), (failed, Reason::MemoryLimit, true));
        }
        // Somebody else was first.
        let cancelled = (AttemptState::Cancelled, Reason::CancelRequested, false);
        assert_eq!(said(Some(Reason::CancelRequested), killed, oom), cancelled);
        assert_eq!(said(Some(Reason::CancelRequested), killed, above), cancelled);
    }

    #[test]
    fn what_the_process_did_decides_unless_it_was_told_to_stop() {
        let killed = ExitKind::Signal { signo: 9, core_dumped: false };
        assert_eq!(verdict(None, exited(ExitKind::Code(0))), (AttemptState::Succeeded, None));
        assert_eq!(verdict(None, exited(ExitKind::Code(7))), (AttemptState::Failed, Some(Reason::ExitCode)));
        assert_eq!(verdict(None, exited(killed)), (AttemptState::Failed, Some(Reason::Signal)));
        assert_eq!(verdict(None, LeaderEnd::Lost), (AttemptState::Interrupted, Some(Reason::SupervisorLost)));
        for (reason, state) in [
            (Reason::CancelRequested, AttemptState::Cancelled),
            (Reason::RunTimeout, AttemptState::TimedOut),
            (Reason::Drain, AttemptState::Interrupted),
            (Reason::Shutdown, AttemptState::Interrupted),
            (Reason::OutOfTouch, AttemptState::Interrupted),
        ] {
            assert_eq!(verdict(Some(reason), exited(ExitKind::Code(0))), (state, Some(reason)));
            assert_eq!(verdict(Some(reason), LeaderEnd::Lost), (state, Some(reason)));
        }
    }

    #[test]
    fn a_missing_program_is_the_jobs_doing_and_a_host_without_descriptors_is_not() {
        let wanted = Wanted { program: "prog", cwd: std::path::Path::new("/d"), uid: None };
        let failed = |stage, errno| {
            let outcome = spawn_failed(wanted, true, &SpawnError { stage, errno, proof: process::Proof::Keeper });
            (outcome.state, outcome.reason)
        };
        let job = (AttemptState::Failed, Some(Reason::SpawnFailed));
        let host = (AttemptState::Interrupted, Some(Reason::AgentFault));
        assert_eq!(failed(Stage::Exec, libc::ENOENT), job);
        assert_eq!(failed(Stage::Chdir, libc::ENOENT), job);
        assert_eq!(failed(Stage::Exec, libc::ENOMEM), host);
        assert_eq!(failed(Stage::Warden, libc::EMFILE), host);
        assert_eq!(failed(Stage::Fork, libc::EAGAIN), host);
        assert_eq!(failed(Stage::User, libc::EPERM), host);
        let scratch = spawn_failed(wanted, false, &SpawnError::early(Stage::Chdir, libc::EACCES));
        assert_eq!((scratch.state, scratch.reason), host);
        let outcome = spawn_failed(wanted, true, &SpawnError::early(Stage::Exec, libc::ENOENT));
        assert_eq!(outcome.detail.as_deref(), Some("cannot run prog: No such file or directory (ENOENT)"));
        assert_eq!(outcome.exit, None);
    }

    #[test]
    fn a_program_whose_supervision_died_before_it_was_seen_to_start_is_not_said_to_have_failed_to() {
        for errno in [libc::ECONNRESET, libc::EOWNERDEAD] {
            let error = SpawnError { stage: Stage::Warden, errno, proof: process::Proof::Swept };
            let wanted = Wanted { program: "prog", cwd: std::path::Path::new("/d"), uid: None };
            let outcome = spawn_failed(wanted, true, &error);
            assert_eq!((outcome.state, outcome.reason), (AttemptState::Interrupted, Some(Reason::SupervisorLost)));
            assert_eq!((outcome.exit.unwrap().proof, outcome.spawn_failure), (Proof::Swept, None));
        }
    }

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let long = "ä".repeat(limits::DETAIL_BYTES_MAX);
        let detail = rejected(&long).detail.unwrap();
        assert_eq!(detail.len(), limits::DETAIL_BYTES_MAX);
    }
}
