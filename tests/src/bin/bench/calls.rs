//! `call_throughput`: calls that do nothing, from batch submit to the last recorded result, against the same workers fed by a bare
//! loop over their pipes.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use windlass_shared::ipc::{self, JobOrder};
use windlass_shared::pb;
use windlass_worker_agent::containment::Choice;

use crate::cluster::{Cluster, worker};
use crate::exec_true::all_succeed;
use crate::raw::per_second;
use crate::{Args, Figure, median};

const AGENTS: usize = 2;
/// One worker for each core of the machine the floor was set on.
const WORKERS: usize = 1;
/// Calls in a worker's pipe.
const AHEAD: usize = 64;
/// Calls for each job that `--jobs` asks for: a call is that much cheaper than a process.
const CALLS_EACH: usize = 25;
/// 100 bytes of spec, input and all.
const INPUT: &str = "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"";

pub(crate) fn run(args: &Args) -> Result<Vec<Figure>, OsString> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|err| format!("a runtime: {err}"))?;
    let (mut rates, mut limits) = (Vec::new(), Vec::new());
    let calls = args.jobs * CALLS_EACH;
    for _ in 0..args.rounds {
        limits.push(pipe_rate(AGENTS * WORKERS, calls)?);
        rates.push(runtime.block_on(round(calls))?);
    }
    Ok(vec![Figure::Rate {
        scenario: "call_throughput",
        jobs_per_s: median(rates),
        limit: median(limits),
        limit_is: "calls/s over bare pipes",
        floor: 0.0,
        least: 30_000.0,
    }])
}

async fn round(calls: usize) -> Result<f64, OsString> {
    let cluster = Cluster::start_with(AGENTS, 1, WORKERS, Choice::Keeper).await?;
    all_succeed(&cluster, &call(), calls).await
}

/// A call that does nothing.
pub(crate) fn call() -> pb::JobSpec {
    let call = pb::Call { handler: "echo".into(), input: INPUT.into(), ..pb::Call::default() };
    pb::JobSpec { work: Some(pb::job_spec::Work::Call(call)), ..pb::JobSpec::default() }
}

/// The same, as an agent puts it to a worker.
pub(crate) fn order(id: u64) -> JobOrder<'static> {
    JobOrder {
        id,
        handler: "echo",
        input: INPUT.as_bytes(),
        content_type: None,
        job: "01990000-0000-7000-8000-000000000000",
        attempt: 1,
        fencing_token: 1 << 40,
        timeout: None,
        headers: &[],
        trace: None,
        grants: &[],
        validate: false,
    }
}

/// Calls per second of so many workers, each with 64 in its pipe, every answer read and looked for its end, nothing kept.
fn pipe_rate(workers: usize, calls: usize) -> Result<f64, OsString> {
    rate_of(&worker()?, workers, calls)
}

/// The same, of these workers.
pub(crate) fn rate_of(path: &Path, workers: usize, calls: usize) -> Result<f64, OsString> {
    let share = calls / workers;
    let began = Instant::now();
    let feeders: Vec<_> = (0..workers)
        .map(|_| {
            let path = path.to_owned();
            std::thread::spawn(move || feed(Command::new(path), share, AHEAD, || {}))
        })
        .collect();
    for feeder in feeders {
        feeder.join().map_err(|_| "a feeder panicked")?.map_err(|err| format!("a worker: {err}"))?;
    }
    Ok(per_second(share * workers, began.elapsed()))
}

/// Puts so many calls to a worker, so many of them ahead of their answers; `greeted` is told when it has said hello.
pub(crate) fn feed(mut worker: Command, calls: usize, ahead: usize, mut greeted: impl FnMut()) -> std::io::Result<()> {
    let mut worker = worker.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (Some(mut stdin), Some(mut stdout)) = (worker.stdin.take(), worker.stdout.take()) else {
        return Err(std::io::Error::other("no pipes"));
    };
    let (mut given, mut done, mut out, mut read) = (0, 0, Vec::new(), vec![0; 64 << 10]);
    // A hello, and then two lines for each call: started and its result.
    let mut lines = 0;
    while lines == 0 {
        lines = stdout.read(&mut read)?.min(1);
    }
    greeted();
    while done < calls {
        while given < calls && given - done < ahead {
            given += 1;
            ipc::job(&mut out, &order(given as u64));
        }
        stdin.write_all(&out)?;
        out.clear();
        let count = stdout.read(&mut read)?;
        if count == 0 {
            return Err(std::io::Error::other("it ended"));
        }
        lines += read[..count].iter().filter(|byte| **byte == b'\n').count();
        done = lines.saturating_sub(1) / 2;
    }
    drop(stdin);
    worker.wait().map(drop)
}
