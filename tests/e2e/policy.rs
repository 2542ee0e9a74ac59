//! What a host accepts, by a file that nobody but its owner can change.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::rig::{PATIENCE, Rig, Running, within};

/// An agent under a policy, and what it logs.
struct Host {
    rig: Rig,
    coordinator: Running,
    agent: Running,
    policy: PathBuf,
    log: PathBuf,
}

impl Host {
    fn new(policy: impl FnOnce(&Rig) -> String) -> Self {
        let rig = Rig::new();
        let coordinator = rig.coordinator();
        let (path, log) = (rig.dir.path().join("policy.toml"), rig.dir.path().join("agent.log"));
        fs::write(&path, policy(&rig)).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("its mode");
        let child = agent(&rig, &coordinator.url, &path, &log).spawn().expect("the agent runs");
        let agent = Running { child, url: coordinator.url.clone() };
        Self { rig, coordinator, agent, policy: path, log }
    }

    fn windlass(&self, args: &[&str]) -> crate::rig::Finished {
        self.rig.windlass(["-a", &self.coordinator.url].iter().chain(args))
    }

    /// The one attempt of a job with these flags and this command: its state, and why.
    fn attempt(&self, flags: &[&str], argv: &[&str]) -> (String, String, String) {
        let args = [&["-o", "id", "submit"], flags, &["--"], argv].concat();
        let id = self.windlass(&args).expect(0).trim().to_owned();
        self.windlass(&["job", "wait", &id]);
        let shown = self.windlass(&["-o", "json", "job", "get", &id]).expect(0);
        let job: serde_json::Value = serde_json::from_str(&shown).expect("a job");
        let attempts = job["attempts"].as_array().expect("attempts");
        assert_eq!(attempts.len(), 1, "what a host does not accept is tried once: {shown}");
        let text = |name: &str| attempts[0][name].as_str().unwrap_or_default().to_owned();
        (id, text("state"), text("detail"))
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("a log")
    }

    /// Tells the agent to read its configuration again, until it has said so `times` times.
    fn reload(&self, word: &str, times: usize) {
        self.agent.signal(Signal::HUP);
        within(PATIENCE, word, || (self.log().matches(word).count() == times).then_some(()));
    }
}

fn agent(rig: &Rig, url: &str, policy: &std::path::Path, log: &std::path::Path) -> std::process::Command {
    let config = rig.dir.path().join("agent.toml");
    fs::write(&config, format!("policy = {:?}\n", policy.display().to_string())).expect("a file");
    let mut command = rig.command("windlass-worker-agent");
    command.args(["--coordinator", url, "--name", "a1", "--slots", "2", "--containment", "keeper", "--data"]);
    command.arg(rig.dir.path().join("a1")).arg("--config").arg(config);
    let log = File::create(log).expect("a file");
    command.env("WINDLASS_LOG", "info").env("NO_COLOR", "1").env("PATH", "/usr/bin:/bin");
    command.stdout(log.try_clone().expect("its file")).stderr(log);
    command
}

#[test]
fn what_a_host_does_not_accept_is_rejected_by_the_rule_and_its_line_and_written_down() {
    let host = Host::new(|rig| {
        let root = rig.dir.path().display().to_string();
        format!(
            "programs = [\"/bin/true\", \"/bin/sh\"]\ncwd_roots = [{root:?}]\nenv = [\"APP_*\"]\n[max]\nrun_timeout = \"1m\"\n"
        )
    });
    let root = host.rig.dir.path().display().to_string();
    let fine = ["--timeout", "10s", "--env", "APP_MODE=x", "--cwd", &root];
    for argv in [["/bin/true"].as_slice(), &["true"], &["sh", "-c", "test $APP_MODE = x"]] {
        let (_, state, detail) = host.attempt(&fine, argv);
        assert_eq!(state, "STATE_SUCCEEDED", "{argv:?}: {detail}");
    }
    let timeout = ["--timeout", "10s"];
    let with = |more: &[&'static str]| [&timeout, more].concat();
    let refusals = [
        (with(&[]), ["/bin/cat"].as_slice(), "policy.toml:1, programs): /bin/cat is not among the programs"),
        (with(&[]), &["cat"], "policy.toml:1, programs): cat is not among the programs"),
        (with(&["--cwd", "/"]), &["true"], "policy.toml:2, cwd_roots): / is not below"),
        (with(&["--env", "LD_PRELOAD=/x.so"]), &["true"], "policy.toml:3, env): LD_PRELOAD is not among"),
        (vec![], &["true"], "policy.toml:5, max.run_timeout): a job must have a run timeout, of 60 s at most"),
        (vec!["--timeout", "2m"], &["true"], "policy.toml:5, max.run_timeout): a run timeout of 120 s, 60 s at most"),
    ];
    let mut ids = Vec::new();
    for (flags, argv, why) in &refusals {
        let (id, state, detail) = host.attempt(flags, argv);
        assert_eq!(state, "STATE_REJECTED", "{flags:?} {argv:?}: {detail}");
        assert!(detail.contains(why), "{detail}");
        ids.push(id);
    }
    let log = host.log();
    let audited: Vec<_> = log.lines().filter(|line| line.contains("windlass::audit")).collect();
    assert_eq!(audited.len(), refusals.len(), "{audited:?}");
    for (line, id) in audited.iter().zip(&ids) {
        assert!(line.contains(id.as_str()) && line.contains("refused by the policy of this host"), "{line}");
    }
}

#[test]
fn a_policy_is_read_again_with_the_configuration_and_one_that_cannot_be_trusted_changes_nothing() {
    let host = Host::new(|_| "programs = [\"/bin/true\"]\n".into());
    let state = |argv: &[&str]| host.attempt(&[], argv).1;
    assert_eq!((state(&["/bin/true"]).as_str(), state(&["/bin/echo"]).as_str()), ("STATE_SUCCEEDED", "STATE_REJECTED"));
    fs::write(&host.policy, "programs = [\"/bin/echo\"]\n").expect("a file");
    host.reload("the configuration was read again", 1);
    assert_eq!((state(&["/bin/true"]).as_str(), state(&["/bin/echo"]).as_str()), ("STATE_REJECTED", "STATE_SUCCEEDED"));
    fs::write(&host.policy, "programs = [\"/bin/*\"]\n").expect("a file");
    fs::set_permissions(&host.policy, Permissions::from_mode(0o666)).expect("its mode");
    host.reload("the configuration is not taken", 1);
    assert!(host.log().contains("lets others write it"), "{}", host.log());
    assert_eq!((state(&["/bin/true"]).as_str(), state(&["/bin/echo"]).as_str()), ("STATE_REJECTED", "STATE_SUCCEEDED"));
}

#[test]
fn an_agent_does_not_start_under_a_policy_that_others_can_write_or_that_it_breaks_itself() {
    let rig = Rig::new();
    let (policy, log) = (rig.dir.path().join("policy.toml"), rig.dir.path().join("log"));
    let start = |text: &str, mode| {
        fs::write(&policy, text).expect("a file");
        fs::set_permissions(&policy, Permissions::from_mode(mode)).expect("its mode");
        let status = agent(&rig, "http://127.0.0.1:1", &policy, &log).status().expect("it runs");
        (status.code(), fs::read_to_string(&log).expect("a log"))
    };
    let (code, said) = start("", 0o646);
    assert!(code == Some(78) && said.contains("mode 646 lets others write it: chmod go-w it"), "{code:?} {said}");
    let (code, said) = start("\nprogram = []", 0o600);
    assert!(code == Some(78) && said.contains("policy.toml:2: unknown field `program`"), "{code:?} {said}");
    let (code, said) = start("users = [\"nobody\"]", 0o600);
    assert!(code == Some(78) && said.contains("policy.toml:1, users): [exec]: user"), "{code:?} {said}");
    let (code, said) = start("[max]\nmemory_bytes = 1000000000", 0o600);
    assert!(code == Some(78) && said.contains("limits.memory_bytes must be said, and at most"), "{code:?} {said}");
    rig.assert_nothing_runs(PATIENCE);
}
