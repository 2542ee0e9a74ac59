//! What attempts write: pushed by agents, read by the piece, followed to its end.

use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use windlass_shared::convert;
use windlass_shared::domain::{AttemptState, Lease, LogChunk, LogStream, PushedLog, Reason};
use windlass_shared::pb;
use windlass_shared::pb::agent_service_client::AgentServiceClient;

use crate::rig::{PATIENCE, Rig, ended, exec, started};

/// Pushes a piece and answers the offset it was acknowledged to.
async fn push(rig: &Rig, lease: Lease, offset: u64, data: &'static str) -> u64 {
    let chunk = LogChunk { stream: LogStream::Stdout, offset, data: bytes::Bytes::from_static(data.as_bytes()) };
    let (up, requests) = mpsc::channel(1);
    up.send(convert::push_logs(vec![PushedLog { lease, chunk }])).await.expect("room");
    let mut client = AgentServiceClient::new(rig.channel.clone());
    let mut answers = client.push_logs(ReceiverStream::new(requests)).await.expect("a stream").into_inner();
    let answer = tokio::time::timeout(PATIENCE, answers.next()).await.expect("in time").expect("one").expect("ok");
    answer.acks[0].offset
}

async fn read(rig: &Rig, id: &str, offset: u64) -> (String, u64, bool) {
    let request = pb::ReadJobLogsRequest {
        job_id: id.into(),
        stream: pb::log_chunk::Stream::Stdout.into(),
        offset,
        ..Default::default()
    };
    let answer = rig.jobs().read_job_logs(request).await.expect("read").into_inner();
    let text = answer.chunks.iter().map(|chunk| String::from_utf8_lossy(&chunk.data).into_owned()).collect();
    (text, answer.next_offset, answer.complete)
}

#[tokio::test]
async fn a_log_is_complete_only_when_the_end_and_all_its_bytes_are_here() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let id = rig.submit().await;
    assert_eq!(read(&rig, &id, 0).await, (String::new(), 0, false));
    let (lease, _) = agent.assigned().await.remove(0);
    assert_eq!(push(&rig, lease, 0, "hello ").await, 6);
    assert_eq!(read(&rig, &id, 0).await, ("hello ".into(), 6, false));
    agent.report(lease, ended(AttemptState::Succeeded, None, 11)).await;
    assert_eq!(read(&rig, &id, 6).await, (String::new(), 6, false), "the outcome came before the last bytes");
    assert_eq!(push(&rig, lease, 6, "world").await, 11);
    assert_eq!(read(&rig, &id, 6).await, ("world".into(), 11, true));
}

#[tokio::test]
async fn a_follower_sees_every_byte_of_every_attempt_and_ends_with_the_job() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let retry = pb::RetryPolicy { preset: pb::retry_policy::Preset::Aggressive.into(), max_attempts: Some(2) };
    let id = rig.submit_spec(pb::JobSpec { retry: Some(retry), ..exec(&["true"]) }).await;
    let request = pb::TailJobLogsRequest { job_id: id.clone(), ..Default::default() };
    let mut tail = rig.jobs().tail_job_logs(request).await.expect("a stream").into_inner();
    let (first, _) = agent.assigned().await.remove(0);
    agent.report(first, started()).await;
    push(&rig, first, 0, "one").await;
    agent.report(first, ended(AttemptState::Failed, Some(Reason::ExitCode), 3)).await;
    let (second, _) = agent.assigned().await.remove(0);
    agent.report(second, ended(AttemptState::Succeeded, None, 3)).await;
    push(&rig, second, 0, "two").await;
    let mut seen = Vec::new();
    while let Some(message) = tokio::time::timeout(PATIENCE, tail.next()).await.expect("it ends") {
        let message = message.expect("ok");
        for chunk in message.chunks {
            seen.push((message.attempt, String::from_utf8_lossy(&chunk.data).into_owned()));
        }
    }
    assert_eq!(seen, [(1, "one".to_owned()), (2, "two".to_owned())]);
}

#[tokio::test]
async fn a_log_pushed_under_another_lease_is_acknowledged_and_not_kept() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let id = rig.submit().await;
    let (lease, _) = agent.assigned().await.remove(0);
    let forged = Lease { fencing_token: lease.fencing_token + 1, ..lease };
    assert_eq!(push(&rig, forged, 0, "lies").await, 4);
    assert_eq!(read(&rig, &id, 0).await, (String::new(), 0, false));
}

#[tokio::test]
async fn logs_of_unknown_jobs_and_attempts_are_not_found() {
    let rig = Rig::start().await;
    let id = rig.submit().await;
    let stream = pb::log_chunk::Stream::Stdout.into();
    let request = pb::ReadJobLogsRequest { job_id: id.clone(), attempt: 7, stream, ..Default::default() };
    assert_eq!(rig.jobs().read_job_logs(request).await.expect_err("no such attempt").code(), Code::NotFound);
    let request = pb::TailJobLogsRequest { job_id: id, attempt: 7, ..Default::default() };
    assert_eq!(rig.jobs().tail_job_logs(request).await.expect_err("no such attempt").code(), Code::NotFound);
}
