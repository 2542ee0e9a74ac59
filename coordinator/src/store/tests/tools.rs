//! What an operator does with a store.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use super::bed::{Bed, Kind, options};
use super::restarts::snapshot;
use super::script::Script;
use crate::store::tools::{Imported, ToolError, backup, export, import, verify};
use crate::store::{Filter, OpenError, open};

fn filled() -> (Bed, Script) {
    let (mut bed, mut script) = (Bed::new(Kind::Sqlite), Script::default());
    bed.record(script.whole_life(1));
    bed.record(script.submit_all(2..=6));
    (bed, script)
}

#[test]
fn a_sound_store_is_verified_beside_its_coordinator_after_a_kill_and_closed() {
    let is_sound = |dir: &Path| {
        let report = verify(dir).expect("it reads");
        assert_eq!((report.jobs, report.events, report.problems), (6, 9, Vec::new()));
    };
    let (mut bed, _) = filled();
    is_sound(bed.dir());
    is_sound(snapshot(bed.dir()).path());
    bed.close();
    is_sound(bed.dir());
}

#[test]
fn where_there_is_no_store_the_tools_say_so_and_make_none() {
    let dir = TempDir::new().expect("a directory");
    let text = verify(dir.path()).expect_err("there is none").to_string();
    assert!(text.starts_with("there is no store at "), "{text}");
    assert!(export(dir.path(), &mut Vec::new()).is_err());
    assert!(backup(dir.path(), &dir.path().join("to")).is_err());
    assert!(import(dir.path(), 8, |_| Ok(())).is_err());
    assert_eq!(std::fs::read_dir(dir.path()).expect("it reads").count(), 0);
}

#[test]
fn an_export_has_every_job_as_a_line() {
    let (bed, _) = filled();
    let mut out = Vec::new();
    let done = export(bed.dir(), &mut out).expect("it writes");
    assert_eq!((done.jobs, done.skipped), (6, Vec::new()));
    let text = String::from_utf8(out).expect("text");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let done = lines.iter().find(|line| line["state"] == "SUCCEEDED").expect("one is done");
    assert_eq!((&done["queue"], &done["attempts"][0]["state"]), (&"default".into(), &"SUCCEEDED".into()));
    assert!(done["ended_at"].as_str().is_some_and(|at| at.ends_with('Z')));
    assert_eq!(lines.iter().filter(|line| line["state"] == "QUEUED").count(), 5);
}

#[test]
fn an_export_has_what_handlers_answered() {
    let (mut bed, mut script) = (Bed::new(Kind::Sqlite), Script::default());
    for bytes in [5, 2_000] {
        bed.record(script.answered(b'x', bytes));
        let mut out = Vec::new();
        assert_eq!(export(bed.dir(), &mut out).expect("it writes").skipped, Vec::<String>::new());
        let line: Value = serde_json::from_slice(&out).expect("one job");
        assert_eq!(line["result"].as_str(), Some(&*"x".repeat(bytes)));
        assert_eq!((&line["handler"], &line["attempts"][0]["result_bytes"]), (&"resize".into(), &bytes.into()));
        bed = Bed::new(Kind::Sqlite);
    }
}

#[test]
fn a_backup_taken_beside_a_busy_coordinator_opens_as_it_was() {
    let (mut bed, mut script) = filled();
    let target = TempDir::new().expect("a directory");
    let to = target.path().join("copy");
    let (from, done) = (bed.dir().to_owned(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            backup(&from, &to).expect("it copies");
            done.store(true, Ordering::Relaxed);
        });
        let mut n = 7;
        while !done.load(Ordering::Relaxed) && n < 250 {
            bed.record(script.submit_all(n..=n));
            n += 1;
        }
    });
    assert_eq!(verify(&to).expect("it reads").problems, Vec::<String>::new());
    let copy = open(&to, &options(), 1).expect("it opens");
    assert_eq!((copy.incarnation, copy.epoch), (7, 2));
    assert!(copy.live.len() >= 5);
    assert_eq!(copy.revision, 4 + copy.live.len() as u64);
    assert!(matches!(backup(&from, &to), Err(ToolError::Exists(_))), "a copy is never written over");
    assert!(!bed.list(&Filter::default(), 10).is_empty());
}

#[test]
fn an_imported_copy_is_another_record_whose_numbers_go_on_far_beyond_the_first() {
    let (mut bed, _) = filled();
    let in_use = import(bed.dir(), 8, |_| Ok(())).expect_err("a coordinator uses it");
    assert!(matches!(in_use, ToolError::Open(OpenError::InUse { .. })), "{in_use}");
    bed.close();
    let (epoch, revision) = (1 + (1 << 16), 9 + (1 << 32));
    let stays = import(bed.dir(), 8, |_| Err(std::io::Error::other("no"))).expect_err("what is beside it stays");
    assert_eq!(stays.to_string(), "cannot write: no");
    let done = import(bed.dir(), 8, |before| {
        assert_eq!(before, 7);
        Ok(())
    })
    .expect("it is sound");
    assert_eq!(done, Imported { incarnation: (7, 8), epoch: (1, epoch), revision: (9, revision), live: 5 });
    let report = verify(bed.dir()).expect("it reads");
    assert_eq!((report.jobs, report.events, report.problems), (6, 0, Vec::new()));
    let opened = bed.reopen();
    assert_eq!((opened.incarnation, opened.epoch, opened.revision), (8, epoch + 1, revision));
    assert_eq!((opened.live.len(), opened.events.len()), (5, 0));
    bed.close();
    assert_eq!(import(bed.dir(), 8, |_| Ok(())).expect("again").incarnation, (8, 9), "never the same record again");
}
