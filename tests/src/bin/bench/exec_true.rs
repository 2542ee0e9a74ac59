//! `exec_true`: commands that do nothing, from batch submit to the last recorded end, against the raw spawn rate with the same
//! containment, the same number of agents and the same slots.

use std::ffi::OsString;
use std::time::Instant;

use prost::Message;
use windlass_shared::pb;
use windlass_shared::pb::job::State;
use windlass_worker_agent::containment::Choice;

use crate::cluster::Cluster;
use crate::raw::{Raw, per_second, spawn_rate};
use crate::{Args, Figure, median};

const AGENTS: usize = 2;
/// Twice the cores of the machine the floor was set on: while one attempt is reported, the next one runs.
const SLOTS: usize = 4;
const BATCH: usize = 1_000;

pub(crate) fn run(args: &Args) -> Result<Vec<Figure>, OsString> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|err| format!("a runtime: {err}"))?;
    let (mut rates, mut limits) = (Vec::new(), Vec::new());
    // Interleaved: what else the machine does falls on both.
    for _ in 0..args.rounds {
        limits.push(spawn_rate(AGENTS, SLOTS, args.jobs, Raw::bare(args.containment))?);
        rates.push(runtime.block_on(round(args.jobs, args.containment))?);
    }
    Ok(vec![Figure::Rate {
        scenario: "exec_true",
        jobs_per_s: median(rates),
        limit: median(limits),
        limit_is: "raw spawns/s, same containment",
        floor: 0.7,
        least: 0.0,
    }])
}

async fn round(jobs: usize, containment: Choice) -> Result<f64, OsString> {
    let cluster = Cluster::start_with(AGENTS, SLOTS, 0, containment).await?;
    let exec = pb::Exec { argv: vec!["/bin/true".into()], cwd: "/".into(), ..pb::Exec::default() };
    let spec = pb::JobSpec { work: Some(pb::job_spec::Work::Exec(exec)), ..pb::JobSpec::default() };
    all_succeed(&cluster, &spec, jobs).await
}

/// So many jobs of one spec, from batch submit to the last recorded end: jobs per second.
pub(crate) async fn all_succeed(cluster: &Cluster, spec: &pb::JobSpec, jobs: usize) -> Result<f64, OsString> {
    let said = |err: tonic::Status| OsString::from(err.to_string());
    let request = pb::WatchJobsRequest { job_ids: Vec::new(), after_revision: Some(0) };
    let mut watch = cluster.jobs().watch_jobs(request).await.map_err(said)?.into_inner();
    let item = pb::SubmitJobRequest { spec: spec.encode_to_vec().into(), request_id: String::new() };
    let began = Instant::now();
    let (mut client, mut done) = (cluster.jobs(), 0);
    let mut submit = tokio::task::JoinSet::new();
    submit.spawn(async move {
        for from in (0..jobs).step_by(BATCH) {
            let requests = vec![item.clone(); BATCH.min(jobs - from)];
            client.batch_submit_jobs(pb::BatchSubmitJobsRequest { requests }).await?;
        }
        Ok::<_, tonic::Status>(())
    });
    while done < jobs {
        let message = watch.message().await.map_err(said)?.ok_or("the watch ended")?;
        for event in message.events {
            match event.state() {
                State::Succeeded => done += 1,
                State::Failed | State::Cancelled | State::Expired => return Err("a job did not succeed".into()),
                _ => {}
            }
        }
    }
    let rate = per_second(jobs, began.elapsed());
    submit.join_next().await.ok_or("no submit")?.map_err(|err| err.to_string())?.map_err(said)?;
    Ok(rate)
}
