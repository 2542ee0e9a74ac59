//! Dead letters, and finished jobs that begin again or go, over the API and over restarts.

use tonic::Code;
use windlass_coordinator::Options;
use windlass_shared::domain::{AttemptState, Reason};
use windlass_shared::pb;
use windlass_shared::pb::job::State;

use crate::rig::{Agent, Rig, ended, exec, reason, started};

/// A command whose exit code 1 makes it a dead letter.
fn mortal(queue: &str) -> pb::JobSpec {
    let when = pb::RetryMatch { exit_codes: vec![pb::CodeRange { first: 1, last: None }], ..Default::default() };
    let rule =
        pb::RetryRule { r#match: Some(when), action: pb::retry_rule::Action::DeadLetter.into(), ..Default::default() };
    let retry = pb::RetryPolicy { rules: vec![rule], ..Default::default() };
    pb::JobSpec { retry: Some(retry), queue: queue.into(), ..exec(&["true"]) }
}

async fn fail_next(agent: &mut Agent) {
    for (lease, _) in agent.assigned().await {
        agent.report(lease, started()).await;
        agent.report(lease, ended(AttemptState::Failed, Some(Reason::ExitCode), 0)).await;
    }
}

/// So many dead letters, oldest first.
async fn dead(rig: &Rig, agent: &mut Agent, queue: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(rig.submit_spec(mortal(queue)).await);
        fail_next(agent).await;
    }
    ids
}

async fn list_dead(rig: &Rig, dead_lettered: bool) -> Vec<String> {
    let request = pb::ListJobsRequest { dead_lettered: Some(dead_lettered), ..Default::default() };
    let jobs = rig.jobs().list_jobs(request).await.expect("listed").into_inner().jobs;
    jobs.into_iter().map(|job| job.id).collect()
}

fn requeue(id: &str, request_id: &str) -> pb::RequeueJobRequest {
    pb::RequeueJobRequest { job_id: id.into(), request_id: request_id.into() }
}

fn of_queue(queue: &str) -> Option<pb::FinishedFilter> {
    Some(pb::FinishedFilter { queue: queue.into(), ..Default::default() })
}

#[tokio::test]
async fn a_dead_letter_is_listed_shows_its_rule_and_begins_again_in_another_generation() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let id = dead(&rig, &mut agent, "q", 1).await.remove(0);
    let job = rig.job(&id).await;
    assert_eq!((job.state(), job.dead_lettered), (State::Failed, true));
    assert_eq!(job.attempts[0].retry_rule, "rule 1: exit 1 -> DEAD_LETTER");
    assert_eq!((list_dead(&rig, true).await, list_dead(&rig, false).await), (vec![id.clone()], vec![]));

    let again = rig.jobs().requeue_job(requeue(&id, "r-1")).await.expect("requeued").into_inner().job.expect("the job");
    assert_eq!((again.generation, again.dead_lettered, again.failures), (2, false, 0));
    let (lease, _) = agent.assigned().await.remove(0);
    assert_eq!((lease.generation, lease.attempt), (2, 2));
    agent.report(lease, started()).await;
    agent.report(lease, ended(AttemptState::Succeeded, None, 0)).await;
    let job = rig.wait(&id).await;
    assert_eq!((job.state(), job.attempts.len()), (State::Succeeded, 2), "the first generation's attempt is there");

    let repeated = rig.jobs().requeue_job(requeue(&id, "r-1")).await.expect("the same").into_inner();
    assert_eq!(repeated.job.expect("the job").generation, 2, "requeued once under one id");
    let request = pb::RequeueJobsRequest { filter: of_queue("q"), limit: 0, request_id: "r-1".into() };
    let status = rig.jobs().requeue_jobs(request).await.expect_err("the id is taken");
    assert_eq!((status.code(), &*reason(&status)), (Code::AlreadyExists, "REQUEST_ID_TAKEN"));
}

#[tokio::test]
async fn what_is_not_over_is_not_requeued_and_the_id_stays_free() {
    let rig = Rig::start().await;
    let id = rig.submit_spec(mortal("q")).await;
    let status = rig.jobs().requeue_job(requeue(&id, "r")).await.expect_err("it waits");
    assert_eq!((status.code(), &*reason(&status)), (Code::FailedPrecondition, "JOB_NOT_FINAL"));
    let mut agent = rig.agent(1, 1).await;
    fail_next(&mut agent).await;
    rig.jobs().requeue_job(requeue(&id, "r")).await.expect("requeued");
    assert_eq!(agent.assigned().await[0].0.generation, 2);
}

#[tokio::test]
async fn dead_letters_begin_again_by_filter_a_bounded_number_a_call() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let (a, b) = (dead(&rig, &mut agent, "a", 3).await, dead(&rig, &mut agent, "b", 1).await);
    let ask =
        |request_id: &str| pb::RequeueJobsRequest { filter: of_queue("a"), limit: 2, request_id: request_id.into() };
    let first = rig.jobs().requeue_jobs(ask("r-1")).await.expect("requeued").into_inner();
    assert_eq!((first.job_ids, first.more, first.repeated), (vec![a[2].clone(), a[1].clone()], true, false));
    let repeated = rig.jobs().requeue_jobs(ask("r-1")).await.expect("the same").into_inner();
    assert_eq!((repeated.job_ids.len(), repeated.repeated), (0, true));
    let second = rig.jobs().requeue_jobs(ask("r-2")).await.expect("requeued").into_inner();
    assert_eq!((second.job_ids, second.more), (vec![a[0].clone()], false));
    assert_eq!(list_dead(&rig, true).await, b);
}

#[tokio::test]
async fn purged_dead_letters_are_gone_and_nothing_else_is() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let ids = dead(&rig, &mut agent, "q", 2).await;
    let cancelled = rig.submit().await;
    let cancel = pb::CancelJobRequest { job_id: cancelled.clone(), ..Default::default() };
    agent.assigned().await;
    rig.jobs().cancel_job(cancel).await.expect("cancelled");
    let purge = || pb::PurgeJobsRequest { filter: Some(pb::FinishedFilter::default()), ..Default::default() };
    let answer = rig.jobs().purge_jobs(purge()).await.expect("purged").into_inner();
    assert_eq!((answer.purged, answer.more), (2, false));
    for id in ids {
        let status = rig.jobs().get_job(pb::GetJobRequest { job_id: id.clone() }).await.expect_err("gone");
        assert_eq!(status.code(), Code::NotFound);
        let status = rig.jobs().requeue_job(requeue(&id, "")).await.expect_err("gone");
        assert_eq!((status.code(), &*reason(&status)), (Code::NotFound, "JOB_NOT_FOUND"));
    }
    assert_eq!(rig.job(&cancelled).await.id, cancelled);
    let answer = rig.jobs().purge_jobs(purge()).await.expect("nothing left").into_inner();
    assert_eq!((answer.purged, answer.more), (0, false));
}

#[tokio::test]
async fn dead_letters_and_what_begins_again_survive_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let start = || Rig::start_with(Options { data: Some(dir.path().into()), ..Options::default() });
    let rig = start().await;
    let mut agent = rig.agent(1, 1).await;
    let ids = dead(&rig, &mut agent, "q", 2).await;
    // Or agent 1 would have it at once.
    let pause = pb::PauseQueueRequest { queue: "q".into(), ..Default::default() };
    rig.queues().pause_queue(pause).await.expect("paused");
    rig.jobs().requeue_job(requeue(&ids[0], "r")).await.expect("requeued");
    drop(agent);
    rig.stop.cancel();
    assert!(rig.running.done().await);
    let rig = start().await;
    assert_eq!(list_dead(&rig, true).await, [ids[1].clone()]);
    let job = rig.job(&ids[0]).await;
    assert_eq!((job.state(), job.generation, job.attempts.len()), (State::Queued, 2, 1));
    rig.jobs().requeue_job(requeue(&ids[0], "r")).await.expect("said once, over the restart too");
    let resume = pb::ResumeQueueRequest { queue: "q".into(), ..Default::default() };
    rig.queues().resume_queue(resume).await.expect("resumed");
    let mut agent = rig.agent(2, 1).await;
    fail_next(&mut agent).await;
    let job = rig.job(&ids[0]).await;
    assert_eq!((job.state(), job.generation, job.dead_lettered), (State::Failed, 2, true));
}
