//! "Finished" means that nothing of it runs, and nothing outlives its owner.

use std::time::Duration;

use rustix::process::Signal;

use crate::rig::{PATIENCE, Rig, Running, send, within};

/// A job whose grandchild leaves the session, is nobody's child, ignores what can be ignored, and sleeps. It leaves once the
/// grandchild says that it is there, so that what the test finds gone was there to be found.
fn daemonises(begun: &std::path::Path) -> String {
    let begun = begun.display();
    format!(
        "trap '' TERM HUP; (setsid sh -c 'trap \"\" TERM HUP; sleep 600.7 & echo >{begun}; wait' &); \
         while ! test -e {begun}; do sleep 0.01; done"
    )
}

struct Cluster {
    _coordinator: Running,
    agent: Running,
}

fn cluster(rig: &Rig) -> Cluster {
    let coordinator = rig.coordinator();
    let agent = rig.agent(&coordinator.url, "a1", 2);
    Cluster { agent, _coordinator: coordinator }
}

impl Cluster {
    fn run(&self, rig: &Rig, args: &[&str]) -> crate::rig::Finished {
        rig.windlass(["-a", &self.agent.url].iter().chain(args))
    }
}

#[test]
fn a_job_that_daemonises_leaves_no_process_behind_once_it_is_reported_finished() {
    let rig = Rig::new();
    let cluster = cluster(&rig);
    let begun = rig.dir.path().join("begun");
    cluster.run(&rig, &["run", "--env", &rig.mark_env(), "--", "sh", "-c", &daemonises(&begun)]).expect(0);
    assert!(begun.exists());
    assert_eq!(rig.processes_like("sleep 600.7"), Vec::<i32>::new(), "the very moment it is reported");
}

#[test]
fn kill_9_of_the_agent_leaves_none_of_its_processes() {
    let rig = Rig::new();
    let mut cluster = cluster(&rig);
    let id = cluster.run(
        &rig,
        &["-o", "id", "submit", "--env", &rig.mark_env(), "--", "sh", "-c", "sleep 600.8 & setsid sleep 600.8"],
    );
    id.expect(0);
    rig.wait_for("sleep 600.8", 2);
    cluster.agent.signal(Signal::KILL);
    cluster.agent.ended();
    within(Duration::from_secs(5), "the trees' end", || rig.processes_like("sleep 600.8").is_empty().then_some(()));
    within(Duration::from_secs(5), "the warden's end", || {
        rig.processes_named("windlass-warden").is_empty().then_some(())
    });
}

#[test]
fn kill_9_of_the_warden_leaves_none_of_its_processes_and_the_agent_goes_on() {
    let rig = Rig::new();
    let cluster = cluster(&rig);
    let submitted = cluster.run(
        &rig,
        &["-o", "id", "submit", "--env", &rig.mark_env(), "--", "sh", "-c", "sleep 600.9 & setsid sleep 600.9"],
    );
    let id = submitted.expect(0).trim().to_owned();
    let before = rig.wait_for("sleep 600.9", 2);
    send(rig.processes_named("windlass-warden")[0], Signal::KILL);
    within(Duration::from_secs(5), "the tree's end", || {
        rig.processes_like("sleep 600.9").iter().all(|pid| !before.contains(pid)).then_some(())
    });
    cluster.run(&rig, &["run", "--", "echo", "on"]).expect(0);
    // The lost attempt is an infrastructure loss, and the job runs again: nothing is charged to it.
    within(PATIENCE, "the second attempt", || {
        let job = cluster.run(&rig, &["-o", "json", "job", "get", &id]).expect(0);
        (job.contains("REASON_SUPERVISOR_LOST") && job.contains("PROOF_SWEPT")).then_some(())
    });
    rig.wait_for("sleep 600.9", 2);
    cluster.run(&rig, &["job", "cancel", &id]).expect(0);
    cluster.run(&rig, &["job", "wait", &id]).expect(4);
    assert_eq!(rig.processes_like("sleep 600.9"), Vec::<i32>::new());
}

#[test]
fn a_cancelled_job_is_gone_to_its_last_process_when_it_is_reported_cancelled() {
    let rig = Rig::new();
    let cluster = cluster(&rig);
    let stubborn = "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 600.4 & wait' & sleep 600.4 & wait; wait";
    let submitted = cluster
        .run(&rig, &["-o", "id", "submit", "--grace", "1s", "--env", &rig.mark_env(), "--", "sh", "-c", stubborn]);
    let id = submitted.expect(0).trim().to_owned();
    rig.wait_for("sleep 600.4", 2);
    cluster.run(&rig, &["job", "cancel", &id]).expect(0);
    cluster.run(&rig, &["job", "wait", &id]).expect(4);
    assert_eq!(rig.processes_like("sleep 600.4"), Vec::<i32>::new());
}
