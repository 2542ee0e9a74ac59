//! Cut off for long, cloned, and a record that cannot be written: what must not go wrong then. A short lease stands for the long
//! one; the long form, 5 minutes under the default lease, runs with `WINDLASS_LONG=1`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::proxy::{Proxy, Way};
use crate::rig::{PATIENCE, Rig, Running, within};
use crate::witness::Witness;

/// One length of everything: the cut is 20 leases, jobs take most of it.
struct Times {
    lease_ms: &'static str,
    cut: Duration,
    job_seconds: &'static str,
    fenced_seconds: &'static str,
}

fn times() -> Times {
    if std::env::var_os("WINDLASS_LONG").is_some() {
        let cut = Duration::from_secs(300);
        return Times { lease_ms: "15000", cut, job_seconds: "180", fenced_seconds: "60" };
    }
    Times { lease_ms: "500", cut: Duration::from_secs(10), job_seconds: "9", fenced_seconds: "2" }
}

fn job(rig: &Rig, url: &str, id: &str) -> serde_json::Value {
    let shown = rig.windlass(["-a", url, "-o", "json", "job", "get", id]).expect(0);
    serde_json::from_str(&shown).expect("a job")
}

fn pause(time: Duration) {
    let until = Instant::now() + time;
    within(time + PATIENCE, "time to pass", || (Instant::now() >= until).then_some(()));
}

#[test]
fn after_a_cut_of_twenty_leases_every_job_ends_taken_back_or_replaced_and_no_fenced_one_overlaps() {
    let times = times();
    let rig = Rig::new();
    let witness = Witness::new(rig.dir.path());
    let coordinator = rig.coordinator_at("127.0.0.1:0", &["--lease-ttl-ms", times.lease_ms]);
    let url = coordinator.url.clone();
    let proxies = [Proxy::to(&url), Proxy::to(&url)];
    let _cut = [rig.agent(&proxies[0].url(), "cut-up", 3), rig.agent(&proxies[1].url(), "cut-down", 3)];
    let submit = |args: &[&str], script: &str| {
        let mark = rig.mark_env();
        let args = [&["-a", &url, "-o", "id", "submit", "--env", &mark], args, &["--", "sh", "-c", script]].concat();
        rig.windlass(args).expect(0).trim().to_owned()
    };
    // The kernel's lock is held for as long as anything of an attempt lives: an overlap fails the job for good.
    let fenced: Vec<String> = (1..=2)
        .map(|n| {
            let lock = rig.dir.path().join(format!("fenced-{n}"));
            let seconds = times.fenced_seconds;
            let script = format!("exec 9>{}; flock -n 9 || exit 66; echo start fenced-{n} >>{}; sleep {seconds}; echo end fenced-{n} >>{1}", lock.display(), witness.path().display());
            submit(&["--on-disconnect", "fence", "--priority", "9"], &script)
        })
        .collect();
    let going_on: Vec<String> =
        (1..=4).map(|n| submit(&[], &witness.script(times.job_seconds).replace("{}", &format!("on-{n}")))).collect();
    within(PATIENCE, "all to begin", || (witness.starts() >= 6).then_some(()));
    proxies[0].hold(Way::Up, true);
    proxies[1].hold(Way::Down, true);
    // One slot: there is room to replace some of them, and not all.
    let _well = rig.agent(&url, "well", 1);
    pause(times.cut);
    proxies[0].hold(Way::Up, false);
    proxies[1].hold(Way::Down, false);
    let healed = Instant::now();
    for id in fenced.iter().chain(&going_on) {
        within(times.cut + PATIENCE, "every job to end", || {
            (job(&rig, &url, id)["state"] == "STATE_SUCCEEDED").then_some(())
        });
    }
    let attempts = |id: &String| job(&rig, &url, id)["attempts"].as_array().expect("attempts").len();
    let of_each: Vec<usize> = going_on.iter().map(attempts).collect();
    println!("all ended {:?} after the cut; attempts of what runs on: {of_each:?}", healed.elapsed());
    assert!(of_each.contains(&1), "one that nobody had room for was taken back: {of_each:?}");
    assert!(of_each.iter().any(|n| *n > 1), "one that there was room for was replaced: {of_each:?}");
    let shown = rig.windlass(["-a", &url, "agent", "list"]).expect(0);
    assert!(!shown.contains("LOST"), "both are back: {shown}");
}

/// Serves the coordinator at `port` of another network, as a route to it would.
fn route(network_of: u32, port: u16, coordinator: &str) {
    let target: std::net::SocketAddr = coordinator.strip_prefix("http://").expect("a URL").parse().expect("an address");
    let (sender, accepted) = mpsc::channel::<TcpStream>();
    std::thread::spawn(move || {
        let network = fs::File::open(format!("/proc/{network_of}/ns/net")).expect("it is there");
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).expect("as root");
        let listener = within(PATIENCE, "loopback to be up", || TcpListener::bind(("127.0.0.1", port)).ok());
        while let Ok((stream, _)) = listener.accept() {
            sender.send(stream).expect("somebody relays");
        }
    });
    std::thread::spawn(move || {
        for agent in accepted {
            let Ok(coordinator) = TcpStream::connect(target) else { return };
            for (from, to) in [(&agent, &coordinator), (&coordinator, &agent)] {
                let (mut from, mut to) =
                    (from.try_clone().expect("a descriptor"), to.try_clone().expect("a descriptor"));
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    });
}

/// Copies what makes an agent who it is.
fn clone_data(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a directory");
    for file in ["agent-id", "lock", "seen"] {
        // What was seen of the coordinator is written a moment later.
        let _ = fs::copy(from.join(file), to.join(file));
    }
}

#[test]
fn an_agent_cloned_to_another_host_is_refused_with_its_remedy_and_the_first_is_undisturbed() {
    let rig = Rig::new();
    let witness = Witness::new(rig.dir.path());
    let coordinator = rig.coordinator();
    let _first = rig.agent(&coordinator.url, "a1", 1);
    let script = witness.script("3").replace("{}", "1");
    let submitted = rig.windlass(["-a", &coordinator.url, "-o", "id", "submit", "--", "sh", "-c", &script]);
    let id = submitted.expect(0).trim().to_owned();
    within(PATIENCE, "it to run", || (witness.starts() == 1).then_some(()));
    clone_data(&rig.dir.path().join("a1"), &rig.dir.path().join("clone"));

    // A host of its own as far as a kernel lends one: network and processes apart, the same boot.
    let log = rig.dir.path().join("clone.log");
    let agent = crate::rig::binary("windlass-worker-agent");
    let run = "ip link set lo up && exec \"$0\" --coordinator http://127.0.0.1:7070 --name a1 --slots 1 --data \"$1\"";
    let mut host = Command::new("unshare");
    host.args(["--net", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", run]).arg(agent);
    host.arg(rig.dir.path().join("clone")).env("WINDLASS_LOG", "warn").stderr(fs::File::create(&log).expect("a file"));
    let clone = Running { child: host.spawn().expect("unshare runs"), url: coordinator.url.clone() };
    let own = fs::read_link("/proc/self/ns/net").expect("ours");
    let pid = clone.child.id();
    within(PATIENCE, "another network", || fs::read_link(format!("/proc/{pid}/ns/net")).ok().filter(|net| *net != own));
    route(pid, 7070, &coordinator.url);

    let said = || fs::read_to_string(&log).expect("a log");
    within(PATIENCE, "the refusal", || said().contains("another live process has this agent id").then_some(()));
    assert!(said().contains("remove agent-id from --data"), "{}", said());
    within(PATIENCE, "the first to finish", || {
        (job(&rig, &coordinator.url, &id)["state"] == "STATE_SUCCEEDED").then_some(())
    });
    witness.assert_each_once(1);
}

#[test]
fn a_failed_commit_ends_the_coordinator_within_a_second() {
    let rig = Rig::new();
    // A write past the limit is to fail, as on a broken disk, and not to kill.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" --listen 127.0.0.1:0 --data \"$1\""]);
    command.arg(crate::rig::binary("windlass-coordinator")).arg(rig.dir.path().join("coordinator"));
    let spawned = command.env("WINDLASS_LOG", "error").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.expect("the coordinator runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let url = line.trim().strip_prefix("listening on ").expect("its address").to_owned();
    let log = BufReader::new(child.stderr.take().expect("piped"));
    let failed = std::thread::spawn(move || {
        log.lines().map_while(Result::ok).find(|line| line.contains("commit failed")).map(|_| Instant::now())
    });
    let mut coordinator = Running { child, url: url.clone() };
    let submit = || rig.windlass(["-a", &url, "--patience", "1s", "-o", "id", "submit", "--", "true"]);
    let known = submit().expect(0).trim().to_owned();

    let pid = Pid::from_raw(coordinator.child.id().cast_signed());
    prlimit(pid, Resource::Fsize, Rlimit { current: Some(1), maximum: None }).expect("ours to limit");
    let refused = std::thread::scope(|scope| {
        let refused = scope.spawn(submit);
        assert_eq!(coordinator.ended(), Some(1), "it ended by its own decision");
        let (ended, failed) = (Instant::now(), failed.join().expect("read").expect("it says that a commit failed"));
        let took = ended.saturating_duration_since(failed);
        println!("ended {took:?} after the commit failed");
        // A second is the promise; a busy machine gets five.
        assert!(took < Duration::from_secs(5), "{took:?}");
        refused.join().expect("it ran")
    });
    assert_ne!(refused.code(), 0, "nobody was told that it is on record: {}", refused.stdout());

    let again = rig.coordinator_at(url.strip_prefix("http://").expect("a URL"), &[]);
    let listed = rig.windlass(["-a", &again.url, "-o", "id", "job", "list"]).expect(0);
    assert_eq!(listed.trim(), known, "what was acknowledged before is there, and nothing else");
}
