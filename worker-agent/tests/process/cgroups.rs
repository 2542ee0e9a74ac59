//! Trees in control groups. Ignored, because not every machine lets us make some; `.ci/run` runs them, and they fail where there are
//! none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use windlass_worker_agent::containment::{Choice, Containment, Setting, Swept};
use windlass_worker_agent::process::{
    ExitKind, LeaderEnd, Process, Proof, SpawnSpec, Stage, Stdin, Warden, WardenOptions,
};

use crate::support::*;

/// Of seven: one ignores all it can, one has left the group, one its session and its parents, one its environment as well.
const TREE: &str = r#"
    (trap '' HUP INT TERM QUIT USR1 USR2; while :; do sleep 1; done) &
    setsid sleep 1000 &
    (setsid sh -c 'sleep 1000 & trap "" TERM; wait' &)
    (env -i setsid sleep 1000 &)
    echo up; wait"#;

/// A group of the test's own, which must be gone with it.
struct Ground(PathBuf);

impl Ground {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let mount = mounts.into_iter().find(|path| path.join("cgroup.subtree_control").exists());
        let mount = mount.expect("this test needs version 2 of control groups, at /sys/fs/cgroup or its unified");
        let path = mount.join(format!("test-{}-{}", agent(), NEXT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&path).expect("this test needs the right to make control groups");
        Self(path)
    }

    fn contain(&self, agent: &str) -> Containment {
        let setting = Setting { choice: Choice::Cgroup, root: Some(self.0.clone()) };
        let (containment, swept) = Containment::start(&setting, agent, Duration::from_secs(10)).unwrap();
        assert_eq!(swept, Swept::default());
        containment
    }

    /// The leaves there are.
    fn leaves(&self) -> Vec<PathBuf> {
        let groups = fs::read_dir(self.0.join("windlass-a")).unwrap().filter_map(|entry| Some(entry.ok()?.path()));
        groups.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("leaf-")).collect()
    }

    /// Stops the warden, and finds nothing left behind.
    async fn finish(self, warden: Warden, containment: Containment) {
        assert_only_the_warden_is_left(&warden).await;
        warden.stop().await;
        containment.leave();
        fs::remove_dir(&self.0).expect("the agent removed what it made");
    }
}

fn begin() -> (Ground, Containment, Warden) {
    let ground = Ground::new();
    let containment = ground.contain("a");
    let warden = start(WardenOptions { containment: containment.clone(), ..options() });
    (ground, containment, warden)
}

/// Name of the group of version 2 that a process is in.
fn group_of(pid: i32) -> String {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    own.rsplit('/').next().unwrap().to_owned()
}

async fn up(warden: &Warden) -> Process {
    let mut process = warden.spawn(sh(TREE)).await.unwrap();
    read_until(&mut process.stdout, "up").await;
    eventually("all seven of it run", || below(keeper_of(&process)).len() >= 7).await;
    process
}

/// All processes of a tree; unlike a mark in the environment, its group cannot be washed off.
fn members(process: &Process) -> Vec<i32> {
    below(keeper_of(process)).into_iter().collect()
}

fn none_exists(pids: &[i32]) -> bool {
    !pids.iter().any(|pid| exists(*pid))
}

alone! {
    #[ignore = "needs control groups, version 2; .ci/run runs it"]
    async fn a_tree_that_left_its_session_and_blocks_signals_dies_at_once_by_the_word_of_its_group() {
        let (ground, containment, warden) = begin();
        let process = up(&warden).await;
        let tree = members(&process);
        assert!(tree.iter().all(|pid| group_of(*pid) == "leaf-1"), "all of it is in its leaf");
        for supervisor in [agent(), warden_pid(&warden), keeper_of(&process)] {
            assert_eq!(group_of(supervisor), "supervisor");
        }
        process.control.kill();
        let ended = within(Duration::from_secs(5), finish(process)).await;
        assert_eq!((status(ended.leader), ended.proof), (KILLED, Proof::Cgroup));
        assert!(none_exists(&tree));
        ground.finish(warden, containment).await;
    }

    #[ignore = "needs control groups, version 2; .ci/run runs it"]
    async fn a_leaf_is_used_again_once_it_is_empty_and_never_when_it_was_killed() {
        let (ground, containment, warden) = begin();
        for code in 0..5 {
            let ended = run(&warden, sh(&format!("exit {code}"))).await;
            assert_eq!((status(ended.leader), ended.proof), (ExitKind::Code(code), Proof::Cgroup));
        }
        assert_eq!(ground.leaves().len(), 1);
        let (first, second) = (up(&warden).await, up(&warden).await);
        assert_ne!(group_of(leader(&first)), group_of(leader(&second)));
        first.control.kill();
        let control = first.control.clone();
        assert_eq!(finish(first).await.proof, Proof::Cgroup);
        let third = up(&warden).await;
        assert_ne!(group_of(leader(&third)), "leaf-1");
        // A hand on what has ended has none on what came after.
        control.kill();
        for process in [second, third] {
            assert!(exists(leader(&process)));
            process.control.kill();
            assert_eq!(finish(process).await.proof, Proof::Cgroup);
        }
        assert_eq!(ground.leaves(), [] as [PathBuf; 0], "what was killed is removed");
        ground.finish(warden, containment).await;
    }

    #[ignore = "needs control groups, version 2; .ci/run runs it"]
    async fn what_survives_its_leader_is_killed_after_its_grace() {
        let ground = Ground::new();
        let containment = ground.contain("a");
        let grace = Duration::from_millis(200);
        let warden = start(WardenOptions { containment: containment.clone(), survivors_grace: grace, ..options() });
        let ended = within(Duration::from_secs(5), run(&warden, sh("setsid sh -c 'trap \"\" TERM; sleep 1000' >&- 2>&- & exit 3"))).await;
        assert_eq!((status(ended.leader), ended.proof), (ExitKind::Code(3), Proof::Cgroup));
        ground.finish(warden, containment).await;
    }

    #[ignore = "needs control groups, version 2; .ci/run runs it"]
    async fn with_its_keeper_dead_and_the_warden_stopped_the_agent_kills_it_alone() {
        let (ground, containment, warden) = begin();
        let mut process = up(&warden).await;
        let tree = members(&process);
        let stopped = Stopped::new(warden_pid(&warden));
        kill(keeper_of(&process), Signal::KILL);
        let leaf = ground.leaves().pop().unwrap();
        let runs = || -> Vec<i32> {
            let pids = fs::read_to_string(leaf.join("cgroup.procs")).unwrap();
            pids.lines().map(|pid| pid.parse().unwrap()).collect()
        };
        eventually("its leader dies with its keeper", || !runs().contains(&leader(&process))).await;
        assert!(runs().len() >= 5, "what has no parent any more runs on");
        process.control.kill();
        eventually("nothing of it runs, and nobody but the agent could do it", || runs().is_empty()).await;
        drop(stopped);
        assert_eq!(within(Duration::from_secs(5), process.events.leader_exit()).await, LeaderEnd::Lost);
        assert_eq!(within(Duration::from_secs(5), process.events.tree_end()).await.proof, Proof::Cgroup);
        assert!(none_exists(&tree));
        ground.finish(warden, containment).await;
    }

    #[ignore = "needs control groups, version 2; .ci/run runs it"]
    async fn a_killed_warden_and_a_killed_keeper_cost_what_was_theirs_with_the_proof_of_its_group() {
        let (ground, containment, warden) = begin();
        let (mut victim, bystander) = (up(&warden).await, up(&warden).await);
        let (tree, other) = (members(&victim), members(&bystander));
        kill(keeper_of(&victim), Signal::KILL);
        assert_eq!(within(Duration::from_secs(5), victim.events.leader_exit()).await, LeaderEnd::Lost);
        assert_eq!(within(Duration::from_secs(5), victim.events.tree_end()).await.proof, Proof::Cgroup);
        assert!(none_exists(&tree) && other.iter().all(|pid| exists(*pid)));
        kill(warden_pid(&warden), Signal::KILL);
        let ended = within(Duration::from_secs(5), finish(bystander)).await;
        assert_eq!((ended.leader, ended.proof), (LeaderEnd::Lost, Proof::Cgroup));
        assert!(none_exists(&other));
        let next = within(Duration::from_secs(10), run(&warden, sh("exit 6"))).await;
        assert_eq!((status(next.leader), next.proof), (ExitKind::Code(6), Proof::Cgroup));
        ground.finish(warden, containment).await;
    }

    #[ignore = "needs control groups, version 2; .ci/run runs it"]
    async fn what_left_its_leaf_is_still_its_keepers_and_what_was_put_there_goes_with_it() {
        let (ground, containment, warden) = begin();
        let elsewhere = ground.0.join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let script = format!("sh -c 'echo $$ > {}/cgroup.procs; echo up; exec sleep 1000' & wait", elsewhere.display());
        let mut process = warden.spawn(sh(&script)).await.unwrap();
        read_until(&mut process.stdout, "up").await;
        let mut stranger = Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(ground.leaves()[0].join("cgroup.procs"), stranger.id().to_string()).unwrap();
        process.control.kill();
        let ended = within(Duration::from_secs(5), finish(process)).await;
        assert_eq!((status(ended.leader), ended.proof), (KILLED, Proof::Cgroup));
        assert!(!stranger.wait().unwrap().success());
        assert_eq!(fs::read_to_string(elsewhere.join("cgroup.procs")).unwrap(), "");
        fs::remove_dir(elsewhere).unwrap();
        ground.finish(warden, containment).await;
    }

    #[ignore = "needs control groups, version 2; .ci/run runs it"]
    async fn an_end_is_not_proven_while_a_stranger_is_in_the_leaf_and_that_is_killed_after_the_grace() {
        let (ground, containment, warden) = begin();
        let mut process = warden.spawn(SpawnSpec { stdin: Stdin::Pipe, ..sh("read x; exit 3") }).await.unwrap();
        let mut stranger = Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(ground.leaves()[0].join("cgroup.procs"), stranger.id().to_string()).unwrap();
        drop(process.stdin.take());
        process.events.leader_exit().await;
        let early = tokio::time::timeout(options().survivors_grace / 2, process.events.tree_end()).await;
        assert!(early.is_err(), "{early:?}");
        let ended = within(Duration::from_secs(10), finish(process)).await;
        assert_eq!((status(ended.leader), ended.proof), (ExitKind::Code(3), Proof::Cgroup));
        let cmdline = format!("/proc/{}/cmdline", stranger.id());
        // What has ended has none, and is ours to reap.
        eventually("the stranger is gone", || fs::read(&cmdline).unwrap().is_empty()).await;
        assert!(!stranger.wait().unwrap().success());
        ground.finish(warden, containment).await;
    }

    #[ignore = "needs control groups, version 2; .ci/run runs it"]
    async fn a_group_that_takes_nobody_is_a_stage_of_its_own_and_the_next_has_another() {
        let (ground, containment, warden) = begin();
        assert_eq!(run(&warden, sh("true")).await.proof, Proof::Cgroup);
        let leaf = ground.leaves().pop().unwrap();
        // Asked for while the warden cannot hear it, and then its leaf is gone.
        let stopped = Stopped::new(warden_pid(&warden));
        let mut spawn = Box::pin(warden.spawn(sh("true")));
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut spawn).await.is_err());
        fs::remove_dir(leaf).unwrap();
        drop(stopped);
        let error = within(Duration::from_secs(5), spawn).await.unwrap_err();
        // Of a group that is gone nobody can say that it is empty.
        assert_eq!((error.stage, error.proof), (Stage::Group, Proof::Keeper), "{error}");
        assert_eq!(run(&warden, sh("true")).await.proof, Proof::Cgroup);
        ground.finish(warden, containment).await;
    }

    #[ignore = "needs control groups, version 2; .ci/run runs it"]
    async fn a_start_sweeps_its_own_former_life_and_tidies_what_dead_agents_left() {
        let ground = Ground::new();
        let leaf = ground.0.join("windlass-a/leaf-7/of/a/job");
        fs::create_dir_all(&leaf).unwrap();
        fs::create_dir_all(ground.0.join("windlass-dead/leaf-1")).unwrap();
        fs::create_dir_all(ground.0.join("windlass-alive/leaf-1")).unwrap();
        let alive = fs::File::open(ground.0.join("windlass-alive")).unwrap();
        alive.lock().unwrap();
        let mut left = Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(leaf.join("cgroup.procs"), left.id().to_string()).unwrap();
        let containment = ground.contain("a");
        assert!(!left.wait().unwrap().success());
        assert!(!ground.0.join("windlass-dead").exists() && ground.0.join("windlass-alive").exists());
        assert_eq!(ground.leaves(), [] as [PathBuf; 0]);
        containment.leave();
        fs::remove_dir(ground.0.join("windlass-alive/leaf-1")).unwrap();
        fs::remove_dir(ground.0.join("windlass-alive")).unwrap();
        fs::remove_dir(&ground.0).unwrap();
    }

    #[ignore = "needs control groups, version 2; .ci/run runs it"]
    async fn without_a_group_of_ours_cgroup_does_not_start_and_says_what_to_do() {
        let dir = scratch();
        for choice in [Choice::Auto, Choice::Cgroup] {
            let setting = Setting { choice, root: Some(dir.path().into()) };
            let error = Containment::start(&setting, "a", Duration::ZERO).unwrap_err().to_string();
            let expected = format!(
                "control groups cannot be used: --cgroup-root {} is no group of version 2; \
                 name a directory of a cgroup2 mount, or say --containment keeper",
                dir.path().display()
            );
            assert_eq!(error, expected);
        }
    }
}
