//! `submit_unary` and `submit_batch`: jobs put on record, synced, that no agent takes; against a server that answers the same
//! messages with nothing.

use std::ffi::OsString;
use std::time::Instant;

use prost::Message;
use tokio::task::JoinSet;
use tonic::Status;
use tonic::transport::Channel;
use windlass_shared::pb;
use windlass_shared::pb::job_service_client::JobServiceClient;

use crate::calls::call;
use crate::cluster::Cluster;
use crate::echo::Echo;
use crate::raw::per_second;
use crate::{Args, Figure, alone, median, said};

/// How jobs are submitted.
#[derive(Debug, Clone, Copy)]
struct Shape {
    scenario: &'static str,
    /// Jobs of one call; one goes by the unary RPC.
    batch: usize,
    /// Calls in flight over one connection.
    width: usize,
    /// Jobs for each one that `--jobs` asks for, which are processes: a second or two a round.
    jobs_each: usize,
    limit_is: &'static str,
    floor: f64,
}

pub(crate) fn unary(args: &Args) -> Result<Vec<Figure>, OsString> {
    let limit_is = "calls/s of a no-op unary, 256 in flight";
    run(args, Shape { scenario: "submit_unary", batch: 1, width: 256, jobs_each: 10, limit_is, floor: 0.25 })
}

pub(crate) fn batch(args: &Args) -> Result<Vec<Figure>, OsString> {
    let limit_is = "jobs/s to a no-op server, 1,000 a call, 4 in flight";
    run(args, Shape { scenario: "submit_batch", batch: 1_000, width: 4, jobs_each: 100, limit_is, floor: 0.0 })
}

fn run(args: &Args, shape: Shape) -> Result<Vec<Figure>, OsString> {
    let (mut rates, mut limits) = (Vec::new(), Vec::new());
    let jobs = args.jobs * shape.jobs_each;
    for _ in 0..args.rounds {
        limits.push(alone(limit_of(shape, jobs))?.0);
        rates.push(alone(rate_of(shape, jobs))?.0);
    }
    let Shape { scenario, limit_is, floor, .. } = shape;
    let (jobs_per_s, limit) = (median(rates), median(limits));
    Ok(vec![Figure::Rate { scenario, jobs_per_s, limit, limit_is, floor, least: 0.0 }])
}

async fn limit_of(shape: Shape, jobs: usize) -> Result<(f64, Echo), OsString> {
    let echo = Echo::start().await?;
    Ok((rate(&echo.jobs(), shape, jobs).await?, echo))
}

async fn rate_of(shape: Shape, jobs: usize) -> Result<(f64, Cluster), OsString> {
    let cluster = Cluster::start(0, 1).await?;
    Ok((rate(&cluster.jobs(), shape, jobs).await?, cluster))
}

/// Jobs submitted per second.
async fn rate(client: &JobServiceClient<Channel>, shape: Shape, jobs: usize) -> Result<f64, OsString> {
    let item = pb::SubmitJobRequest { spec: call().encode_to_vec().into(), request_id: String::new() };
    let calls = jobs.div_ceil(shape.batch * shape.width);
    let mut lanes = JoinSet::new();
    let began = Instant::now();
    for _ in 0..shape.width {
        lanes.spawn(lane(client.clone(), item.clone(), shape.batch, calls));
    }
    while let Some(lane) = lanes.join_next().await {
        lane.map_err(said)?.map_err(said)?;
    }
    Ok(per_second(calls * shape.width * shape.batch, began.elapsed()))
}

/// So many calls, one after the other.
async fn lane(
    mut client: JobServiceClient<Channel>,
    item: pb::SubmitJobRequest,
    batch: usize,
    calls: usize,
) -> Result<(), Status> {
    for _ in 0..calls {
        if batch == 1 {
            client.submit_job(item.clone()).await?;
        } else {
            let requests = vec![item.clone(); batch];
            client.batch_submit_jobs(pb::BatchSubmitJobsRequest { requests }).await?;
        }
    }
    Ok(())
}
