//! Nothing grows without end, and a full disk costs logs alone.

use std::process::Command;
use std::time::Duration;

use windlass_shared::time::Timestamp;

use super::*;

fn other(attempt: u32) -> LogKey {
    LogKey { attempt, ..key() }
}

#[test]
fn what_does_not_fit_is_counted_and_shows_as_a_gap() {
    both(&limits(6, 1 << 20), |logs| {
        logs.append(key().job, 1, chunk(0, "hello"));
        let acknowledged = logs.append(key().job, 1, chunk(5, "world"));
        assert_eq!(acknowledged, 10, "or the agent would send it for ever");
        assert_eq!(text(logs, 0, 100), (vec![(0, "hello".into())], 10));
        assert_eq!(logs.append(key().job, 2, chunk(0, "hello")), 5, "another attempt has room of its own");
        assert_eq!(logs.end(other(2)), 5);
    });
}

#[test]
fn what_a_stream_has_kept_counts_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Logs::open(dir.path(), limits(8, 1 << 20), Bells::default()).unwrap();
    open().append(key().job, 1, chunk(0, "hello"));
    let logs = open();
    logs.append(key().job, 1, chunk(5, "you"));
    logs.append(key().job, 1, chunk(8, "!"));
    assert_eq!(text(&logs, 0, 100), (vec![(0, "hello".into()), (5, "you".into())], 9));
}

#[test]
fn the_oldest_make_room() {
    both(&limits(1 << 20, 64 << 10), |logs| {
        for attempt in 1..=1_000 {
            logs.append(key().job, attempt, chunk(0, [b'x'; 100]));
        }
        assert_eq!(text(logs, 0, 100), (vec![], 0));
        assert_eq!(logs.end(other(1_000)), 100);
        let kept = (1..=1_000).filter(|attempt| logs.end(other(*attempt)) == 100).count();
        assert!((400..=440).contains(&kept), "{kept} records of 149 bytes in 64 KiB");
        let mut shelf = logs.shelf();
        assert!(shelf.total() <= (64 << 10, 80), "{:?}", shelf.total());
        assert_eq!(shelf.append(key(), chunk(7, "again"), clock::wall()), 12, "a log that went begins anew");
    });
}

#[test]
fn a_cap_that_was_lowered_holds_from_the_next_start_on() {
    let dir = tempfile::tempdir().unwrap();
    let open = |total| Logs::open(dir.path(), limits(1 << 20, total), Bells::default()).unwrap();
    let logs = open(64 << 10);
    for attempt in 1..=400 {
        logs.append(key().job, attempt, chunk(0, [b'x'; 100]));
    }
    let logs = open(16 << 10);
    assert!(logs.shelf().total().0 <= 16 << 10, "{:?}", logs.shelf().total());
    assert_eq!((logs.end(other(1)), logs.end(other(400))), (0, 100));
}

#[test]
fn what_has_been_kept_for_long_enough_goes() {
    let dir = tempfile::tempdir().unwrap();
    let limits = LogLimits { ttl: Duration::from_secs(80), ..LogLimits::default() };
    let at = |secs| Timestamp::default().after(Duration::from_secs(secs));
    let mut shelf = Shelf::new(Place::in_dir(dir.path()).unwrap(), limits);
    shelf.append(other(1), chunk(0, "a"), at(0));
    shelf.append(other(2), chunk(0, "b"), at(10));
    shelf.append(other(3), chunk(0, "c"), at(21));
    let ends = |shelf: &mut Shelf, secs| [1, 2, 3].map(|attempt| shelf.pick(other(attempt), at(secs)).end());
    assert_eq!(ends(&mut shelf, 90), [1, 1, 1]);
    assert_eq!(ends(&mut shelf, 91), [0, 0, 1], "the first two share a segment");
    assert_eq!(ends(&mut shelf, 102), [0, 0, 0]);
    assert_eq!(std::fs::read_dir(dir.path().join("logs")).unwrap().count(), 0);
}

#[test]
fn ten_thousand_attempts_are_in_a_few_files() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(&dir);
    for attempt in 1..=10_000 {
        logs.append(key().job, attempt, chunk(0, vec![u8::try_from(attempt % 251).unwrap(); 100]));
    }
    assert_eq!(std::fs::read_dir(dir.path().join("logs")).unwrap().count(), 1);
    let logs = open(&dir);
    for attempt in 1..=10_000 {
        let (chunks, next) = logs.read(other(attempt), 0, 1_000);
        assert_eq!(next, 100);
        assert!(chunks[0].data.iter().all(|byte| u32::from(*byte) == attempt % 251));
    }
}

/// A disk of 1 MiB; needs root.
struct TinyDisk(TempDir);

impl TinyDisk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(dir.path()).output().unwrap();
        assert!(
            mount.status.success(),
            "this test mounts a tmpfs, as root: {}",
            String::from_utf8_lossy(&mount.stderr)
        );
        Self(dir)
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn fill(logs: &Logs) {
    for i in 0..300_u64 {
        assert_eq!(logs.append(key().job, 1, chunk(i * 5_000, [b'x'; 5_000])), (i + 1) * 5_000);
    }
}

#[test]
fn a_full_disk_costs_what_came_meanwhile_and_nothing_else() {
    let disk = TinyDisk::new();
    let (ballast, limits) = (disk.0.path().join("ballast"), LogLimits { free_bytes_min: 0, ..LogLimits::default() });
    std::fs::write(&ballast, vec![0; 300 << 10]).unwrap();
    let logs = Logs::open(disk.0.path(), limits.clone(), Bells::default()).unwrap();
    fill(&logs);
    let (chunks, next) = logs.read(key(), 0, 4 << 20);
    assert_eq!(next, 1_500_000, "all was counted");
    assert!((100..150).contains(&chunks.len()), "{}", chunks.len());
    std::fs::remove_file(&ballast).unwrap();
    assert_eq!(logs.append(key().job, 1, chunk(1_500_000, "there is room again")), 1_500_019);
    for logs in [&logs, &Logs::open(disk.0.path(), limits, Bells::default()).unwrap()] {
        let (after, next) = logs.read(key(), 0, 4 << 20);
        assert_eq!((after.len(), next), (chunks.len() + 1, 1_500_019));
        assert_eq!(after[..chunks.len()], chunks);
    }
}

#[test]
fn logs_leave_some_of_the_disk_to_others() {
    let disk = TinyDisk::new();
    fill(&Logs::open(disk.0.path(), LogLimits::default(), Bells::default()).unwrap());
    let free = rustix::fs::statvfs(disk.0.path()).unwrap();
    assert!((5..8).contains(&free.f_bavail), "{} pages of 256 are free", free.f_bavail);
}
