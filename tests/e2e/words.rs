//! What an operator says where nothing can be proven: an agent that is frozen, with jobs that would wait for it for ever.

use std::time::Duration;

use rustix::process::Signal;

use crate::rig::{PATIENCE, Rig, Running, within};
use crate::witness::Witness;

fn job(rig: &Rig, url: &str, id: &str) -> serde_json::Value {
    let shown = rig.windlass(["-a", url, "-o", "json", "job", "get", id]).expect(0);
    serde_json::from_str(&shown).expect("a job")
}

fn agent_is(rig: &Rig, url: &str, name: &str, state: &str) {
    within(PATIENCE, state, || {
        let shown = rig.windlass(["-a", url, "-o", "jsonl", "agent", "list"]).expect(0);
        let agents = shown.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("an agent"));
        agents.into_iter().any(|agent| agent["name"] == name && agent["state"] == state).then_some(())
    });
}

/// Thawed at the end of its test, however that comes: a stopped process does not hear that it is to leave.
struct Frozen<'a>(&'a Running);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.0.signal(Signal::CONT);
    }
}

#[test]
fn a_frozen_agents_jobs_go_on_or_end_by_the_operators_word_and_what_it_still_runs_is_killed_when_it_thaws() {
    let rig = Rig::new();
    let witness = Witness::new(rig.dir.path());
    let coordinator = rig.coordinator_at("127.0.0.1:0", &["--lease-ttl-ms", "500"]);
    let url = coordinator.url.clone();
    let frozen = rig.agent(&url, "frozen", 2);
    let submit = |item: &str| {
        let script = witness.script("600").replace("{}", item);
        let mark = rig.mark_env();
        let flags = ["-a", &url, "-o", "id", "submit", "--env", &mark, "--on-agent-lost", "wait"];
        rig.windlass(flags.into_iter().chain(["--", "sh", "-c", &script])).expect(0).trim().to_owned()
    };
    let (given_up, goes_on) = (submit("given-up"), submit("goes-on"));
    let runs = |id: &str| job(&rig, &url, id)["state"] == "STATE_RUNNING";
    within(PATIENCE, "both to run", || (witness.starts() == 2 && runs(&given_up) && runs(&goes_on)).then_some(()));
    frozen.signal(Signal::STOP);
    let thaw = Frozen(&frozen);
    agent_is(&rig, &url, "frozen", "STATE_LOST");
    assert_eq!(job(&rig, &url, &goes_on)["state"], "STATE_RUNNING", "it waits for its agent");

    let reason = ["--reason", "rack 7 has no power"];
    rig.windlass(["-a", &url, "job", "abandon", &given_up].into_iter().chain(reason)).expect(0);
    let over = job(&rig, &url, &given_up);
    assert_eq!((&over["state"], &over["reason"]), (&"STATE_FAILED".into(), &"REASON_ABANDONED".into()));
    assert_eq!(over["attempts"][0]["exit"]["proof"], "PROOF_OPERATOR");
    let _well = rig.agent(&url, "well", 1);
    agent_is(&rig, &url, "well", "STATE_CONNECTED");
    rig.windlass(["-a", &url, "agent", "force-lost", "well"]).expect(8);
    rig.windlass(["-a", &url, "agent", "force-lost", "frozen"].into_iter().chain(reason)).expect(0);
    within(PATIENCE, "the second attempt", || (witness.seen()["goes-on"].starts == 2).then_some(()));
    rig.windlass(["-a", &url, "agent", "force-lost", "frozen"]).expect(8);

    drop(thaw);
    agent_is(&rig, &url, "frozen", "STATE_CONNECTED");
    // Of three that were begun the one is left that has a lease.
    within(PATIENCE, "the stale ones to be killed", || (rig.processes_like("sleep 600").len() == 1).then_some(()));
    let again = job(&rig, &url, &goes_on);
    assert_eq!((&again["state"], again["attempts"].as_array().map(Vec::len)), (&"STATE_RUNNING".into(), Some(2)));
    assert_eq!(again["attempts"][1]["agentName"], "well");
    rig.windlass(["-a", &url, "job", "cancel", &goes_on]).expect(0);
    rig.windlass(["-a", &url, "wait", &goes_on]).expect(4);
    within(Duration::from_secs(30), "nothing to be left", || rig.processes_like("sleep 600").is_empty().then_some(()));
    assert_eq!(witness.starts(), 3);
}
