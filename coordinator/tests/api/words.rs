//! Operators' words: on record before they are answered, and said once under one request id.

use std::time::Duration;

use tonic::Code;
use windlass_coordinator::Options;
use windlass_shared::convert::FromCoordinator;
use windlass_shared::pb;
use windlass_shared::pb::job::State;

use crate::rig::{Rig, exec, hello, reason, started};

fn agent_id() -> String {
    hello(1, 1).id.to_string()
}

fn abandon(id: &str, request_id: &str) -> pb::AbandonJobRequest {
    pb::AbandonJobRequest { job_id: id.into(), reason: "host burnt".into(), request_id: request_id.into() }
}

fn force_lost(request_id: &str) -> pb::ForceLostAgentRequest {
    pb::ForceLostAgentRequest { agent_id: agent_id(), reason: "host burnt".into(), request_id: request_id.into() }
}

/// A job that waits for its agent whatever becomes of it, and runs there; the agent is gone.
async fn out_of_touch(rig: &Rig) -> String {
    let mut agent = rig.agent(1, 1).await;
    let spec = pb::JobSpec { on_agent_lost: pb::job_spec::OnAgentLost::Wait.into(), ..exec(&["true"]) };
    let id = rig.submit_spec(spec).await;
    let (lease, _) = agent.assigned().await.remove(0);
    agent.report(lease, started()).await;
    drop(agent);
    // The coordinator has heard that the stream ended.
    let away = async {
        loop {
            let request = pb::GetAgentRequest { agent_id: agent_id() };
            let shown = rig.fleet().get_agent(request).await.expect("known").into_inner().agent.expect("the agent");
            if shown.state() != pb::agent::State::Connected {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::rig::PATIENCE, away).await.expect("away");
    id
}

async fn start_on(dir: &std::path::Path) -> Rig {
    Rig::start_with(Options { data: Some(dir.into()), lease_ttl: Duration::from_secs(600), ..Options::default() }).await
}

#[tokio::test]
async fn an_abandoned_job_is_over_by_the_operators_word_also_after_a_restart_and_a_repeat_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = start_on(dir.path()).await;
    let id = out_of_touch(&rig).await;
    let job = rig.jobs().abandon_job(abandon(&id, "r-1")).await.expect("abandoned").into_inner().job.expect("the job");
    assert_eq!((job.state(), job.reason(), &*job.detail), (State::Failed, pb::Reason::Abandoned, "host burnt"));
    let exit = job.attempts[0].exit.as_ref().expect("what is known of it");
    assert_eq!((job.attempts[0].state(), exit.proof()), (pb::attempt::State::Lost, pb::exit::Proof::Operator));
    let again = rig.jobs().abandon_job(abandon(&id, "r-1")).await.expect("the same").into_inner().job.expect("the job");
    assert_eq!(again.revision, job.revision);
    rig.stop.cancel();
    assert!(rig.running.done().await);
    let rig = start_on(dir.path()).await;
    let again = rig.jobs().abandon_job(abandon(&id, "r-1")).await.expect("the same").into_inner().job.expect("the job");
    assert_eq!((again.revision, again.reason()), (job.revision, pb::Reason::Abandoned));
}

#[tokio::test]
async fn a_forced_loss_under_one_request_id_is_said_once_and_what_ran_goes_on_elsewhere() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = start_on(dir.path()).await;
    let id = out_of_touch(&rig).await;
    let mut other = rig.agent(2, 1).await;
    let lost = rig.fleet().force_lost_agent(force_lost("r-2")).await.expect("lost").into_inner().agent.expect("it");
    assert_eq!((lost.state(), lost.held), (pb::agent::State::Lost, 0));
    assert_eq!(other.assigned().await[0].0.job.to_string(), id);
    let again = rig.fleet().force_lost_agent(force_lost("r-2")).await.expect("the same").into_inner();
    assert_eq!(again.agent.expect("the agent").held, 0);
    let status = rig.fleet().force_lost_agent(force_lost("r-3")).await.expect_err("nothing is left");
    assert_eq!((status.code(), &*reason(&status)), (Code::FailedPrecondition, "NOTHING_UNPROVEN"));
    let status = rig.jobs().abandon_job(abandon(&id, "r-2")).await.expect_err("used for something else");
    assert_eq!((status.code(), &*reason(&status)), (Code::AlreadyExists, "REQUEST_ID_TAKEN"));
}

#[tokio::test]
async fn a_word_about_what_is_in_touch_or_over_is_refused_and_may_be_said_again_under_its_id() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let id = rig.submit().await;
    agent.assigned().await;
    let status = rig.jobs().abandon_job(abandon(&id, "r")).await.expect_err("in touch");
    assert_eq!((status.code(), &*reason(&status)), (Code::FailedPrecondition, "AGENT_IN_TOUCH"));
    let status = rig.fleet().force_lost_agent(force_lost("r")).await.expect_err("in touch");
    assert_eq!((status.code(), &*reason(&status)), (Code::FailedPrecondition, "AGENT_IN_TOUCH"), "the id is free");
    let cancel = pb::CancelJobRequest { job_id: id.clone(), ..Default::default() };
    rig.jobs().cancel_job(cancel).await.expect("cancelled");
    assert!(matches!(agent.hear().await, Ok(FromCoordinator::Stop(_))));
    let waiting = rig.submit().await;
    let status = rig.jobs().abandon_job(abandon(&waiting, "")).await.expect_err("nobody has it");
    assert_eq!((status.code(), &*reason(&status)), (Code::FailedPrecondition, "NOTHING_UNPROVEN"));
    assert_eq!(rig.job(&waiting).await.state(), State::Queued);
}
