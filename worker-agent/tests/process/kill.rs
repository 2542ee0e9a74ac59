//! Signals and kills from the agent's side.

use std::time::Duration;

use rustix::process::Signal;
use windlass_worker_agent::process::{ExitKind, Proof, Stage, WardenOptions};

use crate::support::*;

alone! {
    async fn a_process_that_ignores_term_dies_of_a_kill() {
        let warden = start(options());
        let mut process = warden.spawn(sh("trap 'echo no' TERM; echo ready; while :; do sleep 0.05; done")).await.unwrap();
        read_until(&mut process.stdout, "ready").await;
        process.control.signal(15);
        read_until(&mut process.stdout, "no").await;
        process.control.kill();
        let ended = within(Duration::from_secs(5), finish(process)).await;
        assert_eq!((status(ended.leader), ended.proof), (KILLED, Proof::Keeper));
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_signal_reaches_the_group_and_what_has_left_it() {
        let warden = start(options());
        let script = r#"
            trap 'echo leader-term; wait; exit 5' TERM
            sh -c 'trap "echo child-term; exit" TERM; echo up; while :; do sleep 0.05; done' &
            setsid sh -c 'trap "echo escaped-term; exit" TERM; echo up; while :; do sleep 0.05; done' &
            wait"#;
        let mut process = warden.spawn(sh(script)).await.unwrap();
        read_until(&mut process.stdout, "up\nup\n").await;
        process.control.signal(15);
        let ended = within(Duration::from_secs(5), finish(process)).await;
        let mut said: Vec<_> = ended.stdout.lines().collect();
        said.sort_unstable();
        assert_eq!(said, ["child-term", "escaped-term", "leader-term"], "each once");
        assert_eq!((status(ended.leader), ended.proof), (ExitKind::Code(5), Proof::Keeper));
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn signals_sent_one_after_the_other_all_arrive() {
        let warden = start(options());
        let script = "trap 'echo usr1' USR1; trap 'echo usr2' USR2; trap 'exit 9' RTMIN+3; echo up; while :; do sleep 0.02; done";
        let bash = spec(&["bash", "-c", script]);
        let mut process = warden.spawn(bash).await.unwrap();
        read_until(&mut process.stdout, "up").await;
        process.control.signal(libc::SIGUSR1);
        process.control.signal(libc::SIGUSR2);
        read_until(&mut process.stdout, "usr2").await;
        process.control.signal(libc::SIGRTMIN() + 3);
        let ended = within(Duration::from_secs(5), finish(process)).await;
        assert_eq!((status(ended.leader), ended.proof), (ExitKind::Code(9), Proof::Keeper));
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_fork_bomb_is_killed() {
        let warden = start(options());
        // Two hundred at a time, each replaced by another as it ends, half of them in sessions of their own.
        let script = r#"
            bomb() { while :; do (sleep 0.1 & setsid sleep 0.1 &); sleep 0.01; done; }
            i=0; while [ $i -lt 40 ]; do bomb & i=$((i+1)); done; echo lit; wait"#;
        let mut process = warden.spawn(sh(script)).await.unwrap();
        read_until(&mut process.stdout, "lit").await;
        eventually("the bomb is burning", || marked().len() > 100).await;
        process.control.kill();
        assert_eq!(within(Duration::from_secs(8), process.events.tree_end()).await.proof, Proof::Keeper);
        assert_eq!(status(process.events.leader_exit().await), KILLED);
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_process_that_flees_by_forking_and_exiting_without_end_is_caught() {
        let warden = start(options());
        let mut process = warden.spawn(sh("flee() { flee & exit; }; echo up; flee")).await.unwrap();
        read_until(&mut process.stdout, "up").await;
        assert_eq!(status(process.events.leader_exit().await), ExitKind::Code(0));
        process.control.kill();
        assert_eq!(within(Duration::from_secs(9), process.events.tree_end()).await.proof, Proof::Keeper);
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_stopped_tree_is_killed_too() {
        let warden = start(options());
        let mut process = warden.spawn(sh("sleep 1000 & echo up; kill -STOP $$")).await.unwrap();
        read_until(&mut process.stdout, "up").await;
        process.control.kill();
        assert_eq!(within(Duration::from_secs(5), finish(process)).await.proof, Proof::Keeper);
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn dropping_all_that_holds_a_process_kills_it() {
        let warden = start(options());
        let process = warden.spawn(sh("sleep 1000 & exec sleep 1000")).await.unwrap();
        let control = process.control.clone();
        let mut stdout = process.stdout;
        drop((process.events, process.control));
        eventually("one control still holds it", || marked().len() == 2).await;
        drop(control);
        assert_eq!(within(Duration::from_secs(5), read_all(&mut stdout)).await, "");
        eventually("nothing is left", || marked().is_empty()).await;
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_spawn_nobody_waits_for_any_more_leaves_nothing() {
        let warden = start(options());
        for _ in 0..20 {
            // Polled once, so that the request is out, and dropped.
            let mut spawn = Box::pin(warden.spawn(sh("sleep 1000")));
            std::future::poll_fn(|context| {
                let _ = spawn.as_mut().poll(context);
                std::task::Poll::Ready(())
            })
            .await;
        }
        // What was asked for later is answered later: by now all twenty have come and gone.
        run(&warden, sh("true")).await;
        eventually("nothing is left", || marked().is_empty()).await;
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn kill_and_signal_after_the_end_do_nothing() {
        let warden = start(options());
        let mut process = warden.spawn(sh("exit 0")).await.unwrap();
        assert_eq!(process.events.proven().await, Proof::Keeper);
        process.control.signal(15);
        process.control.kill();
        assert_eq!(status(process.events.leader_exit().await), ExitKind::Code(0));
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn stop_kills_everything_and_leaves_no_child() {
        let warden = start(options());
        let mut process = warden.spawn(sh("setsid sleep 1000 & trap '' TERM; echo up; while :; do sleep 1; done")).await.unwrap();
        read_until(&mut process.stdout, "up").await;
        within(Duration::from_secs(5), warden.stop()).await;
        assert_eq!(below(agent()).len(), 0, "no warden, no keeper, no zombie");
        assert_eq!(process.events.leader_exit().await, process.events.leader_exit().await);
        assert_eq!(status(process.events.leader_exit().await), KILLED);
        assert_eq!(process.events.tree_end().await.proof, Proof::Keeper);
        let refused = warden.spawn(sh("true")).await.unwrap_err();
        assert_eq!((refused.stage, refused.errno), (Stage::Warden, libc::ESHUTDOWN));
        within(Duration::from_secs(1), warden.stop()).await;
        assert_eq!((warden.pid(), marked().len()), (None, 0));
    }

    async fn a_keeper_that_was_stopped_is_woken_by_the_kill() {
        let warden = start(options());
        let mut process = warden.spawn(sh("echo up; sleep 1000")).await.unwrap();
        read_until(&mut process.stdout, "up").await;
        kill(keeper_of(&process), Signal::STOP);
        process.control.kill();
        let ended = within(Duration::from_secs(5), finish(process)).await;
        assert_eq!((status(ended.leader), ended.proof), (KILLED, Proof::Keeper));
        assert_only_the_warden_is_left(&warden).await;
    }

    async fn a_keeper_that_stays_silent_after_a_kill_is_killed_itself_and_its_tree_swept() {
        let warden = start(WardenOptions { proof_timeout: Duration::from_millis(300), ..options() });
        let mut proofs = Vec::new();
        // The wake-up that comes with a kill is stopped again at once, but for the odd time that the keeper is quicker.
        while !proofs.contains(&Proof::Swept) && proofs.len() < 20 {
            let mut process = warden.spawn(sh("(setsid sleep 1000 &); echo up; sleep 1000")).await.unwrap();
            read_until(&mut process.stdout, "up").await;
            let stopper = Stopper::start(keeper_of(&process));
            process.control.kill();
            tokio::time::sleep(Duration::from_millis(20)).await; // as long as the wake-up may take
            drop(stopper);
            proofs.push(within(Duration::from_secs(10), process.events.tree_end()).await.proof);
        }
        assert!(proofs.contains(&Proof::Swept) && !proofs.contains(&Proof::None), "{proofs:?}");
        assert_only_the_warden_is_left(&warden).await;
    }
}
