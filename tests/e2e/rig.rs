//! Runs the real binaries and looks for what they leave behind.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Nothing here takes this long on any machine; what does, hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at the world, which sends no word when it changes.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A binary of this workspace, built once by the same cargo in the same profile, beside the test's own executable.
pub(crate) fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let dir = BUILT.get_or_init(|| {
        let own = std::env::current_exe().expect("this test's path");
        let dir = own.parent().and_then(Path::parent).expect("target/PROFILE/deps/TEST").to_owned();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "--workspace", "--bins", "--examples"]);
        if dir.ends_with("release") {
            build.arg("--release");
        }
        build.arg("--target-dir").arg(dir.parent().expect("target"));
        assert!(build.current_dir(root()).status().expect("cargo runs").success(), "the binaries build");
        dir
    });
    dir.join(name)
}

/// The workspace's directory.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace")
}

/// A place of its own: a temporary directory that everything started here uses, and a mark in the environment that every
/// process started below carries, however it daemonises.
pub(crate) struct Rig {
    pub(crate) dir: TempDir,
    mark: String,
}

impl Rig {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("E2E_MARK={}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self { dir: tempfile::Builder::new().prefix("e2e-").tempdir().expect("a directory"), mark }
    }

    /// The mark, for `--env` of a job that would not inherit it.
    pub(crate) fn mark_env(&self) -> String {
        self.mark.clone()
    }

    /// The mark, name and value.
    pub(crate) fn mark_pair(&self) -> (&str, &str) {
        self.mark.split_once('=').expect("a mark")
    }

    pub(crate) fn command(&self, binary_name: &str) -> Command {
        let mut command = Command::new(binary(binary_name));
        let (name, value) = self.mark_pair();
        let tmp = self.dir.path().join("tmp");
        fs::create_dir_all(&tmp).expect("a directory");
        command.current_dir(root()).env(name, value).env("TMPDIR", tmp).env("XDG_STATE_HOME", self.dir.path());
        command.env_remove("WINDLASS_ADDRESS").env_remove("WINDLASS_LOG").stdin(Stdio::null());
        command
    }

    /// `windlass` with these arguments, run to its end.
    pub(crate) fn windlass<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Finished {
        Finished(self.command("windlass").args(args).output().expect("windlass runs"))
    }

    pub(crate) fn windlass_fed<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, stdin: &str) -> Finished {
        let mut command = self.command("windlass");
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("windlass runs");
        child.stdin.take().expect("piped").write_all(stdin.as_bytes()).expect("it reads");
        Finished(child.wait_with_output().expect("it ends"))
    }

    /// Processes that carry the mark, or hold a file of this place, with their command lines. Wardens and keepers have no
    /// environment at all, but they hold the lock of their agent's data directory.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        let entries = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let line = |pid: i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            (pid, String::from_utf8_lossy(&line).replace('\0', " "))
        };
        pids.filter(|pid| *pid != std::process::id().cast_signed() && self.is_ours(*pid)).map(line).collect()
    }

    fn is_ours(&self, pid: i32) -> bool {
        let env = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if env.split(|byte| *byte == 0).any(|variable| variable == self.mark.as_bytes()) {
            return true;
        }
        let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        let here = |path: PathBuf| path.starts_with(self.dir.path());
        fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok()).any(here)
    }

    /// Processes whose command line begins with `what`, or that have it as an argument of its own.
    pub(crate) fn processes_like(&self, what: &str) -> Vec<i32> {
        let like = |line: &str| line.starts_with(what) || line.split(' ').any(|arg| arg == what);
        self.processes().into_iter().filter(|(_, line)| like(line)).map(|(pid, _)| pid).collect()
    }

    /// Processes the kernel knows by this name: a warden and its keepers share a command line, not a name.
    pub(crate) fn processes_named(&self, name: &str) -> Vec<i32> {
        let named = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
        self.processes().into_iter().map(|(pid, _)| pid).filter(named).collect()
    }

    /// Waits until `count` processes like `what` are there.
    pub(crate) fn wait_for(&self, what: &str, count: usize) -> Vec<i32> {
        within(PATIENCE, &format!("{count} × {what}"), || {
            let found = self.processes_like(what);
            (found.len() == count).then_some(found)
        })
    }

    /// Nothing that was started here runs any more, or will within `limit`.
    pub(crate) fn assert_nothing_runs(&self, limit: Duration) {
        let until = Instant::now() + limit;
        loop {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "still running: {left:?}");
            std::thread::park_timeout(LOOK_AGAIN);
        }
    }

    /// Nothing is left in the temporary directory, or will be within `limit`.
    pub(crate) fn assert_nothing_on_disk(&self, limit: Duration) {
        within(limit, "nothing on disk", || {
            fs::read_dir(self.dir.path().join("tmp")).expect("a directory").next().is_none().then_some(())
        });
    }

    /// A coordinator on a free port, with its record on disk.
    pub(crate) fn coordinator(&self) -> Running {
        self.coordinator_at("127.0.0.1:0", &[])
    }

    /// A coordinator at this address; started again at the same one, it goes on with the same record.
    pub(crate) fn coordinator_at(&self, listen: &str, args: &[&str]) -> Running {
        let mut child = self
            .command("windlass-coordinator")
            .args(["--listen", listen, "--data"])
            .arg(self.dir.path().join("coordinator"))
            .args(args)
            .env("WINDLASS_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the coordinator runs");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
        let url = line.trim().strip_prefix("listening on ").expect("its address").to_owned();
        Running { child, url }
    }

    pub(crate) fn agent(&self, url: &str, name: &str, slots: u32) -> Running {
        self.agent_with(url, name, slots, "")
    }

    /// An agent with this configuration.
    pub(crate) fn agent_with(&self, url: &str, name: &str, slots: u32, config: &str) -> Running {
        let file = self.dir.path().join(format!("{name}.toml"));
        fs::write(&file, config).expect("a file");
        let child = self
            .command("windlass-worker-agent")
            .args(["--coordinator", url, "--name", name, "--slots", &slots.to_string(), "--data"])
            .arg(self.dir.path().join(name))
            .arg("--config")
            .arg(file)
            // The same everywhere: whether control groups are ours depends on the machine.
            .args(["--containment", "keeper"])
            .env("WINDLASS_LOG", "error")
            .spawn()
            .expect("the agent runs");
        Running { child, url: url.to_owned() }
    }
}

/// A process that is killed with its test.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) url: String,
}

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        send(self.child.id().cast_signed(), signal);
    }

    /// Its exit code, once it ends.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let status = within(PATIENCE, "the end of a process", || self.child.try_wait().expect("ours to wait for"));
        status.code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn send(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a pid"), signal).expect("it is there");
}

/// What a finished `windlass` said.
pub(crate) struct Finished(Output);

impl Finished {
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// Exit code, or the negative of the signal that ended it.
    pub(crate) fn code(&self) -> i32 {
        self.0.status.code().unwrap_or_else(|| -self.0.status.signal().unwrap_or(0))
    }

    /// Its standard output, where it ended with `code`.
    pub(crate) fn expect(self, code: i32) -> String {
        assert_eq!(self.code(), code, "stdout: {}\nstderr: {}", self.stdout(), self.stderr());
        self.stdout()
    }
}

/// What `look` answers once it answers anything, within `limit`.
pub(crate) fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(Instant::now() < until, "waited {limit:?} for {what}");
        std::thread::park_timeout(LOOK_AGAIN);
    }
}
