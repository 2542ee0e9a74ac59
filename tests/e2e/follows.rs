//! `windlass logs -f` over whatever breaks it: every byte of every attempt once, in its order.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread::JoinHandle;

use rustix::process::Signal;

use crate::rig::{PATIENCE, Rig, Running, send, within};

/// `windlass logs -f` of one job: what it has shown so far can be looked at while it goes on.
struct Follower {
    child: Child,
    out: PathBuf,
    err: Option<JoinHandle<String>>,
}

impl Follower {
    fn start(rig: &Rig, url: &str, id: &str) -> Self {
        let out = rig.dir.path().join(format!("{id}.out"));
        let mut command = rig.command("windlass");
        // So that it waits also where the coordinator is away before it has found it once.
        command.args(["-a", url, "--patience", "60s", "logs", "-f", id]);
        command.stdout(std::fs::File::create(&out).expect("a file")).stderr(Stdio::piped());
        let mut child = command.spawn().expect("windlass runs");
        let mut stderr = child.stderr.take().expect("piped");
        let err = std::thread::spawn(move || {
            let mut said = String::new();
            stderr.read_to_string(&mut said).map(|_| said).expect("text")
        });
        Self { child, out, err: Some(err) }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.out).expect("the file")).into_owned()
    }

    fn wait_until_shown(&self, what: &str) {
        within(PATIENCE, what, || self.shown().contains(what).then_some(()));
    }

    /// What it showed of standard output and standard error, once it has ended by itself.
    fn end(mut self) -> (String, String) {
        let status = within(2 * PATIENCE, "the follower's end", || self.child.try_wait().expect("ours"));
        let said = self.err.take().expect("once").join().expect("read");
        assert!(status.success(), "{status}: {said}");
        (self.shown(), said)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn restart(rig: &Rig, coordinator: &mut Running, how: Signal) {
    let listen = coordinator.url.strip_prefix("http://").expect("an address").to_owned();
    coordinator.signal(how);
    coordinator.ended();
    *coordinator = rig.coordinator_at(&listen, &[]);
}

/// Attempt N writes `N.1` to `N.200` in two halves, with a line of standard error between them, and goes from one to the other
/// when the file `go.N` is there. The first attempt fails.
fn script(rig: &Rig) -> String {
    let go = rig.dir.path().join("go");
    format!(
        "a=$WINDLASS_ATTEMPT; i=1; while [ $i -le 200 ]; do echo $a.$i; i=$((i+1)); \
         if [ $i = 101 ]; then echo half >&2; until [ -e {0}.$a ]; do sleep 0.02; done; fi; done; [ $a != 1 ]",
        go.display()
    )
}

fn lines(attempt: u32) -> String {
    (1..=200).map(|line| format!("{attempt}.{line}\n")).collect()
}

fn submit(rig: &Rig, url: &str) -> String {
    let mark = rig.mark_env();
    let flags = ["-a", url, "-o", "id", "submit", "--env", &mark, "--retry", "aggressive", "--max-attempts", "2"];
    rig.windlass(flags.into_iter().chain(["--", "sh", "-c", &script(rig)])).expect(0).trim().to_owned()
}

fn go(rig: &Rig, attempt: u32) {
    std::fs::write(rig.dir.path().join(format!("go.{attempt}")), "").expect("a file");
}

#[test]
fn a_follower_sees_a_retry_begin_and_every_line_of_both_attempts_once() {
    let rig = Rig::new();
    let coordinator = rig.coordinator();
    let id = submit(&rig, &coordinator.url);
    let follower = Follower::start(&rig, &coordinator.url, &id);
    let _agent = rig.agent(&coordinator.url, "a1", 1);
    follower.wait_until_shown("1.100\n");
    go(&rig, 1);
    follower.wait_until_shown("2.100\n");
    go(&rig, 2);
    let (out, err) = follower.end();
    assert_eq!(out, lines(1) + &lines(2));
    assert_eq!(err, "half\nwindlass: attempt 2\nhalf\n");
}

#[test]
fn a_follower_of_a_flood_sees_its_head_and_what_is_newest_while_it_runs_and_its_end() {
    let rig = Rig::new();
    let coordinator = rig.coordinator();
    let small = "[logs]\nspool_bytes = 131072\nhead_bytes = 4096\ntail_bytes = 8192\n";
    let _agent = rig.agent_with(&coordinator.url, "a1", 1, small);
    let (go, mark) = (rig.dir.path().join("go"), rig.mark_env());
    let wait = |what: &str| format!("until [ -e {}.{what} ]; do sleep 0.02; done", go.display());
    let script = format!("echo first; seq 1 200000; {}; echo then; {}; echo last", wait("1"), wait("2"));
    let flags = ["-a", &coordinator.url, "-o", "id", "submit", "--env", &mark, "--", "sh", "-c", &script];
    let id = rig.windlass(flags).expect(0).trim().to_owned();
    let follower = Follower::start(&rig, &coordinator.url, &id);
    follower.wait_until_shown("first\n1\n2\n");
    follower.wait_until_shown("\n200000\n");
    self::go(&rig, 1);
    follower.wait_until_shown("\n200000\nthen\n");
    self::go(&rig, 2);
    let (out, err) = follower.end();
    assert!(out.ends_with("\n200000\nthen\nlast\n"), "{}", &out[out.len() - 100..]);
    assert!(err.contains("bytes of its standard output were not kept"), "{err}");
    let dropped: usize = err.lines().filter_map(|line| line.split(' ').nth(1)?.parse::<usize>().ok()).sum();
    let wrote = (1..=200_000).map(|n: u32| n.to_string().len() + 1).sum::<usize>() + "first\nthen\nlast\n".len();
    assert_eq!(out.len() + dropped, wrote, "every byte is shown once, or counted: {err}");
}

#[test]
fn a_follower_goes_on_over_restarts_of_the_coordinator_with_no_byte_twice_or_missing() {
    // Killed, and told to stop: a stop ends streams in order, which must not look like the end of the job.
    for how in [Signal::KILL, Signal::TERM] {
        let rig = Rig::new();
        let mut coordinator = rig.coordinator();
        let url = coordinator.url.clone();
        let id = submit(&rig, &url);
        let follower = Follower::start(&rig, &url, &id);
        // Before any attempt, in the middle of one, and between the two.
        restart(&rig, &mut coordinator, how);
        let _agent = rig.agent(&url, "a1", 1);
        follower.wait_until_shown("1.100\n");
        restart(&rig, &mut coordinator, how);
        go(&rig, 1);
        follower.wait_until_shown("1.200\n");
        restart(&rig, &mut coordinator, how);
        follower.wait_until_shown("2.100\n");
        // The job ends while nobody follows: the follower finds the end of its stream and the end of the job at once.
        let frozen = follower.child.id().cast_signed();
        send(frozen, Signal::STOP);
        restart(&rig, &mut coordinator, how);
        go(&rig, 2);
        rig.windlass(["-a", &url, "job", "wait", &id]).expect(0);
        send(frozen, Signal::CONT);
        let (out, err) = follower.end();
        assert!(out == lines(1) + &lines(2), "{how:?}: {} bytes", out.len());
        assert_eq!(err, "half\nwindlass: attempt 2\nhalf\n", "{how:?}");
    }
}
