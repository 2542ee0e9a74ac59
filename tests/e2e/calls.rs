//! Calls on workers that die, print junk and outlive coordinators: every job ends as it should, once, and its neighbours do not notice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use prost::Message;
use rustix::process::Signal;
use tonic::transport::{Channel, Endpoint};
use windlass_shared::pb;
use windlass_shared::pb::attempt::State as AttemptState;
use windlass_shared::pb::fleet_service_client::FleetServiceClient;
use windlass_shared::pb::job::State;
use windlass_shared::pb::job_service_client::JobServiceClient;

use crate::rig::{PATIENCE, Rig, Running, binary, within};

const BATCH: usize = 2_000;
/// Calls under way at a time, of those whose attempts are looked at.
const LOOKS: usize = 64;

fn pool(rig: &Rig, workers: u32) -> String {
    let (worker, mark) = (binary("examples/worker").display().to_string(), rig.mark_env());
    let (name, value) = mark.split_once('=').expect("a mark");
    format!("[[pool]]\nname = \"p\"\ncommand = [{worker:?}]\nmax = {workers}\nenv = {{ {name} = {value:?} }}\n")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

async fn client(url: &str) -> JobServiceClient<Channel> {
    let channel = Endpoint::from_shared(url.to_owned()).expect("an address").connect().await.expect("it serves");
    JobServiceClient::new(channel)
}

fn call(handler: &str, input: usize) -> pb::JobSpec {
    let call = pb::Call { handler: handler.into(), input: input.to_string().into(), ..pb::Call::default() };
    // Several in a row are bad luck: a worker's death is its call's own failure.
    let preset = pb::retry_policy::Preset::Aggressive.into();
    let retry = Some(pb::RetryPolicy { preset, ..pb::RetryPolicy::default() });
    pb::JobSpec { work: Some(pb::job_spec::Work::Call(call)), retry, ..pb::JobSpec::default() }
}

/// Submits calls with the numbers from 1 as their inputs; the jobs' ids by them.
async fn submit(client: &mut JobServiceClient<Channel>, handler: &str, calls: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for from in (0..calls).step_by(BATCH) {
        let item = |input| pb::SubmitJobRequest {
            spec: call(handler, input).encode_to_vec().into(),
            request_id: format!("call-{input}"),
        };
        let requests = (from + 1..=calls.min(from + BATCH)).map(item).collect();
        let answer = client.batch_submit_jobs(pb::BatchSubmitJobsRequest { requests }).await.expect("submitted");
        for result in answer.into_inner().results {
            match result.result {
                Some(pb::batch_submit_jobs_result::Result::JobId(id)) => ids.push(id),
                other => panic!("not submitted: {other:?}"),
            }
        }
    }
    ids
}

/// Final states by job, and how often each was told.
#[derive(Default)]
struct Ends {
    told: BTreeMap<String, u32>,
    revision: u64,
}

impl Ends {
    /// Watches until `count` jobs have ended.
    async fn watch(&mut self, client: &mut JobServiceClient<Channel>, count: usize) {
        let request = pb::WatchJobsRequest { job_ids: Vec::new(), after_revision: Some(self.revision) };
        let mut watch = client.watch_jobs(request).await.expect("watched").into_inner();
        while self.told.len() < count {
            let next = tokio::time::timeout(PATIENCE, watch.message()).await.expect("something happens");
            let Ok(Some(message)) = next else { return };
            self.revision = message.revision;
            for event in message.events {
                match event.state() {
                    State::Succeeded => *self.told.entry(event.job_id).or_default() += 1,
                    State::Failed | State::Cancelled | State::Expired => panic!("it must succeed: {event:?}"),
                    _ => {}
                }
            }
        }
    }
}

async fn job(client: &mut JobServiceClient<Channel>, id: &str) -> pb::Job {
    let request = pb::GetJobRequest { job_id: id.to_owned() };
    client.get_job(request).await.expect("on record").into_inner().job.expect("a job")
}

fn start(rig: &Rig, url: &str, workers: u32) -> Vec<Running> {
    ["a1", "a2"].map(|name| rig.agent_with(url, name, workers + 1, &pool(rig, workers))).into_iter().collect()
}

#[test]
fn twenty_thousand_calls_on_workers_that_die_and_print_junk_end_once_each_over_a_coordinators_death() {
    const CALLS: usize = 20_000;
    let rig = Rig::new();
    let mut coordinator = rig.coordinator();
    let url = coordinator.url.clone();
    let _agents = start(&rig, &url, 2);
    runtime().block_on(async {
        let mut calls = client(&url).await;
        let ids = submit(&mut calls, "shaky", CALLS).await;
        let mut ends = Ends::default();
        ends.watch(&mut calls, CALLS / 4).await;
        coordinator.signal(Signal::KILL);
        coordinator.ended();
        coordinator = rig.coordinator_at(url.strip_prefix("http://").expect("an address"), &[]);
        calls = client(&url).await;
        ends.watch(&mut calls, CALLS).await;
        assert!(ends.told.values().all(|times| *times == 1), "no end was recorded twice");
        let (mut deaths, mut of_fate) = (0, 0);
        let looks: Vec<_> = ids.iter().enumerate().map(|(at, id)| (at + 1, id.clone())).collect();
        for some in looks.chunks(LOOKS) {
            let look = |(input, id): &(usize, String)| {
                let (mut calls, input, id) = (calls.clone(), *input, id.clone());
                async move { (input, job(&mut calls, &id).await, result(&mut calls, &id).await) }
            };
            let mut under_way = tokio::task::JoinSet::new();
            some.iter().for_each(|one| drop(under_way.spawn(look(one))));
            while let Some(looked) = under_way.join_next().await {
                let (input, job, result) = looked.expect("looked");
                assert_eq!(result, input.to_string(), "its own answer");
                for attempt in &job.attempts {
                    let fated = attempt.fencing_token % 200 == 0;
                    match attempt.state() {
                        AttemptState::Failed => {
                            assert!(fated && attempt.reason() == pb::Reason::WorkerDied, "{attempt:?}");
                            deaths += 1;
                        }
                        AttemptState::Succeeded => assert!(!fated, "{attempt:?}"),
                        // A worker's or the coordinator's death gives back what had not begun.
                        AttemptState::Returned => {}
                        state => panic!("{state:?}: {attempt:?}"),
                    }
                    of_fate += u32::from(fated && attempt.state() != AttemptState::Returned);
                }
            }
        }
        assert_eq!(deaths, of_fate);
        assert!(deaths > 50, "about one in two hundred: {deaths}");
    });
}

async fn result(client: &mut JobServiceClient<Channel>, id: &str) -> String {
    let request = pb::GetJobResultRequest { job_id: id.to_owned() };
    let result = client.get_job_result(request).await.expect("a result").into_inner();
    assert_eq!(result.content_type, "application/json");
    String::from_utf8(result.result.to_vec()).expect("text")
}

#[test]
fn an_agent_that_is_killed_takes_its_workers_along_and_its_calls_run_elsewhere() {
    let rig = Rig::new();
    let coordinator = rig.coordinator_at("127.0.0.1:0", &["--lease-ttl-ms", "1000"]);
    let url = coordinator.url.clone();
    let mut agents = start(&rig, &url, 2);
    let workers = rig.wait_for(&binary("examples/worker").display().to_string(), 4);
    assert_eq!(workers.len(), 4);
    runtime().block_on(async {
        // A worker that runs need not have said hello yet, and until then the other agent gets everything.
        offered(&url, 2).await;
        let mut calls = client(&url).await;
        let ids = submit(&mut calls, "sleep", 4).await;
        drop(submit_long(&mut calls).await);
        let mut ends = Ends::default();
        ends.watch(&mut calls, ids.len()).await;
    });
    let began = Instant::now();
    agents[0].signal(Signal::KILL);
    agents[0].ended();
    rig.wait_for(&binary("examples/worker").display().to_string(), 2);
    assert!(began.elapsed() < PATIENCE);
    runtime().block_on(async {
        let mut calls = client(&url).await;
        within_async(PATIENCE, || {
            let mut calls = calls.clone();
            async move {
                let request = pb::ListJobsRequest { page_size: 10, ..pb::ListJobsRequest::default() };
                let jobs = calls.list_jobs(request).await.expect("listed").into_inner().jobs;
                jobs.iter().all(|job| job.state() == State::Succeeded)
            }
        })
        .await;
        let request = pb::ListJobsRequest { page_size: 10, ..pb::ListJobsRequest::default() };
        let jobs = calls.list_jobs(request).await.expect("listed").into_inner().jobs;
        assert_eq!(jobs.len(), 6);
        assert!(jobs.iter().all(|job| job.failures == 0 && job.worker_deaths == 0), "the host's doing, not the job's");
        assert_eq!(jobs.iter().map(|job| job.infra_losses).sum::<u32>(), 1, "one of the two long ones ran there");
    });
    drop(agents);
    drop(coordinator);
    within(PATIENCE, "no worker is left", || {
        rig.processes_like(&binary("examples/worker").display().to_string()).is_empty().then_some(())
    });
}

/// So many agents have pools that take calls.
async fn offered(url: &str, agents: usize) {
    let endpoint = Endpoint::from_shared(url.to_owned()).expect("an address");
    let channel = endpoint.connect().await.expect("connected");
    within_async(PATIENCE, || {
        let mut fleet = FleetServiceClient::new(channel.clone());
        async move {
            let listed = fleet.list_agents(pb::ListAgentsRequest::default()).await.expect("listed").into_inner().agents;
            listed.iter().filter(|agent| agent.pools.iter().any(|pool| pool.capacity > 0)).count() == agents
        }
    })
    .await;
}

/// Two calls that run for three seconds, one on each agent.
async fn submit_long(client: &mut JobServiceClient<Channel>) -> Vec<String> {
    let item = || pb::SubmitJobRequest { spec: call("sleep", 3_000).encode_to_vec().into(), request_id: String::new() };
    let request = pb::BatchSubmitJobsRequest { requests: vec![item(), item()] };
    let answer = client.batch_submit_jobs(request).await.expect("submitted").into_inner();
    answer.results.into_iter().map(|result| format!("{result:?}")).collect()
}

async fn within_async<F: Future<Output = bool>>(limit: Duration, look: impl Fn() -> F) {
    let until = Instant::now() + limit;
    while !look().await {
        assert!(Instant::now() < until, "not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
