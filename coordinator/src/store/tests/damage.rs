//! What is not what was written is named, and never shown.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, params};
use tempfile::TempDir;
use windlass_shared::domain::JobView;
use windlass_shared::fault::Fault;
use windlass_shared::ids::JobId;
use windlass_shared::time::Timestamp;

use super::bed::{Bed, Kind, options, spec_of};
use super::script::{Script, id};
use crate::store::tools::{export, verify};
use crate::store::{Filter, ReadError, Request, open};

/// Jobs 1 to 4 are done, the third at its second attempt; 5 and 6 are not. 5 has a large spec. Request "r" made 1.
fn filled() -> Bed {
    let (mut bed, mut script) = (Bed::new(Kind::Sqlite), Script::default());
    let now = Timestamp(script.now);
    let request = Request { id: "r".into(), digest: [1; 32], job: id(1), at: now };
    bed.record_request(script.whole_life(1), vec![request]);
    bed.record(script.whole_life(2));
    let mut life = vec![script.submit(3)];
    for step in [Script::lease, Script::fail_and_go_on, Script::lease, Script::succeed] {
        life.push(step(&mut script, life.last().expect("not empty")));
    }
    bed.record(life);
    bed.record(script.whole_life(4));
    bed.record(script.submit_all(5..=6));
    bed.close();
    bed
}

fn raw(bed: &Bed) -> Connection {
    Connection::open(bed.dir().join("store.db")).expect("it opens")
}

/// Flips a bit in the middle of one blob.
fn flip(bed: &Bed, table: &str, column: &str, row: &str) {
    let conn = raw(bed);
    let sql = format!("SELECT {column} FROM {table} WHERE {row}");
    let mut blob: Vec<u8> = conn.query_row(&sql, [], |row| row.get(0)).expect("the row is there");
    let middle = blob.len() / 2;
    blob[middle] ^= 0x10;
    let sql = format!("UPDATE {table} SET {column} = ?1 WHERE {row}");
    assert_eq!(conn.execute(&sql, params![blob]).expect("it writes"), 1);
}

fn is(job: JobId) -> String {
    let hex: String = job.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("id = x'{hex}'")
}

fn damaged<T: std::fmt::Debug>(read: Result<T, ReadError>) -> String {
    match read {
        Err(err @ ReadError::Corrupt { .. }) => {
            assert_eq!(err.reason(), "RECORD_CORRUPT");
            err.to_string()
        }
        other => panic!("not told as damage: {other:?}"),
    }
}

fn names(text: &str, what: &str) {
    assert!(text.contains(what), "{text:?} does not name {what:?}");
}

#[test]
fn a_damaged_finished_job_is_named_and_the_others_are_shown() {
    let mut bed = filled();
    flip(&bed, "history", "head", &is(id(2)));
    bed.reopen();
    let what = format!("job {}", id(2));
    names(&damaged(bed.store().job(id(2))), &what);
    names(&damaged(bed.store().list(&Filter::default(), None, 10)), &what);
    assert_eq!(bed.view(id(1)).expect("it is there").spec, spec_of(id(1)));
    bed.close();
    let report = verify(bed.dir()).expect("it reads");
    assert_eq!((report.jobs, report.problems), (6, vec![format!("{what} is damaged")]));
    let mut out = Vec::new();
    let done = export(bed.dir(), &mut out).expect("it writes");
    assert_eq!((done.jobs, done.skipped.len()), (5, 1));
    names(&done.skipped[0], &what);
    assert_eq!(String::from_utf8(out).expect("text").lines().count(), 5);
}

#[test]
fn a_damaged_live_job_stops_the_start() {
    for column in ["head", "attempt"] {
        let (mut bed, mut script) = (Bed::new(Kind::Sqlite), Script::default());
        let submitted = script.submit(6);
        let leased = script.lease(&submitted);
        bed.record(vec![submitted, leased]);
        bed.close();
        flip(&bed, "live", column, &is(id(6)));
        let text = open(bed.dir(), &options(), 7).expect_err("it must not open").to_string();
        names(&text, &format!("job {}", id(6)));
        names(&text, "store verify");
        names(&text, "store export");
    }
}

#[test]
fn a_damaged_spec_is_never_handed_out() {
    let mut bed = filled();
    flip(&bed, "history", "spec", &is(id(1)));
    flip(&bed, "specs", "spec", &is(id(5)));
    bed.reopen();
    for n in [1, 5] {
        let what = format!("spec of job {}", id(n));
        names(&damaged(bed.store().spec(id(n))), &what);
        names(&damaged(bed.store().job(id(n))), &what);
    }
    assert_eq!(bed.store().spec(id(6)).expect("it reads"), Some(spec_of(id(6))));
    bed.close();
    assert_eq!(verify(bed.dir()).expect("it reads").problems.len(), 2);
}

#[test]
fn damaged_attempts_requests_and_changes_are_named() {
    let mut bed = filled();
    flip(&bed, "attempts", "blob", "number = 1");
    flip(&bed, "history", "attempt", &is(id(4)));
    flip(&bed, "requests", "blob", "id = 'r'");
    flip(&bed, "events", "blob", "last = 8");
    let opened = bed.reopen();
    // Watchers are shown what came after the damage; what was before counts as no longer kept.
    assert_eq!(opened.events.first().map(|event| event.revision), Some(9));
    names(&damaged(bed.store().job(id(3))), &format!("attempt 1 of job {}", id(3)));
    names(&damaged(bed.store().job(id(4))), &format!("newest attempt of job {}", id(4)));
    names(&damaged(bed.store().request("r")), "request r");
    bed.close();
    let problems = verify(bed.dir()).expect("it reads").problems.join("\n");
    for what in ["attempt 1 of job", "newest attempt of job", "request r", "the changes up to revision 8"] {
        names(&problems, what);
    }
}

#[test]
fn damage_to_the_newest_changes_stops_the_start() {
    let bed = filled();
    flip(&bed, "events", "blob", "last = (SELECT max(last) FROM events)");
    let text = open(bed.dir(), &options(), 7).expect_err("it must not open").to_string();
    names(&text, "the changes up to revision 19");
}

#[test]
fn a_row_under_another_key_is_damage() {
    let mut bed = filled();
    let conn = raw(&bed);
    let sql = format!("UPDATE history SET {} WHERE {}", is(id(7)), is(id(2)));
    assert_eq!(conn.execute(&sql, []).expect("it writes"), 1);
    drop(conn);
    bed.reopen();
    names(&damaged(bed.store().job(id(7))), &format!("job {}", id(7)));
}

#[test]
fn a_blob_of_a_later_version_is_told_as_such() {
    let mut bed = filled();
    let conn = raw(&bed);
    // Version 2 with a sound sum, as a later windlass would write it.
    let mut blob = vec![2, 0, 0, 0, 0];
    let sum = crc32c::crc32c_append(crc32c::crc32c(&[b'h', 2]), id(2).as_bytes());
    blob[1..].copy_from_slice(&sum.to_le_bytes());
    let sql = format!("UPDATE history SET head = ?1 WHERE {}", is(id(2)));
    assert_eq!(conn.execute(&sql, params![blob]).expect("it writes"), 1);
    drop(conn);
    bed.reopen();
    let text = bed.store().job(id(2)).expect_err("it must not be shown").to_string();
    names(&text, "was written in form 2 by a later windlass");
}

/// Everything a store shows: each job as it is, or an error.
fn everything(dir: &Path) -> Result<Vec<JobView>, String> {
    let opened = open(dir, &options(), 7).map_err(|err| err.to_string())?;
    (1..=6)
        .map(|n| match opened.store.job(id(n)) {
            Ok(Some(view)) => Ok(view),
            Ok(None) => Err("gone".to_owned()),
            Err(err) => Err(err.to_string()),
        })
        .collect()
}

#[test]
fn a_page_that_was_overwritten_is_never_shown_and_no_job_vanishes() {
    const PAGE: usize = 4096;
    let bed = filled();
    let sound = fs::read(bed.dir().join("store.db")).expect("it reads");
    let whole = everything(bed.dir()).expect("it is sound");
    let mut told = 0;
    for page in 0..sound.len() / PAGE {
        for fill in [0x00, 0xff, 0x0d] {
            let copy = TempDir::new().expect("a directory");
            let mut bytes = sound.clone();
            bytes[page * PAGE..][..PAGE].fill(fill);
            fs::write(copy.path().join("store.db"), bytes).expect("it writes");
            match everything(copy.path()) {
                Ok(views) => assert_eq!(views, whole, "page {page}, {fill:#x}"),
                Err(text) => {
                    assert_ne!(text, "gone", "page {page}, {fill:#x}: a job vanished");
                    told += 1;
                }
            }
            // Where it opens at all, verify says what it found; it never panics.
            if let Ok(report) = verify(copy.path()) {
                assert!(page + 1 == sound.len() / PAGE || !report.problems.is_empty() || report.jobs == 6);
            }
        }
    }
    assert!(told > 12, "only {told} of the damaged files were told as such");
}

#[test]
fn a_damaged_missing_or_stray_result_is_named_and_never_handed_out() {
    let (mut bed, mut script) = (Bed::new(Kind::Sqlite), Script::default());
    for n in 1..=3 {
        bed.record(script.answered(n, 2_000));
    }
    bed.close();
    assert_eq!(verify(bed.dir()).expect("it reads").problems, Vec::<String>::new());
    flip(&bed, "results", "result", &is(id(1)));
    raw(&bed).execute(&format!("DELETE FROM results WHERE {}", is(id(2))), []).expect("it writes");
    let stray =
        "INSERT INTO results(id, result) SELECT x'00112233445566778899aabbccddeeff', result FROM results LIMIT 1";
    raw(&bed).execute(stray, []).expect("it writes");
    bed.reopen();
    for n in [1, 2] {
        names(&damaged(bed.store().result(id(n))), &format!("result of job {}", id(n)));
        assert_eq!(bed.view(id(n)).expect("the job itself is sound").spec, spec_of(id(n)));
    }
    assert!(bed.store().result(id(3)).expect("it reads").is_some());
    bed.close();
    let problems = verify(bed.dir()).expect("it reads").problems.join("\n");
    for what in [format!("result of job {} is damaged", id(1)), format!("result of job {} is missing", id(2))] {
        names(&problems, &what);
    }
    names(&problems, "result of job 00112233-4455-6677-8899-aabbccddeeff, and no such job");
}

#[test]
fn a_damaged_pause_or_cordon_stops_the_start() {
    let mut bed = Bed::new(Kind::Sqlite);
    let pause = Some(windlass_shared::domain::Pause { reason: Some("why".into()) });
    let mark = windlass_core::Mark::Queue { name: "bulk".into(), pause, settings: None };
    bed.commit(crate::store::Batch { marks: vec![mark], ..Default::default() });
    bed.close();
    flip(&bed, "marks", "blob", "key = 'queue/bulk'");
    let text = open(bed.dir(), &options(), 7).expect_err("it must not open").to_string();
    names(&text, "the mark queue/bulk");
    assert_eq!(verify(bed.dir()).expect("it reads").problems, ["mark queue/bulk is damaged"]);
}
