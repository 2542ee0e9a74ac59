//! What attempts write: pushed by agents, read by the piece, followed to its end.

use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use windlass_shared::convert;
use windlass_shared::domain::{AttemptState, Lease, LogChunk, LogStream, PushedLog, PushedLogs, Reason};
use windlass_shared::pb;
use windlass_shared::pb::agent_service_client::AgentServiceClient;

use crate::rig::{PATIENCE, Rig, ended, exec, started};

/// Pushes a piece and answers the offset it was acknowledged to.
async fn push(rig: &Rig, lease: Lease, offset: u64, data: &'static str) -> u64 {
    let chunk = LogChunk { stream: LogStream::Stdout, offset, data: bytes::Bytes::from_static(data.as_bytes()) };
    let (up, requests) = mpsc::channel(1);
    up.send(convert::push_logs(PushedLogs { kept: vec![PushedLog { lease, chunk }], newest: vec![] }))
        .await
        .expect("room");
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

type Tail = tonic::Streaming<pb::TailJobLogsResponse>;

async fn follow(rig: &Rig, request: pb::TailJobLogsRequest) -> Tail {
    rig.jobs().tail_job_logs(request).await.expect("a stream").into_inner()
}

/// The next answer: its attempt, what was written with the offset of it, and whether the attempt is complete.
async fn answer(tail: &mut Tail) -> (u32, Vec<(u64, String)>, bool) {
    let next = tokio::time::timeout(PATIENCE, tail.next()).await.expect("an answer in time");
    let answer = next.expect("one more").expect("ok");
    let text = |chunk: &pb::LogChunk| (chunk.offset, String::from_utf8_lossy(&chunk.data).into_owned());
    (answer.attempt, answer.chunks.iter().map(text).collect(), answer.complete)
}

async fn assert_over(tail: &mut Tail) {
    let next = tokio::time::timeout(PATIENCE, tail.next()).await.expect("an end in time");
    assert!(next.is_none(), "{next:?}");
}

fn wrote(offset: u64, text: &str) -> Vec<(u64, String)> {
    vec![(offset, text.to_owned())]
}

async fn submit_twice(rig: &Rig) -> String {
    let retry = pb::RetryPolicy {
        preset: pb::retry_policy::Preset::Aggressive.into(),
        max_attempts: Some(2),
        ..Default::default()
    };
    rig.submit_spec(pb::JobSpec { retry: Some(retry), ..exec(&["true"]) }).await
}

#[tokio::test]
async fn a_follower_hears_at_once_where_it_stands_and_of_a_retry_as_it_begins_and_ends_with_the_job() {
    let rig = Rig::start().await;
    let id = submit_twice(&rig).await;
    let mut tail = follow(&rig, pb::TailJobLogsRequest { job_id: id.clone(), ..Default::default() }).await;
    assert_eq!(answer(&mut tail).await, (0, vec![], false), "no attempt was made");
    let mut agent = rig.agent(1, 1).await;
    let (first, _) = agent.assigned().await.remove(0);
    agent.report(first, started()).await;
    assert_eq!(answer(&mut tail).await, (1, vec![], false), "it runs, and says nothing");
    push(&rig, first, 0, "one").await;
    assert_eq!(answer(&mut tail).await, (1, wrote(0, "one"), false));
    agent.report(first, ended(AttemptState::Failed, Some(Reason::ExitCode), 3)).await;
    assert_eq!(answer(&mut tail).await, (1, vec![], true));
    let (second, _) = agent.assigned().await.remove(0);
    agent.report(second, started()).await;
    assert_eq!(answer(&mut tail).await, (2, vec![], false), "the retry begins");
    push(&rig, second, 0, "two").await;
    assert_eq!(answer(&mut tail).await, (2, wrote(0, "two"), false));
    agent.report(second, ended(AttemptState::Succeeded, None, 3)).await;
    assert_eq!(answer(&mut tail).await, (2, vec![], true));
    assert_over(&mut tail).await;
}

#[tokio::test]
async fn one_attempt_is_followed_to_its_end_and_no_further_unless_the_later_ones_are_wanted() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let id = submit_twice(&rig).await;
    let from = |attempt, stdout_offset, and_later| pb::TailJobLogsRequest {
        job_id: id.clone(),
        attempt,
        stdout_offset,
        and_later,
        ..Default::default()
    };
    let mut early = follow(&rig, from(2, 0, true)).await;
    assert_eq!(answer(&mut early).await, (0, vec![], false), "it need not be there yet");
    let (first, _) = agent.assigned().await.remove(0);
    agent.report(first, started()).await;
    push(&rig, first, 0, "one").await;
    agent.report(first, ended(AttemptState::Failed, Some(Reason::ExitCode), 3)).await;
    let (second, _) = agent.assigned().await.remove(0);
    agent.report(second, started()).await;
    push(&rig, second, 0, "two").await;
    agent.report(second, ended(AttemptState::Succeeded, None, 3)).await;

    let mut only = follow(&rig, from(1, 0, false)).await;
    assert_eq!(answer(&mut only).await, (1, wrote(0, "one"), true));
    assert_over(&mut only).await;
    let mut resumed = follow(&rig, from(1, 2, true)).await;
    assert_eq!(answer(&mut resumed).await, (1, wrote(2, "e"), true), "from the byte that was asked for");
    assert_eq!(answer(&mut resumed).await, (2, wrote(0, "two"), true), "and the next from its first");
    assert_over(&mut resumed).await;
    let mut past = follow(&rig, from(3, 0, true)).await;
    assert_over(&mut past).await;
    let mut said = String::new();
    loop {
        let (attempt, chunks, complete) = answer(&mut early).await;
        assert_eq!(attempt, 2, "the first was not asked for");
        said.extend(chunks.into_iter().map(|(_, text)| text));
        if complete {
            break;
        }
    }
    assert_eq!(said, "two");
    assert_over(&mut early).await;
}

#[tokio::test]
async fn a_stop_of_the_coordinator_is_no_end_of_a_log() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let id = rig.submit().await;
    let (lease, _) = agent.assigned().await.remove(0);
    agent.report(lease, started()).await;
    let mut tail = follow(&rig, pb::TailJobLogsRequest { job_id: id, ..Default::default() }).await;
    assert_eq!(answer(&mut tail).await, (1, vec![], false));
    rig.stop.cancel();
    let next = async {
        let next = tokio::time::timeout(PATIENCE, tail.next()).await.expect("in time");
        next.expect("a word").expect_err("that it stops").code()
    };
    assert_eq!(next.await, Code::Unavailable);
}

/// Says what is newest of an output of which the middle goes, and that it was said.
async fn show(rig: &Rig, lease: Lease, offset: u64, data: &'static str) {
    let chunk = LogChunk { stream: LogStream::Stdout, offset, data: bytes::Bytes::from_static(data.as_bytes()) };
    let (up, requests) = mpsc::channel(1);
    let newest = vec![PushedLog { lease, chunk }];
    up.send(convert::push_logs(PushedLogs { kept: vec![], newest })).await.expect("room");
    let mut client = AgentServiceClient::new(rig.channel.clone());
    let mut answers = client.push_logs(ReceiverStream::new(requests)).await.expect("a stream").into_inner();
    let answer = tokio::time::timeout(PATIENCE, answers.next()).await.expect("in time").expect("one").expect("ok");
    assert_eq!(answer.acks, [], "what is not kept is not acknowledged");
}

#[tokio::test]
async fn of_a_flood_a_follower_sees_the_beginning_what_is_newest_as_it_goes_on_and_the_end() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let id = rig.submit().await;
    let (lease, _) = agent.assigned().await.remove(0);
    agent.report(lease, started()).await;
    let mut tail = follow(&rig, pb::TailJobLogsRequest { job_id: id.clone(), ..Default::default() }).await;
    assert_eq!(answer(&mut tail).await, (1, vec![], false));
    push(&rig, lease, 0, "head").await;
    assert_eq!(answer(&mut tail).await, (1, wrote(0, "head"), false));
    show(&rig, lease, 100, "abc").await;
    assert_eq!(answer(&mut tail).await, (1, wrote(100, "abc"), false), "the offset says what lies between");
    show(&rig, Lease { fencing_token: lease.fencing_token + 1, ..lease }, 150, "lies").await;
    show(&rig, lease, 200, "def").await;
    assert_eq!(answer(&mut tail).await, (1, wrote(200, "def"), false));
    assert_eq!(read(&rig, &id, 0).await, ("headabcdef".into(), 203, false), "so does who reads by the piece");
    push(&rig, lease, 202, "fghi").await;
    assert_eq!(answer(&mut tail).await, (1, wrote(203, "ghi"), false), "of the end what was not seen before");
    agent.report(lease, ended(AttemptState::Succeeded, None, 206)).await;
    assert_eq!(answer(&mut tail).await, (1, vec![], true));
    assert_over(&mut tail).await;
    assert_eq!(read(&rig, &id, 0).await, ("headfghi".into(), 206, true), "what was newest is not kept");
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
