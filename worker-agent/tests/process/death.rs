//! Somebody of us dies by kill -9, at any moment: nothing of any job may be left, and whoever lives must know.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use windlass_worker_agent::process::{ExitKind, LeaderEnd, Proof, Stage, WardenOptions};

use crate::support::*;

/// A tree of four: one ignores TERM, one has left the group, one its parents.
const TREE: &str = r#"
    (trap '' TERM; while :; do sleep 1; done) &
    setsid sleep 1000 &
    (setsid sleep 1000 &)
    echo up; wait"#;

alone! {
    async fn a_killed_warden_costs_its_attempts_and_nothing_else() {
        let warden = start(options());
        let mut lost = Vec::new();
        for _ in 0..5 {
            let mut process = warden.spawn(sh(TREE)).await.unwrap();
            read_until(&mut process.stdout, "up").await;
            lost.push(process);
        }
        let killed = warden_pid(&warden);
        let old = below(agent());
        kill(killed, Signal::KILL);
        for mut process in lost {
            assert_eq!(within(Duration::from_secs(5), process.events.leader_exit()).await, LeaderEnd::Lost);
            assert_eq!(within(Duration::from_secs(5), process.events.tree_end()).await.proof, Proof::Swept);
        }
        assert_eq!(marked(), BTreeSet::new());
        assert!(old.iter().all(|pid| !exists(*pid)), "all that was below the agent is gone");
        let next = within(Duration::from_secs(10), run(&warden, sh("exit 6"))).await;
        assert_eq!((status(next.leader), next.proof), (ExitKind::Code(6), Proof::Keeper));
        assert_ne!(warden_pid(&warden), killed);
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn spawns_under_way_when_the_warden_dies_fail_or_run_under_the_next() {
        let warden = start(options());
        let spawns: Vec<_> = (0..40)
            .map(|_| {
                let warden = warden.clone();
                tokio::runtime::Handle::current().spawn(async move {
                    let process = warden.spawn(sh("sleep 0.2; exit 3")).await?;
                    Ok(finish(process).await)
                })
            })
            .collect();
        tokio::task::yield_now().await;
        kill(warden_pid(&warden), Signal::KILL);
        for spawn in spawns {
            match within(Duration::from_secs(20), spawn).await.unwrap() {
                Ok(ended) => match ended.leader {
                    LeaderEnd::Exited(exit) => assert_eq!(exit.status, ExitKind::Code(3)),
                    LeaderEnd::Lost => assert_eq!(ended.proof, Proof::Swept),
                },
                Err(error) => {
                    let error: windlass_worker_agent::process::SpawnError = error;
                    assert_eq!((error.stage, error.errno, error.proof), (Stage::Warden, libc::ECONNRESET, Proof::Swept));
                }
            }
        }
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_warden_killed_again_and_again_comes_back() {
        let warden = start(options());
        for _ in 0..4 {
            let ended = within(Duration::from_secs(10), run(&warden, sh("exit 2"))).await;
            assert_eq!((status(ended.leader), ended.proof), (ExitKind::Code(2), Proof::Keeper));
            let killed = warden.pid();
            kill(warden_pid(&warden), Signal::KILL);
            eventually("its death is noticed", || warden.pid() != killed).await;
        }
        within(Duration::from_secs(10), run(&warden, sh("true"))).await;
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_stopped_warden_is_made_to_go_on_and_does_what_it_was_asked_meanwhile() {
        let warden = start(options());
        let stopped = warden.pid();
        kill(warden_pid(&warden), Signal::STOP);
        let ended = within(Duration::from_secs(5), run(&warden, sh("exit 3"))).await;
        assert_eq!((status(ended.leader), ended.proof), (ExitKind::Code(3), Proof::Keeper));
        assert_eq!(warden.pid(), stopped);
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_warden_that_is_stopped_again_and_again_is_replaced() {
        let warden = start(options());
        let stopped = warden.pid();
        let stopper = Stopper::start(warden_pid(&warden));
        eventually("there is another", || warden.pid().is_some() && warden.pid() != stopped).await;
        drop(stopper);
        within(Duration::from_secs(10), run(&warden, sh("true"))).await;
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_warden_that_does_not_answer_is_replaced_when_a_spawn_has_waited_long_enough() {
        let dir = scratch();
        let silent = dir.path().join("silent");
        std::fs::write(&silent, "#!/bin/sh\nexec cat <&3 >/dev/null\n").unwrap();
        std::fs::set_permissions(&silent, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let limits = WardenOptions { start_timeout: Duration::from_millis(100), proof_timeout: Duration::from_secs(1), ..options() };
        let warden = start(WardenOptions { executable: silent, ..limits });
        let first = warden.pid();
        let error = within(Duration::from_secs(15), warden.spawn(sh("true"))).await.unwrap_err();
        assert_eq!((error.stage, error.errno, error.proof), (Stage::Warden, libc::ECONNRESET, Proof::Swept));
        eventually("there is another", || warden.pid().is_some() && warden.pid() != first).await;
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_killed_keeper_costs_its_own_attempt_only() {
        let warden = start(options());
        let mut victim = warden.spawn(sh(TREE)).await.unwrap();
        let mut bystander = warden.spawn(sh("echo up; sleep 1; exit 8")).await.unwrap();
        read_until(&mut victim.stdout, "up").await;
        read_until(&mut bystander.stdout, "up").await;
        let before = warden.pid();
        kill(keeper_of(&victim), Signal::KILL);
        assert_eq!(within(Duration::from_secs(5), victim.events.leader_exit()).await, LeaderEnd::Lost);
        assert_eq!(within(Duration::from_secs(5), victim.events.tree_end()).await.proof, Proof::Swept);
        let pids = marked();
        let of_bystander = below(keeper_of(&bystander));
        assert_eq!(pids, of_bystander, "of the victim nothing, of the bystander all");
        let ended = finish(bystander).await;
        assert_eq!((status(ended.leader), ended.proof), (ExitKind::Code(8), Proof::Keeper));
        assert_eq!(warden.pid(), before);
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_warden_does_not_hear_the_signals_of_a_terminal_or_an_init() {
        let warden = start(options());
        let before = warden.pid();
        for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::PIPE, Signal::USR1] {
            kill(warden_pid(&warden), signal);
        }
        let ended = run(&warden, sh("exit 1")).await;
        assert_eq!((status(ended.leader), ended.proof, warden.pid()), (ExitKind::Code(1), Proof::Keeper, before));
        let pid = warden_pid(&warden);
        assert_eq!([3, 4].map(|field| stat(pid, field)), [Some(pid), Some(0)], "its own session, no terminal");
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn the_lock_is_free_only_when_the_last_tree_is_gone() {
        let dir = scratch();
        let path = dir.path().join("lock");
        let lock = std::fs::File::create(&path).unwrap();
        lock.try_lock().unwrap();
        let lock = std::sync::Arc::new(std::os::fd::OwnedFd::from(lock));
        let warden = start(WardenOptions { lock: Some(lock.clone()), ..options() });
        let process = warden.spawn(sh("sleep 1000")).await.unwrap();
        let is_free = || std::fs::File::open(&path).unwrap().try_lock().is_ok();
        // One more than without a lock; the job has not got it.
        assert_fds("the warden", warden_pid(&warden), 9).await;
        assert_fds("the keeper", keeper_of(&process), 6).await;
        assert_fds("the leader", leader(&process), 3).await;
        within(Duration::from_secs(5), warden.stop()).await;
        drop(warden);
        assert!(!is_free(), "we still hold it");
        drop(lock);
        assert!(is_free());
        assert_eq!(marked(), BTreeSet::new());
    }

    /// Not a test of its own: the agent that the tests below kill.
    #[ignore = "started by other tests"]
    async fn agent_to_be_killed() {
        let warden = start(options());
        let mut processes = Vec::new();
        for _ in 0..3 {
            let mut process = warden.spawn(sh(TREE)).await.unwrap();
            read_until(&mut process.stdout, "up").await;
            processes.push(process);
        }
        println!("\nwarden {}", warden.pid().unwrap());
        std::future::pending::<()>().await;
    }
}

/// An agent in a process of its own, with three trees running, and every process below it.
struct Agent {
    process: Child,
    warden: i32,
    below: BTreeSet<i32>,
}

impl Agent {
    fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["death::agent_to_be_killed", "--exact", "--nocapture", "--include-ignored"])
            .env("WINDLASS_TEST_ALONE", "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let warden = lines.filter_map(|line| line.strip_prefix("warden ")?.parse().ok()).next().unwrap();
        let below = below(i32::try_from(process.id()).unwrap());
        // The warden, and for each tree its keeper, the leader and at least three more.
        assert!(below.contains(&warden) && below.len() > 3 * 5, "{below:?}");
        Self { process, warden, below }
    }

    fn keepers(&self) -> Vec<i32> {
        self.below.iter().copied().filter(|pid| parent(*pid) == Some(self.warden)).collect()
    }

    fn assert_nothing_is_left(self) {
        let nothing = || !self.below.iter().any(|pid| exists(*pid));
        let gone = eventually("no process of the agent is left", nothing);
        runtime().block_on(within(Duration::from_secs(5), gone));
    }
}

#[test]
fn a_killed_agent_leaves_none_of_its_processes() {
    let mut agent = Agent::start();
    agent.process.kill().unwrap();
    agent.process.wait().unwrap();
    agent.assert_nothing_is_left();
}

#[test]
fn an_agent_that_dies_while_its_warden_is_stopped_leaves_none_of_its_processes() {
    let mut agent = Agent::start();
    kill(agent.warden, Signal::STOP);
    agent.process.kill().unwrap();
    agent.process.wait().unwrap();
    agent.assert_nothing_is_left();
}

#[test]
fn keepers_that_are_stopped_when_agent_and_warden_die_leave_none_of_their_processes() {
    let mut agent = Agent::start();
    agent.keepers().into_iter().chain([agent.warden]).for_each(|pid| kill(pid, Signal::STOP));
    agent.process.kill().unwrap();
    kill(agent.warden, Signal::KILL);
    agent.process.wait().unwrap();
    agent.assert_nothing_is_left();
}

#[test]
fn agent_and_warden_killed_at_once_leave_none_of_their_processes() {
    let mut agent = Agent::start();
    kill(agent.warden, Signal::STOP); // so that it cannot do the work in between
    agent.process.kill().unwrap();
    kill(agent.warden, Signal::KILL);
    agent.process.wait().unwrap();
    agent.assert_nothing_is_left();
}
