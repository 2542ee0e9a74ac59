//! Workers that end and are started again, many times: nothing may grow. The long form runs with `WINDLASS_LONG=1`.

use std::path::Path;

use windlass_shared::domain::{AttemptState, News, Reason};

use crate::fake::Stream;
use crate::pools::{call, example_pool};
use crate::{Agent, bytes, eventually, lease, only_child, signal};

#[tokio::test]
async fn a_pool_whose_workers_end_again_and_again_holds_no_more_than_before() {
    let (_fake, agent, mut stream) = example_pool("").await;
    let cycles = if std::env::var_os("WINDLASS_LONG").is_some() { 500 } else { 50 };
    let mut number = 0;
    // What is made once is made by then.
    for _ in 0..4 {
        cycle(&agent, &mut stream, &mut number).await;
    }
    let before = Held::of(&agent);
    for _ in 0..cycles {
        cycle(&agent, &mut stream, &mut number).await;
    }
    // Threads for what blocks go when they have been idle for 10 s.
    eventually("it holds no more than before", || Held::of(&agent).is_within(&before)).await;
    agent.finish(&mut stream).await;
}

/// The worker ends, killed while it is idle or by itself in a call, and another answers.
async fn cycle(agent: &Agent, stream: &mut Stream, number: &mut u64) {
    if number.is_multiple_of(2) {
        let keeper = only_child(only_child(agent.process()));
        signal(only_child(keeper), rustix::process::Signal::KILL);
    } else {
        assert_eq!(end(stream, number, "exit", "3").await, (AttemptState::Failed, Some(Reason::WorkerDied)));
    }
    assert_eq!(end(stream, number, "echo", "1").await, (AttemptState::Succeeded, None));
}

/// How a call ends, given again where it came back: on a host that stands still, a pool without a worker gives back what waits.
async fn end(stream: &mut Stream, number: &mut u64, handler: &str, input: &str) -> (AttemptState, Option<Reason>) {
    loop {
        *number += 1;
        stream.assign(lease(*number), &bytes(&call(handler, input))).await;
        loop {
            match stream.news().await.news {
                News::Started(_) => {}
                News::Ended(outcome) => return (outcome.state, outcome.reason),
                News::Returned(_) => break,
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Held {
    /// Descriptors of the agent and of its warden.
    fds: [usize; 2],
    threads: usize,
    /// Below the agent's data directory.
    files: usize,
    /// Children of agent and warden, the dead ones included.
    children: [usize; 2],
}

impl Held {
    fn of(agent: &Agent) -> Self {
        let (pid, warden) = (agent.pid(), only_child(agent.process()).as_raw_pid());
        let fds = [entries(format!("/proc/{pid}/fd")), entries(format!("/proc/{warden}/fd"))];
        let threads = entries(format!("/proc/{pid}/task"));
        let children = [children(pid.cast_signed()), children(warden)];
        Self { fds, threads, files: files(&agent.dir().join("parent/data")), children }
    }

    fn is_within(&self, before: &Self) -> bool {
        self.fds <= before.fds
            && self.threads <= before.threads
            && self.files <= before.files
            && self.children == before.children
    }
}

fn entries(dir: String) -> usize {
    std::fs::read_dir(dir).map_or(0, Iterator::count)
}

fn files(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { 1 + files(&path) } else { 1 }).sum()
}

fn children(parent: i32) -> usize {
    let stats = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let stat = std::fs::read(entry.ok()?.path().join("stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat).into_owned();
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<i32>().ok()
    });
    stats.filter(|one| *one == parent).count()
}
