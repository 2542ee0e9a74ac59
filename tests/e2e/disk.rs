//! Disks that are full, and disks that lie.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

use crate::rig::{PATIENCE, Rig, Running, within};

/// A filesystem of its own, gone with the test.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(path: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&path).expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&path)
            .status()
            .expect("mount runs");
        assert!(mounted.success(), "this test mounts a tmpfs, which needs root");
        Self(path)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: whatever still has it open is about to be killed.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

struct Cluster {
    agent: Running,
    coordinator: Running,
    rig: Rig,
}

impl Cluster {
    fn new(rig: Rig) -> Self {
        let coordinator = rig.coordinator();
        let agent = rig.agent(&coordinator.url, "a1", 2);
        Self { agent, coordinator, rig }
    }

    fn windlass(&self, args: &[&str]) -> crate::rig::Finished {
        self.rig.windlass(["-a", &self.coordinator.url, "--patience", "1s"].iter().chain(args))
    }

    fn state(&self, id: &str) -> String {
        let shown = self.windlass(&["-o", "json", "job", "get", id]).expect(0);
        let job: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        job["state"].as_str().expect("a state").to_owned()
    }
}

#[test]
fn a_full_disk_refuses_submits_records_results_and_takes_submits_again_when_there_is_room() {
    let rig = Rig::new();
    let disk = Tmpfs::mount(rig.dir.path().join("coordinator"), "16m");
    let flag = rig.dir.path().join("go");
    let cluster = Cluster::new(rig);
    let wait_for_flag = format!("while ! test -e {}; do sleep 0.02; done; echo done", flag.display());
    let submitted = cluster.windlass(&["-o", "id", "submit", "--", "sh", "-c", &wait_for_flag]);
    let id = submitted.expect(0).trim().to_owned();
    within(PATIENCE, "the job to run", || (cluster.state(&id) == "STATE_RUNNING").then_some(()));

    let filler = disk.0.join("filler");
    fill(&filler, &disk.0);
    within(PATIENCE, "submits to be refused", || {
        let refused = cluster.windlass(&["submit", "--", "true"]);
        (refused.code() != 0 && refused.stderr().contains("disk")).then_some(())
    });
    fs::write(&flag, "").expect("a file");
    within(PATIENCE, "the result to be recorded", || (cluster.state(&id) == "STATE_SUCCEEDED").then_some(()));

    fs::remove_file(&filler).expect("ours");
    within(PATIENCE, "submits to be taken again", || {
        (cluster.windlass(&["submit", "--", "true"]).code() == 0).then_some(())
    });
    cluster.windlass(&["job", "wait", "@last"]).expect(0);
    drop(cluster);
}

/// Takes all but 256 KiB of the disk.
fn fill(filler: &std::path::Path, disk: &std::path::Path) {
    let free = rustix::fs::statvfs(disk).expect("a filesystem");
    let bytes = (free.f_bavail * free.f_frsize).saturating_sub(256 << 10);
    fs::write(filler, vec![1; usize::try_from(bytes).expect("small")]).expect("room for it");
}

#[test]
fn a_record_that_is_damaged_on_disk_is_named_and_never_shown() {
    let mut cluster = Cluster::new(Rig::new());
    let needle = "a-needle-in-the-record";
    let submitted = cluster.windlass(&["-o", "id", "submit", "--", "echo", needle]);
    let id = submitted.expect(0).trim().to_owned();
    cluster.windlass(&["job", "wait", &id]).expect(0);
    let healthy = cluster.windlass(&["-o", "id", "submit", "--", "true"]).expect(0).trim().to_owned();
    cluster.windlass(&["job", "wait", &healthy]).expect(0);
    cluster.coordinator.signal(Signal::TERM);
    cluster.coordinator.ended();
    let data = cluster.rig.dir.path().join("coordinator");
    assert!(damage(&data, needle.as_bytes()) > 0, "the spec is in a file of the record");

    let verify =
        cluster.rig.command("windlass-coordinator").args(["store", "verify"]).arg(&data).output().expect("runs");
    assert_eq!(verify.status.code(), Some(65), "{}", String::from_utf8_lossy(&verify.stderr));
    assert!(String::from_utf8_lossy(&verify.stderr).contains(&id), "{}", String::from_utf8_lossy(&verify.stderr));

    let listen = cluster.coordinator.url.strip_prefix("http://").expect("an address").to_owned();
    cluster.coordinator = cluster.rig.coordinator_at(&listen, &[]);
    let shown = cluster.windlass(&["job", "get", &id]);
    assert!(shown.code() != 0 && shown.stderr().contains("damaged"), "{}{}", shown.stdout(), shown.stderr());
    assert!(!shown.stdout().contains("needle"), "{}", shown.stdout());
    assert_eq!(cluster.state(&healthy), "STATE_SUCCEEDED", "its neighbour is undisturbed");
    cluster.agent.signal(Signal::TERM);
}

/// Changes a byte within every occurrence of `what` in the files of the record; how many there were.
fn damage(data: &std::path::Path, what: &[u8]) -> usize {
    let files = fs::read_dir(data).expect("a directory").filter_map(|entry| Some(entry.ok()?.path()));
    let mut found = 0;
    for file in files.filter(|path| path.is_file()) {
        let mut bytes = fs::read(&file).expect("a file");
        let at: Vec<usize> =
            (0..bytes.len().saturating_sub(what.len())).filter(|i| bytes[*i..].starts_with(what)).collect();
        for i in &at {
            bytes[*i] ^= 1;
        }
        if !at.is_empty() {
            fs::write(&file, bytes).expect("ours to spoil");
        }
        found += at.len();
    }
    found
}

#[test]
fn a_backup_taken_beside_a_running_coordinator_serves_as_the_record() {
    let mut cluster = Cluster::new(Rig::new());
    let id = cluster.windlass(&["-o", "id", "submit", "--", "true"]).expect(0).trim().to_owned();
    cluster.windlass(&["job", "wait", &id]).expect(0);
    let (data, copy) = (cluster.rig.dir.path().join("coordinator"), cluster.rig.dir.path().join("copy"));
    let mut backup = cluster.rig.command("windlass-coordinator");
    assert!(backup.args(["store", "backup"]).arg(&data).arg(&copy).status().expect("runs").success());
    let export =
        cluster.rig.command("windlass-coordinator").args(["store", "export"]).arg(&data).output().expect("runs");
    assert!(String::from_utf8_lossy(&export.stdout).contains(&id));
    cluster.agent.signal(Signal::TERM);
    cluster.agent.ended();
    cluster.coordinator.signal(Signal::KILL);
    cluster.coordinator.ended();
    fs::rename(&data, cluster.rig.dir.path().join("old")).expect("moved");
    fs::rename(&copy, &data).expect("moved");
    cluster.coordinator = cluster.rig.coordinator();
    assert_eq!(cluster.state(&id), "STATE_SUCCEEDED");
}
