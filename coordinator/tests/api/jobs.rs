//! A job's way through the coordinator, with an agent played by hand.

use prost::Message;
use tokio_stream::StreamExt;
use tonic::Code;
use windlass_shared::convert::FromCoordinator;
use windlass_shared::domain::{AttemptState, News, Reason};
use windlass_shared::pb;
use windlass_shared::pb::job::State;

use crate::rig::{PATIENCE, Rig, ended, exec, fields, reason, started};

#[tokio::test]
async fn a_job_goes_its_whole_way_and_every_step_is_on_record() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let id = rig.submit_spec(exec(&["echo", "hello"])).await;
    let (lease, spec) = agent.assigned().await.remove(0);
    assert_eq!(lease.job.to_string(), id);
    assert_eq!(spec, exec(&["echo", "hello"]));
    assert_eq!(rig.job(&id).await.state(), State::Leased);
    assert!(agent.report(lease, started()).await.is_empty());
    assert_eq!(rig.job(&id).await.state(), State::Running);
    assert!(agent.report(lease, ended(AttemptState::Succeeded, None, 0)).await.is_empty());
    let job = rig.wait(&id).await;
    assert_eq!(job.state(), State::Succeeded);
    assert_eq!(job.attempts.len(), 1);
    let attempt = &job.attempts[0];
    assert_eq!((attempt.number, attempt.state(), &*attempt.agent_name), (1, pb::attempt::State::Succeeded, "a1"));
    assert_eq!(attempt.exit.as_ref().expect("an exit").code, Some(0));
    assert_eq!(attempt.exit.as_ref().expect("an exit").proof(), pb::exit::Proof::Keeper);
    assert_eq!(job.spec, exec(&["echo", "hello"]).encode_to_vec(), "the very bytes that were submitted");
}

#[tokio::test]
async fn bytes_of_a_spec_that_this_coordinator_does_not_know_reach_the_agent_untouched() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let mut spec = exec(&["true"]).encode_to_vec();
    spec.extend([0xfa, 0x3f, 0x03, b'n', b'e', b'w']); // field 1023, from a newer client
    let request = pb::SubmitJobRequest { spec: spec.clone().into(), request_id: String::new() };
    rig.jobs().submit_job(request).await.expect("unknown fields are no error");
    match agent.hear().await {
        Ok(FromCoordinator::Assign(_, list)) => assert_eq!(list[0].spec, spec),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_batch_answers_item_by_item_and_a_bad_one_harms_no_other() {
    let rig = Rig::start().await;
    let item =
        |spec: pb::JobSpec| pb::SubmitJobRequest { spec: spec.encode_to_vec().into(), request_id: String::new() };
    let requests = vec![item(exec(&["true"])), item(exec(&[])), item(exec(&["false"]))];
    let answer = rig.jobs().batch_submit_jobs(pb::BatchSubmitJobsRequest { requests }).await.expect("answered");
    let results: Vec<_> = answer.into_inner().results.into_iter().map(|result| result.result.expect("set")).collect();
    use pb::batch_submit_jobs_result::Result::{Error, JobId};
    let [JobId(first), Error(wrong), JobId(third)] = &results[..] else { panic!("{results:?}") };
    assert_eq!(wrong.code, Code::InvalidArgument as i32);
    assert!(wrong.message.contains("requests[1].spec.exec.argv"), "{}", wrong.message);
    let listed = rig.jobs().list_jobs(pb::ListJobsRequest::default()).await.expect("listed").into_inner().jobs;
    let ids: Vec<_> = listed.iter().map(|job| &job.id).collect();
    assert_eq!(ids, [third, first], "newest first, and nothing else");
}

#[tokio::test]
async fn pages_of_a_list_hold_every_job_once_and_tokens_keep_to_their_filter() {
    let rig = Rig::start().await;
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.insert(0, rig.submit().await);
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListJobsRequest { page_size: 2, page_token: token, ..Default::default() };
        let page = rig.jobs().list_jobs(request).await.expect("a page").into_inner();
        assert!(page.jobs.len() <= 2);
        seen.extend(page.jobs.into_iter().map(|job| job.id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        let other = pb::ListJobsRequest { queue: "other".into(), page_token: token.clone(), ..Default::default() };
        let refused = rig.jobs().list_jobs(other).await.expect_err("another filter");
        assert_eq!(fields(&refused), ["page_token"]);
    }
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_list_filters_by_state_queue_and_beginning_of_the_id() {
    let rig = Rig::start().await;
    let plain = rig.submit().await;
    let special = rig.submit_spec(pb::JobSpec { queue: "special".into(), ..exec(&["true"]) }).await;
    rig.jobs().cancel_job(pb::CancelJobRequest { job_id: plain.clone(), ..Default::default() }).await.expect("ok");
    let list = async |request: pb::ListJobsRequest| {
        let page = rig.jobs().list_jobs(request).await.expect("a page").into_inner();
        page.jobs.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    let by_state = pb::ListJobsRequest { states: vec![State::Cancelled.into()], ..Default::default() };
    assert_eq!(list(by_state).await.concat(), plain);
    let by_queue = pb::ListJobsRequest { queue: "special".into(), ..Default::default() };
    assert_eq!(list(by_queue).await.concat(), special);
    let by_id = pb::ListJobsRequest { id_prefix: special.clone(), ..Default::default() };
    assert_eq!(list(by_id).await, [special]);
}

#[tokio::test]
async fn a_wait_ends_with_the_job_or_with_its_time() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let id = rig.submit().await;
    let (lease, _) = agent.assigned().await.remove(0);
    let short = Some(prost_types::Duration { seconds: 0, nanos: 1_000_000 });
    let request = pb::WaitJobRequest { job_id: id.clone(), timeout: short };
    let early = rig.jobs().wait_job(request).await.expect("an answer").into_inner();
    assert!(!early.done);
    let (waited, _) = tokio::join!(rig.wait(&id), agent.report(lease, ended(AttemptState::Succeeded, None, 0)));
    assert_eq!(waited.state(), State::Succeeded);
}

#[tokio::test]
async fn watchers_see_every_change_in_order_and_can_go_on_from_any_of_them() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let request = pb::WatchJobsRequest { job_ids: vec![], after_revision: Some(0) };
    let mut stream = rig.jobs().watch_jobs(request).await.expect("a stream").into_inner();
    let id = rig.submit().await;
    let (lease, _) = agent.assigned().await.remove(0);
    agent.report(lease, started()).await;
    agent.report(lease, ended(AttemptState::Succeeded, None, 0)).await;
    let mut events = Vec::new();
    while events.len() < 4 {
        let message = tokio::time::timeout(PATIENCE, stream.next()).await.expect("in time").expect("more").expect("ok");
        events.extend(message.events);
    }
    let states: Vec<_> = events.iter().map(pb::JobEvent::state).collect();
    assert_eq!(states, [State::Queued, State::Leased, State::Running, State::Succeeded]);
    assert!(events.windows(2).all(|pair| pair[0].revision < pair[1].revision));
    assert!(events.iter().all(|event| event.job_id == id));
    let after = pb::ListJobEventsRequest { after_revision: events[1].revision, ..Default::default() };
    let page = rig.jobs().list_job_events(after).await.expect("a page").into_inner();
    assert_eq!(page.events, events[2..]);
    assert_eq!(page.revision, events[3].revision);
}

#[tokio::test]
async fn a_cancel_stops_the_attempt_and_is_on_record_only_when_it_has_ended() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let id = rig.submit().await;
    let (lease, _) = agent.assigned().await.remove(0);
    agent.report(lease, started()).await;
    let request = pb::CancelJobRequest { job_id: id.clone(), reason: "mistake".into(), ..Default::default() };
    let job = rig.jobs().cancel_job(request.clone()).await.expect("ok").into_inner().job.expect("the job");
    assert_eq!((job.state(), job.cancel_requested, &*job.detail), (State::Cancelling, true, "mistake"));
    match agent.hear().await {
        Ok(FromCoordinator::Stop(orders)) => {
            assert_eq!((orders.len(), orders[0].lease, orders[0].reason), (1, lease, Reason::CancelRequested));
        }
        other => panic!("{other:?}"),
    }
    agent.report(lease, ended(AttemptState::Cancelled, Some(Reason::CancelRequested), 0)).await;
    let done = rig.wait(&id).await;
    assert_eq!(done.state(), State::Cancelled);
    let again = rig.jobs().cancel_job(request).await.expect("cancelling the finished is no error").into_inner().job;
    assert_eq!(again, Some(done), "and changes nothing");
}

#[tokio::test]
async fn a_late_report_is_acknowledged_as_stale_and_changes_nothing() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    let id = rig.submit().await;
    let (lease, _) = agent.assigned().await.remove(0);
    agent.report(lease, ended(AttemptState::Succeeded, None, 0)).await;
    let before = rig.job(&id).await;
    let stale = agent.report(lease, ended(AttemptState::Failed, Some(Reason::ExitCode), 9)).await;
    assert_eq!(stale, [lease]);
    assert_eq!(rig.job(&id).await, before);
}

fn under(request_id: &str, spec: &pb::JobSpec) -> pb::SubmitJobRequest {
    pb::SubmitJobRequest { spec: spec.encode_to_vec().into(), request_id: request_id.into() }
}

#[tokio::test]
async fn a_submit_repeated_under_its_request_id_makes_one_job() {
    let rig = Rig::start().await;
    let mut spec = exec(&["true"]);
    spec.labels.extend([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
    let first = rig.jobs().submit_job(under("one", &spec)).await.expect("new").into_inner().job.expect("the job");
    // The same spec as another encoder might write it: the map's entries the other way round.
    let (a, b) = (pb::JobSpec { labels: [spec.labels.pop_last().expect("two")].into(), ..Default::default() }, spec);
    let backwards = [a.encode_to_vec(), b.encode_to_vec()].concat();
    let again = pb::SubmitJobRequest { spec: backwards.into(), request_id: "one".into() };
    let second = rig.jobs().submit_job(again).await.expect("known").into_inner().job.expect("the job");
    assert_eq!(second.id, first.id);
    let batch = pb::BatchSubmitJobsRequest { requests: vec![under("two", &exec(&["true"])); 2] };
    let results = rig.jobs().batch_submit_jobs(batch).await.expect("answered").into_inner().results;
    assert_eq!(results[0].result, results[1].result, "twice in one call is twice too");
    assert_eq!((results[0].existing, results[1].existing), (false, true));
    let listed = rig.jobs().list_jobs(pb::ListJobsRequest::default()).await.expect("listed").into_inner().jobs;
    assert_eq!(listed.len(), 2);
}

#[tokio::test]
async fn a_request_id_with_another_spec_is_refused_naming_the_job_it_made() {
    let rig = Rig::start().await;
    let first = rig.jobs().submit_job(under("one", &exec(&["true"]))).await.expect("new").into_inner().job.expect("it");
    let refused = rig.jobs().submit_job(under("one", &exec(&["false"]))).await.expect_err("another spec");
    assert_eq!((refused.code(), &*reason(&refused)), (Code::AlreadyExists, "REQUEST_ID_TAKEN"));
    assert!(refused.message().contains(&first.id), "{}", refused.message());
    let listed = rig.jobs().list_jobs(pb::ListJobsRequest::default()).await.expect("listed").into_inner().jobs;
    assert_eq!(listed.len(), 1);
}

#[tokio::test]
async fn a_refused_submit_leaves_its_request_id_free() {
    let options = windlass_coordinator::Options { jobs_live_max: 1, ..Default::default() };
    let rig = Rig::start_with(options).await;
    let blocker = rig.submit().await;
    rig.jobs().submit_job(under("one", &exec(&["true"]))).await.expect_err("full");
    rig.jobs().cancel_job(pb::CancelJobRequest { job_id: blocker, ..Default::default() }).await.expect("room again");
    rig.jobs().submit_job(under("one", &exec(&["false"]))).await.expect("nothing was made under it");
}

#[tokio::test]
async fn submits_past_the_limit_are_refused_with_a_time_to_come_again() {
    let options = windlass_coordinator::Options { jobs_live_max: 1, ..Default::default() };
    let rig = Rig::start_with(options).await;
    let id = rig.submit().await;
    let request = pb::SubmitJobRequest { spec: exec(&["true"]).encode_to_vec().into(), request_id: String::new() };
    let refused = rig.jobs().submit_job(request).await.expect_err("full");
    assert_eq!((refused.code(), &*reason(&refused)), (Code::ResourceExhausted, "JOBS_FULL"));
    assert!(windlass_shared::status::told(&refused).retry_after.is_some());
    // What must never be shed is not.
    rig.jobs().cancel_job(pb::CancelJobRequest { job_id: id, ..Default::default() }).await.expect("cancel goes on");
    rig.submit().await;
}

#[tokio::test]
async fn work_given_back_is_handed_out_again_under_a_new_lease() {
    let rig = Rig::start().await;
    let mut agent = rig.agent(1, 1).await;
    rig.submit().await;
    let (first, _) = agent.assigned().await.remove(0);
    agent.report(first, News::Returned(Reason::Returned)).await;
    let (second, _) = agent.assigned().await.remove(0);
    assert_eq!((second.job, second.attempt), (first.job, 2));
    assert!(second.fencing_token > first.fencing_token);
}

#[tokio::test]
async fn a_refused_submit_that_came_twice_in_one_call_makes_no_job_up() {
    let options = windlass_coordinator::Options { jobs_live_max: 1, ..Default::default() };
    let rig = Rig::start_with(options).await;
    rig.submit().await;
    let batch = pb::BatchSubmitJobsRequest { requests: vec![under("one", &exec(&["true"])); 2] };
    let results = rig.jobs().batch_submit_jobs(batch).await.expect("answered").into_inner().results;
    use pb::batch_submit_jobs_result::Result::Error;
    assert!(results.iter().all(|result| matches!(result.result, Some(Error(_)))), "{results:?}");
}

#[tokio::test]
async fn pages_of_large_jobs_are_short_and_hold_them_all() {
    let rig = Rig::start().await;
    let large = exec(&["true", &"x".repeat(110_000)]);
    for _ in 0..45 {
        rig.submit_spec(large.clone()).await;
    }
    let (mut seen, mut token) = (0, String::new());
    loop {
        let request = pb::ListJobsRequest { page_size: 1_000, page_token: token, ..Default::default() };
        let page = rig.jobs().list_jobs(request).await.expect("it fits a message").into_inner();
        seen += page.jobs.len();
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, 45);
}
