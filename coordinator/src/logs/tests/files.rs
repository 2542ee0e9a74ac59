//! What a file still says after its writer died, or was lied to by its disk.

use std::path::PathBuf;

use super::*;
use crate::logs::record::HEADER_BYTES;
use crate::logs::segment::PREFIX_BYTES;

fn file(dir: &TempDir, number: u64) -> PathBuf {
    dir.path().join(format!("logs/{number:016x}.log"))
}

/// Three pieces of ten bytes.
fn three(dir: &TempDir) {
    let logs = open(dir);
    for (i, piece) in ["aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc"].into_iter().enumerate() {
        logs.append(key().job, 1, chunk(i as u64 * 10, piece));
    }
}

fn starts(logs: &Logs) -> (Vec<u64>, u64) {
    let (chunks, next) = text(logs, 0, 1_000);
    (chunks.into_iter().map(|(offset, _)| offset).collect(), next)
}

#[test]
fn a_new_life_finds_everything_and_goes_on_in_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    three(&dir);
    let logs = open(&dir);
    assert_eq!(logs.append(key().job, 1, chunk(20, "cccccccccc")), 30, "a resend over the restart");
    assert_eq!(logs.append(key().job, 1, chunk(30, "d")), 31);
    assert_eq!(starts(&logs), (vec![0, 10, 20, 30], 31));
    assert_eq!(starts(&open(&dir)), (vec![0, 10, 20, 30], 31));
    assert!(!file(&dir, 2).exists());
}

#[test]
fn a_torn_tail_is_cut_off_wherever_it_was_torn_and_is_sent_again() {
    for torn in 1..HEADER_BYTES + 10 {
        let dir = tempfile::tempdir().unwrap();
        three(&dir);
        let whole = std::fs::metadata(file(&dir, 1)).unwrap().len();
        std::fs::File::options().write(true).open(file(&dir, 1)).unwrap().set_len(whole - torn as u64).unwrap();
        let logs = open(&dir);
        assert_eq!(starts(&logs), (vec![0, 10], 20));
        assert_eq!(std::fs::metadata(file(&dir, 1)).unwrap().len(), whole - 10 - HEADER_BYTES as u64);
        assert_eq!(logs.append(key().job, 1, chunk(20, "cccccccccc")), 30);
        assert_eq!(starts(&open(&dir)), (vec![0, 10, 20], 30));
    }
}

#[test]
fn a_tail_of_zeros_from_a_power_cut_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    three(&dir);
    let whole = std::fs::metadata(file(&dir, 1)).unwrap().len();
    std::fs::File::options().write(true).open(file(&dir, 1)).unwrap().set_len(whole + 9_000).unwrap();
    assert_eq!(starts(&open(&dir)), (vec![0, 10, 20], 30));
    assert_eq!(std::fs::metadata(file(&dir, 1)).unwrap().len(), whole);
}

#[test]
fn a_flipped_byte_costs_its_record_and_is_never_served() {
    let record = HEADER_BYTES + 10;
    for byte in 0..record {
        let dir = tempfile::tempdir().unwrap();
        three(&dir);
        let logs = open(&dir);
        let mut content = std::fs::read(file(&dir, 1)).unwrap();
        content[PREFIX_BYTES + record + byte] ^= 0x10;
        std::fs::write(file(&dir, 1), &content).unwrap();
        // Whether it happened while we had it open, or before.
        assert_eq!(starts(&logs), (vec![0, 20], 30), "byte {byte}");
        assert_eq!(starts(&open(&dir)), (vec![0, 20], 30), "byte {byte}");
    }
}

#[test]
fn a_record_that_a_job_printed_is_not_taken_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let victim = LogKey { job: JobId::from_bytes([9; 16]), ..key() };
    let forged = record::encode(victim, 0, 0, b"forged", 6, 0);
    let logs = open(&dir);
    logs.append(key().job, 1, chunk(0, forged));
    logs.append(key().job, 1, chunk(100, "more"));
    let mut content = std::fs::read(file(&dir, 1)).unwrap();
    content[PREFIX_BYTES] ^= 1;
    std::fs::write(file(&dir, 1), &content).unwrap();
    let logs = open(&dir);
    assert_eq!(logs.end(victim), 0);
    assert_eq!(starts(&logs), (vec![100], 104));
}

#[test]
fn a_file_without_its_beginning_is_a_gap_and_nothing_is_added_to_it() {
    for (from, content) in [(0, vec![]), (3, vec![b'x'; 500])] {
        let dir = tempfile::tempdir().unwrap();
        three(&dir);
        let mut damaged = std::fs::read(file(&dir, 1)).unwrap();
        damaged.truncate(from);
        damaged.extend(content);
        std::fs::write(file(&dir, 1), &damaged).unwrap();
        std::fs::write(dir.path().join("logs/readme.log"), "somebody else's").unwrap();
        let logs = open(&dir);
        assert_eq!(starts(&logs), (vec![], 0));
        assert_eq!(logs.append(key().job, 1, chunk(30, "d")), 31);
        assert_eq!(starts(&open(&dir)), (vec![30], 31));
        assert_eq!(std::fs::read(file(&dir, 1)).unwrap(), damaged);
    }
}

#[test]
fn nobody_else_reads_them() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    three(&dir);
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(dir.path().join("logs")), mode(file(&dir, 1))), (0o700, 0o600));
}
