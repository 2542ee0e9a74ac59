//! kill -9 of the agent, of its warden, and of both at one moment, again and again under load: nothing outlives them, and every job
//! ends on record once, with each loss counted as what it was. The long forms run with `WINDLASS_LONG=1`.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::restarts::{Cluster, long};
use crate::rig::{PATIENCE, within};

/// Time in which nothing of the dead may be left.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// Jobs that end between two kills, at least: none is hit by five of them, which would be poison.
const ENDS_A_ROUND: usize = 8;
/// Known by its argument: it has left its parents' session, and lives until somebody ends it.
const SURVIVOR: &str = "sleep 600.5";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Agent,
    Warden,
    Both,
}

#[test]
fn kill_9_of_the_agent_again_and_again_leaves_nothing_and_loses_nothing() {
    kill_again_and_again(Victim::Agent);
}

#[test]
fn kill_9_of_the_warden_again_and_again_leaves_nothing_and_loses_nothing() {
    kill_again_and_again(Victim::Warden);
}

#[test]
fn kill_9_of_agent_and_warden_at_once_again_and_again_leaves_nothing_and_loses_nothing() {
    kill_again_and_again(Victim::Both);
}

fn kill_again_and_again(victim: Victim) {
    let rounds = if long() { 50 } else { 5 };
    let items = rounds * ENDS_A_ROUND + 20;
    let mut cluster = Cluster::new(1, 4, &[]);
    let submitting = cluster.submitting_script(items, &script(&cluster));
    let mut random = u64::from(std::process::id());
    for round in 1..=rounds {
        let ends = round * ENDS_A_ROUND;
        within(PATIENCE, "jobs to end", || (cluster.witness.ends() >= ends).then_some(()));
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let pause = Instant::now() + Duration::from_millis(random >> 32 & 0x7f);
        within(PATIENCE, "a random moment", || (Instant::now() >= pause).then_some(()));
        strike(&mut cluster, victim);
    }
    let ids = submitting.join().expect("submitted");
    assert_eq!(ids.lines().count(), items);
    within(3 * PATIENCE, "every end on record", || {
        cluster.states().iter().all(|state| state.ends_with("SUCCEEDED") || state.ends_with("FAILED")).then_some(())
    });
    assert_each_is_recorded_once(&cluster, ids.lines());
    assert_eq!(cluster.rig.processes_like(SURVIVOR), Vec::<i32>::new());
}

fn script(cluster: &Cluster) -> String {
    let path = cluster.witness.path().display();
    format!("echo start {{}} >>{path}; setsid {SURVIVOR} & sleep 0.2; kill $!; wait; echo end {{}} >>{path}")
}

fn strike(cluster: &mut Cluster, victim: Victim) {
    let survivors = cluster.rig.processes_like(SURVIVOR);
    let wardens = cluster.rig.processes_named("windlass-warden");
    if victim != Victim::Warden {
        cluster.agents[0].signal(Signal::KILL);
    }
    if victim != Victim::Agent {
        // Gone already, where it was quicker.
        for pid in wardens {
            let _ = kill_process(Pid::from_raw(pid).expect("a pid"), Signal::KILL);
        }
    }
    if victim != Victim::Warden {
        cluster.agents[0].ended();
        cluster.agents[0] = cluster.rig.agent(&cluster.url(), "a1", 4);
    }
    within(GONE_WITHIN, "the end of what the dead had started", || {
        let left = cluster.rig.processes_like(SURVIVOR);
        survivors.iter().all(|pid| !left.contains(pid)).then_some(())
    });
}

/// One attempt that succeeded, the last; those before it lost, and counted as losses and as nothing else.
fn assert_each_is_recorded_once<'a>(cluster: &Cluster, ids: impl Iterator<Item = &'a str>) {
    let mut losses = 0;
    for id in ids {
        let shown = cluster.windlass(&["-o", "json", "job", "get", id]).expect(0);
        let job: serde_json::Value = serde_json::from_str(&shown).expect("a job");
        let attempts = job["attempts"].as_array().expect("attempts");
        let (last, before) = attempts.split_last().expect("one at least");
        assert_eq!(last["state"], "STATE_SUCCEEDED", "{shown}");
        let lost = |attempt: &&serde_json::Value| {
            ["REASON_AGENT_LOST", "REASON_SUPERVISOR_LOST"].iter().any(|reason| attempt["reason"] == **reason)
        };
        let counted = before.iter().filter(lost).count();
        assert_eq!(count(&job, "infraLosses"), counted, "{shown}");
        assert_eq!([count(&job, "failures"), count(&job, "interruptions")], [0, 0], "{shown}");
        losses += counted;
    }
    assert!(losses > 0, "no kill hit anything");
    assert!(cluster.witness.seen().values().all(|seen| seen.ends >= 1), "a job that succeeded came to its end");
}

fn count(job: &serde_json::Value, name: &str) -> usize {
    job.get(name).and_then(serde_json::Value::as_u64).map_or(0, |count| usize::try_from(count).expect("small"))
}
