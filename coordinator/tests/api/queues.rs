//! Queues are shown, paused and resumed.

use prost::Message;
use tonic_types::StatusExt;
use windlass_coordinator::Options;
use windlass_shared::domain::AttemptState;
use windlass_shared::pb;

use crate::rig::{Rig, ended, exec, reason};

/// Of the spec of a job that the rig submits.
const BYTES: u64 = 8;

async fn pause(rig: &Rig, queue: &str, reason: &str) -> pb::Queue {
    let request = pb::PauseQueueRequest { queue: queue.into(), reason: reason.into(), ..Default::default() };
    rig.queues().pause_queue(request).await.expect("paused").into_inner().queue.expect("the queue")
}

async fn resume(rig: &Rig, queue: &str) -> pb::Queue {
    let request = pb::ResumeQueueRequest { queue: queue.into(), ..Default::default() };
    rig.queues().resume_queue(request).await.expect("resumed").into_inner().queue.expect("the queue")
}

async fn get(rig: &Rig, queue: &str) -> pb::Queue {
    let request = pb::GetQueueRequest { queue: queue.into() };
    rig.queues().get_queue(request).await.expect("shown").into_inner().queue.expect("the queue")
}

fn queue(name: &str, queued: u64, running: u64) -> pb::Queue {
    pb::Queue { name: name.into(), queued, running, queued_bytes: queued * BYTES, ..Default::default() }
}

#[tokio::test]
async fn a_paused_queue_hands_out_nothing_until_it_is_resumed() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 2).await;
    let paused = pause(&rig, "bulk", "too much").await;
    assert_eq!(paused, pb::Queue { paused: true, reason: "too much".into(), ..queue("bulk", 0, 0) });
    let held = rig.submit_spec(pb::JobSpec { queue: "bulk".into(), ..exec(&["true"]) }).await;
    assert_eq!(rig.job(&held).await.waiting_for, "queue bulk is paused: too much");
    let other = rig.submit().await;
    let (lease, _) = agent.assigned().await.remove(0);
    assert_eq!(lease.job.to_string(), other, "another queue goes on");
    assert!(!resume(&rig, "bulk").await.paused);
    let (lease, _) = agent.assigned().await.remove(0);
    assert_eq!(lease.job.to_string(), held);
}

#[tokio::test]
async fn what_runs_goes_on_while_its_queue_is_paused() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let id = rig.submit().await;
    let (lease, _) = agent.assigned().await.remove(0);
    assert_eq!(pause(&rig, "default", "").await.running, 1);
    agent.report(lease, ended(AttemptState::Succeeded, None, 0)).await;
    assert_eq!(rig.wait(&id).await.state(), pb::job::State::Succeeded);
}

#[tokio::test]
async fn a_queue_counts_what_waits_and_what_runs_and_one_without_jobs_is_empty() {
    let rig = Rig::start().await;
    assert_eq!(get(&rig, "never-heard-of").await, queue("never-heard-of", 0, 0));
    let _agent = rig.agent(1, 1).await;
    let first = rig.submit().await;
    rig.submit().await;
    assert_eq!(get(&rig, "default").await, queue("default", 1, 1));
    let request = pb::CancelJobRequest { job_id: first, ..Default::default() };
    rig.jobs().cancel_job(request).await.expect("asked");
    assert_eq!(get(&rig, "default").await, queue("default", 1, 1), "what is being cancelled has not ended");
}

#[tokio::test]
async fn pages_of_queues_go_by_name() {
    let rig = Rig::start().await;
    for name in ["c", "a", "b"] {
        pause(&rig, name, "").await;
    }
    rig.submit_spec(pb::JobSpec { queue: "z".into(), ..exec(&["true"]) }).await;
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListQueuesRequest { page_size: 2, page_token: token };
        let page = rig.queues().list_queues(request).await.expect("a page").into_inner();
        names.extend(page.queues.into_iter().map(|queue| queue.name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["a", "b", "c", "default", "z"]);
}

async fn update(rig: &Rig, queue: &str, settings: pb::QueueSettings, paths: &[&str]) -> pb::Queue {
    let update_mask =
        (!paths.is_empty()).then(|| prost_types::FieldMask { paths: paths.iter().map(ToString::to_string).collect() });
    let request =
        pb::UpdateQueueRequest { queue: queue.into(), settings: Some(settings), update_mask, ..Default::default() };
    rig.queues().update_queue(request).await.expect("updated").into_inner().queue.expect("the queue")
}

#[tokio::test]
async fn what_a_mask_names_is_set_or_taken_back_and_the_rest_stays() {
    let rig = Rig::start().await;
    let settings =
        pb::QueueSettings { weight: Some(3), max_running: Some(5), max_depth: Some(7), ..Default::default() };
    let shown = update(&rig, "bulk", settings, &["weight", "max_running"]).await.settings.expect("set");
    assert_eq!((shown.weight, shown.max_running, shown.max_depth), (Some(3), Some(5), None));
    let shown = update(&rig, "bulk", pb::QueueSettings::default(), &["weight"]).await.settings.expect("set");
    assert_eq!((shown.weight, shown.max_running), (Some(1), Some(5)));
    assert_eq!(update(&rig, "bulk", pb::QueueSettings::default(), &[]).await, queue("bulk", 0, 0), "nothing is set");
}

#[tokio::test]
async fn a_full_queue_refuses_each_job_that_is_too_many_and_takes_the_others_of_the_batch() {
    let rig = Rig::start().await;
    update(&rig, "small", pb::QueueSettings { max_depth: Some(2), ..Default::default() }, &[]).await;
    let item = |queue: &str| pb::SubmitJobRequest {
        spec: pb::JobSpec { queue: queue.into(), ..exec(&["true"]) }.encode_to_vec().into(),
        request_id: String::new(),
    };
    let requests = ["small", "small", "other", "small", "other"].map(item).to_vec();
    let answer = rig.jobs().batch_submit_jobs(pb::BatchSubmitJobsRequest { requests }).await.expect("answered");
    let results: Vec<_> = answer.into_inner().results.into_iter().filter_map(|one| one.result).collect();
    let taken =
        |one: &pb::batch_submit_jobs_result::Result| matches!(one, pb::batch_submit_jobs_result::Result::JobId(_));
    assert_eq!(results.iter().map(taken).collect::<Vec<_>>(), [true, true, true, false, true]);
    let status = rig.jobs().submit_job(item("small")).await.expect_err("it is full");
    assert_eq!((status.code(), &*reason(&status)), (tonic::Code::ResourceExhausted, "QUEUE_FULL"));
    let details = status.get_error_details();
    let quota = &details.quota_failure().expect("what there is no more of").violations[0];
    assert_eq!(quota.subject, "queues/small");
    assert!(details.retry_info().is_some());
    let shown = get(&rig, "small").await;
    assert_eq!(shown.queued, 2);
    assert_eq!(shown.queued_bytes, 2 * item("small").spec.len() as u64);
}

#[tokio::test]
async fn settings_outlive_the_coordinator_beside_a_pause_and_so_does_what_waits() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let options = || Options { data: Some(dir.path().into()), ..Options::default() };
    let rig = Rig::start_with(options()).await;
    let settings = pb::QueueSettings {
        weight: Some(2),
        max_running: Some(9),
        rate: Some(pb::Rate { cost: 5.0, period: None, burst: Some(1.0) }),
        max_depth: Some(1),
        max_bytes: Some(1_000),
        aging_step: Some(prost_types::Duration { seconds: 7, nanos: 0 }),
        placement: pb::queue_settings::Placement::Spread.into(),
        fairness_weights: [("tenant:1".to_owned(), 4)].into(),
        unsatisfiable_after: Some(prost_types::Duration { seconds: 9, nanos: 0 }),
    };
    pause(&rig, "bulk", "later").await;
    update(&rig, "bulk", settings, &[]).await;
    let spec = pb::JobSpec { queue: "bulk".into(), ..exec(&["true"]) };
    rig.submit_spec(spec.clone()).await;
    let before = get(&rig, "bulk").await;
    assert!(before.queued_bytes > 0);
    rig.stop.cancel();
    assert!(rig.running.done().await);
    let rig = Rig::start_with(options()).await;
    assert_eq!(get(&rig, "bulk").await, before);
    let request = pb::SubmitJobRequest { spec: spec.encode_to_vec().into(), request_id: String::new() };
    assert_eq!(reason(&rig.jobs().submit_job(request).await.expect_err("it is full")), "QUEUE_FULL");
    assert!(resume(&rig, "bulk").await.settings.is_some(), "they are not the pause's");
}

#[tokio::test]
async fn a_pause_outlives_the_coordinator() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let options = || Options { data: Some(dir.path().into()), ..Options::default() };
    let rig = Rig::start_with(options()).await;
    pause(&rig, "bulk", "too much").await;
    pause(&rig, "default", "").await;
    resume(&rig, "default").await;
    rig.stop.cancel();
    assert!(rig.running.done().await);
    let rig = Rig::start_with(options()).await;
    assert_eq!(get(&rig, "bulk").await, pb::Queue { paused: true, reason: "too much".into(), ..queue("bulk", 0, 0) });
    assert_eq!(get(&rig, "default").await, queue("default", 0, 0));
}
