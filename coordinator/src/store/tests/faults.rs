//! Commits that fail, and processes that die.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::bed::{Bed, Kind, batch, options, runtime};
use super::script::{Script, id};
use crate::store::faulty::{Fault, FaultyStore};
use crate::store::{Store, open};

const DIR: &str = "WINDLASS_TEST_STORE";

fn committed(store: &dyn Store, n: u8) -> bool {
    store.job(id(n)).expect("it reads").is_some()
}

#[test]
fn faults_come_where_the_script_has_them_and_a_failure_is_final() {
    for kind in [Kind::Memory, Kind::Sqlite] {
        let bed = Bed::new(kind);
        let faults = [(2, Fault::Delay(Duration::from_millis(1))), (3, Fault::Fail)];
        let store = FaultyStore::new(bed.share(), faults);
        let mut script = Script::default();
        let runtime = runtime();
        let results: Vec<bool> =
            (1..=4).map(|n| runtime.block_on(store.commit(batch(script.submit_all(n..=n)))).is_ok()).collect();
        assert_eq!(results, [true, true, false, false]);
        let seen: Vec<bool> = (1..=4).map(|n| committed(&store, n)).collect();
        assert_eq!(seen, [true, true, false, false]);
    }
}

#[test]
fn a_commit_may_be_on_record_and_nobody_told() {
    let bed = Bed::new(Kind::Sqlite);
    let store = FaultyStore::new(bed.share(), [(1, Fault::ExecuteThenFail)]);
    assert!(runtime().block_on(store.commit(batch(Script::default().submit_all(1..=1)))).is_err());
    assert!(committed(&store, 1));
}

#[test]
fn a_change_of_a_job_that_is_not_on_record_fails_and_so_does_all_that_follows() {
    let mut bed = Bed::new(Kind::Sqlite);
    let mut script = Script::default();
    let submitted = script.submit(1);
    let leased = script.lease(&submitted);
    let err = bed.try_commit(batch(vec![script.submit(2), leased])).expect_err("it must not commit").to_string();
    assert!(err.contains(&id(1).to_string()), "{err}");
    assert!(bed.try_commit(batch(vec![script.submit(3)])).is_err(), "a store that failed takes nothing more");
    assert!(bed.view(id(2)).is_none(), "the whole batch is undone");
    bed.reopen();
    assert!(bed.list(&crate::store::Filter::default(), 10).is_empty());
    assert_eq!(bed.opened().revision, 0);
}

#[test]
fn a_job_that_ends_a_second_time_fails_its_commit_and_the_whole_batch_is_undone() {
    let mut bed = Bed::new(Kind::Sqlite);
    let mut script = Script::default();
    bed.try_commit(batch(script.whole_life(1))).expect("it commits");
    let again = script.submit(1);
    bed.try_commit(batch(vec![again.clone()])).expect("among the live ones there is none");
    let leased = script.lease(&again);
    let ended = script.succeed(&leased);
    let revision = again.job.revision;
    // The row is moved by a statement that SQLite does not undo alone.
    let err = bed.try_commit(batch(vec![script.submit(2), ended])).expect_err("it must not commit").to_string();
    assert!(err.contains("UNIQUE"), "{err}");
    assert!(bed.try_commit(batch(vec![script.submit(3)])).is_err(), "a store that failed takes nothing more");
    assert!(bed.view(id(2)).is_none(), "the whole batch is undone");
    bed.reopen();
    assert!(bed.view(id(2)).is_none() && bed.view(id(3)).is_none());
    assert_eq!(bed.opened().revision, revision);
}

/// Not a test of its own: what a child process of the next one does.
#[test]
#[ignore = "dies on purpose; run by the test below"]
fn child_that_dies_at_its_third_commit() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let fault = if dir.ends_with("before") { Fault::CrashBefore } else { Fault::CrashAfter };
    let opened = open(Path::new(&dir), &options(), 7).expect("it opens");
    let store = FaultyStore::new(opened.store.clone(), [(3, fault)]);
    let mut script = Script::default();
    for n in 1..=5 {
        runtime().block_on(store.commit(batch(script.whole_life(n)))).expect("it commits");
    }
}

#[test]
fn a_process_that_dies_loses_nothing_that_was_committed() {
    let name = "store::tests::faults::child_that_dies_at_its_third_commit";
    for (end, kept) in [("before", 2), ("after", 3)] {
        let parent = TempDir::new().expect("a directory");
        let dir = parent.path().join(end);
        let child = Command::new(std::env::current_exe().expect("our own path"))
            .args(["--exact", name, "--ignored"])
            .env(DIR, &dir)
            .output()
            .expect("it runs");
        assert!(!child.status.success(), "{child:?}");
        let opened = open(&dir, &options(), 1).expect("it opens");
        assert_eq!((opened.incarnation, opened.epoch, opened.revision), (7, 2, kept * 4));
        for n in 1..=5 {
            assert_eq!(committed(&*opened.store, n), u64::from(n) <= kept, "{end}, job {n}");
        }
    }
}
