//! Opening, and opening again.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;
use windlass_shared::domain::JobState;

use super::bed::{Bed, Kind, batch, options};
use super::script::{Script, id};
use crate::store::{OpenError, StoreOptions, memory, open};

fn refusal(dir: &Path) -> String {
    open(dir, &options(), 7).expect_err("it must not open").to_string()
}

/// What a kill -9 leaves behind: the files as they are, without those that only matter to who has them open.
pub(super) fn snapshot(dir: &Path) -> TempDir {
    let copy = TempDir::new().expect("a directory");
    for name in ["store.db", "store.db-wal"] {
        fs::copy(dir.join(name), copy.path().join(name)).expect("it copies");
    }
    copy
}

#[test]
fn the_epoch_rises_with_every_start_and_the_incarnation_stays() {
    let dir = TempDir::new().expect("a directory");
    for epoch in 1..=3 {
        // Only a store that is new takes the incarnation that is offered.
        let opened = open(dir.path(), &options(), 6 + epoch).expect("it opens");
        assert_eq!((opened.incarnation, opened.epoch, opened.revision), (7, epoch, 0));
        assert!(opened.live.is_empty() && opened.events.is_empty());
    }
}

#[test]
fn memory_opens_empty_in_its_first_epoch() {
    let opened = memory(options().retention, 9);
    assert_eq!((opened.incarnation, opened.epoch, opened.revision), (9, 1, 0));
    assert!(opened.live.is_empty() && opened.events.is_empty());
}

#[test]
fn a_second_coordinator_on_the_same_directory_is_refused() {
    let bed = Bed::new(Kind::Sqlite);
    let text = refusal(bed.dir());
    assert!(text.starts_with("another coordinator uses the data directory "), "{text}");
}

#[test]
fn a_new_directory_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().expect("a directory");
    let nested = dir.path().join("a/b");
    drop(open(&nested, &options(), 7).expect("it opens"));
    let mode = fs::metadata(&nested).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn the_latest_revision_and_the_newest_changes_come_back() {
    let mut bed = Bed::with(Kind::Sqlite, StoreOptions { events_kept_max: 3, ..options() });
    let mut script = Script::default();
    let life = script.whole_life(1);
    bed.record(life.clone());
    bed.record(script.submit_all(2..=2));
    let opened = bed.reopen();
    let revisions: Vec<u64> = opened.events.iter().map(|event| event.revision).collect();
    assert_eq!((opened.revision, revisions), (5, vec![3, 4, 5]));
    assert_eq!(opened.events[..2], [life[2].event(), life[3].event()]);
    // The number of the latest change outlives the changes themselves.
    let mut bed = Bed::with(Kind::Sqlite, StoreOptions { events_kept_max: 0, ..options() });
    bed.record(script.submit_all(3..=4));
    let opened = bed.reopen();
    assert_eq!((opened.revision, opened.events.len()), (7, 0));
}

#[test]
fn a_clean_end_leaves_no_log_and_one_after_a_failure_leaves_it() {
    let log = |bed: &Bed| bed.dir().join("store.db-wal").exists();
    let (mut bed, mut script) = (Bed::new(Kind::Sqlite), Script::default());
    bed.record(script.submit_all(1..=2));
    assert!(log(&bed));
    bed.close();
    assert!(!log(&bed));
    bed.reopen();
    bed.record(script.submit_all(3..=3));
    let unknown = script.submit(4);
    bed.try_commit(batch(vec![script.lease(&unknown)])).expect_err("job 4 is not on record");
    bed.close();
    assert!(log(&bed), "whatever failed, the next start reads what was written, not what closing made of it");
    assert_eq!((bed.reopen().live.len(), bed.opened().revision), (3, 3));
}

#[test]
fn every_commit_survives_a_kill() {
    let mut bed = Bed::new(Kind::Sqlite);
    let mut script = Script::default();
    for n in 1..=5 {
        for change in script.whole_life(n) {
            let state = change.job.state;
            bed.record(vec![change]);
            let copy = snapshot(bed.dir());
            let opened = open(copy.path(), &options(), 1).expect("it opens");
            let view = opened.store.job(id(n)).expect("it reads").expect("it is there");
            assert_eq!(view.record.state, state);
            assert_eq!(opened.live.len(), usize::from(state != JobState::Succeeded));
        }
    }
}

#[test]
fn a_store_of_a_later_version_is_refused_by_name() {
    let mut bed = Bed::new(Kind::Sqlite);
    bed.close();
    let conn = Connection::open(bed.dir().join("store.db")).expect("it opens");
    conn.pragma_update(None, "user_version", 3).expect("it writes");
    drop(conn);
    let text = refusal(bed.dir());
    assert!(text.contains("has schema version 3, and this windlass knows up to 2"), "{text}");
}

#[test]
fn files_of_others_are_refused_and_left_alone() {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("store.db");
    fs::write(&file, "these are my notes, not a database\n".repeat(100)).expect("it writes");
    let text = refusal(dir.path());
    assert!(text.ends_with("is not a store of Windlass"), "{text}");
    assert!(fs::read_to_string(&file).expect("it reads").starts_with("these are my notes"));

    fs::remove_file(&file).expect("it goes");
    let conn = Connection::open(&file).expect("it opens");
    conn.execute_batch("CREATE TABLE notes(text); INSERT INTO notes VALUES('mine')").expect("it writes");
    drop(conn);
    assert!(matches!(open(dir.path(), &options(), 7), Err(OpenError::NotOurs { .. })));
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("it writes");
    let text = refusal(&file.join("data"));
    assert!(text.starts_with(&format!("the data directory {} cannot be used", file.join("data").display())), "{text}");
}
