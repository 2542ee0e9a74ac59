//! Bounds from outside, by the command line alone: shares, limits, cooldowns, unique keys and full queues, on two agents.

use std::fs;
use std::path::{Path, PathBuf};

use crate::rig::{PATIENCE, Rig, Running, within};

/// A coordinator, and the command line for it.
struct Cluster {
    rig: Rig,
    coordinator: Running,
    agents: Vec<Running>,
}

impl Cluster {
    fn new() -> Self {
        let rig = Rig::new();
        let coordinator = rig.coordinator();
        Self { rig, coordinator, agents: Vec::new() }
    }

    fn agents(mut self, slots: u32, config: &str) -> Self {
        let start = |name| self.rig.agent_with(&self.coordinator.url, name, slots, config);
        self.agents = ["a1", "a2"].map(start).into_iter().collect();
        self
    }

    fn windlass(&self, args: &[&str]) -> String {
        self.try_windlass(args).expect(0)
    }

    fn try_windlass(&self, args: &[&str]) -> crate::rig::Finished {
        self.rig.windlass(["--address", &self.coordinator.url].iter().chain(args))
    }

    /// Submits a script; its id.
    fn submit(&self, flags: &[&str], script: &str) -> String {
        let mark = self.rig.mark_env();
        let args = [&["submit", "-o", "id", "--env", &mark], flags, &["--", "sh", "-c", script]].concat();
        self.windlass(&args).trim().to_owned()
    }

    /// A file of its own, for jobs to append lines to.
    fn file(&self, name: &str) -> PathBuf {
        let path = self.rig.dir.path().join(name);
        fs::write(&path, "").expect("a file");
        path
    }
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).expect("the file").lines().map(str::to_owned).collect()
}

#[test]
fn one_tenants_flood_does_not_delay_another_beyond_its_share() {
    let cluster = Cluster::new().agents(1, "");
    let file = cluster.file("starts");
    cluster.windlass(&["queue", "pause", "default"]);
    cluster.windlass(&["queue", "set", "default", "--fairness-weight", "ann=2"]);
    let mut ids = Vec::new();
    for (tenant, jobs) in [("flood", 24), ("ann", 6), ("bob", 3)] {
        for _ in 0..jobs {
            let script = format!("echo {tenant} >>{}; sleep 0.05", file.display());
            ids.push(cluster.submit(&["--fairness", tenant], &script));
        }
    }
    cluster.windlass(&["queue", "resume", "default"]);
    cluster.windlass(&[&["wait"], &*ids.iter().map(|id| &**id).collect::<Vec<_>>()].concat());
    let order = lines(&file);
    assert_eq!(order.len(), 33);
    // Two turns of ann's and one of bob's for each of the flood's. Two hosts start side by side, so lines may change places by one.
    let last = |tenant: &str| order.iter().rposition(|line| line == tenant).expect("it ran") + 1;
    assert!(last("ann") <= 6 + 3 + 3 + 2, "{order:?}");
    assert!(last("bob") <= 3 + 6 + 3 + 2, "{order:?}");
}

#[test]
fn no_more_jobs_of_a_queue_run_at_any_instant_than_its_settings_let_on_all_agents_together() {
    let cluster = Cluster::new().agents(4, "");
    let file = cluster.file("runs");
    cluster.windlass(&["queue", "set", "bulk", "--max-running", "3"]);
    let script = format!("echo start >>{0}; sleep 0.1; echo end >>{0}", file.display());
    let ids: Vec<String> = (0..24).map(|_| cluster.submit(&["--queue", "bulk"], &script)).collect();
    cluster.windlass(&[&["wait"], &*ids.iter().map(|id| &**id).collect::<Vec<_>>()].concat());
    let (mut running, mut most) = (0, 0);
    for line in lines(&file) {
        running += if line == "start" { 1 } else { -1 };
        most = most.max(running);
        assert!(running <= 3, "{:?}", lines(&file));
    }
    assert_eq!((running, most), (0, 3), "and as many as that did");
}

/// A worker whose first call anywhere answers that its upstream wants a rest of three seconds.
fn throttled(file: &Path) -> String {
    let script = r#"
frame() { printf '\036%s\n' "$1"; }
frame '{"type":"hello","protocol":1,"handlers":["fetch"]}'
while read -r line; do
  case $line in
    *'"type":"job"'*)
      id=${line#*'"id":'}; id=${id%%[!0-9]*}
      if mkdir FILE.first 2>/dev/null; then
        frame "{\"type\":\"error\",\"id\":$id,\"message\":\"slow down\",\"code\":\"429\",\"retry_after_ms\":3000,\"cooldown_key\":\"api\"}"
      else
        date +%s%N >>FILE
        frame "{\"type\":\"result\",\"id\":$id,\"value\":null}"
      fi ;;
    *'"type":"ping"'*) n=${line#*'"n":'}; frame "{\"type\":\"pong\",\"n\":${n%%[!0-9]*}}" ;;
    *'"type":"bye"'* | *'"type":"drain"'*) exit 0 ;;
  esac
done
"#;
    script.replace("FILE", &file.display().to_string())
}

#[test]
fn an_answer_that_its_upstream_wants_a_rest_pauses_the_key_on_all_agents() {
    let cluster = Cluster::new();
    let (file, worker) = (cluster.file("calls"), cluster.rig.dir.path().join("worker.sh"));
    fs::write(&worker, throttled(&file)).expect("a script");
    let (name, value) = cluster.rig.mark_pair();
    let pool = format!(
        "[[pool]]\nname = \"p\"\ncommand = [\"sh\", {:?}]\nmax = 2\nmin = 2\nenv = {{ {name} = {value:?} }}\n",
        worker.display().to_string()
    );
    let cluster = cluster.agents(3, &pool);
    let call = ["submit", "-o", "id", "--limit", "api", "--retry", "default", "--handler", "fetch"];
    let first = cluster.windlass(&call).trim().to_owned();
    let get = || cluster.windlass(&["limit", "get", "api", "-o", "json"]);
    let shown = within(PATIENCE, "the cooldown", || Some(get()).filter(|shown| shown.contains("\"endTime\"")));
    let end = shown.split("\"endTime\":").nth(1).and_then(|rest| rest.split('"').nth(1)).expect("its end").to_owned();
    assert!(shown.contains(&format!("job {first} answered 429")), "{shown}");
    let rest: Vec<String> = (0..8).map(|_| cluster.windlass(&call).trim().to_owned()).collect();
    let waits = cluster.windlass(&["job", "get", &rest[7]]);
    assert!(waits.contains("limit api: it cools down for"), "{waits}");
    assert!(lines(&file).is_empty(), "nothing that names the key was handed out");
    cluster.windlass(&[&["wait", &first], &*rest.iter().map(|id| &**id).collect::<Vec<_>>()].concat());
    let calls = lines(&file);
    assert_eq!(calls.len(), 9);
    let earliest: i128 = calls.iter().filter_map(|line| line.parse().ok()).min().expect("a time");
    let date = std::process::Command::new("date").args(["-d", &end, "+%s%N"]).output().expect("date runs");
    let until: i128 = String::from_utf8_lossy(&date.stdout).trim().parse().expect("a time");
    assert!(earliest >= until, "{earliest} is before {end}");
    assert!(!get().contains("endTime"), "and the key is warm again");
}

#[test]
fn a_job_with_the_key_of_another_is_refused_answered_or_takes_its_place_once_that_is_proven_over() {
    let cluster = Cluster::new().agents(2, "");
    let file = cluster.file("story");
    let path = file.display();
    let slow = format!("trap 'sleep 0.5; echo end >>{path}; exit 1' TERM; echo start >>{path}; sleep 60 & wait");
    let first = cluster.submit(&["--unique", "daily"], &slow);
    within(PATIENCE, "its start", || (lines(&file).len() == 1).then_some(()));
    let refused = cluster.try_windlass(&["submit", "--unique", "daily", "--", "true"]);
    assert!(refused.code() != 0 && refused.stderr().contains(&first), "{}", refused.stderr());
    let queued =
        cluster.try_windlass(&["submit", "--unique", "daily", "--on-conflict", "replace-queued", "--", "true"]);
    assert!(queued.code() != 0 && queued.stderr().contains(&first), "{}", queued.stderr());
    let same = cluster.windlass(&["submit", "--unique", "daily", "--on-conflict", "return-existing", "--", "true"]);
    assert_eq!(same.trim(), format!("there already {first}"));
    let next = format!("echo next >>{path}");
    let next = cluster.submit(&["--unique", "daily", "--on-conflict", "cancel-running"], &next);
    cluster.windlass(&["wait", &next]);
    assert_eq!(cluster.try_windlass(&["wait", &first]).code(), 4, "it was cancelled");
    assert_eq!(lines(&file), ["start", "end", "next"]);
}

#[test]
fn a_full_queue_refuses_the_items_that_are_too_many_and_takes_the_others() {
    let cluster = Cluster::new();
    cluster.windlass(&["queue", "set", "small", "--max-depth", "2"]);
    let list = cluster.rig.windlass_fed(
        [
            "--address",
            &cluster.coordinator.url,
            "submit",
            "--queue",
            "small",
            "-o",
            "id",
            "--each",
            "-",
            "--",
            "echo",
            "{}",
        ],
        "a\nb\nc\nd\n",
    );
    assert_eq!(list.stdout().lines().count(), 2, "{}", list.stdout());
    assert_ne!(list.code(), 0);
    assert_eq!(
        list.stderr().matches("2 jobs wait in queue small, which is the most that may").count(),
        2,
        "{}",
        list.stderr()
    );
    let shown = cluster.windlass(&["queue", "get", "small"]);
    assert!(shown.contains("small") && shown.split_whitespace().any(|word| word == "2"), "{shown}");
    cluster.windlass(&["queue", "set", "small", "--unset", "max-depth"]);
    cluster.submit(&["--queue", "small"], "true");
}
