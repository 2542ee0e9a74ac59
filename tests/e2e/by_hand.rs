//! A coordinator and agents started by hand, and the command against them.

use rustix::process::Signal;

use crate::rig::{Finished, PATIENCE, Rig, Running, within};

struct Cluster {
    rig: Rig,
    agents: Vec<Running>,
    coordinator: Running,
}

impl Cluster {
    fn new(agents: usize) -> Self {
        let rig = Rig::new();
        let coordinator = rig.coordinator();
        let agents = (1..=agents).map(|n| rig.agent(&coordinator.url, &format!("a{n}"), 2)).collect();
        Self { rig, agents, coordinator }
    }

    fn windlass(&self, args: &[&str]) -> Finished {
        self.rig.windlass(["-a", &self.coordinator.url].iter().chain(args))
    }

    fn submit(&self, args: &[&str]) -> String {
        self.windlass(&[&["-o", "id", "submit", "--"], args].concat()).expect(0).trim().to_owned()
    }
}

#[test]
fn a_job_is_submitted_waited_for_shown_and_read() {
    let cluster = Cluster::new(1);
    let id = cluster.submit(&["sh", "-c", "echo out; echo err >&2"]);
    cluster.windlass(&["wait", &id]).expect(0);
    let logs = cluster.windlass(&["logs", &id]);
    assert_eq!((logs.stdout(), logs.stderr()), ("out\n".into(), "err\n".into()));
    let shown = cluster.windlass(&["-o", "json", "job", "get", &id]).expect(0);
    let job: serde_json::Value = serde_json::from_str(&shown).expect("the protobuf JSON mapping");
    assert_eq!(job["id"], id.as_str());
    assert_eq!(job["state"], "STATE_SUCCEEDED");
    assert_eq!(job["spec"]["exec"]["argv"][0], "sh");
    assert_eq!(job["attempts"][0]["exit"]["proof"], "PROOF_KEEPER");
}

#[test]
fn jobs_are_named_by_prefix_by_last_and_by_standard_input() {
    let cluster = Cluster::new(1);
    let id = cluster.submit(&["true"]);
    cluster.windlass(&["job", "wait", "@last"]).expect(0);
    let tail = cluster.windlass(&["-o", "id", "job", "get", &id[..35]]).expect(0);
    assert_eq!(tail.trim(), id);
    let fed =
        cluster.rig.windlass_fed(["-a", &cluster.coordinator.url, "-o", "id", "job", "get", "-"], &format!("{id}\n"));
    assert_eq!(fed.expect(0).trim(), id);
    let nobody = cluster.windlass(&["job", "get", "0193a5b0-7c3e-7f00-8000-0123456789ab"]);
    assert!(nobody.stderr().contains("0193a5b0"), "{}", nobody.stderr());
    nobody.expect(5);
}

#[test]
fn exit_codes_carry_the_result() {
    let cluster = Cluster::new(1);
    let failed = cluster.submit(&["false"]);
    cluster.windlass(&["job", "wait", &failed]).expect(3);
    let sleeping = cluster.submit(&["sleep", "600"]);
    cluster.windlass(&["job", "wait", "--timeout", "100ms", &sleeping]).expect(124);
    cluster.windlass(&["job", "cancel", &sleeping]).expect(0);
    cluster.windlass(&["job", "wait", &sleeping]).expect(4);
    let wrong = cluster.windlass(&["submit", "--priority", "101", "--", "true"]);
    assert!(wrong.stderr().contains("priority"), "{}", wrong.stderr());
    wrong.expect(2);
    let nobody_there = cluster.rig.windlass(["-a", "http://127.0.0.1:1", "job", "list"]);
    assert!(nobody_there.stderr().contains("127.0.0.1:1"), "{}", nobody_there.stderr());
    nobody_there.expect(7);
}

#[test]
fn lists_show_jobs_and_agents_as_table_json_lines_and_ids() {
    let cluster = Cluster::new(2);
    let ids: Vec<_> = (0..3).map(|_| cluster.submit(&["true"])).collect();
    cluster.windlass(&["job", "wait", &ids[0], &ids[1], &ids[2]]).expect(0);
    let listed = cluster.windlass(&["-o", "id", "job", "list"]).expect(0);
    assert_eq!(listed.lines().rev().collect::<Vec<_>>(), ids);
    let lines = cluster.windlass(&["-o", "jsonl", "job", "list"]).expect(0);
    assert!(lines.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{lines}");
    assert!(cluster.windlass(&["job", "list"]).expect(0).contains("SUCCEEDED"));
    let agents = within(PATIENCE, "both agents", || {
        let agents = cluster.windlass(&["agent", "list"]).expect(0);
        (agents.contains("a1") && agents.contains("a2")).then_some(agents)
    });
    assert!(agents.contains("CONNECTED"), "{agents}");
}

#[test]
fn sigterm_drains_an_agent_its_work_goes_on_elsewhere_and_nothing_counts_against_it() {
    let mut cluster = Cluster::new(1);
    let id = cluster.submit(&["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.01; done"]);
    within(PATIENCE, "the job to run", || {
        cluster.windlass(&["job", "get", &id]).expect(0).contains("RUNNING").then_some(())
    });
    let url = cluster.coordinator.url.clone();
    cluster.agents.push(cluster.rig.agent(&url, "a2", 2));
    within(PATIENCE, "the second agent", || {
        cluster.windlass(&["agent", "list"]).expect(0).contains("a2").then_some(())
    });
    // Twice: urgent, so that the ten seconds are the most it waits.
    cluster.agents[0].signal(Signal::TERM);
    cluster.agents[0].signal(Signal::TERM);
    assert_eq!(cluster.agents[0].ended(), Some(0));
    let shown = within(PATIENCE, "the second attempt", || {
        let shown = cluster.windlass(&["-o", "json", "job", "get", &id]).expect(0);
        (shown.contains("\"number\": 2") && shown.contains("STATE_RUNNING")).then_some(shown)
    });
    let job: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&job["interruptions"], &job["failures"]), (&1.into(), &serde_json::Value::Null), "{shown}");
    cluster.windlass(&["job", "cancel", &id]).expect(0);
    cluster.windlass(&["job", "wait", &id]).expect(4);
}

#[test]
fn completion_is_offered_for_the_usual_shells() {
    let rig = Rig::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(rig.windlass(["completion", shell]).expect(0).contains("windlass"), "{shell}");
    }
}
