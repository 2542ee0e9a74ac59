//! What operators ask of pools and agents, by the real command of real agents with real workers.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};
use windlass_shared::pb;
use windlass_shared::pb::breaker::State as Breaker;
use windlass_shared::pb::pool_service_client::PoolServiceClient;
use windlass_shared::pb::worker_state::Status;

use crate::rig::{PATIENCE, Rig, Running, binary, within};

/// A coordinator, one agent, and a hand on its pools.
struct Bed {
    rig: Rig,
    coordinator: Running,
    agent_id: String,
    pools: PoolServiceClient<Channel>,
    runtime: tokio::runtime::Runtime,
    _agent: Running,
}

impl Bed {
    fn new(slots: u32, config: impl FnOnce(&Rig) -> String) -> Self {
        let rig = Rig::new();
        let coordinator = rig.coordinator();
        let config = config(&rig);
        let agent = rig.agent_with(&coordinator.url, "a1", slots, &config);
        let agent_id = within(PATIENCE, "the agent", || {
            let listed = rig.windlass(["-a", &coordinator.url, "-o", "id", "agent", "list"]).expect(0);
            listed.lines().next().map(str::to_owned)
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let endpoint = Endpoint::from_shared(coordinator.url.clone()).expect("an address");
        let channel = runtime.block_on(endpoint.connect()).expect("it serves");
        Self { rig, coordinator, agent_id, pools: PoolServiceClient::new(channel), runtime, _agent: agent }
    }

    fn windlass(&self, args: &[&str]) -> crate::rig::Finished {
        self.rig.windlass(["-a", &self.coordinator.url].iter().chain(args))
    }

    fn state(&self, pool: &str) -> pb::PoolState {
        let request = pb::GetPoolRequest { agent_id: self.agent_id.clone(), pool: pool.into() };
        let answer = self.runtime.block_on(self.pools.clone().get_pool(request)).expect("it answers");
        answer.into_inner().pool.expect("the pool")
    }

    fn until(&self, pool: &str, what: &str, so: impl Fn(&pb::PoolState) -> bool) -> pb::PoolState {
        within(PATIENCE, what, || Some(self.state(pool)).filter(&so))
    }

    /// Ids and process numbers of the workers that are ready, by slot.
    fn ready(&self, pool: &str, count: usize) -> Vec<(String, u32)> {
        within(PATIENCE, "ready workers", || {
            let request =
                pb::ListWorkersRequest { agent_id: self.agent_id.clone(), pool: pool.into(), ..Default::default() };
            let answer = self.runtime.block_on(self.pools.clone().list_workers(request)).expect("it answers");
            let workers = answer.into_inner().workers;
            let idle = workers.iter().filter(|worker| worker.status() == Status::Idle);
            let found: Vec<_> = idle.filter_map(|worker| Some((worker.id.clone(), worker.pid?))).collect();
            Some(found).filter(|found| found.len() == count)
        })
    }

    fn kill(&self, worker: &str, request_id: &str) -> pb::WorkerState {
        let request = pb::KillWorkerRequest {
            agent_id: self.agent_id.clone(),
            worker_id: worker.into(),
            signal: Some(9),
            request_id: request_id.into(),
            ..Default::default()
        };
        let answer = self.runtime.block_on(self.pools.clone().kill_worker(request)).expect("it answers");
        answer.into_inner().worker.expect("the worker")
    }
}

fn pool(rig: &Rig, name: &str, command: &[&str], rest: &str) -> String {
    let mark = rig.mark_env();
    let (variable, value) = mark.split_once('=').expect("a mark");
    format!("[[pool]]\nname = {name:?}\ncommand = {command:?}\nenv = {{ {variable} = {value:?} }}\n{rest}\n")
}

fn worker() -> String {
    binary("examples/worker").display().to_string()
}

fn exits(state: &pb::PoolState) -> Vec<(&str, u64)> {
    state.exits.iter().map(|exit| (&*exit.reason, exit.workers)).collect()
}

#[test]
fn pools_are_listed_shown_and_scaled_and_commands_get_the_slots_that_are_given_back() {
    let bed = Bed::new(3, |rig| pool(rig, "p", &[&worker()], "mode = \"dynamic\"\nmin = 3\nmax = 3"));
    bed.ready("p", 3);
    let request = pb::ListPoolsRequest::default();
    let listed = bed.runtime.block_on(bed.pools.clone().list_pools(request)).expect("it answers").into_inner();
    let names: Vec<_> = listed.agents.iter().map(|one| (&*one.agent_name, one.pools.len())).collect();
    assert_eq!(names, [("a1", 1)]);
    assert!(bed.windlass(&["pool", "list"]).expect(0).contains('p'));
    let shown = bed.windlass(&["-o", "json", "pool", "get", "p"]).expect(0);
    assert!(shown.contains("\"maxWorkers\": 3") && shown.contains("echo"), "{shown}");

    // Every slot was the pool's when the agent said hello.
    let id = bed.windlass(&["-o", "id", "submit", "--", "true"]).expect(0).trim().to_owned();
    let waiting = bed.windlass(&["-o", "json", "job", "get", &id]).expect(0);
    assert!(waiting.contains("no agent takes commands: all slots are their pools'"), "{waiting}");
    bed.windlass(&["pool", "scale", "p", "--min", "1", "--max", "2"]).expect(0);
    bed.windlass(&["job", "wait", &id]).expect(0);
    let state = bed.until("p", "one is let go", |state| state.max_workers == 2 && state.min_workers == 1);
    assert_eq!(state.handlers.len(), 7);
    // And what cannot be had is refused by its field.
    let refused = bed.windlass(&["pool", "scale", "p", "--max", "4"]);
    assert!(refused.stderr().contains("max_workers"), "{}", refused.stderr());
    refused.expect(2);
}

#[test]
fn workers_are_recycled_and_killed_once_under_one_request_id() {
    let bed = Bed::new(3, |rig| pool(rig, "p", &[&worker()], "min = 2\nmax = 2"));
    let first = bed.ready("p", 2);
    bed.windlass(&["pool", "recycle", "p"]).expect(0);
    bed.until("p", "both are replaced", |state| exits(state) == [("recycled_asked", 2)] && state.generation == 2);
    let second = bed.ready("p", 2);
    assert!(second.iter().all(|(_, pid)| first.iter().all(|(_, before)| before != pid)), "{first:?} {second:?}");

    let ((id, pid), (other, spared)) = (&second[0], &second[1]);
    let killed = bed.kill(id, "k-1");
    assert_eq!(killed.pid, Some(*pid));
    let third = within(PATIENCE, "another in its place", || {
        let now = bed.ready("p", 2);
        let replaced = now.iter().all(|(_, running)| running != pid) && now.contains(&second[1]);
        replaced.then_some(now)
    });
    assert_eq!(bed.kill(id, "k-1"), killed, "answered as the first time");
    bed.windlass(&["worker", "kill", other, "--signal", "KILL"]).expect(0);
    let state = bed.until("p", "the other is killed", |state| exits(state).contains(&("killed", 2)));
    assert_eq!(exits(&state), [("recycled_asked", 2), ("killed", 2)], "and no more");
    let successor = third.iter().find(|(_, running)| running != spared).expect("it has one");
    assert!(bed.ready("p", 2).contains(successor), "who took its place was spared");
    bed.windlass(&["worker", "get", "p-9"]).expect(5);
    assert!(bed.windlass(&["worker", "list", "p"]).expect(0).contains(&successor.0));
}

#[test]
fn a_pool_whose_breaker_is_open_says_why_and_starts_again_when_it_is_reset() {
    let mended = |rig: &Rig| rig.dir.path().join("mended");
    let bed = Bed::new(2, |rig| {
        let script =
            format!("test -e {} || {{ echo no licence >&2; exit 78; }}; exec {}", mended(rig).display(), worker());
        pool(rig, "q", &["sh", "-c", &script], "min = 1\nmax = 1\nhandlers = [\"echo\"]")
    });
    let broken =
        bed.until("q", "the breaker opens", |state| state.breaker.as_ref().is_some_and(|b| b.state() == Breaker::Open));
    let breaker = broken.breaker.expect("a breaker");
    assert!(breaker.stderr_lines.iter().any(|line| line == "no licence"), "{breaker:?}");
    fs::write(mended(&bed.rig), "").expect("a file");
    bed.windlass(&["pool", "reset", "q"]).expect(0);
    bed.ready("q", 1);
    let state = bed.state("q");
    assert_eq!(state.breaker.expect("a breaker").state(), Breaker::Closed);
    let said = bed.windlass(&["submit", "--wait", "--handler", "echo", "--input", "7"]).expect(0);
    assert_eq!(said.trim(), "7");
}

/// A freezer of its own, thawed with the test: version 1 holds back even SIGKILL.
struct Freezer(PathBuf);

impl Freezer {
    fn new() -> Self {
        let path = PathBuf::from(format!("/sys/fs/cgroup/freezer/windlass-e2e-{}", std::process::id()));
        fs::create_dir(&path)
            .expect("this test needs the freezer of control groups, version 1, and the right to use it");
        Self(path)
    }

    fn freeze(&self, pid: i32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).expect("it is there");
        fs::write(self.0.join("freezer.state"), "FROZEN").expect("it freezes");
    }

    fn thaw(&self) {
        fs::write(self.0.join("freezer.state"), "THAWED").expect("it thaws");
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.thaw();
        // The process in it ends in its own time.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

#[test]
#[ignore = "needs the freezer of control groups, version 1; .ci/run runs it"]
fn an_agent_with_something_unkillable_is_quarantined_until_that_is_gone_and_says_why_jobs_wait() {
    let freezer = Freezer::new();
    let rig = Rig::new();
    let coordinator = rig.coordinator_at("127.0.0.1:0", &["--quarantine-after-s", "1"]);
    let url = coordinator.url.clone();
    let _agent = rig.agent(&url, "a1", 2);
    let windlass = |args: &[&str]| rig.windlass(["-a", &url].iter().chain(args));
    let agent_state = || windlass(&["-o", "json", "agent", "get", "a1"]).expect(0);
    let mark = rig.mark_env();
    let submit = |argv: &[&str]| {
        let flags = ["-o", "id", "submit", "--env", &mark, "--grace", "0s", "--"];
        windlass(&flags.iter().chain(argv).copied().collect::<Vec<_>>()).expect(0).trim().to_owned()
    };
    let stuck = submit(&["sleep", "1234.5"]);
    let pid = rig.wait_for("sleep 1234.5", 1)[0];
    let runs_on = submit(&["sh", "-c", "until [ -e go ]; do sleep 0.02; done"].map(|arg| arg));
    freezer.freeze(pid);
    windlass(&["job", "cancel", &stuck]).expect(0);
    within(PATIENCE, "the quarantine", || agent_state().contains("QUARANTINED").then_some(()));
    let waits = submit(&["true"]);
    let why = || windlass(&["-o", "json", "job", "get", &waits]).expect(0);
    within(PATIENCE, "the reason", || why().contains("quarantine").then_some(()));
    let running = windlass(&["-o", "json", "job", "get", &runs_on]).expect(0);
    assert!(running.contains("STATE_RUNNING"), "what runs there goes on: {running}");

    freezer.thaw();
    windlass(&["job", "wait", &waits]).expect(0);
    assert!(!agent_state().contains("QUARANTINED"));
    windlass(&["job", "cancel", &runs_on]).expect(0);
}
