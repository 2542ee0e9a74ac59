//! An agent with control groups. Ignored, because not every machine lets us make some; `.ci/run` runs them, and they fail where there
//! are none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::{AttemptState, ExitStatus, Proof, Reason};

use crate::fake::Fake;
use crate::memory::{limited, take};
use crate::{Agent, PROGRAM, bytes, eventually, exec, lease, sh};

/// A group of the test's own.
struct Ground(PathBuf);

impl Ground {
    fn new(name: &str) -> Self {
        let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let mount = mounts.into_iter().find(|path| path.join("cgroup.subtree_control").exists());
        let mount = mount.expect("this test needs version 2 of control groups, at /sys/fs/cgroup or its unified");
        let path = mount.join(format!("test-agent-{}-{name}", std::process::id()));
        fs::create_dir(&path).expect("this test needs the right to make control groups");
        Self(path)
    }

    fn args(&self) -> [&str; 4] {
        ["--containment", "cgroup", "--cgroup-root", self.0.to_str().unwrap()]
    }

    /// Processes in all leaves there are.
    fn running(&self) -> Vec<i32> {
        let agents = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        let groups = agents.flat_map(|agent| fs::read_dir(agent).unwrap()).map(|entry| entry.unwrap().path());
        let leaves = groups.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("leaf-"));
        let pids = leaves.filter_map(|leaf| fs::read_to_string(leaf.join("cgroup.procs")).ok());
        pids.flat_map(|text| text.lines().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect()
    }

    /// An agent that left in good order removed what it made.
    fn finish(self) {
        fs::remove_dir(self.0).expect("nothing is left in it");
    }
}

#[tokio::test]
#[ignore = "needs control groups, version 2; .ci/run runs it"]
async fn an_end_comes_with_the_proof_of_its_group_and_an_agent_that_leaves_leaves_no_group() {
    let ground = Ground::new("ends");
    let mut fake = Fake::start().await;
    let agent = Agent::start(&fake.url, &ground.args());
    let mut stream = fake.session().await;
    stream.assign(lease(1), &bytes(&sh("exit 3"))).await;
    let exit = stream.ran(lease(1)).await.exit.unwrap();
    assert_eq!((exit.status, exit.proof), (ExitStatus::Code(3), Proof::Cgroup));
    stream.assign(lease(2), &bytes(&exec(&["sleep", "1000"]))).await;
    stream.started(lease(2)).await;
    stream.stop(lease(2), Reason::CancelRequested).await;
    let outcome = stream.ended(lease(2)).await;
    assert_eq!((outcome.state, outcome.exit.unwrap().proof), (AttemptState::Cancelled, Proof::Cgroup));
    agent.finish(&mut stream).await;
    ground.finish();
}

#[tokio::test]
#[ignore = "needs control groups, version 2; .ci/run runs it"]
async fn what_washed_its_cookie_off_and_outlives_all_supervision_is_gone_before_the_next_hello() {
    let ground = Ground::new("lives");
    let mut fake = Fake::start().await;
    let mut agent = Agent::start(&fake.url, &ground.args());
    let mut stream = fake.session().await;
    let washed =
        "env -i setsid sleep 1000 & (env -i setsid sh -c 'trap \"\" TERM; sleep 1000 & wait' &) ; echo held; wait";
    stream.assign(lease(1), &bytes(&sh(washed))).await;
    stream.started(lease(1)).await;
    fake.logs.says(lease(1), "held").await;
    eventually("all of it runs", || ground.running().len() == 4).await;
    let all = ground.running();
    agent.kill_with_all_supervision();
    agent.exit().await;
    eventually("the leader dies with its keeper", || ground.running().len() == 3).await;

    let agent = agent.again_with(&fake.url, &ground.args());
    let hello = fake.hello().await;
    assert_eq!(ground.running(), [] as [i32; 0]);
    assert!(!all.iter().any(|pid| Path::new(&format!("/proc/{pid}/exe")).exists()));
    assert_eq!(hello.hello.inventory, []);
    assert!(agent.log().contains("a former life left processes in control groups: killed"));
    hello.welcome(Duration::from_secs(60)).await;
    let mut stream = hello;
    agent.finish(&mut stream).await;
    ground.finish();
}

#[tokio::test]
#[ignore = "needs control groups, version 2; .ci/run runs it"]
async fn a_memory_limit_is_kept_by_the_kernel_where_it_can_and_by_the_agent_elsewhere() {
    let ground = Ground::new("memory");
    let (_fake, agent, mut stream) = limited(&ground.args()).await;
    stream.assign(lease(1), &bytes(&sh(&format!("{} & wait", take(96))))).await;
    let outcome = stream.ran(lease(1)).await;
    let controllers = fs::read_to_string(ground.0.join("cgroup.controllers")).unwrap();
    let by_kernel = controllers.split_whitespace().any(|name| name == "memory");
    let reason = if by_kernel { Reason::OomKilled } else { Reason::MemoryLimit };
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Failed, Some(reason)));
    assert!(outcome.detail.unwrap().ends_with("limit of 64 MiB"));
    assert_eq!(outcome.exit.unwrap().proof, Proof::Cgroup);
    agent.finish(&mut stream).await;
    ground.finish();
}

/// An agent that decides for itself, started in this group; the proof that comes with an end, and its log.
async fn started_in(group: &Path) -> (Proof, String) {
    let mut fake = Fake::start().await;
    let enter = format!("echo $$ >{}/cgroup.procs; exec \"$@\"", group.display());
    let mut command = Command::new("sh");
    command.args(["-c", &enter, "sh", PROGRAM]);
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let agent = Agent::start_by(Arc::clone(&dir), &fake.url, &["--containment", "auto"], command);
    let mut stream = fake.session().await;
    stream.assign(lease(1), &bytes(&exec(&["true"]))).await;
    let exit = stream.ran(lease(1)).await.exit.unwrap();
    agent.finish(&mut stream).await;
    (exit.proof, fs::read_to_string(dir.path().join("log")).unwrap())
}

#[tokio::test]
#[ignore = "needs control groups, version 2; .ci/run runs it"]
async fn left_to_itself_an_agent_takes_the_group_it_is_in_only_where_that_was_left_to_it() {
    let ground = Ground::new("auto");
    let (proof, log) = started_in(&ground.0).await;
    assert_eq!(proof, Proof::Keeper);
    assert!(log.contains("was not left to us"), "{log}");
    // As systemd does for a unit with Delegate=.
    rustix::fs::setxattr(&ground.0, "user.delegate", b"1", rustix::fs::XattrFlags::empty()).unwrap();
    let (proof, log) = started_in(&ground.0).await;
    assert_eq!(proof, Proof::Cgroup, "{log}");
    ground.finish();
}

/// A group of version 1 that may have 32 MiB, in which the kernel kills and no counter of ours knows of it.
struct Narrow(PathBuf);

impl Narrow {
    fn new() -> Self {
        let path = PathBuf::from(format!("/sys/fs/cgroup/memory/test-agent-{}", std::process::id()));
        fs::create_dir(&path).expect("this test needs the memory controller of version 1, and the right to use it");
        fs::write(path.join("memory.limit_in_bytes"), "33554432").unwrap();
        Self(path)
    }
}

impl Drop for Narrow {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).expect("what was in it is proven gone");
    }
}

#[tokio::test]
#[ignore = "needs the memory controller, version 1; .ci/run runs it"]
async fn a_kill_by_the_hosts_kernel_for_want_of_memory_is_a_signal_with_a_hint() {
    let narrow = Narrow::new();
    let (_fake, agent, mut stream) = crate::cluster(&[]).await;
    let gate = crate::fifo(&agent, "gate");
    let script =
        format!("echo $$ >{}/cgroup.procs; read open <{}; exec tail /dev/zero", narrow.0.display(), gate.display());
    stream.assign(lease(1), &bytes(&sh(&script))).await;
    stream.started(lease(1)).await;
    crate::open_gate(gate).await;
    let outcome = stream.ended(lease(1)).await;
    assert_eq!((outcome.state, outcome.reason), (AttemptState::Failed, Some(Reason::Signal)), "no proof, no claim");
    assert!(outcome.detail.as_deref().is_some_and(|text| text.contains("so probably that")), "{:?}", outcome.detail);
    agent.finish(&mut stream).await;
}

#[tokio::test]
async fn an_agent_that_is_to_use_a_group_that_is_none_does_not_start_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    let fake = Fake::start().await;
    let mut agent = Agent::start(&fake.url, &["--containment", "cgroup", "--cgroup-root", root]);
    // EX_CONFIG: starting it again as it is will not help.
    assert_eq!(agent.exit().await.code(), Some(78));
    assert!(agent.log().contains(&format!("--cgroup-root {root} is no group of version 2")), "{}", agent.log());
}
