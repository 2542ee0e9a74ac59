//! The coordinator dies and comes back; agents die, and are cut off. Nothing acknowledged is lost, and nothing runs that should
//! not. Short leases stand for long ones; the long forms run with `WINDLASS_LONG=1`.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::proxy::{Proxy, Way};
use crate::rig::{PATIENCE, Rig, Running, within};
use crate::witness::Witness;

const SHORT_LEASE: [&str; 2] = ["--lease-ttl-ms", "1000"];

/// Whether the long forms are to run.
pub(crate) fn long() -> bool {
    std::env::var_os("WINDLASS_LONG").is_some()
}

pub(crate) struct Cluster {
    pub(crate) rig: Rig,
    pub(crate) witness: Witness,
    coordinator: Running,
    pub(crate) agents: Vec<Running>,
    args: Vec<&'static str>,
}

impl Cluster {
    pub(crate) fn new(agents: usize, slots: u32, args: &[&'static str]) -> Self {
        let rig = Rig::new();
        let witness = Witness::new(rig.dir.path());
        let coordinator = rig.coordinator_at("127.0.0.1:0", args);
        let agents = (1..=agents).map(|n| rig.agent(&coordinator.url, &format!("a{n}"), slots)).collect();
        Self { rig, witness, coordinator, agents, args: args.to_vec() }
    }

    pub(crate) fn url(&self) -> String {
        self.coordinator.url.clone()
    }

    fn kill_coordinator(&mut self) {
        self.coordinator.signal(Signal::KILL);
        self.coordinator.ended();
    }

    /// The same record at the same address.
    fn start_coordinator(&mut self, more: &[&str]) {
        let listen = self.coordinator.url.strip_prefix("http://").expect("an address").to_owned();
        let args = [&self.args[..], more].concat();
        self.coordinator = self.rig.coordinator_at(&listen, &args);
    }

    pub(crate) fn windlass(&self, args: &[&str]) -> crate::rig::Finished {
        self.rig.windlass(["-a", &self.url()].iter().chain(args))
    }

    /// `windlass submit --each -` of the items 1 to `items`, going on while the coordinator comes and goes.
    fn submitting(&self, items: usize, seconds: &str) -> std::thread::JoinHandle<String> {
        self.submitting_script(items, &self.witness.script(seconds))
    }

    /// The same with a script of one's own; what it starts carries the mark.
    pub(crate) fn submitting_script(&self, items: usize, script: &str) -> std::thread::JoinHandle<String> {
        let lines: String = (1..=items).map(|n| format!("{n}\n")).collect();
        let mut command = self.rig.command("windlass");
        command.args(["-a", &self.url(), "-o", "id", "submit", "--each", "-", "--env", &self.rig.mark_env()]);
        command.args(["--", "sh", "-c", script]);
        std::thread::spawn(move || {
            use std::io::Write;
            use std::process::Stdio;
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
            child.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("it reads");
            let output = child.wait_with_output().expect("it ends");
            assert!(output.status.success(), "submit ended with {:?}", output.status);
            String::from_utf8(output.stdout).expect("ids")
        })
    }

    /// Every job on record, by state.
    pub(crate) fn states(&self) -> Vec<String> {
        let listed = self.windlass(&["-o", "jsonl", "job", "list", "--limit", "100000"]).expect(0);
        let state = |line: &str| {
            let job: serde_json::Value = serde_json::from_str(line).expect("a job");
            job["state"].as_str().expect("a state").to_owned()
        };
        listed.lines().map(state).collect()
    }

    fn assert_all_succeeded(&self, jobs: usize) {
        let states = self.states();
        assert_eq!(states.len(), jobs);
        assert!(states.iter().all(|state| state == "STATE_SUCCEEDED"), "{states:?}");
    }

    fn wait_for_ends(&self, jobs: usize, limit: Duration) {
        within(limit, "every job's own word that it ended", || (self.witness.ends() >= jobs).then_some(()));
        within(PATIENCE, "every end on record", || {
            self.states().iter().all(|state| state == "STATE_SUCCEEDED").then_some(())
        });
    }
}

#[test]
fn jobs_neither_die_nor_begin_again_while_the_coordinator_is_killed_five_times() {
    let items = if long() { 2_000 } else { 300 };
    let mut cluster = Cluster::new(2, 4, &[]);
    let submitting = cluster.submitting(items, "0.1");
    let mut random = u64::from(std::process::id());
    for nth in 1..=5 {
        // At a moment of the jobs' own making: so many have begun.
        let begun = items * nth / 8;
        within(PATIENCE, "jobs to begin", || (cluster.witness.starts() >= begun).then_some(()));
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let pause = Instant::now() + Duration::from_millis(random >> 32 & 0x7f);
        within(PATIENCE, "a random moment", || (Instant::now() >= pause).then_some(()));
        cluster.kill_coordinator();
        cluster.start_coordinator(&[]);
    }
    let ids = submitting.join().expect("submitted");
    assert_eq!(ids.lines().count(), items, "each acknowledged once");
    cluster.wait_for_ends(items, 4 * PATIENCE);
    cluster.witness.assert_each_once(items);
    cluster.assert_all_succeeded(items);
}

#[test]
fn jobs_run_on_while_the_coordinator_is_away_for_longer_than_the_lease() {
    let away = if long() { Duration::from_secs(40) } else { Duration::from_secs(4) };
    let mut cluster = Cluster::new(1, 4, if long() { &[] } else { &SHORT_LEASE });
    let submitting = cluster.submitting(4, if long() { "45" } else { "5" });
    submitting.join().expect("submitted");
    within(PATIENCE, "all to begin", || (cluster.witness.starts() == 4).then_some(()));
    cluster.kill_coordinator();
    let back = Instant::now() + away;
    within(2 * PATIENCE, "the coordinator's absence", || (Instant::now() >= back).then_some(()));
    cluster.start_coordinator(&[]);
    cluster.wait_for_ends(4, 2 * PATIENCE);
    cluster.witness.assert_each_once(4);
    cluster.assert_all_succeeded(4);
}

#[test]
fn no_point_of_a_tick_is_a_bad_one_to_die_at() {
    // One batch has one reply; commits and sends come by the dozen.
    let points =
        ["before-commit:12", "after-commit:12", "before-reply:0", "after-reply:0", "before-send:12", "after-send:12"];
    for point in points {
        let mut cluster = Cluster::new(1, 4, &[]);
        // Started again with the failpoint armed; the agent and the submitter come along.
        cluster.kill_coordinator();
        cluster.start_coordinator(&["--crash-at", point]);
        let submitting = cluster.submitting(30, "0.02");
        let died = within(PATIENCE, "the coordinator to die", || cluster.coordinator.child.try_wait().expect("ours"));
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&died),
            Some(6),
            "{point}: it aborted where it was told"
        );
        cluster.start_coordinator(&[]);
        submitting.join().expect("submitted");
        cluster.wait_for_ends(30, PATIENCE);
        cluster.witness.assert_each_once(30);
        cluster.assert_all_succeeded(30);
    }
}

#[test]
fn work_of_an_agent_that_dies_runs_again_elsewhere_and_what_may_begin_once_does_not() {
    let mut cluster = Cluster::new(1, 2, &SHORT_LEASE);
    let script = cluster.witness.script("600.3");
    let again = cluster.windlass(&["-o", "id", "submit", "--", "sh", "-c", &script.replace("{}", "again")]).expect(0);
    let once = cluster
        .windlass(&["-o", "id", "submit", "--at-most-once", "--", "sh", "-c", &script.replace("{}", "once")])
        .expect(0);
    within(PATIENCE, "both to run", || (cluster.witness.starts() == 2).then_some(()));
    cluster.agents[0].signal(Signal::KILL);
    cluster.agents[0].ended();
    cluster.agents.push(cluster.rig.agent(&cluster.url(), "a2", 2));
    within(PATIENCE, "the second attempt", || (cluster.witness.seen()["again"].starts == 2).then_some(()));
    cluster.windlass(&["job", "wait", once.trim()]).expect(3);
    let shown = cluster.windlass(&["-o", "json", "job", "get", once.trim()]).expect(0);
    assert!(shown.contains("REASON_AGENT_LOST"), "{shown}");
    assert_eq!(cluster.witness.seen()["once"].starts, 1);
    cluster.windlass(&["job", "cancel", again.trim()]).expect(0);
    cluster.windlass(&["job", "wait", again.trim()]).expect(4);
}

#[test]
fn attempts_of_a_fenced_job_never_overlap_when_its_agent_is_cut_off() {
    for way in [Way::Up, Way::Down] {
        let mut cluster = Cluster::new(0, 0, &SHORT_LEASE);
        let proxy = Proxy::to(&cluster.url());
        cluster.agents.push(cluster.rig.agent(&proxy.url(), "cut", 1));
        // Only one may have the directory: a second attempt that begins while the first one runs fails for good.
        let dir = cluster.rig.dir.path().join("one-at-a-time");
        let script = format!(
            "mkdir {0} || exit 66; trap 'rmdir {0}' EXIT; touch {0}.begun; while :; do sleep 0.01; done",
            dir.display()
        );
        let submitted = cluster.windlass(&[
            "-o",
            "id",
            "submit",
            "--on-disconnect",
            "fence",
            "--env",
            &cluster.rig.mark_env(),
            "--",
            "sh",
            "-c",
            &script,
        ]);
        let id = submitted.expect(0).trim().to_owned();
        let begun = dir.with_extension("begun");
        within(PATIENCE, "the first attempt", || begun.exists().then_some(()));
        let first = cluster.rig.processes_like("sh -c mkdir");
        proxy.hold(way, true);
        cluster.agents.push(cluster.rig.agent(&cluster.url(), "well", 1));
        // The kill leaves the directory behind, as a kill does; the second attempt may begin only after it.
        within(PATIENCE, "the fence", || {
            let left = cluster.rig.processes_like("sh -c mkdir");
            first.iter().all(|pid| !left.contains(pid)).then_some(())
        });
        let shown = cluster.windlass(&["-o", "json", "job", "get", &id]).expect(0);
        assert!(!shown.contains("\"number\": 2"), "{way:?}: given away before the first was gone: {shown}");
        std::fs::remove_dir(&dir).expect("left behind by the kill");
        within(PATIENCE, "the second attempt to run", || dir.exists().then_some(()));
        proxy.hold(way, false);
        cluster.windlass(&["job", "cancel", &id]).expect(0);
        cluster.windlass(&["job", "wait", &id]).expect(4);
    }
}

#[test]
fn an_agent_cut_off_for_less_than_its_lease_keeps_its_work() {
    for way in [Way::Up, Way::Down] {
        let mut cluster = Cluster::new(0, 0, &["--lease-ttl-ms", "6000"]);
        let proxy = Proxy::to(&cluster.url());
        cluster.agents.push(cluster.rig.agent(&proxy.url(), "cut", 2));
        cluster.submitting(2, "3").join().expect("submitted");
        within(PATIENCE, "both to run", || (cluster.witness.starts() == 2).then_some(()));
        proxy.hold(way, true);
        let healed = Instant::now() + Duration::from_secs(2);
        within(PATIENCE, "the cut", || (Instant::now() >= healed).then_some(()));
        proxy.hold(way, false);
        cluster.wait_for_ends(2, PATIENCE);
        cluster.witness.assert_each_once(2);
    }
}

#[test]
fn an_agent_cut_off_for_longer_comes_back_and_nothing_is_stuck() {
    for way in [Way::Up, Way::Down] {
        let mut cluster = Cluster::new(0, 0, &SHORT_LEASE);
        let proxy = Proxy::to(&cluster.url());
        cluster.agents.push(cluster.rig.agent(&proxy.url(), "cut", 2));
        // Nobody else can take them: lost, they wait, and are taken back when their agent returns.
        cluster.submitting(2, "8").join().expect("submitted");
        within(PATIENCE, "both to run", || (cluster.witness.starts() == 2).then_some(()));
        proxy.hold(way, true);
        within(PATIENCE, "both to be given up", || {
            let listed = cluster.windlass(&["agent", "list"]).expect(0);
            listed.contains("LOST").then_some(())
        });
        proxy.hold(way, false);
        cluster.wait_for_ends(2, PATIENCE);
        cluster.witness.assert_each_once(2);
        cluster.assert_all_succeeded(2);
    }
}

#[test]
fn a_second_agent_of_the_same_name_is_refused_with_its_remedy_and_the_first_is_undisturbed() {
    let cluster = Cluster::new(1, 1, &[]);
    cluster.submitting(1, "2").join().expect("submitted");
    within(PATIENCE, "it to run", || (cluster.witness.starts() == 1).then_some(()));
    let log = cluster.rig.dir.path().join("namesake.log");
    let mut namesake = cluster.rig.command("windlass-worker-agent");
    namesake.args(["--coordinator", &cluster.url(), "--name", "a1", "--slots", "1", "--data"]);
    namesake.arg(cluster.rig.dir.path().join("other-data")).stderr(std::fs::File::create(&log).expect("a file"));
    let _namesake = Running { child: namesake.spawn().expect("it runs"), url: cluster.url() };
    within(PATIENCE, "the refusal", || std::fs::read_to_string(&log).expect("a log").contains("--name").then_some(()));
    cluster.wait_for_ends(1, PATIENCE);
    cluster.witness.assert_each_once(1);
}

#[test]
fn a_second_agent_on_the_same_data_directory_does_not_start() {
    let cluster = Cluster::new(1, 1, &[]);
    cluster.submitting(1, "2").join().expect("submitted");
    within(PATIENCE, "it to run", || (cluster.witness.starts() == 1).then_some(()));
    let mut twin = cluster.rig.command("windlass-worker-agent");
    twin.args(["--coordinator", &cluster.url(), "--name", "twin", "--slots", "1", "--data"]);
    let output = twin.arg(cluster.rig.dir.path().join("a1")).output().expect("it runs");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("lock") || said.contains("use"), "{said}");
    cluster.wait_for_ends(1, PATIENCE);
    cluster.witness.assert_each_once(1);
}

#[test]
fn a_second_coordinator_on_the_same_record_does_not_start() {
    let cluster = Cluster::new(0, 0, &[]);
    let mut twin = cluster.rig.command("windlass-coordinator");
    twin.args(["--listen", "127.0.0.1:0", "--data"]);
    let output = twin.arg(cluster.rig.dir.path().join("coordinator")).output().expect("it runs");
    assert_eq!(output.status.code(), Some(78));
    cluster.windlass(&["job", "list"]).expect(0);
}
