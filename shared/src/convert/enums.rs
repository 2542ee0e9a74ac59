//! Enums, name by name. No `_` arms towards the wire: a new state must choose its number here.

use crate::domain::{AgentState, AttemptState, JobState, Proof, Reason, Scheduling};
use crate::pb;

/// The wire's number for a state.
#[must_use]
pub fn job_state_to_wire(state: JobState) -> pb::job::State {
    use pb::job::State;
    match state {
        JobState::Blocked => State::Blocked,
        JobState::Delayed => State::Delayed,
        JobState::Queued => State::Queued,
        JobState::Leased => State::Leased,
        JobState::Running => State::Running,
        JobState::Cancelling => State::Cancelling,
        JobState::Succeeded => State::Succeeded,
        JobState::Failed => State::Failed,
        JobState::Cancelled => State::Cancelled,
        JobState::Expired => State::Expired,
        JobState::Coalesced => State::Coalesced,
    }
}

/// The state of a number; none where it is unset or newer than we are.
#[must_use]
pub fn job_state(number: i32) -> Option<JobState> {
    use pb::job::State;
    Some(match State::try_from(number).ok()? {
        State::Unspecified => return None,
        State::Blocked => JobState::Blocked,
        State::Delayed => JobState::Delayed,
        State::Queued => JobState::Queued,
        State::Leased => JobState::Leased,
        State::Running => JobState::Running,
        State::Cancelling => JobState::Cancelling,
        State::Succeeded => JobState::Succeeded,
        State::Failed => JobState::Failed,
        State::Cancelled => JobState::Cancelled,
        State::Expired => JobState::Expired,
        State::Coalesced => JobState::Coalesced,
    })
}

/// The wire's number for a reason.
#[must_use]
pub fn reason_to_wire(reason: Option<Reason>) -> pb::Reason {
    let Some(reason) = reason else { return pb::Reason::Unspecified };
    match reason {
        Reason::ExitCode => pb::Reason::ExitCode,
        Reason::Signal => pb::Reason::Signal,
        Reason::RunTimeout => pb::Reason::RunTimeout,
        Reason::SpawnFailed => pb::Reason::SpawnFailed,
        Reason::CancelRequested => pb::Reason::CancelRequested,
        Reason::Drain => pb::Reason::Drain,
        Reason::Shutdown => pb::Reason::Shutdown,
        Reason::AgentLost => pb::Reason::AgentLost,
        Reason::SupervisorLost => pb::Reason::SupervisorLost,
        Reason::AgentFault => pb::Reason::AgentFault,
        Reason::Returned => pb::Reason::Returned,
        Reason::Poison => pb::Reason::Poison,
        Reason::Unproven => pb::Reason::Unproven,
        Reason::Rejected => pb::Reason::Rejected,
        Reason::OutOfTouch => pb::Reason::OutOfTouch,
        Reason::HandlerError => pb::Reason::HandlerError,
        Reason::WorkerDied => pb::Reason::WorkerDied,
        Reason::WorkerProtocol => pb::Reason::WorkerProtocol,
        Reason::MemoryLimit => pb::Reason::MemoryLimit,
        Reason::OomKilled => pb::Reason::OomKilled,
        Reason::WorkerUnresponsive => pb::Reason::WorkerUnresponsive,
        Reason::Abandoned => pb::Reason::Abandoned,
        Reason::Unschedulable => pb::Reason::Unschedulable,
    }
}

/// The reason of a number; none where it is unset or newer than we are.
#[must_use]
pub fn reason(number: i32) -> Option<Reason> {
    Some(match pb::Reason::try_from(number).ok()? {
        pb::Reason::Unspecified => return None,
        pb::Reason::ExitCode => Reason::ExitCode,
        pb::Reason::Signal => Reason::Signal,
        pb::Reason::RunTimeout => Reason::RunTimeout,
        pb::Reason::SpawnFailed => Reason::SpawnFailed,
        pb::Reason::CancelRequested => Reason::CancelRequested,
        pb::Reason::Drain => Reason::Drain,
        pb::Reason::Shutdown => Reason::Shutdown,
        pb::Reason::AgentLost => Reason::AgentLost,
        pb::Reason::SupervisorLost => Reason::SupervisorLost,
        pb::Reason::AgentFault => Reason::AgentFault,
        pb::Reason::Returned => Reason::Returned,
        pb::Reason::Poison => Reason::Poison,
        pb::Reason::Unproven => Reason::Unproven,
        pb::Reason::Rejected => Reason::Rejected,
        pb::Reason::OutOfTouch => Reason::OutOfTouch,
        pb::Reason::HandlerError => Reason::HandlerError,
        pb::Reason::WorkerDied => Reason::WorkerDied,
        pb::Reason::WorkerProtocol => Reason::WorkerProtocol,
        pb::Reason::MemoryLimit => Reason::MemoryLimit,
        pb::Reason::OomKilled => Reason::OomKilled,
        pb::Reason::WorkerUnresponsive => Reason::WorkerUnresponsive,
        pb::Reason::Abandoned => Reason::Abandoned,
        pb::Reason::Unschedulable => Reason::Unschedulable,
    })
}

pub(super) fn attempt_state_to_wire(state: AttemptState) -> pb::attempt::State {
    use pb::attempt::State;
    match state {
        AttemptState::Leased => State::Leased,
        AttemptState::Starting => State::Starting,
        AttemptState::Running => State::Running,
        AttemptState::Stopping => State::Stopping,
        AttemptState::Succeeded => State::Succeeded,
        AttemptState::Failed => State::Failed,
        AttemptState::TimedOut => State::TimedOut,
        AttemptState::Cancelled => State::Cancelled,
        AttemptState::Interrupted => State::Interrupted,
        AttemptState::Lost => State::Lost,
        AttemptState::Rejected => State::Rejected,
        AttemptState::Returned => State::Returned,
    }
}

/// The ends an agent may report: LOST is the coordinator's to say, RETURNED has news of its own.
pub(super) fn reported_end(number: i32) -> Option<AttemptState> {
    use pb::attempt::State;
    match State::try_from(number).ok()? {
        State::Succeeded => Some(AttemptState::Succeeded),
        State::Failed => Some(AttemptState::Failed),
        State::TimedOut => Some(AttemptState::TimedOut),
        State::Cancelled => Some(AttemptState::Cancelled),
        State::Interrupted => Some(AttemptState::Interrupted),
        State::Rejected => Some(AttemptState::Rejected),
        State::Unspecified
        | State::Leased
        | State::Starting
        | State::Running
        | State::Stopping
        | State::Lost
        | State::Returned => None,
    }
}

pub(super) fn proof_to_wire(proof: Proof) -> pb::exit::Proof {
    match proof {
        Proof::Cgroup => pb::exit::Proof::Cgroup,
        Proof::Keeper => pb::exit::Proof::Keeper,
        Proof::Swept => pb::exit::Proof::Swept,
        Proof::LeaseExpired => pb::exit::Proof::LeaseExpired,
        Proof::Operator => pb::exit::Proof::Operator,
        Proof::None => pb::exit::Proof::None,
    }
}

// An unknown proof is no proof: what we cannot read must not let another attempt start.
pub(super) fn proof(number: i32) -> Proof {
    match pb::exit::Proof::try_from(number) {
        Ok(pb::exit::Proof::Cgroup) => Proof::Cgroup,
        Ok(pb::exit::Proof::Keeper) => Proof::Keeper,
        Ok(pb::exit::Proof::Swept) => Proof::Swept,
        Ok(pb::exit::Proof::LeaseExpired) => Proof::LeaseExpired,
        // No agent speaks for an operator.
        Ok(pb::exit::Proof::Operator | pb::exit::Proof::None | pb::exit::Proof::Unspecified) | Err(_) => Proof::None,
    }
}

pub(super) fn agent_state_to_wire(state: AgentState) -> pb::agent::State {
    match state {
        AgentState::Connected => pb::agent::State::Connected,
        AgentState::Suspect => pb::agent::State::Suspect,
        AgentState::Lost => pb::agent::State::Lost,
        AgentState::Gone => pb::agent::State::Gone,
    }
}

pub(super) fn scheduling_to_wire(scheduling: Scheduling) -> pb::agent::Scheduling {
    match scheduling {
        Scheduling::Active => pb::agent::Scheduling::Active,
        Scheduling::Cordoned => pb::agent::Scheduling::Cordoned,
        Scheduling::Draining => pb::agent::Scheduling::Draining,
        Scheduling::Drained => pb::agent::Scheduling::Drained,
        Scheduling::Quarantined => pb::agent::Scheduling::Quarantined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_the_contract_survives_the_way_in_and_out() {
        let states: Vec<i32> = (1..=11).collect();
        for number in states {
            let state = job_state(number).expect("in the contract");
            assert_eq!(job_state_to_wire(state) as i32, number);
        }
        for (at, why) in Reason::ALL.into_iter().enumerate() {
            let wire = reason_to_wire(Some(why));
            assert_eq!((wire as usize, reason(wire.into())), (at + 1, Some(why)));
        }
        for number in 3..=5 {
            assert_eq!(proof_to_wire(proof(number)) as i32, number);
        }
        assert_eq!((job_state(0), job_state(99), reason(0), reason(99)), (None, None, None, None));
        assert_eq!((proof(0), proof(99), proof(6)), (Proof::None, Proof::None, Proof::None));
    }
}
