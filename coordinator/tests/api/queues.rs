//! Queues are shown, paused and resumed.

use windlass_coordinator::Options;
use windlass_shared::domain::AttemptState;
use windlass_shared::pb;

use crate::rig::{Rig, ended, exec};

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
    pb::Queue { name: name.into(), queued, running, ..Default::default() }
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
