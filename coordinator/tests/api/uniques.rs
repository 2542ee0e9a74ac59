//! Unique keys through the API: who is answered, and what a repeated request is answered.

use prost::Message;
use tonic::Code;
use windlass_coordinator::Options;
use windlass_shared::pb;
use windlass_shared::pb::unique::OnConflict;

use crate::rig::{Rig, exec, reason};

fn request(on_conflict: OnConflict, request_id: &str) -> pb::SubmitJobRequest {
    let unique = Some(pb::Unique { key: "daily".into(), on_conflict: on_conflict.into() });
    let spec = pb::JobSpec { unique, ..exec(&["true"]) };
    pb::SubmitJobRequest { spec: spec.encode_to_vec().into(), request_id: request_id.into() }
}

async fn submit(rig: &Rig, request: pb::SubmitJobRequest) -> (String, bool) {
    let answer = rig.jobs().submit_job(request).await.expect("answered").into_inner();
    (answer.job.expect("the job").id, answer.existing)
}

#[tokio::test]
async fn the_job_that_has_the_key_is_the_answer_and_a_repeat_is_answered_the_same_after_its_end() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let options = || Options { data: Some(dir.path().into()), ..Options::default() };
    let rig = Rig::start_with(options()).await;
    let (first, existing) = submit(&rig, request(OnConflict::Reject, "")).await;
    assert!(!existing);
    let again = request(OnConflict::ReturnExisting, "r1");
    assert_eq!(submit(&rig, again.clone()).await, (first.clone(), true));
    let cancel = pb::CancelJobRequest { job_id: first.clone(), ..Default::default() };
    rig.jobs().cancel_job(cancel).await.expect("cancelled");
    assert_eq!(submit(&rig, again.clone()).await, (first.clone(), true), "the request was answered so");
    rig.stop.cancel();
    assert!(rig.running.done().await);
    let rig = Rig::start_with(options()).await;
    assert_eq!(submit(&rig, again).await, (first.clone(), true), "over a restart too");
    let (other, existing) = submit(&rig, request(OnConflict::ReturnExisting, "r2")).await;
    assert_ne!(other, first);
    assert!(!existing, "nobody has the key any more");
}

#[tokio::test]
async fn a_key_that_is_taken_is_refused_by_the_name_of_who_has_it() {
    let rig = Rig::start().await;
    let (first, _) = submit(&rig, request(OnConflict::Reject, "")).await;
    let refused = rig.jobs().submit_job(request(OnConflict::Reject, "r1")).await.expect_err("taken");
    assert_eq!((refused.code(), &*reason(&refused)), (Code::AlreadyExists, "UNIQUE_KEY_TAKEN"));
    assert!(refused.message().contains(&first), "{refused}");
    let cancel = pb::CancelJobRequest { job_id: first.clone(), ..Default::default() };
    rig.jobs().cancel_job(cancel).await.expect("cancelled");
    let (second, existing) = submit(&rig, request(OnConflict::Reject, "r1")).await;
    assert!(second != first && !existing, "a refused request may be made again under its id");
}

#[tokio::test]
async fn in_one_batch_the_last_to_replace_stays_and_every_request_keeps_its_own_answer() {
    let rig = Rig::start().await;
    let requests = vec![
        request(OnConflict::ReplaceQueued, "a"),
        request(OnConflict::ReplaceQueued, "b"),
        request(OnConflict::ReturnExisting, "c"),
        request(OnConflict::Reject, "d"),
    ];
    let batch = pb::BatchSubmitJobsRequest { requests: requests.clone() };
    let results = rig.jobs().batch_submit_jobs(batch).await.expect("answered").into_inner().results;
    let ids: Vec<_> = results
        .iter()
        .map(|one| match &one.result {
            Some(pb::batch_submit_jobs_result::Result::JobId(id)) => Some(id.clone()),
            _ => None,
        })
        .collect();
    assert_eq!((ids[1].as_ref(), results[2].existing), (ids[2].as_ref(), true));
    assert!(ids[0].is_some() && ids[0] != ids[1] && ids[3].is_none());
    let replaced = rig.job(ids[0].as_ref().expect("it was taken in")).await;
    assert_eq!(replaced.state(), pb::job::State::Cancelled);
    assert!(replaced.detail.starts_with("replaced by job"), "{}", replaced.detail);
    for (request, id) in requests.into_iter().zip(&ids).take(3) {
        assert_eq!(Some(submit(&rig, request).await), id.clone().map(|id| (id, true)));
    }
    let queue = rig.queues().get_queue(pb::GetQueueRequest { queue: "default".into() }).await.expect("shown");
    assert_eq!(queue.into_inner().queue.expect("the queue").queued, 1);
}
