//! The end of a tree that is more than its leader.

use std::time::{Duration, Instant};

use windlass_worker_agent::process::{ExitKind, Proof, WardenOptions};

use crate::support::*;

/// Leaves the session, then its parent, as a daemon does, and stays.
const DAEMON: &str = r#"setsid sh -c 'sleep 1000 & echo daemon $!' & wait $!"#;

fn grace(limit: Duration) -> WardenOptions {
    WardenOptions { survivors_grace: limit, ..options() }
}

alone! {
    async fn a_daemon_that_left_session_and_parents_is_gone_when_the_tree_ends() {
        let warden = start(grace(Duration::from_secs(1)));
        let mut process = warden.spawn(sh(DAEMON)).await.unwrap();
        read_until(&mut process.stdout, "daemon").await;
        assert_eq!(status(process.events.leader_exit().await), ExitKind::Code(0));
        eventually("the daemon outlives its leader, for its grace", || marked().len() == 1).await;
        assert_eq!(process.events.tree_end().await.proof, Proof::Keeper);
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_grandchild_that_holds_stdout_gets_the_grace_and_is_then_killed() {
        let limit = Duration::from_millis(400);
        let warden = start(grace(limit));
        let begin = Instant::now();
        let mut process = warden.spawn(sh("sleep 1000 & exit 3")).await.unwrap();
        assert_eq!(status(process.events.leader_exit().await), ExitKind::Code(3));
        let told = begin.elapsed();
        assert!(told < limit, "the leader's end was told only after {told:?}");
        assert_eq!(read_all(&mut process.stdout).await, "");
        assert_eq!(process.events.tree_end().await.proof, Proof::Keeper);
        let ended = begin.elapsed();
        assert!(ended >= limit && ended < limit * 5, "{ended:?}");
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_survivor_that_ends_within_the_grace_ends_the_tree_by_itself() {
        let warden = start(grace(Duration::from_secs(60)));
        let mut process = warden.spawn(sh("(sleep 0.2; echo late) & exit 0")).await.unwrap();
        assert_eq!(status(process.events.leader_exit().await), ExitKind::Code(0));
        assert_eq!(read_all(&mut process.stdout).await, "late\n");
        assert_eq!(within(Duration::from_secs(5), process.events.tree_end()).await.proof, Proof::Keeper);
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn zombies_a_job_never_reaped_are_no_survivors() {
        let warden = start(grace(Duration::from_secs(60)));
        // exec: the program that takes over the shell's place knows nothing of its children.
        let ended = within(Duration::from_secs(5), run(&warden, sh("true & true & exec sleep 0.3"))).await;
        assert_eq!((status(ended.leader), ended.proof), (ExitKind::Code(0), Proof::Keeper));
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn hundreds_that_end_at_once_while_the_warden_is_stopped_all_get_their_last_word_through() {
        let warden = start(options());
        let dir = scratch();
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let writer = std::fs::File::options().read(true).write(true).open(&fifo).unwrap();
        let mut waiting = Vec::new();
        // More than fit into the socket between keepers and warden.
        for _ in 0..350 {
            let job = sh(&format!("exec < {}; echo up; exec cat", fifo.display()));
            let mut process = warden.spawn(job).await.unwrap();
            read_until(&mut process.stdout, "up").await;
            waiting.push(process.events);
        }
        let pid = warden_pid(&warden);
        let stopped = Stopped::new(pid);
        drop(writer);
        eventually("all have ended", || marked().is_empty()).await;
        drop(stopped);
        for mut events in waiting {
            assert_eq!(status(within(Duration::from_secs(5), events.leader_exit()).await), ExitKind::Code(0));
            assert_eq!(events.tree_end().await.proof, Proof::Keeper);
        }
        assert_eq!(warden_pid(&warden), pid);
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn the_end_can_be_asked_for_again_and_late() {
        let warden = start(options());
        let mut process = warden.spawn(sh("exit 4")).await.unwrap();
        let mut second = process.events.clone();
        assert_eq!(process.events.proven().await, Proof::Keeper);
        for events in [&mut process.events, &mut second] {
            assert_eq!(status(events.leader_exit().await), ExitKind::Code(4));
            assert_eq!(events.tree_end().await.proof, Proof::Keeper);
        }
        assert_only_the_warden_is_left(&warden).await;
    }
}
