//! Every RPC × bad input. The list of RPCs comes from the descriptor: one without rows fails.
#![allow(clippy::needless_pass_by_value)] // a row is made of what is written in it

mod demands;
mod filters;
mod finished;
mod limits_rows;
mod pools;
mod retries;

use std::collections::BTreeSet;

use bytes::Bytes;
use prost::Message;
use tonic::{Code, Status};
use windlass_shared::limits;
use windlass_shared::pb;

use crate::rig::{Rig, exec, fields};

/// RPCs that are served with streams from the client; `sessions.rs` and `logs.rs` have their rows.
const ELSEWHERE: [&str; 2] = ["AgentService/Connect", "AgentService/PushLogs"];
const NOBODY: &str = "0193a5b0-7c3e-7f00-8000-0123456789ab";

struct Row {
    rpc: &'static str,
    request: Vec<u8>,
    code: Code,
    fields: Vec<&'static str>,
}

fn row(rpc: &'static str, request: impl Message, code: Code, fields: &[&'static str]) -> Row {
    Row { rpc, request: request.encode_to_vec(), code, fields: fields.to_vec() }
}

fn invalid(rpc: &'static str, request: impl Message, fields: &[&'static str]) -> Row {
    row(rpc, request, Code::InvalidArgument, fields)
}

fn submit(spec: pb::JobSpec) -> pb::SubmitJobRequest {
    pb::SubmitJobRequest { spec: spec.encode_to_vec().into(), request_id: String::new() }
}

fn with_exec(change: impl FnOnce(&mut pb::Exec)) -> pb::JobSpec {
    let mut exec = pb::Exec { argv: vec!["true".into()], ..Default::default() };
    change(&mut exec);
    pb::JobSpec { work: Some(pb::job_spec::Work::Exec(exec)), ..Default::default() }
}

fn with_spec(change: impl FnOnce(&mut pb::JobSpec)) -> pb::JobSpec {
    let mut spec = exec(&["true"]);
    change(&mut spec);
    spec
}

fn with_headers(headers: impl IntoIterator<Item = (String, String)>) -> pb::JobSpec {
    let call = pb::Call { handler: "h".into(), headers: headers.into_iter().collect(), ..Default::default() };
    pb::JobSpec { work: Some(pb::job_spec::Work::Call(call)), ..Default::default() }
}

fn env(name: &str, value: &str) -> pb::JobSpec {
    with_exec(|exec| drop(exec.env.insert(name.into(), value.into())))
}

fn seconds(seconds: i64, nanos: i32) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos })
}

fn bad_specs() -> Vec<(pb::JobSpec, &'static str)> {
    let long = |n: usize| "x".repeat(n);
    let retry = |preset, max_attempts| Some(pb::RetryPolicy { preset, max_attempts, ..pb::RetryPolicy::default() });
    vec![
        (pb::JobSpec::default(), "spec"), // encodes to nothing
        (pb::JobSpec { priority: 1, ..Default::default() }, "spec.work"),
        (exec(&[]), "spec.exec.argv"),
        (exec(&[""]), "spec.exec.argv"),
        (exec(&["a", "b\0c"]), "spec.exec.argv[1]"),
        (exec(&["a", &long(limits::ARG_BYTES_MAX + 1)]), "spec.exec.argv[1]"),
        (exec(&vec!["a"; limits::ARGV_ITEMS_MAX + 1]), "spec.exec.argv"),
        (env("A=B", "x"), "spec.exec.env[A=B]"),
        (env("", "x"), "spec.exec.env[]"),
        (env("A", "x\0y"), "spec.exec.env[A]"),
        (env("WINDLASS_JOB_ID", "x"), "spec.exec.env[WINDLASS_JOB_ID]"),
        (with_exec(|exec| exec.cwd = "relative".into()), "spec.exec.cwd"),
        (with_exec(|exec| exec.cwd = "/a\0b".into()), "spec.exec.cwd"),
        (with_exec(|exec| exec.stdin = vec![0; limits::PAYLOAD_BYTES_MAX + 1].into()), "spec.exec.stdin"),
        (with_spec(|spec| spec.queue = "two words".into()), "spec.queue"),
        (with_spec(|spec| spec.queue = long(limits::NAME_BYTES_MAX + 1)), "spec.queue"),
        (with_spec(|spec| spec.priority = 101), "spec.priority"),
        (with_spec(|spec| spec.priority = -101), "spec.priority"),
        (with_spec(|spec| drop(spec.labels.insert(String::new(), "x".into()))), "spec.labels"),
        (with_spec(|spec| spec.labels.extend((0..10_001).map(|n| (n.to_string(), String::new())))), "spec.labels"),
        (with_spec(|spec| drop(spec.labels.insert("k".into(), long(257)))), "spec.labels[k]"),
        (with_spec(|spec| spec.run_timeout = seconds(-1, 0)), "spec.run_timeout"),
        (with_spec(|spec| spec.run_timeout = seconds(0, 0)), "spec.run_timeout"),
        (with_spec(|spec| spec.run_timeout = seconds(1, 1_000_000_000)), "spec.run_timeout"),
        (with_spec(|spec| spec.run_timeout = seconds(366 * 86_400, 0)), "spec.run_timeout"),
        (with_spec(|spec| spec.stop_grace = seconds(3_601, 0)), "spec.stop_grace"),
        (with_spec(|spec| spec.stop_grace = seconds(0, -1)), "spec.stop_grace"),
        (with_spec(|spec| spec.stop_signal = Some(0)), "spec.stop_signal"),
        (with_spec(|spec| spec.stop_signal = Some(32)), "spec.stop_signal"),
        (with_spec(|spec| spec.retry = retry(99, None)), "spec.retry.preset"),
        (with_spec(|spec| spec.retry = retry(0, Some(0))), "spec.retry.max_attempts"),
        (with_spec(|spec| spec.retry = retry(0, Some(1_001))), "spec.retry.max_attempts"),
        (with_spec(|spec| spec.execution = 9), "spec.execution"),
        (with_spec(|spec| spec.on_disconnect = 9), "spec.on_disconnect"),
        (with_spec(|spec| spec.on_agent_lost = 9), "spec.on_agent_lost"),
    ]
}

fn bad_calls() -> Vec<(pb::JobSpec, &'static str)> {
    let called_with = |input: &[u8], content_type: &str| {
        let call = pb::Call {
            handler: "h".into(),
            input: Bytes::copy_from_slice(input),
            content_type: content_type.into(),
            ..Default::default()
        };
        pb::JobSpec { work: Some(pb::job_spec::Work::Call(call)), ..Default::default() }
    };
    let call = |handler: &str, input: usize| {
        let call = pb::Call { handler: handler.into(), input: vec![0; input].into(), ..Default::default() };
        pb::JobSpec { work: Some(pb::job_spec::Work::Call(call)), ..Default::default() }
    };
    vec![
        (call("", 0), "spec.call.handler"),
        (call("h", limits::PAYLOAD_BYTES_MAX + 1), "spec.call.input"),
        (called_with(b"{\"a\":", ""), "spec.call.input"),
        (called_with(b"\"\xff\"", "application/json"), "spec.call.input"),
        (called_with(b"1 2", ""), "spec.call.input"),
        (called_with(b"1", "text/\n"), "spec.call.content_type"),
        (pb::JobSpec { group: "a b".into(), ..call("h", 0) }, "spec.group"),
        (with_headers([("a b".into(), String::new())]), "spec.call.headers[a b]"),
        (with_headers([("a".into(), "x".repeat(limits::HEADERS_BYTES_MAX))]), "spec.call.headers"),
        (with_headers((0..65).map(|n| (n.to_string(), String::new()))), "spec.call.headers"),
        (with_spec(|spec| spec.traceparent = "00-1-2-3".into()), "spec.traceparent"),
        (with_spec(|spec| spec.tracestate = "a=b".into()), "spec.tracestate"),
    ]
}

fn submit_rows() -> Vec<Row> {
    let rpc = "JobService/SubmitJob";
    let raw = |spec: Vec<u8>| pb::SubmitJobRequest { spec: spec.into(), request_id: String::new() };
    let mut rows: Vec<Row> = bad_specs()
        .into_iter()
        .chain(bad_calls())
        .chain(demands::bad_demands())
        .chain(retries::bad_retries())
        .map(|(spec, field)| invalid(rpc, submit(spec), &[field]))
        .collect();
    let long_id = pb::SubmitJobRequest { request_id: "x".repeat(37), ..submit(exec(&["true"])) };
    rows.push(invalid(rpc, long_id, &["request_id"]));
    rows.push(invalid(rpc, raw(vec![]), &["spec"]));
    rows.push(invalid(rpc, raw(vec![0xff; 10]), &["spec"]));
    rows.push(invalid(rpc, raw(vec![0; limits::SPEC_BYTES_MAX + 1]), &["spec"]));
    rows
}

fn job_rows() -> Vec<Row> {
    let get = |id: &str| pb::GetJobRequest { job_id: id.into() };
    let wait = |id: &str, timeout| pb::WaitJobRequest { job_id: id.into(), timeout };
    let cancel =
        |id: &str, reason: String, request_id: String| pb::CancelJobRequest { job_id: id.into(), reason, request_id };
    let abandon =
        |id: &str, reason: String, request_id: String| pb::AbandonJobRequest { job_id: id.into(), reason, request_id };
    let update = |id: &str, priority: Option<i32>, queue: &str, request: usize| {
        let (job_id, queue, request_id) = (id.into(), queue.into(), "x".repeat(request));
        pb::UpdateJobRequest { job_id, priority, queue, request_id }
    };
    let requeue = |id: &str, request: &str| pb::RequeueJobRequest { job_id: id.into(), request_id: request.into() };
    let list = |change: fn(&mut pb::ListJobsRequest)| {
        let mut request = pb::ListJobsRequest::default();
        change(&mut request);
        request
    };
    vec![
        invalid("JobService/BatchSubmitJobs", pb::BatchSubmitJobsRequest::default(), &["requests"]),
        invalid(
            "JobService/BatchSubmitJobs",
            pb::BatchSubmitJobsRequest { requests: vec![pb::SubmitJobRequest::default(); limits::BATCH_ITEMS_MAX + 1] },
            &["requests"],
        ),
        invalid("JobService/GetJob", get(""), &["job_id"]),
        invalid("JobService/GetJob", get("7"), &["job_id"]),
        row("JobService/GetJob", get(NOBODY), Code::NotFound, &[]),
        invalid("JobService/ListJobs", list(|request| request.page_size = -1), &["page_size"]),
        invalid("JobService/ListJobs", list(|request| request.page_token = "x".into()), &["page_token"]),
        invalid("JobService/ListJobs", list(|request| request.states = vec![99]), &["states[0]"]),
        invalid("JobService/ListJobs", list(|request| request.states = vec![3, 0]), &["states[1]"]),
        invalid("JobService/ListJobs", list(|request| request.states = vec![1; 17]), &["states"]),
        invalid("JobService/ListJobs", list(|request| request.queue = "a b".into()), &["queue"]),
        invalid("JobService/ListJobs", list(|request| request.id_prefix = "XYZ".into()), &["id_prefix"]),
        invalid("JobService/WaitJob", wait("7", None), &["job_id"]),
        invalid("JobService/WaitJob", wait(NOBODY, seconds(-1, 0)), &["timeout"]),
        invalid("JobService/WaitJob", wait(NOBODY, seconds(61, 0)), &["timeout"]),
        row("JobService/WaitJob", wait(NOBODY, None), Code::NotFound, &[]),
        invalid("JobService/CancelJob", cancel("7", String::new(), String::new()), &["job_id"]),
        invalid("JobService/CancelJob", cancel(NOBODY, "x".repeat(1_025), String::new()), &["reason"]),
        invalid("JobService/CancelJob", cancel(NOBODY, String::new(), "x".repeat(37)), &["request_id"]),
        row("JobService/CancelJob", cancel(NOBODY, String::new(), String::new()), Code::NotFound, &[]),
        invalid("JobService/UpdateJob", update("7", Some(1), "", 0), &["job_id"]),
        invalid("JobService/UpdateJob", update(NOBODY, Some(101), "", 0), &["priority"]),
        invalid("JobService/UpdateJob", update(NOBODY, None, "a b", 0), &["queue"]),
        invalid("JobService/UpdateJob", update(NOBODY, Some(1), "", 37), &["request_id"]),
        row("JobService/UpdateJob", update(NOBODY, Some(1), "", 0), Code::NotFound, &[]),
        invalid("JobService/ExplainJob", pb::ExplainJobRequest { job_id: "7".into() }, &["job_id"]),
        row("JobService/ExplainJob", pb::ExplainJobRequest { job_id: NOBODY.into() }, Code::NotFound, &[]),
        invalid("JobService/AbandonJob", abandon("7", String::new(), String::new()), &["job_id"]),
        invalid("JobService/AbandonJob", abandon(NOBODY, "x".repeat(1_025), String::new()), &["reason"]),
        invalid("JobService/AbandonJob", abandon(NOBODY, String::new(), "x".repeat(37)), &["request_id"]),
        row("JobService/AbandonJob", abandon(NOBODY, String::new(), String::new()), Code::NotFound, &[]),
        invalid("JobService/RequeueJob", requeue("7", ""), &["job_id"]),
        invalid("JobService/RequeueJob", requeue(NOBODY, &"x".repeat(37)), &["request_id"]),
        row("JobService/RequeueJob", requeue(NOBODY, ""), Code::NotFound, &[]),
        invalid("JobService/GetJobResult", pb::GetJobResultRequest { job_id: "7".into() }, &["job_id"]),
        row("JobService/GetJobResult", pb::GetJobResultRequest { job_id: NOBODY.into() }, Code::NotFound, &[]),
    ]
}

fn stream_rows() -> Vec<Row> {
    let watch = |ids: Vec<String>, after_revision| pb::WatchJobsRequest { job_ids: ids, after_revision };
    let events =
        |page_size, after_revision| pb::ListJobEventsRequest { page_size, after_revision, ..Default::default() };
    let read = |id: &str, stream| pb::ReadJobLogsRequest { job_id: id.into(), stream, ..Default::default() };
    let tail = |id: &str| pb::TailJobLogsRequest { job_id: id.into(), ..Default::default() };
    vec![
        invalid("JobService/WatchJobs", watch(vec![NOBODY.into(), "7".into()], None), &["job_ids[1]"]),
        invalid("JobService/WatchJobs", watch(vec![NOBODY.into(); limits::WATCH_IDS_MAX + 1], None), &["job_ids"]),
        row("JobService/WatchJobs", watch(vec![], Some(1_000)), Code::DataLoss, &[]),
        invalid("JobService/ListJobEvents", events(-1, 0), &["page_size"]),
        row("JobService/ListJobEvents", events(0, 1_000), Code::DataLoss, &[]),
        invalid("JobService/ReadJobLogs", read("7", 1), &["job_id"]),
        invalid("JobService/ReadJobLogs", read(NOBODY, 0), &["stream"]),
        invalid("JobService/ReadJobLogs", read(NOBODY, 99), &["stream"]),
        row("JobService/ReadJobLogs", read(NOBODY, 1), Code::NotFound, &[]),
        invalid("JobService/TailJobLogs", tail("7"), &["job_id"]),
        row("JobService/TailJobLogs", tail(NOBODY), Code::NotFound, &[]),
    ]
}

fn other_rows() -> Vec<Row> {
    let agents = |page_size, token: &str| pb::ListAgentsRequest {
        page_size,
        page_token: token.into(),
        ..pb::ListAgentsRequest::default()
    };
    let labelled = |labels: &[(String, String)]| pb::ListAgentsRequest {
        labels: labels.iter().cloned().collect(),
        ..pb::ListAgentsRequest::default()
    };
    let many: Vec<_> = (0..=limits::LABEL_FILTERS_MAX).map(|n| (n.to_string(), String::new())).collect();
    vec![
        invalid("FleetService/ListAgents", agents(-1, ""), &["page_size"]),
        invalid("FleetService/ListAgents", agents(0, "x"), &["page_token"]),
        invalid("FleetService/ListAgents", labelled(&many), &["labels"]),
        invalid("FleetService/ListAgents", labelled(&[(String::new(), "x".into())]), &["labels"]),
        invalid("FleetService/ListAgents", labelled(&[("k".into(), "x".repeat(257))]), &["labels"]),
        invalid("FleetService/GetAgent", pb::GetAgentRequest { agent_id: "7".into() }, &["agent_id"]),
        row("FleetService/GetAgent", pb::GetAgentRequest { agent_id: NOBODY.into() }, Code::NotFound, &[]),
    ]
}

fn operator_rows() -> Vec<Row> {
    let (long, id) = ("x".repeat(limits::REASON_BYTES_MAX + 1), "x".repeat(limits::REQUEST_ID_BYTES_MAX + 1));
    let cordon = |agent: &str, reason: &str, request: &str| pb::CordonAgentRequest {
        agent_id: agent.into(),
        reason: reason.into(),
        request_id: request.into(),
    };
    let drain = |agent: &str, deadline, reason: &str, request: &str| pb::DrainAgentRequest {
        agent_id: agent.into(),
        deadline,
        reason: reason.into(),
        request_id: request.into(),
    };
    let lost = |agent: &str, reason: &str, request: &str| pb::ForceLostAgentRequest {
        agent_id: agent.into(),
        reason: reason.into(),
        request_id: request.into(),
    };
    let uncordon =
        |agent: &str, request: &str| pb::UncordonAgentRequest { agent_id: agent.into(), request_id: request.into() };
    vec![
        invalid("FleetService/CordonAgent", cordon("7", "", ""), &["agent_id"]),
        invalid("FleetService/CordonAgent", cordon(NOBODY, &long, ""), &["reason"]),
        invalid("FleetService/CordonAgent", cordon(NOBODY, "", &id), &["request_id"]),
        row("FleetService/CordonAgent", cordon(NOBODY, "", ""), Code::NotFound, &[]),
        invalid("FleetService/DrainAgent", drain("", None, "", ""), &["agent_id"]),
        invalid("FleetService/DrainAgent", drain(NOBODY, seconds(-1, 0), "", ""), &["deadline"]),
        invalid("FleetService/DrainAgent", drain(NOBODY, seconds(366 * 86_400, 0), "", ""), &["deadline"]),
        invalid("FleetService/DrainAgent", drain(NOBODY, seconds(0, 1_000_000_000), "", ""), &["deadline"]),
        invalid("FleetService/DrainAgent", drain(NOBODY, None, &long, ""), &["reason"]),
        invalid("FleetService/DrainAgent", drain(NOBODY, None, "", &id), &["request_id"]),
        row("FleetService/DrainAgent", drain(NOBODY, None, "", ""), Code::NotFound, &[]),
        invalid("FleetService/UncordonAgent", uncordon("7", ""), &["agent_id"]),
        invalid("FleetService/UncordonAgent", uncordon(NOBODY, &id), &["request_id"]),
        row("FleetService/UncordonAgent", uncordon(NOBODY, ""), Code::NotFound, &[]),
        invalid("FleetService/ForceLostAgent", lost("7", "", ""), &["agent_id"]),
        invalid("FleetService/ForceLostAgent", lost(NOBODY, &long, ""), &["reason"]),
        invalid("FleetService/ForceLostAgent", lost(NOBODY, "", &id), &["request_id"]),
        row("FleetService/ForceLostAgent", lost(NOBODY, "", ""), Code::NotFound, &[]),
        invalid("FleetService/GetCounters", pb::GetCountersRequest { agent_id: "7".into() }, &["agent_id"]),
        row("FleetService/GetCounters", pb::GetCountersRequest { agent_id: NOBODY.into() }, Code::NotFound, &[]),
    ]
}

fn queue_rows() -> Vec<Row> {
    let list = |page_size, token: &str| pb::ListQueuesRequest { page_size, page_token: token.into() };
    let get = |queue: &str| pb::GetQueueRequest { queue: queue.into() };
    let pause = |queue: &str, reason: usize, request: usize| pb::PauseQueueRequest {
        queue: queue.into(),
        reason: "x".repeat(reason),
        request_id: "x".repeat(request),
    };
    let resume =
        |queue: &str, request: usize| pb::ResumeQueueRequest { queue: queue.into(), request_id: "x".repeat(request) };
    let purge = |queue: &str, request: usize| {
        let (queue, request_id) = (queue.into(), "x".repeat(request));
        pb::PurgeQueueRequest { queue, request_id, ..Default::default() }
    };
    let long = "x".repeat(limits::NAME_BYTES_MAX + 1);
    vec![
        invalid("QueueService/ListQueues", list(-1, ""), &["page_size"]),
        invalid("QueueService/ListQueues", list(0, "x"), &["page_token"]),
        invalid("QueueService/GetQueue", get(""), &["queue"]),
        invalid("QueueService/GetQueue", get("a b"), &["queue"]),
        invalid("QueueService/PauseQueue", pause("", 0, 0), &["queue"]),
        invalid("QueueService/PauseQueue", pause(&long, 0, 0), &["queue"]),
        invalid("QueueService/PauseQueue", pause("q", limits::REASON_BYTES_MAX + 1, 0), &["reason"]),
        invalid("QueueService/PauseQueue", pause("q", 0, limits::REQUEST_ID_BYTES_MAX + 1), &["request_id"]),
        invalid("QueueService/PurgeQueue", purge("", 0), &["queue"]),
        invalid("QueueService/PurgeQueue", purge("q", limits::REQUEST_ID_BYTES_MAX + 1), &["request_id"]),
        invalid("QueueService/ResumeQueue", resume("", 0), &["queue"]),
        invalid("QueueService/ResumeQueue", resume("q", limits::REQUEST_ID_BYTES_MAX + 1), &["request_id"]),
    ]
}

fn rows() -> Vec<Row> {
    let all = [
        submit_rows(),
        job_rows(),
        filters::filter_rows(),
        finished::finished_rows(),
        stream_rows(),
        other_rows(),
        operator_rows(),
        queue_rows(),
        limits_rows::limit_rows(),
        limits_rows::settings_rows(),
        limits_rows::mask_rows(),
        pools::pool_rows(),
        pools::worker_rows(),
    ];
    all.into_iter().flatten().collect()
}

/// Every RPC of the contract, from the descriptor.
fn rpcs() -> BTreeSet<String> {
    let set = prost_types::FileDescriptorSet::decode(pb::DESCRIPTORS).expect("our own");
    let services = set.file.into_iter().filter(|file| file.package() == "windlass.v1").flat_map(|file| file.service);
    let methods = services.flat_map(|service| {
        let name = service.name().to_owned();
        service.method.into_iter().map(move |method| format!("{name}/{}", method.name()))
    });
    methods.collect()
}

/// Calls by name with these bytes, as a client in another language would; a stream counts as answered by its first message.
async fn call(rig: &Rig, rpc: &str, request: Vec<u8>) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(rig.channel.clone());
    grpc.ready().await.expect("connected");
    let path = format!("/windlass.v1.{rpc}").parse().expect("a path");
    let answer = grpc.server_streaming(tonic::Request::new(Raw(request.into())), path, RawCodec).await;
    answer?.into_inner().message().await.map(drop)
}

#[tokio::test]
async fn every_rpc_names_what_is_wrong_with_its_input_and_nothing_changes() {
    let rig = Rig::start().await;
    for row in rows() {
        let shown = String::from_utf8_lossy(&row.request[..row.request.len().min(60)]).into_owned();
        let status = call(&rig, row.rpc, row.request).await.expect_err(row.rpc);
        assert_eq!(status.code(), row.code, "{} {shown:?}: {status:?}", row.rpc);
        assert_eq!(fields(&status), row.fields, "{} {shown:?}: {status:?}", row.rpc);
        assert!(!crate::rig::reason(&status).is_empty(), "{}: ErrorInfo names a reason", row.rpc);
    }
    let jobs = rig.jobs().list_jobs(pb::ListJobsRequest::default()).await.expect("listed").into_inner().jobs;
    assert!(jobs.is_empty(), "nothing was submitted");
    let events = rig.jobs().list_job_events(pb::ListJobEventsRequest::default()).await.expect("listed").into_inner();
    assert_eq!((events.events.len(), events.revision), (0, 0), "nothing was recorded");
    let queues = rig.queues().list_queues(pb::ListQueuesRequest::default()).await.expect("listed").into_inner().queues;
    assert_eq!(queues, [pb::Queue { name: "default".into(), ..Default::default() }], "nothing was paused");
    let limits = rig.limits().list_limits(pb::ListLimitsRequest::default()).await.expect("listed").into_inner().limits;
    assert!(limits.is_empty(), "nothing was limited");
}

#[test]
fn every_rpc_of_the_contract_has_rows() {
    let covered: BTreeSet<String> =
        rows().iter().map(|row| row.rpc.to_owned()).chain(ELSEWHERE.map(str::to_owned)).collect();
    assert_eq!(covered, rpcs());
}

#[tokio::test]
async fn a_request_past_the_message_limit_is_refused_and_the_connection_lives() {
    let rig = Rig::start().await;
    let request =
        pb::SubmitJobRequest { spec: vec![0; limits::MESSAGE_BYTES_MAX + 1].into(), request_id: String::new() };
    let status = call(&rig, "JobService/SubmitJob", request.encode_to_vec()).await.expect_err("too large");
    assert_eq!(status.code(), Code::OutOfRange, "tonic's code for it: {status:?}");
    rig.submit().await;
}

#[tokio::test]
async fn many_wrong_fields_are_all_named_up_to_what_a_trailer_can_carry() {
    let rig = Rig::start().await;
    let spec = with_spec(|spec| {
        *spec = exec(&["a\0"; 40]);
        spec.priority = 999;
    });
    let status = rig.jobs().submit_job(submit(spec)).await.expect_err("wrong");
    let named = fields(&status);
    assert_eq!(named.len(), 16);
    assert!(named.contains(&"spec.priority".to_owned()));
}

#[tokio::test]
async fn ten_thousand_bad_jobs_of_one_batch_are_all_answered_however_much_is_wrong_with_each() {
    let rig = Rig::start().await;
    let spec = with_spec(|spec| {
        *spec = exec(&["\0"; 16]);
        spec.queue = "two words".into();
    });
    let requests = vec![submit(spec); limits::BATCH_ITEMS_MAX];
    let answer = rig.jobs().batch_submit_jobs(pb::BatchSubmitJobsRequest { requests }).await.expect("answered");
    let results = answer.into_inner().results;
    assert_eq!(results.len(), limits::BATCH_ITEMS_MAX);
    for (i, result) in results.into_iter().enumerate() {
        let Some(pb::batch_submit_jobs_result::Result::Error(item)) = result.result else { panic!("{i} was taken") };
        let status = Status::with_details(Code::from(item.code), &item.message, item.encode_to_vec().into());
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(fields(&status)[0].starts_with(&format!("requests[{i}].spec.")), "{:?}", fields(&status));
    }
}

/// Bytes as they are: what the generated types would refuse to encode must still be sent.
#[derive(Clone, Default)]
struct Raw(Bytes);

#[derive(Clone, Copy)]
struct RawCodec;

impl tonic::codec::Codec for RawCodec {
    type Encode = Raw;
    type Decode = Raw;
    type Encoder = RawCodec;
    type Decoder = RawCodec;

    fn encoder(&mut self) -> RawCodec {
        Self
    }

    fn decoder(&mut self) -> RawCodec {
        Self
    }
}

impl tonic::codec::Encoder for RawCodec {
    type Item = Raw;
    type Error = Status;

    fn encode(&mut self, item: Raw, dst: &mut tonic::codec::EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put(dst, item.0);
        Ok(())
    }
}

impl tonic::codec::Decoder for RawCodec {
    type Item = Raw;
    type Error = Status;

    fn decode(&mut self, src: &mut tonic::codec::DecodeBuf<'_>) -> Result<Option<Raw>, Status> {
        let len = bytes::Buf::remaining(src);
        Ok(Some(Raw(bytes::Buf::copy_to_bytes(src, len))))
    }
}
