//! What jobs write, when shipping is slow or breaks.

use windlass_shared::domain::{AttemptState, LogStream};

use crate::{bytes, cluster, exec, fifo, lease, open_gate, sh};

const FLOOD: u64 = 256 << 20;

#[tokio::test]
async fn a_flood_that_nobody_takes_neither_stalls_the_job_nor_fills_the_agents_memory() {
    let (fake, agent, mut stream) = cluster(&["--log-buffer-bytes", "1048576"]).await;
    fake.logs.stall(true);
    stream.assign(lease(1), &bytes(&exec(&["head", "-c", &FLOOD.to_string(), "/dev/zero"]))).await;
    let outcome = stream.ran(lease(1)).await;
    assert_eq!((outcome.state, outcome.stdout_bytes), (AttemptState::Succeeded, FLOOD));
    let peak = peak_rss_kib(agent.pid());
    assert!(peak < 64 << 10, "{peak} KiB");
    fake.logs.stall(false);
    let log = fake.logs.full(lease(1), LogStream::Stdout, FLOOD).await;
    assert!(log.missing > 0 && log.data.len() >= 1 << 20, "the newest MiB is kept: {} missing", log.missing);
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
