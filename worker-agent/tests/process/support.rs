//! What the tests share. A warden's task takes every child of its process for its own, so each test runs in a process of its
//! own: this executable again, asked for that one test.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use windlass_worker_agent::process::{
    ExitInfo, ExitKind, LeaderEnd, PipeReader, Process, Proof, SpawnSpec, Warden, WardenOptions,
};

const ALONE: &str = "WINDLASS_TEST_ALONE";

/// In the environment of every job of a test, so that what is left of it can be found.
pub(crate) const MARK: &str = "WINDLASS_TEST_MARK";

/// Declares a test that runs in a process of its own, in a tokio runtime.
macro_rules! alone {
    ($($(#[$meta:meta])* async fn $name:ident() $body:block)*) => {$(
        #[test]
        $(#[$meta])*
        fn $name() {
            $crate::support::run_alone(concat!(module_path!(), "::", stringify!($name)), async || $body);
        }
    )*};
}
pub(crate) use alone;

/// Runs `body` here if this process was started for it, and else starts that process and waits for it.
pub(crate) fn run_alone(path: &str, body: impl AsyncFnOnce()) {
    run_alone_under(&[], path, body);
}

/// The same, with the process started by way of this command, which gets it as its last arguments.
pub(crate) fn run_alone_under(wrapper: &[String], path: &str, body: impl AsyncFnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return runtime().block_on(within(Duration::from_secs(60), body()));
    }
    let (_crate_name, name) = path.split_once("::").unwrap();
    let test = std::env::current_exe().unwrap();
    let mut command = wrapper.iter().map(std::ffi::OsStr::new).chain([test.as_os_str()]);
    let output = Command::new(command.next().unwrap())
        .args(command)
        .args([name, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    if name.starts_with("bench") {
        print!("{text}");
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub(crate) fn options() -> WardenOptions {
    WardenOptions { executable: env!("CARGO_BIN_EXE_windlass-worker-agent").into(), ..WardenOptions::default() }
}

/// A warden with its task running.
pub(crate) fn start(options: WardenOptions) -> Warden {
    let (warden, task) = Warden::start(options).unwrap();
    tokio::runtime::Handle::current().spawn(task);
    warden
}

pub(crate) fn mark() -> String {
    format!("mark-of-{}", std::process::id())
}

pub(crate) fn spec(argv: &[&str]) -> SpawnSpec {
    let path = std::env::var("PATH").unwrap();
    SpawnSpec {
        argv: argv.iter().map(|arg| arg.as_bytes().to_vec()).collect(),
        env: env(&[("PATH", &path), (MARK, &mark())]),
        cwd: "/".into(),
        ..SpawnSpec::default()
    }
}

pub(crate) fn env(pairs: &[(&str, &str)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

pub(crate) fn sh(script: &str) -> SpawnSpec {
    spec(&["sh", "-c", script])
}

/// Everything a process said and how it ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) leader: LeaderEnd,
    pub(crate) proof: Proof,
}

pub(crate) async fn finish(mut process: Process) -> Finished {
    let (stdout, stderr) = tokio::join!(read_all(&mut process.stdout), read_all(&mut process.stderr));
    let leader = process.events.leader_exit().await;
    let proof = process.events.tree_end().await.proof;
    Finished { stdout, stderr, leader, proof }
}

pub(crate) async fn run(warden: &Warden, spec: SpawnSpec) -> Finished {
    finish(warden.spawn(spec).await.unwrap()).await
}

pub(crate) async fn read_all(pipe: &mut PipeReader) -> String {
    let mut bytes = BytesMut::new();
    while pipe.read(&mut bytes).await.unwrap() > 0 {}
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Reads until `text` has been said.
pub(crate) async fn read_until(pipe: &mut PipeReader, text: &str) {
    let mut bytes = BytesMut::new();
    while !String::from_utf8_lossy(&bytes).contains(text) {
        assert_ne!(pipe.read(&mut bytes).await.unwrap(), 0, "ended before {text:?}: {bytes:?}");
    }
}

pub(crate) fn exited(leader: LeaderEnd) -> ExitInfo {
    match leader {
        LeaderEnd::Exited(exit) => exit,
        LeaderEnd::Lost => panic!("the leader was lost"),
    }
}

pub(crate) fn status(leader: LeaderEnd) -> ExitKind {
    exited(leader).status
}

pub(crate) const KILLED: ExitKind = ExitKind::Signal { signo: 9, core_dumped: false };

/// Fails unless `future` is through in time.
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, future).await.expect("not in time")
}

/// Descriptors come and go around a start; these are the ones that stay.
pub(crate) async fn assert_fds(what: &str, pid: i32, expected: usize) {
    eventually(&format!("{what} has {expected} descriptors"), || fds(pid) == expected).await;
}

/// Polls until `done`; a deadline stands for "never".
pub(crate) async fn eventually(what: &str, done: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < until, "never: {what}\n{}", table());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What must hold after every test: no process of its jobs, no keeper, no zombie, and one warden.
pub(crate) async fn assert_only_the_warden_is_left(warden: &Warden) {
    assert_eq!(marked(), BTreeSet::new(), "processes of jobs are left\n{}", table());
    eventually("there is a warden", || warden.pid().is_some()).await;
    let pid = warden_pid(warden);
    eventually("the agent has one child, the warden", || below(agent()) == BTreeSet::from([pid])).await;
}

pub(crate) fn agent() -> i32 {
    i32::try_from(std::process::id()).unwrap()
}

/// Processes of this test's jobs, zombies not included (their environment is gone).
pub(crate) fn marked() -> BTreeSet<i32> {
    let mark = format!("{MARK}={}", mark());
    let is_marked = |pid: &i32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
    };
    pids().into_iter().filter(is_marked).collect()
}

/// Everything below `root`, zombies included.
pub(crate) fn below(root: i32) -> BTreeSet<i32> {
    let parents: Vec<_> = pids().into_iter().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = BTreeSet::from([root]);
    while let Some((pid, _)) = parents.iter().find(|(pid, parent)| found.contains(parent) && !found.contains(pid)) {
        found.insert(*pid);
    }
    found.remove(&root);
    found
}

pub(crate) fn exists(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

pub(crate) fn parent(pid: i32) -> Option<i32> {
    stat(pid, 1)
}

/// Field `nth` after the name: 0 is the state, 1 the parent, 2 the group, 3 the session, 4 the terminal.
pub(crate) fn stat(pid: i32, nth: usize) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(nth)?.parse().ok()
}

fn pids() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

pub(crate) fn fds(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

pub(crate) fn kill(pid: i32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// A process that is stopped until this is dropped, also by a test that fails meanwhile: stopped, it would stay for ever.
pub(crate) struct Stopped(i32);

impl Stopped {
    pub(crate) fn new(pid: i32) -> Self {
        kill(pid, Signal::STOP);
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        kill(self.0, Signal::CONT);
    }
}

pub(crate) fn leader(process: &Process) -> i32 {
    i32::try_from(process.pid).unwrap()
}

/// The keeper of a leader.
pub(crate) fn keeper_of(process: &Process) -> i32 {
    parent(leader(process)).unwrap()
}

pub(crate) fn warden_pid(warden: &Warden) -> i32 {
    i32::try_from(warden.pid().unwrap()).unwrap()
}

pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A directory for its owner alone.
pub(crate) fn private() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o700)).tempdir().unwrap()
}

pub(crate) fn write(path: PathBuf, content: &str, mode: u32) -> String {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.into_os_string().into_string().unwrap()
}

/// What is running below this process, for the message of a failure.
fn table() -> String {
    let pids: Vec<_> = below(agent()).iter().map(i32::to_string).collect();
    let output =
        Command::new("ps").args(["-o", "pid,ppid,pgid,sid,stat,args", "-p", &pids.join(",")]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Stops a process again and again until dropped; it stays stopped.
pub(crate) struct Stopper {
    done: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Stopper {
    pub(crate) fn start(pid: i32) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&done);
        let pidfd = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
        let thread = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                let _ = pidfd_send_signal(&pidfd, Signal::STOP); // gone, if it was quicker
            }
        });
        Self { done, thread: Some(thread) }
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}
