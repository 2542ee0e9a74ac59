//! `memory_1m` and `restart_1m`: a million jobs that wait. What they cost in memory, and how long a coordinator that was killed
//! takes to serve again.

use std::ffi::OsString;
use std::time::Instant;

use prost::Message;
use windlass_shared::pb;

use crate::cluster::Cluster;
use crate::{Args, Figure};

const JOBS: usize = 1_000_000;
const BATCH: usize = 10_000;

pub(crate) fn run(_: &Args) -> Result<Vec<Figure>, OsString> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|err| format!("a runtime: {err}"))?.block_on(measure())
}

async fn measure() -> Result<Vec<Figure>, OsString> {
    let mut cluster = Cluster::start(0, 1).await?;
    submit(&cluster).await?;
    let rss = cluster.coordinator_rss_mib().ok_or("no memory figure in /proc")?;
    let began = Instant::now();
    cluster.restart_coordinator().await?;
    let request = pb::ListJobsRequest { page_size: 1, ..Default::default() };
    let listed = cluster.jobs().list_jobs(request).await.map_err(|err| err.to_string())?.into_inner();
    if listed.jobs.len() != 1 {
        return Err("the restarted coordinator has no jobs".into());
    }
    let restart = began.elapsed().as_secs_f64();
    let restarted_rss = cluster.coordinator_rss_mib().ok_or("no memory figure in /proc")?;
    Ok(vec![
        at_most("memory_1m", rss, "MiB", 600.0),
        at_most("memory_1m_restarted", restarted_rss, "MiB", 600.0),
        at_most("restart_1m", restart, "s", 10.0),
    ])
}

fn at_most(scenario: &'static str, value: f64, unit: &'static str, ceiling: f64) -> Figure {
    Figure::Value { scenario, value, unit, ceiling, ceiling_is: "on any machine".into() }
}

/// Jobs of 100 bytes, spec and all.
async fn submit(cluster: &Cluster) -> Result<(), OsString> {
    let exec = pb::Exec { argv: vec!["/bin/true".into(), "x".repeat(83)], ..pb::Exec::default() };
    let spec = pb::JobSpec { work: Some(pb::job_spec::Work::Exec(exec)), ..pb::JobSpec::default() }.encode_to_vec();
    let item = pb::SubmitJobRequest { spec: spec.into(), request_id: String::new() };
    for _ in 0..JOBS / BATCH {
        let request = pb::BatchSubmitJobsRequest { requests: vec![item.clone(); BATCH] };
        cluster.jobs().batch_submit_jobs(request).await.map_err(|err| err.to_string())?;
    }
    Ok(())
}
