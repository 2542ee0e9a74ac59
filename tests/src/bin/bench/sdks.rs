//! `sdk_rust`, `sdk_python`: jobs that do nothing, a second, over the pipes of one worker on that SDK, each with a window of frames in its
//! pipe, against a loop that reads lines and answers each with two, without a look at them.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::calls::feed;
use crate::cluster::sibling;
use crate::raw::per_second;
use crate::{Args, Figure, median};

/// Hidden first argument of this bench's own executable: the bare loop.
pub(crate) const ROLE: &str = "__lines";
/// Frames in the pipe: the most that an agent puts there.
const AHEAD: usize = 32;
/// Jobs for each that `--jobs` asks for.
const JOBS_EACH: usize = 100;

pub(crate) fn rust(args: &Args) -> Result<Vec<Figure>, OsString> {
    let worker = sibling("examples/demo")?;
    figure("sdk_rust", args, JOBS_EACH, 300_000.0, || Command::new(&worker))
}

pub(crate) fn python(args: &Args) -> Result<Vec<Figure>, OsString> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default();
    figure("sdk_python", args, JOBS_EACH / 4, 50_000.0, || {
        let mut command = Command::new("python3");
        command.arg(root.join("tests/interop/scenarios/worker.py"));
        command.env("PYTHONPATH", root.join("clients/python/src")).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    })
}

fn figure(
    scenario: &'static str,
    args: &Args,
    each: usize,
    least: f64,
    worker: impl Fn() -> Command,
) -> Result<Vec<Figure>, OsString> {
    let own = std::env::current_exe().map_err(|err| format!("own path: {err}"))?;
    let (mut rates, mut limits) = (Vec::new(), Vec::new());
    let jobs = args.jobs * each;
    for _ in 0..args.rounds {
        let mut bare = Command::new(&own);
        bare.arg(ROLE);
        limits.push(rate(bare, jobs)?);
        rates.push(rate(worker(), jobs)?);
    }
    let (jobs_per_s, limit) = (median(rates), median(limits));
    let limit_is = "lines/s answered without a look at them";
    Ok(vec![Figure::Rate { scenario, jobs_per_s, limit, limit_is, floor: 0.0, least }])
}

/// From the hello on: how fast a program starts is its language's affair.
fn rate(worker: Command, jobs: usize) -> Result<f64, OsString> {
    let mut began = Instant::now();
    feed(worker, jobs, AHEAD, || began = Instant::now()).map_err(|err| format!("a worker: {err}"))?;
    Ok(per_second(jobs, began.elapsed()))
}

/// Reads lines; for each, one write of what a job costs at least: the answer of one, and the start of the next.
pub(crate) fn main(_: &[OsString]) -> ExitCode {
    const SAID: &[u8] =
        b"\x1e{\"type\":\"result\",\"id\":1234567,\"value\":0}\n\x1e{\"type\":\"started\",\"id\":1234567}\n";
    let (mut stdin, mut stdout, mut read) = (std::io::stdin().lock(), std::io::stdout().lock(), vec![0; 64 << 10]);
    let mut said = stdout.write_all(b"\x1e{}\n");
    while said.is_ok() {
        let count = stdin.read(&mut read).unwrap_or(0);
        if count == 0 {
            return ExitCode::SUCCESS;
        }
        let lines = read[..count].iter().filter(|byte| **byte == b'\n').count();
        said = (0..lines).try_for_each(|_| stdout.write_all(SAID).and_then(|()| stdout.flush()));
    }
    ExitCode::FAILURE
}
