//! Operators' words: of what is out of touch only, and final.

use std::time::Duration;

use windlass_core::{Effect, Input, Options};
use windlass_shared::domain::{AttemptState, Execution, JobHeader, News, OnAgentLost, Preset, Proof, RetryPolicy};
use windlass_shared::time::Timestamp;

use crate::rig::{Rig, agent, header, hello, job};

/// Time after which a silent agent is LOST, with the default lease.
const LOST: Duration = Duration::from_secs(21);

fn waiting_for_its_agent() -> JobHeader {
    let retry = RetryPolicy { preset: Preset::Default, attempts_max: 9 };
    JobHeader { on_agent_lost: OnAgentLost::Wait, ..header(0, retry) }
}

/// Job 1 runs on agent 1, which falls silent for as long as a lease and its margin, and is waited for.
fn lost(header: JobHeader) -> Rig {
    let mut rig = Rig::new(Options::default());
    rig.join(1, 1);
    rig.submit_as(1, header);
    rig.started(1, 1, 1);
    rig.pass(LOST);
    rig
}

fn back(rig: &Rig) -> windlass_shared::domain::AgentHello {
    windlass_shared::domain::AgentHello { session: 2, inventory: vec![rig.lease(1, 1)], ..hello(1, 1) }
}

#[test]
fn an_abandoned_job_has_failed_by_the_operators_word_and_what_still_runs_of_it_is_killed() {
    let mut rig = lost(waiting_for_its_agent());
    let ticket = rig.ticket();
    let effects = rig.core.handle(rig.now, Input::Abandon { ticket, job: job(1), detail: Some("host burnt".into()) });
    let Effect::Record(change) = &effects[0] else { panic!("{effects:?}") };
    let ended = change.attempt.as_ref().and_then(|attempt| attempt.outcome.as_ref()).expect("an end");
    let exit = ended.exit.as_ref().expect("what is known of it");
    assert_eq!((ended.state, exit.proof), (AttemptState::Lost, Proof::Operator));
    assert_eq!((ended.detail.as_deref(), change.job.detail.as_deref()), (Some("host burnt"), Some("host burnt")));
    assert_eq!((change.job.failures, change.job.infra_losses, change.job.interruptions), (0, 0, 0));
    assert_eq!(effects.len(), 2, "the record and the reply, and nothing else: {effects:?}");
    rig.core.check();
    assert_eq!(rig.core.jobs_live(), 0);
    assert_eq!(rig.greet(11, back(&rig)), ["welcome a1/1", "stop 1.1 at a1/1 (agent lost)"]);
    assert_eq!(rig.report_on(11, rig.lease(1, 1), News::Started(Timestamp(1))), ["ack a1/1 stale"]);
}

#[test]
fn an_agent_that_is_forced_lost_ends_the_wait_of_its_jobs_and_they_go_on_elsewhere() {
    let mut rig = lost(waiting_for_its_agent());
    assert_eq!(rig.join(2, 1), ["welcome a2/0"], "the job waits for its agent");
    let lines = rig.force_lost(1);
    assert_eq!(
        lines,
        [
            "record 1 QUEUED (agent lost), 1 LOST",
            "reply forced lost",
            "record 1 LEASED (agent lost), 2 LEASED",
            "assign 1.2 to a2/0"
        ]
    );
    assert_eq!(rig.record(1).infra_losses, 1);
    let killed = rig.greet(11, back(&rig));
    assert_eq!(killed, ["welcome a1/1", "stop 1.1 at a1/1 (agent lost)"], "it takes nothing back");
}

#[test]
fn what_is_lost_by_word_is_not_taken_back_over_a_restart_either() {
    for restarts in [false, true] {
        let mut rig = lost(waiting_for_its_agent());
        assert_eq!(rig.force_lost(1), ["record 1 QUEUED (agent lost), 1 LOST", "reply forced lost"]);
        if restarts {
            rig.restart();
        }
        let mut back = back(&rig);
        back.credit.capacity = 0; // so that the job, which waits again, stays where it is
        let lines = rig.greet(11, back);
        assert_eq!(lines, ["welcome a1/1", "stop 1.1 at a1/1 (agent lost)"], "restarts: {restarts}");
        assert_eq!(rig.record(1).infra_losses, 1);
    }
}

#[test]
fn a_silent_agent_is_lost_at_once_by_the_operators_word_and_its_stream_ends() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    rig.started(1, 1, 1);
    rig.pass(Duration::from_secs(16));
    let lines = rig.force_lost(1);
    assert_eq!(lines, ["close a1/0 LEASE_EXPIRED", "record 1 QUEUED (agent lost), 1 LOST", "reply forced lost"]);
    assert_eq!(rig.pass(LOST), Vec::<String>::new(), "its timer has nothing left to say");
}

#[test]
fn work_that_may_begin_once_is_not_begun_again_by_a_word() {
    let mut rig = lost(JobHeader { execution: Execution::AtMostOnce, ..waiting_for_its_agent() });
    assert_eq!(rig.force_lost(1), ["record 1 FAILED (agent lost), 1 LOST", "reply forced lost"]);
}

#[test]
fn a_job_that_is_to_be_cancelled_is_cancelled_by_any_word() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit_as(1, waiting_for_its_agent());
    rig.started(1, 1, 1);
    rig.cancel(1);
    rig.pass(Duration::from_secs(16));
    let lines = rig.abandon(1);
    assert_eq!(
        lines,
        ["stop 1.1 at a1/0 (agent lost)", "record 1 CANCELLED (cancel requested), 1 LOST", "reply abandoned"]
    );
}

#[test]
fn where_nothing_is_unproven_a_word_is_refused_and_changes_nothing() {
    let mut rig = Rig::default();
    rig.submit(1);
    assert_eq!(rig.abandon(1), ["reply refused NOTHING_UNPROVEN"], "it waits, and no agent has it");
    assert_eq!(rig.abandon(9), ["reply unknown"]);
    assert_eq!(rig.force_lost(1), ["reply unknown"]);
    rig.join(1, 1);
    rig.started(1, 1, 1);
    assert_eq!(rig.abandon(1), ["reply refused AGENT_IN_TOUCH"]);
    assert_eq!(rig.force_lost(1), ["reply refused AGENT_IN_TOUCH"]);
    assert_eq!(rig.succeeded(1, 1, 1), ["record 1 SUCCEEDED, 1 SUCCEEDED", "ack a1/0"], "as if nobody had spoken");
    rig.pass(LOST);
    assert_eq!(rig.force_lost(1), ["reply refused NOTHING_UNPROVEN"], "LOST, and it holds nothing");
    assert_eq!(rig.core.agent(agent(1)).expect("known").held, 0);
}
