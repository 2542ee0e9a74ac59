//! The real agent, as a process of its own, against a coordinator that does what the test says.
//!
//! Every test ends by draining the agent: then whatever else it had to say would have been said.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod as_root;
mod asks;
mod cgroups;
mod confinement;
mod counting;
mod cycles;
mod disk;
mod fake;
mod fencing;
mod hostile;
mod init;
mod leaving;
mod lives;
mod logs;
mod memory;
mod pools;
mod reloading;
mod running;
mod sessions;
mod starting;
mod stopping;
mod turnover;
mod unkillable;

use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use windlass_shared::convert::FromAgent;
use windlass_shared::domain::{Lease, Reason};
use windlass_shared::ids::JobId;
use windlass_shared::pb;

use fake::{Fake, Stream};

/// Far beyond what anything here takes; a test that waits this long has failed.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("not within 30 s")
}

pub(crate) fn lease(number: u64) -> Lease {
    let job = JobId::new(number, &[7; 10]);
    Lease { job, generation: 1, attempt: 1, incarnation: 1, epoch: 1, fencing_token: number }
}

/// A spec for `argv`.
pub(crate) fn exec(argv: &[&str]) -> pb::JobSpec {
    let argv = argv.iter().map(ToString::to_string).collect();
    let exec = pb::Exec { argv, ..pb::Exec::default() };
    pb::JobSpec { work: Some(pb::job_spec::Work::Exec(exec)), ..pb::JobSpec::default() }
}

pub(crate) fn sh(script: &str) -> pb::JobSpec {
    exec(&["sh", "-c", script])
}

pub(crate) fn millis(ms: i64) -> prost_types::Duration {
    prost_types::Duration { seconds: ms / 1000, nanos: (ms % 1000 * 1_000_000).try_into().unwrap() }
}

pub(crate) fn bytes(spec: &pb::JobSpec) -> Vec<u8> {
    spec.encode_to_vec()
}

/// The agent's executable.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_windlass-worker-agent");

/// An agent as a process of its own.
pub(crate) struct Agent {
    child: Option<Child>,
    pid: u32,
    dir: Arc<TempDir>,
}

impl Agent {
    pub(crate) fn start(url: &str, args: &[&str]) -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), url, args)
    }

    /// Another one where this one was.
    pub(crate) fn again(self, url: &str) -> Self {
        self.again_with(url, &[])
    }

    pub(crate) fn again_with(self, url: &str, args: &[&str]) -> Self {
        Self::start_in(Arc::clone(&self.dir), url, args)
    }

    /// Another one in the same place, while this one is there.
    pub(crate) fn beside(&self, url: &str) -> Self {
        Self::start_in(Arc::clone(&self.dir), url, &[])
    }

    pub(crate) fn start_in(dir: Arc<TempDir>, url: &str, args: &[&str]) -> Self {
        Self::start_by(dir, url, args, Command::new(PROGRAM))
    }

    /// By a command that takes what the agent is told as its last arguments.
    pub(crate) fn start_by(dir: Arc<TempDir>, url: &str, args: &[&str], mut command: Command) -> Self {
        let data = dir.path().join("parent/data");
        command.args(["--coordinator", url, "--name", "a1"]).arg("--data").arg(data).args(args);
        // The same everywhere: whether there are control groups depends on the machine, and those who need them say so.
        if !args.contains(&"--containment") {
            command.args(["--containment", "keeper"]);
        }
        let log = File::options().create(true).append(true).open(dir.path().join("log")).unwrap();
        command.env("WINDLASS_LOG", "debug,h2=info,hyper_util=info,tower=info").stderr(log).stdin(Stdio::piped());
        let child = command.spawn().unwrap();
        Self { pid: child.id(), child: Some(child), dir }
    }

    /// A directory of the test's own, beside the agent's.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn terminate(&self) {
        rustix::process::kill_process(self.process(), Signal::TERM).unwrap();
    }

    /// Its configuration is to be read again.
    pub(crate) fn hang_up(&self) {
        signal(self.process(), Signal::HUP);
    }

    /// Without a chance to do anything about it.
    pub(crate) fn kill(&mut self) {
        self.child.as_mut().unwrap().kill().unwrap();
    }

    /// Its only child.
    pub(crate) fn kill_warden(&self) {
        signal(only_child(self.process()), Signal::KILL);
    }

    /// Itself, its warden and the keeper of its only job, at one moment: stopped first, none can act on another's end.
    pub(crate) fn kill_with_all_supervision(&mut self) {
        let warden = only_child(self.process());
        let all = [self.process(), warden, only_child(warden)];
        all.iter().for_each(|process| signal(*process, Signal::STOP));
        // On a busy machine a stop takes its time, and a warden needs one system call to kill what it inherits.
        all.iter().for_each(|process| await_stop(*process));
        all.iter().rev().for_each(|process| signal(*process, Signal::KILL));
    }

    pub(crate) fn pause(&self) {
        signal(self.process(), Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        signal(self.process(), Signal::CONT);
    }

    /// Waits until its log says this.
    pub(crate) async fn says(&self, text: &str) {
        eventually(text, || self.log().contains(text)).await;
    }

    /// Bytes of reports that wait on its disk.
    pub(crate) fn outbox_bytes(&self) -> u64 {
        std::fs::metadata(self.dir().join("parent/data/outbox")).unwrap().len()
    }

    fn process(&self) -> Pid {
        Pid::from_raw(self.pid.try_into().unwrap()).unwrap()
    }

    /// Its standard input ends.
    pub(crate) fn cut_lifeline(&mut self) {
        drop(self.child.as_mut().unwrap().stdin.take());
    }

    pub(crate) async fn exit(&mut self) -> ExitStatus {
        let pid = self.process();
        // Waited for, and left to be reaped by its owner.
        let ended = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        let wait = move || rustix::process::waitid(rustix::process::WaitId::Pid(pid), ended).map(drop).unwrap();
        blocking(wait).await;
        self.child.take().unwrap().wait().unwrap()
    }

    /// The directory, for whoever looks into it when the agent is gone.
    pub(crate) fn keep_dir(&self) -> Arc<TempDir> {
        Arc::clone(&self.dir)
    }

    /// Drains it: nothing but the drain is said, and it leaves in good order.
    pub(crate) async fn finish(mut self, stream: &mut Stream) {
        self.terminate();
        assert_eq!(stream.next().await, Some(FromAgent::Draining(Reason::Drain)));
        stream.goodbye().await;
        assert_eq!(self.exit().await.code(), Some(0));
        let scratch = std::fs::read_dir(self.dir().join("parent/data/scratch")).unwrap();
        assert_eq!(scratch.count(), 0, "scratch directories are left");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the agent's log\n{}", self.log());
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn signal(process: Pid, signal: Signal) {
    rustix::process::kill_process(process, signal).unwrap();
}

/// Waits until all of its threads are stopped.
fn await_stop(process: Pid) {
    let until = std::time::Instant::now() + Duration::from_secs(30);
    let threads = || std::fs::read_dir(format!("/proc/{}/task", process.as_raw_pid())).unwrap();
    let is_stopped = |stat: &str| stat.rsplit_once(") ").unwrap().1.starts_with('T');
    let stat =
        |thread: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(thread.unwrap().path().join("stat"));
    while !threads().all(|thread| is_stopped(&stat(thread).unwrap())) {
        assert!(std::time::Instant::now() < until, "{process:?} does not stop");
        std::thread::yield_now();
    }
}

fn only_child(parent: Pid) -> Pid {
    let threads = std::fs::read_dir(format!("/proc/{}/task", parent.as_raw_pid())).unwrap();
    let children = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap());
    Pid::from_raw(children.collect::<String>().trim().parse().unwrap()).unwrap()
}

/// Looks until it is so, for what tells nobody when it changes.
pub(crate) async fn eventually(what: &str, so: impl Fn() -> bool) {
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while !so() {
        assert!(std::time::Instant::now() < until, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A coordinator, an agent with these arguments, and their first session.
pub(crate) async fn cluster(args: &[&str]) -> (Fake, Agent, Stream) {
    let mut fake = Fake::start().await;
    let agent = Agent::start(&fake.url, args);
    let stream = fake.session().await;
    (fake, agent, stream)
}

/// Runs what blocks. Not on the runtime's own threads: those are waited for even when the test has failed already.
pub(crate) fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = T> {
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || done.send(work()));
    async { within(result).await.unwrap() }
}

/// A named pipe in the test's directory.
pub(crate) fn fifo(agent: &Agent, name: &str) -> PathBuf {
    let path = agent.dir().join(name);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    path
}

/// Lets whoever reads this pipe go on.
pub(crate) async fn open_gate(gate: PathBuf) {
    blocking(move || std::fs::write(gate, "\n").unwrap()).await;
}

/// A named pipe whose end tells that the last process that holds it is gone.
pub(crate) struct Tether(PathBuf);

impl Tether {
    pub(crate) fn new(agent: &Agent) -> Self {
        Self(fifo(agent, "tether"))
    }

    /// A shell that holds it, once `cut` waits, and says so; then `script`.
    pub(crate) fn hold(&self, script: &str) -> pb::JobSpec {
        sh(&self.hold_script(script))
    }

    pub(crate) fn hold_script(&self, script: &str) -> String {
        format!("exec 9>{}; echo held; {script}", self.0.display())
    }

    /// Waits until something held it and nothing does any more.
    pub(crate) fn cut(&self) -> impl Future<Output = ()> + use<> {
        let path = self.0.clone();
        let read = blocking(move || std::fs::read(path).unwrap());
        async { assert_eq!(read.await, b"") }
    }
}
