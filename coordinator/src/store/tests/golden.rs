//! A file of every version that was released opens, and shows what it showed then.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;
use windlass_core::Mark;
use windlass_shared::domain::{Order, OrderKind, Pause};
use windlass_shared::ids::AgentId;
use windlass_shared::time::Timestamp;

use super::bed::{Bed, options, spec_of};
use super::records::Draw;
use super::script::{Script, id};
use crate::store::tools::{export, verify};
use crate::store::{Batch, Opened, Request, Retention, StoreOptions, open};

/// As if this were the day of the file: nothing in it is ever too old.
fn forever() -> StoreOptions {
    let retention = Retention { finished_ttl: std::time::Duration::MAX, ..Retention::default() };
    StoreOptions { retention, ..options() }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// What a store shows of jobs 1 to 40, as text.
fn shown(opened: &Opened) -> String {
    let mut text = String::new();
    let mut line = |value: &dyn std::fmt::Debug| writeln!(text, "{value:?}").expect("memory has room");
    line(&(opened.incarnation, opened.revision));
    for live in &opened.live {
        line(live);
    }
    for event in &opened.events {
        line(event);
    }
    line(&opened.store.request("r1").expect("it reads"));
    for n in 1..=40 {
        let mut view = opened.store.job(id(n)).expect("it reads").expect("it is there");
        let spec = std::mem::take(&mut view.spec);
        line(&(view, spec.len(), crc32c::crc32c(&spec)));
    }
    text
}

/// What version 2 has beside that.
fn shown_of_2(opened: &Opened) -> String {
    let mut text = shown(opened);
    for n in 41..=44 {
        let result = opened.store.result(id(n)).expect("it reads").expect("it is there");
        let (length, sum) = (result.value.len(), crc32c::crc32c(&result.value));
        writeln!(text, "{:?}", (length, sum, result.content_type)).expect("memory has room");
    }
    for mark in &opened.marks {
        writeln!(text, "{mark:?}").expect("memory has room");
    }
    text
}

/// A copy of the file of a version, opened.
fn version(n: u8) -> (TempDir, Opened) {
    let dir = TempDir::new().expect("a directory");
    std::fs::copy(golden(&format!("store-v{n}.db")), dir.path().join("store.db")).expect("it copies");
    assert_eq!(verify(dir.path()).expect("it reads").problems, Vec::<String>::new());
    assert_eq!(export(dir.path(), &mut Vec::new()).expect("it writes").skipped, Vec::<String>::new());
    let opened = open(dir.path(), &forever(), 1).expect("it opens");
    (dir, opened)
}

fn is_as_it_was(n: u8, now: &str) {
    let then = std::fs::read_to_string(golden(&format!("store-v{n}.txt"))).expect("it reads");
    for (line, (now, then)) in (1..).zip(now.lines().zip(then.lines())) {
        assert_eq!(now, then, "line {line}");
    }
    assert_eq!(now.lines().count(), then.lines().count());
}

#[test]
fn the_file_of_version_1_opens_and_shows_what_it_showed() {
    let (dir, opened) = version(1);
    is_as_it_was(1, &shown(&opened));
    assert_eq!(opened.marks, [], "nobody had decided anything");
    drop(opened);
    assert_eq!(verify(dir.path()).expect("it reads").problems, Vec::<String>::new(), "sound after its migration, too");
}

#[test]
fn the_file_of_version_2_opens_and_shows_what_it_showed() {
    is_as_it_was(2, &shown_of_2(&version(2).1));
}

/// Not a check: writes the texts anew, for a record that has a new field; the change may show that field and nothing else. The
/// files themselves are written once and never again: a new version gets a file of its own.
#[test]
#[ignore = "writes the golden files"]
fn write_golden_files() {
    if !golden("store-v2.db").exists() {
        write_version_2();
    }
    std::fs::write(golden("store-v1.txt"), shown(&version(1).1)).expect("it writes");
    std::fs::write(golden("store-v2.txt"), shown_of_2(&version(2).1)).expect("it writes");
}

/// As the file of version 1 was written, with what is new in version 2.
fn write_version_2() {
    let mut bed = Bed::with(super::bed::Kind::Sqlite, forever());
    let mut script = Script::default();
    script.now = 1_795_000_000_000_000_000;
    let mut draw = Draw(fastrand::Rng::with_seed(1));
    let request = Request { id: "r1".into(), digest: [7; 32], job: id(1), at: Timestamp(i64::MAX) };
    bed.record_request(script.whole_life(1), vec![request]);
    bed.record(script.submit_all(2..=5));
    let mut life = vec![script.submit(6)];
    for step in [Script::lease, Script::fail_and_go_on, Script::lease, Script::start] {
        life.push(step(&mut script, life.last().expect("not empty")));
    }
    bed.record(life);
    // Whatever a record can hold.
    for n in 7..=40 {
        let mut change = script.submit(n);
        let mut job = draw.job();
        (job.id, job.revision, job.order) = (change.job.id, change.job.revision, change.job.order);
        job.ended_at = job.state.is_final().then_some(Timestamp(script.now)); // within any time that jobs are kept
        (change.job, change.attempt) = (job, Some(draw.attempt()));
        let specs = vec![(id(n), spec_of(id(n)))];
        bed.commit(Batch { changes: vec![change], specs, ..Batch::default() });
    }
    for (n, bytes) in (41..).zip([0, 512, 513, 9_000]) {
        bed.record(script.answered(n, bytes));
    }
    let name = || "a1".into();
    let drain = OrderKind::Drain(Some(Timestamp(script.now)));
    let order = Order { kind: drain, reason: Some("new disk".into()), agent_name: name() };
    let cordon = Order { kind: OrderKind::Cordon, reason: None, agent_name: name() };
    let marks = vec![
        Mark::Queue { name: "bulk".into(), pause: Some(Pause { reason: Some("too much".into()) }), settings: None },
        Mark::Agent { id: AgentId::new([1; 16]), order: Some(order) },
        Mark::Agent { id: AgentId::new([2; 16]), order: Some(cordon) },
    ];
    bed.commit(Batch { marks, ..Batch::default() });
    bed.close();
    let file = bed.dir().join("store.db");
    // Small pages, for a small file; its size is part of the file and none of our business.
    let conn = Connection::open(&file).expect("it opens");
    conn.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM;").expect("it shrinks");
    drop(conn);
    std::fs::create_dir_all(golden("")).expect("it is made");
    std::fs::copy(file, golden("store-v2.db")).expect("it copies");
}
