//! What hundreds of attempts leave behind: nothing.

use windlass_worker_agent::process::{ExitKind, Proof};

use crate::support::*;

/// stdin, stdout, stderr, agent, both ends of the reports, signals, the fence: none for an attempt.
const WARDEN_FDS: usize = 8;

alone! {
    async fn three_hundred_attempts_leave_no_descriptor_and_no_zombie() {
        let warden = start(options());
        let before = fds(agent());
        for n in 0..300 {
            if n % 10 == 0 {
                warden.spawn(spec(&["/no/such"])).await.unwrap_err();
            }
            let ended = run(&warden, sh("exit 1")).await;
            assert_eq!((status(ended.leader), ended.proof), (ExitKind::Code(1), Proof::Keeper));
        }
        assert_only_the_warden_is_left(&warden).await;
        assert_fds("the agent", agent(), before).await;
        assert_fds("the warden", warden_pid(&warden), WARDEN_FDS).await;
    }

    async fn a_keeper_holds_no_pipe_of_its_job_and_nothing_of_another() {
        let warden = start(options());
        let first = warden.spawn(spec(&["sleep", "1000"])).await.unwrap();
        let second = warden.spawn(spec(&["sleep", "1000"])).await.unwrap();
        for process in [&first, &second] {
            let keeper = keeper_of(process);
            // stdin, stdout, stderr, its reports, its signals.
            assert_fds("the keeper", keeper, 5).await;
            assert_fds("the leader", leader(process), 3).await;
        }
        assert_fds("the warden", warden_pid(&warden), WARDEN_FDS).await;
        for process in [first, second] {
            process.control.kill();
            assert_eq!(finish(process).await.proof, Proof::Keeper);
        }
        assert_only_the_warden_is_left(&warden).await;
    }
}
