//! What jobs write, when shipping is slow or breaks.

use std::sync::Arc;

use windlass_shared::domain::{AttemptState, LogStream, Reason};

use crate::fake::{Fake, Log, Stream};
use crate::{Agent, bytes, cluster, exec, fifo, lease, millis, open_gate, sh};

const FLOOD: u64 = 256 << 20;

/// The smallest spool with a head and a tail of their own.
const SMALL: &str = "[logs]\nspool_bytes = 131072\nhead_bytes = 4096\ntail_bytes = 8192\n";
const SPOOL: usize = 131_072;
const TAIL: usize = 8_192;

async fn logging(config: &str) -> (Fake, Agent, Stream) {
    let mut fake = Fake::start().await;
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let path = dir.path().join("agent.toml");
    std::fs::write(&path, config).unwrap();
    let agent = Agent::start_in(dir, &fake.url, &["--slots", "3", "--config", path.to_str().unwrap()]);
    let stream = fake.session().await;
    (fake, agent, stream)
}

/// What `seq` prints.
fn counted(to: u64) -> Vec<u8> {
    (1..=to).map(|n| format!("{n}\n")).collect::<String>().into_bytes()
}

/// The log has the beginning of what was written, its end, and a gap of exactly what lies between.
fn assert_head_and_tail(log: &Log, written: &[u8]) {
    let expected = [&written[..SPOOL - TAIL], &written[written.len() - TAIL..]].concat();
    assert_eq!((log.missing, log.repeated), ((written.len() - SPOOL) as u64, 0));
    assert!(log.data == expected, "{} bytes, {} expected", log.data.len(), expected.len());
}

#[tokio::test]
async fn of_a_long_output_the_beginning_and_the_end_are_kept_and_the_offsets_count_the_rest() {
    let (fake, agent, mut stream) = logging(SMALL).await;
    stream.assign(lease(1), &bytes(&sh("seq 1 200000; seq 1 200000 >&2"))).await;
    let outcome = stream.ran(lease(1)).await;
    let written = counted(200_000);
    assert_eq!((outcome.stdout_bytes, outcome.stderr_bytes), (written.len() as u64, written.len() as u64));
    for of in [LogStream::Stdout, LogStream::Stderr] {
        assert_head_and_tail(&fake.logs.full(lease(1), of, written.len() as u64).await, &written);
    }
    // And what fits is whole.
    stream.assign(lease(2), &bytes(&sh("head -c 131072 /dev/zero"))).await;
    stream.ran(lease(2)).await;
    let log = fake.logs.full(lease(2), LogStream::Stdout, SPOOL as u64).await;
    assert_eq!((log.data.len(), log.missing), (SPOOL, 0));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn beginning_and_end_survive_broken_streams_once_each() {
    let (fake, agent, mut stream) = logging(SMALL).await;
    fake.logs.break_next(3);
    stream.assign(lease(1), &bytes(&sh("seq 1 200000"))).await;
    let outcome = stream.ran(lease(1)).await;
    let log = fake.logs.full(lease(1), LogStream::Stdout, outcome.stdout_bytes).await;
    assert_head_and_tail(&log, &counted(200_000));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn the_end_of_an_output_survives_the_kill_of_its_job() {
    let (fake, agent, mut stream) = logging(SMALL).await;
    let mut spec = sh("trap '' TERM; seq 1 200000; touch written; while :; do sleep 1; done");
    (spec.run_timeout, spec.stop_grace) = (Some(millis(1_500)), Some(millis(0)));
    stream.assign(lease(1), &bytes(&spec)).await;
    let outcome = stream.ran(lease(1)).await;
    assert_eq!(outcome.state, AttemptState::TimedOut);
    let log = fake.logs.full(lease(1), LogStream::Stdout, outcome.stdout_bytes).await;
    assert_head_and_tail(&log, &counted(200_000));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_flood_that_nobody_takes_neither_stalls_the_job_nor_fills_the_agents_memory() {
    let (fake, agent, mut stream) = logging(SMALL).await;
    fake.logs.stall(true);
    stream.assign(lease(1), &bytes(&exec(&["head", "-c", &FLOOD.to_string(), "/dev/zero"]))).await;
    let outcome = stream.ran(lease(1)).await;
    assert_eq!((outcome.state, outcome.stdout_bytes), (AttemptState::Succeeded, FLOOD));
    let peak = peak_rss_kib(agent.pid());
    assert!(peak < 64 << 10, "{peak} KiB");
    fake.logs.stall(false);
    let log = fake.logs.full(lease(1), LogStream::Stdout, FLOOD).await;
    assert_eq!((log.data.len(), log.missing), (SPOOL, FLOOD - SPOOL as u64));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_flood_costs_bounded_memory_and_its_neighbours_nothing_but_time() {
    let (fake, agent, mut stream) = logging("").await;
    let before = peak_rss_kib(agent.pid());
    stream.assign(lease(1), &bytes(&sh("echo up; exec cat /dev/zero"))).await;
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "up").await;
    for number in 2..=40 {
        stream.assign(lease(number), &bytes(&sh("echo beside"))).await;
        let outcome = stream.ran(lease(number)).await;
        assert_eq!((outcome.state, outcome.stdout_bytes), (AttemptState::Succeeded, 7));
        assert_eq!(fake.logs.full(lease(number), LogStream::Stdout, 7).await.data, b"beside\n");
    }
    stream.stop(lease(1), Reason::CancelRequested).await;
    let outcome = stream.ended(lease(1)).await;
    let log = fake.logs.full(lease(1), LogStream::Stdout, outcome.stdout_bytes).await;
    assert_eq!(log.data.len(), 16 << 20, "of {} bytes", outcome.stdout_bytes);
    let growth = peak_rss_kib(agent.pid()) - before;
    assert!(growth <= 64 << 10, "{growth} KiB");
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn what_was_under_way_when_the_log_stream_broke_is_shipped_again() {
    let (fake, agent, mut stream) = cluster(&[]).await;
    fake.logs.break_next(2);
    stream.assign(lease(1), &bytes(&sh("seq 1 100000"))).await;
    let outcome = stream.ran(lease(1)).await;
    let log = fake.logs.full(lease(1), LogStream::Stdout, outcome.stdout_bytes).await;
    let expected: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    assert_eq!(String::from_utf8(log.data).unwrap(), expected);
    assert_eq!((log.missing, log.repeated), (0, 0));
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn a_job_whose_output_somebody_outside_its_tree_holds_open_ends_all_the_same() {
    let (fake, agent, mut stream) = cluster(&[]).await;
    // We hold its pipe by way of /proc: a process outside the tree, which no kill reaches.
    let gate = fifo(&agent, "gate");
    stream.assign(lease(1), &bytes(&sh(&format!("echo $$; read line < {}; echo bye", gate.display())))).await;
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "\n").await;
    let pid = fake.logs.text(lease(1)).await.trim().to_owned();
    let held = std::fs::File::options().write(true).open(format!("/proc/{pid}/fd/1")).unwrap();
    open_gate(gate).await;
    let outcome = stream.ended(lease(1)).await;
    assert_eq!(outcome.state, AttemptState::Succeeded);
    assert_eq!(outcome.stdout_bytes, pid.len() as u64 + 1 + 4);
    drop(held);
    agent.finish(&mut stream).await;
}

fn peak_rss_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
