//! Calls: where they go, what they wait for, and what their handlers answered.

use std::time::Duration;

use tonic::Code;
use windlass_shared::convert::{self, FromCoordinator};
use windlass_shared::domain::{AttemptState, CallResult, HandlerError, News, Outcome, Reason, ReportItem};
use windlass_shared::limits::PAYLOAD_BYTES_MAX;
use windlass_shared::pb;
use windlass_shared::pb::job::State;

use crate::rig::{Agent, Rig, call, exec, hello_with, pool, reason};

async fn worker(rig: &Rig) -> Agent {
    rig.greet(hello_with(1, &[pool("p", "resize", 1)])).await.0
}

fn answered(value: Vec<u8>, content_type: Option<&str>) -> News {
    let result = Some(CallResult { value: value.into(), content_type: content_type.map(Into::into) });
    News::Ended(Box::new(Outcome { result, ..Outcome::bare(AttemptState::Succeeded, None) }))
}

fn refused(error: HandlerError) -> News {
    let bare = Outcome::bare(AttemptState::Failed, Some(Reason::HandlerError));
    News::Ended(Box::new(Outcome { error: Some(error), detail: Some("no such picture".into()), ..bare }))
}

async fn result(rig: &Rig, id: &str) -> Result<pb::GetJobResultResponse, tonic::Status> {
    let request = pb::GetJobResultRequest { job_id: id.into() };
    rig.jobs().get_job_result(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_call_goes_to_the_pool_that_offers_it_and_its_answer_can_be_fetched() {
    let rig = Rig::start().await;
    let mut agent = worker(&rig).await;
    let id = rig.submit_spec(call("resize", "{\"w\":1}")).await;
    let (lease, spec) = agent.assigned().await.remove(0);
    assert_eq!(spec, call("resize", "{\"w\":1}"));
    agent.report(lease, answered(b"{\"ok\":true}".to_vec(), None)).await;
    let job = rig.wait(&id).await;
    assert_eq!((job.state(), job.attempts[0].result_bytes), (State::Succeeded, 11));
    let answer = result(&rig, &id).await.expect("on record");
    assert_eq!((&answer.result[..], &*answer.content_type), (&b"{\"ok\":true}"[..], "application/json"));
}

#[tokio::test]
async fn a_large_answer_of_another_kind_comes_back_as_it_was() {
    let rig = Rig::start().await;
    let mut agent = worker(&rig).await;
    let id = rig.submit_spec(call("resize", "1")).await;
    let (lease, _) = agent.assigned().await.remove(0);
    let picture: Vec<u8> = (0..256 << 10).map(|at: usize| (at * 31) as u8).collect();
    agent.report(lease, answered(picture.clone(), Some("image/png"))).await;
    assert_eq!(rig.wait(&id).await.attempts[0].result_bytes, 256 << 10);
    let answer = result(&rig, &id).await.expect("on record");
    assert_eq!((answer.result.to_vec(), &*answer.content_type), (picture, "image/png"));
}

#[tokio::test]
async fn an_answer_too_large_fails_its_job_and_leaves_the_stream_and_the_news_beside_it_alone() {
    let rig = Rig::start().await;
    let (mut agent, _) = rig.greet(hello_with(1, &[pool("p", "resize", 2)])).await;
    let (large, small) = (rig.submit_spec(call("resize", "1")).await, rig.submit_spec(call("resize", "2")).await);
    let (first, _) = agent.assigned().await.remove(0);
    let (second, _) = agent.assigned().await.remove(0);
    let news = |lease, bytes| ReportItem { lease, news: answered(vec![b'1'; bytes], None) };
    agent.say(convert::report(1, &[news(first, PAYLOAD_BYTES_MAX + 1), news(second, 1)])).await;
    match agent.hear().await {
        Ok(FromCoordinator::ReportAck(ack)) => assert_eq!((ack.sequence, ack.stale), (1, vec![])),
        other => panic!("expected the acknowledgement, heard {other:?}"),
    }
    let job = rig.wait(&large).await;
    assert_eq!((job.state(), job.reason()), (State::Failed, pb::Reason::WorkerProtocol));
    assert!(job.detail.contains("262145 bytes, the limit is 262144"), "{}", job.detail);
    assert_eq!((job.failures, job.attempts[0].result_bytes), (1, 0));
    assert_eq!(rig.wait(&small).await.state(), State::Succeeded);
}

#[tokio::test]
async fn an_end_of_a_kind_that_is_not_known_here_is_an_end_and_leaves_the_stream_alone() {
    let rig = Rig::start().await;
    let mut agent = worker(&rig).await;
    let id = rig.submit_spec(call("resize", "1")).await;
    let (lease, _) = agent.assigned().await.remove(0);
    let mut report = convert::report(1, &[ReportItem { lease, news: answered(Vec::new(), None) }]);
    let Some(pb::connect_request::Message::Report(wire)) = &mut report.message else { unreachable!() };
    let Some(pb::report_item::News::Ended(ended)) = &mut wire.items[0].news else { unreachable!() };
    ended.state = 99;
    agent.say(report).await;
    assert!(matches!(agent.hear().await, Ok(FromCoordinator::ReportAck(ack)) if ack.stale.is_empty()));
    let job = rig.job(&id).await;
    assert_eq!((job.infra_losses, job.attempts[0].state()), (1, pb::attempt::State::Interrupted));
    assert!(job.detail.ends_with("not known here, 99"), "{}", job.detail);
}

#[tokio::test]
async fn a_result_is_refused_with_the_reason_where_there_is_none() {
    let rig = Rig::start().await;
    let command = rig.submit_spec(exec(&["true"])).await;
    let status = result(&rig, &command).await.expect_err("a command");
    assert_eq!((status.code(), &*reason(&status)), (Code::FailedPrecondition, "JOB_HAS_NO_RESULT"));
    let waiting = rig.submit_spec(call("resize", "1")).await;
    let status = result(&rig, &waiting).await.expect_err("waits");
    assert_eq!((status.code(), &*reason(&status)), (Code::FailedPrecondition, "JOB_NOT_SUCCEEDED"));
    assert!(status.message().contains("QUEUED"), "{}", status.message());
    let mut agent = worker(&rig).await;
    let (lease, _) = agent.assigned().await.remove(0);
    agent.report(lease, News::Ended(Box::new(Outcome::bare(AttemptState::Succeeded, None)))).await;
    rig.wait(&waiting).await;
    let status = result(&rig, &waiting).await.expect_err("nothing was answered");
    assert_eq!((status.code(), &*reason(&status)), (Code::NotFound, "RESULT_NOT_FOUND"));
}

#[tokio::test]
async fn a_handlers_error_is_shown_with_its_attempt() {
    let rig = Rig::start().await;
    let mut agent = worker(&rig).await;
    let mut spec = call("resize", "1");
    spec.retry = Some(pb::RetryPolicy { max_attempts: Some(9), ..pb::RetryPolicy::default() });
    let id = rig.submit_spec(spec).await;
    let (lease, _) = agent.assigned().await.remove(0);
    let retry_after = Some(Duration::from_secs(3600));
    let (code, cooldown_key) = (Some("BUSY".into()), Some("api.example".into()));
    agent.report(lease, refused(HandlerError { retry_after, code, permanent: false, cooldown_key })).await;
    let job = rig.job(&id).await;
    assert_eq!((job.state(), job.reason(), job.failures), (State::Delayed, pb::Reason::HandlerError, 1));
    assert!(job.waiting_for.starts_with("a retry in 3"), "{}", job.waiting_for);
    let attempt = &job.attempts[0];
    assert_eq!((attempt.error.as_ref().expect("set").code.as_str(), &*attempt.detail), ("BUSY", "no such picture"));

    let id = rig.submit_spec(call("resize", "2")).await;
    let (lease, _) = agent.assigned().await.remove(0);
    agent.report(lease, refused(HandlerError { permanent: true, ..HandlerError::default() })).await;
    let job = rig.wait(&id).await;
    assert_eq!((job.state(), job.waiting_for.as_str()), (State::Failed, ""));
    let status = result(&rig, &id).await.expect_err("it failed");
    assert!(status.message().contains("FAILED"), "{}", status.message());
}

#[tokio::test]
async fn a_job_says_what_it_waits_for() {
    let rig = Rig::start().await;
    let id = rig.submit_spec(call("resize", "1")).await;
    assert_eq!(rig.job(&id).await.waiting_for, "no agent is connected");
    let _other = rig.greet(hello_with(2, &[pool("p", "crop", 1)])).await;
    assert_eq!(rig.job(&id).await.waiting_for, "no agent offers the handler resize");
    let mut agent = worker(&rig).await;
    agent.assigned().await;
    assert_eq!(rig.job(&id).await.waiting_for, "");
    let behind = rig.submit_spec(call("resize", "2")).await;
    assert_eq!(rig.job(&behind).await.waiting_for, "all workers of resize are taken (1 of 1)");
}

#[tokio::test]
async fn jobs_are_found_by_labels_group_and_time() {
    let rig = Rig::start().await;
    let mut spec = call("resize", "1");
    spec.labels.insert("team".into(), "a".into());
    spec.group = "g1".into();
    let first = rig.submit_spec(spec).await;
    let mut spec = exec(&["true"]);
    spec.labels.insert("team".into(), "b".into());
    let second = rig.submit_spec(spec).await;
    let list = async |change: &dyn Fn(&mut pb::ListJobsRequest)| {
        let mut request = pb::ListJobsRequest::default();
        change(&mut request);
        let page = rig.jobs().list_jobs(request).await.expect("a page").into_inner();
        page.jobs.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    let label = |value: &'static str| {
        move |request: &mut pb::ListJobsRequest| drop(request.labels.insert("team".into(), value.into()))
    };
    assert_eq!(list(&label("a")).await, [first.as_str()]);
    assert_eq!(list(&label("")).await, [second.as_str(), first.as_str()]);
    assert_eq!(list(&label("c")).await, [""; 0]);
    assert_eq!(list(&|request| request.group = "g1".into()).await, [first.as_str()]);
    let created = rig.job(&second).await.create_time.expect("set");
    assert_eq!(list(&|request| request.created_from = Some(created)).await, [second.as_str()]);
    assert_eq!(list(&|request| request.created_before = Some(created)).await, [first.as_str()]);
}
