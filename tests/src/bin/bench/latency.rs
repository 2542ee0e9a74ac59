//! `call_idle_latency`: one call at a time where nothing else happens, from its unary submit to its success on an open watch,
//! against what it cannot do without, each part measured bare in the same run:
//!
//! ```text
//!  submit ──► fdatasync ── assignment ──► pipe to the worker and back ── result ──► fdatasync ──► watch
//! ```
//! Four messages between processes are two round trips of a stream.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use prost::Message;
use tonic::Streaming;
use windlass_shared::ipc;
use windlass_shared::pb;
use windlass_shared::pb::job::State;
use windlass_worker_agent::containment::Choice;

use crate::calls::{call, order};
use crate::cluster::{Cluster, worker};
use crate::echo::Echo;
use crate::{Args, Figure, alone, median, micros, said};

const AGENTS: usize = 2;
const WORKERS: usize = 1;
/// Calls a round: enough for a middle one that holds still. In slices, so that what else the disk does falls on all alike.
const SLICES: usize = 10;
const SLICE: usize = 30;
/// How often the sum of the parts may be taken: the parts say nothing of the threads that wake each other in between.
const TIMES_MAX: f64 = 4.0;
/// What a commit of one job appends at least: a page of the store's log.
const COMMIT_BYTES: usize = 4 << 10;

/// Microseconds each.
#[derive(Debug, Default)]
struct Times {
    calls: Vec<f64>,
    streams: Vec<f64>,
    pipes: Vec<f64>,
    syncs: Vec<f64>,
}

pub(crate) fn run(args: &Args) -> Result<Vec<Figure>, OsString> {
    let mut times = Times::default();
    for _ in 0..args.rounds {
        // The processes are gone at the end of the line.
        let _ = alone(round(&mut times))?;
    }
    let (stream, pipe, sync) = (bare(times.streams), bare(times.pipes), bare(times.syncs));
    let parts = 2.0 * stream + pipe + 2.0 * sync;
    Ok(vec![Figure::Value {
        scenario: "call_idle_latency",
        value: median(times.calls),
        unit: "µs",
        ceiling: TIMES_MAX * parts,
        ceiling_is: format!(
            "{TIMES_MAX} × {parts:.0} of raw parts: 2 stream round trips of {stream:.0}, 1 pipe round trip of {pipe:.0}, \
             2 fdatasync of {sync:.0}"
        ),
    }])
}

/// What a part costs: not the middle one, which on a busy machine is a wait for the processor (an fdatasync of 0.15 ms took a
/// tick, 4 ms, more often than not, and three times as long as the whole call), but the tenth percentile.
fn bare(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 10).copied().unwrap_or(f64::NAN)
}

async fn round(times: &mut Times) -> Result<(Cluster, Echo), OsString> {
    let cluster = Cluster::start_with(AGENTS, 1, WORKERS, Choice::Keeper).await?;
    let echo = Echo::start().await?;
    let mut pipe = Pipe::start()?;
    let mut file = tempfile::NamedTempFile::new_in(cluster.home()).map_err(|err| format!("a file to sync: {err}"))?;
    let mut watch = cluster.jobs().watch_jobs(pb::WatchJobsRequest::default()).await.map_err(said)?.into_inner();
    for _ in 0..SLICES {
        echo.round_trips(SLICE, &mut times.streams).await?;
        timed(&mut times.pipes, || pipe.round_trip()).map_err(|err| format!("a worker: {err}"))?;
        let append = || file.write_all(&[b'x'; COMMIT_BYTES]).and_then(|()| file.as_file().sync_data());
        timed(&mut times.syncs, append).map_err(|err| format!("a file to sync: {err}"))?;
        time_calls(&cluster, &mut watch, &mut times.calls).await?;
    }
    pipe.stop();
    Ok((cluster, echo))
}

fn timed(took: &mut Vec<f64>, mut work: impl FnMut() -> std::io::Result<()>) -> std::io::Result<()> {
    for _ in 0..SLICE {
        let began = Instant::now();
        work()?;
        took.push(micros(began.elapsed()));
    }
    Ok(())
}

/// A worker, whose pipes are ours.
struct Pipe {
    worker: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    line: Vec<u8>,
}

impl Pipe {
    fn start() -> Result<Self, OsString> {
        let mut command = Command::new(worker()?);
        let worker = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut worker = worker.map_err(|err| format!("a worker: {err}"))?;
        let (Some(stdin), Some(stdout)) = (worker.stdin.take(), worker.stdout.take()) else {
            return Err("a worker without pipes".into());
        };
        let mut stdout = BufReader::new(stdout);
        let mut line = Vec::new();
        stdout.read_until(b'\n', &mut line).map_err(|err| format!("no hello of a worker: {err}"))?;
        Ok(Self { worker, stdin, stdout, line })
    }

    /// A call to the worker, that it started, and its result.
    fn round_trip(&mut self) -> std::io::Result<()> {
        self.line.clear();
        ipc::job(&mut self.line, &order(1));
        self.stdin.write_all(&self.line)?;
        self.stdout.read_until(b'\n', &mut self.line)?;
        self.stdout.read_until(b'\n', &mut self.line).map(drop)
    }

    fn stop(mut self) {
        drop(self.stdin);
        let _ = self.worker.wait(); // it ends with its input
    }
}

async fn time_calls(
    cluster: &Cluster,
    watch: &mut Streaming<pb::WatchJobsResponse>,
    took: &mut Vec<f64>,
) -> Result<(), OsString> {
    let item = pb::SubmitJobRequest { spec: call().encode_to_vec().into(), request_id: String::new() };
    let mut client = cluster.jobs();
    for _ in 0..SLICE {
        let began = Instant::now();
        let job = client.submit_job(item.clone()).await.map_err(said)?.into_inner().job.unwrap_or_default();
        while !succeeded(&watch.message().await.map_err(said)?.ok_or("the watch ended")?, &job.id)? {}
        took.push(micros(began.elapsed()));
    }
    Ok(())
}

/// Whether these changes hold the job's success.
fn succeeded(news: &pb::WatchJobsResponse, job: &str) -> Result<bool, OsString> {
    for event in news.events.iter().filter(|event| event.job_id == job) {
        match event.state() {
            State::Succeeded => return Ok(true),
            State::Failed | State::Cancelled | State::Expired => return Err("a call did not succeed".into()),
            _ => {}
        }
    }
    Ok(false)
}
