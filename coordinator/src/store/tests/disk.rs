//! A small disk that fills up.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::Runtime;
use windlass_core::Change;

use super::bed::{batch, options, runtime};
use super::script::{Script, id};
use crate::store::{Batch, CommitError, NoRoom, Opened, Retention, StoreOptions, open};

const KIB: u64 = 1 << 10;

/// A filesystem of 16 MiB, for as long as it is held.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let dir = TempDir::new().expect("a directory");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(dir.path()).status();
        assert!(status.is_ok_and(|status| status.success()), "this test mounts a tmpfs, so it must run as root");
        Self(dir)
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(self.0.path()).expect("it answers");
        found.f_bavail * found.f_frsize
    }

    /// Leaves this much.
    fn fill(&self, leave: u64) {
        let mut file = File::options().create(true).append(true).open(self.filler()).expect("it opens");
        let block = vec![7; 4096];
        while self.free() > leave {
            if file.write_all(&block).is_err() {
                return;
            }
        }
    }

    fn clear(&self) {
        fs::remove_file(self.filler()).expect("it goes");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a test that failed may still have files open there.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

struct Rig {
    opened: Opened,
    runtime: Runtime,
}

impl Rig {
    fn open(dir: &Path, options: &StoreOptions) -> Self {
        Self { opened: open(dir, options, 7).expect("it opens"), runtime: runtime() }
    }

    fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        self.runtime.block_on(self.opened.store.commit(batch))
    }

    fn room(&self) -> Result<(), NoRoom> {
        self.opened.store.room(100)
    }

    fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
            self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(20)).await });
        }
    }

    /// Each change on its own, as results come in.
    fn record(&self, changes: Vec<Change>) {
        for change in changes {
            self.commit(batch(vec![change])).expect("results are recorded");
        }
    }
}

fn is_disk(room: &Result<(), NoRoom>) -> bool {
    matches!(room, Err(NoRoom::Disk { .. }))
}

#[test]
fn a_full_disk_refuses_submits_records_results_and_recovers() {
    let disk = SmallDisk::mount();
    let ballast = disk.data().join("ballast");
    let rig = Rig::open(&disk.data(), &StoreOptions::default());
    assert!(rig.room().is_ok() && ballast.exists());
    let mut script = Script::default();
    let submitted = script.submit_all(1..=60);
    rig.commit(batch(submitted.clone())).expect("it commits");

    // Below the floor of 5 %, above half of it.
    disk.fill(600 * KIB);
    rig.until("submits are refused below the floor", |rig| is_disk(&rig.room()));
    let leased: Vec<Change> = submitted.iter().map(|change| script.lease(change)).collect();
    rig.record(leased.clone());
    assert!(ballast.exists(), "nothing needed it yet");

    // Not a byte left.
    disk.fill(0);
    let started: Vec<Change> = leased.iter().map(|change| script.start(change)).collect();
    rig.record(started.clone());
    rig.record(started.iter().map(|change| script.succeed(change)).collect());
    rig.until("the ballast is given up", |_| !ballast.exists());
    assert!(is_disk(&rig.room()));

    disk.clear();
    rig.until("submits are taken again", |rig| rig.room().is_ok());
    rig.until("the ballast is there again", |_| ballast.exists());
    rig.record(script.submit_all(61..=61));
    drop(rig);
    let rig = Rig::open(&disk.data(), &StoreOptions::default());
    assert_eq!((rig.opened.live.len(), rig.opened.revision), (1, 60 * 4 + 1));
    for n in 1..=60 {
        let view = rig.opened.store.job(id(n)).expect("it reads").expect("it is there");
        assert!(view.record.state.is_final(), "job {n}");
    }
}

#[test]
fn without_ballast_a_full_disk_fails_the_commit_and_nothing_of_it_is_seen() {
    let disk = SmallDisk::mount();
    let options = StoreOptions { disk_free_min: Some(0), ballast_bytes: Some(0), ..StoreOptions::default() };
    let rig = Rig::open(&disk.data(), &options);
    let mut script = Script::default();
    disk.fill(1_024 * KIB);
    let mut acknowledged = 0;
    let lost = loop {
        let n = acknowledged + 1;
        assert!(n < 100, "it never failed");
        // Two jobs a batch: neither may be there where it failed.
        let spec = vec![n; 100 << 10];
        let changes = vec![script.submit(n), script.submit(n + 100)];
        let specs = vec![(id(n), spec.clone().into()), (id(n + 100), spec.into())];
        match rig.commit(Batch { changes, specs, ..Batch::default() }) {
            Ok(()) => acknowledged = n,
            Err(err) => {
                assert!(err.to_string().contains("full"), "{err}");
                break n;
            }
        }
        assert!(!is_disk(&rig.room()), "no floor was asked for");
    };
    assert!(rig.commit(batch(script.submit_all(250..=250))).is_err(), "after a failure nothing is taken");
    let seen = |rig: &Rig, n| rig.opened.store.job(id(n)).expect("it reads").is_some();
    assert!(!seen(&rig, lost) && !seen(&rig, lost + 100));
    drop(rig);
    disk.clear();
    let rig = Rig::open(&disk.data(), &options);
    assert_eq!(rig.opened.live.len(), usize::from(acknowledged) * 2);
    assert!(!seen(&rig, lost) && !seen(&rig, lost + 100) && !seen(&rig, 250));
    rig.record(script.submit_all(251..=251));
}

#[test]
fn a_short_disk_gets_back_what_is_pruned() {
    let dir = TempDir::new().expect("a directory");
    let retention = Retention { finished_jobs_max: 1, ..Retention::default() };
    // No disk has that much: this one is short from the first moment.
    let options = StoreOptions { retention, disk_free_min: Some(u64::MAX / 8), ..options() };
    let rig = Rig::open(dir.path(), &options);
    let mut script = Script::default();
    let submitted = script.submit_all(1..=40);
    let specs = submitted.iter().map(|change| (change.job.id, vec![7; 256 << 10].into())).collect();
    rig.commit(Batch { specs, ..batch(submitted.clone()) }).expect("it commits");
    let size = || fs::metadata(dir.path().join("store.db")).expect("it is there").len();
    rig.record(submitted.iter().map(|change| script.cancel_waiting(change)).collect());
    rig.until("the file is small again", |_| (16 * KIB..600 * KIB).contains(&size()));
    assert!(rig.opened.store.job(id(40)).expect("it reads").is_some());
}
