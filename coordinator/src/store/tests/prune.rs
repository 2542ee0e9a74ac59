//! What is no longer kept goes.

use std::time::{Duration, Instant};

use windlass_shared::clock;
use windlass_shared::time::Timestamp;

use super::bed::{Bed, Kind, batch, options};
use super::script::{Script, id};
use crate::store::{Batch, Filter, NoRoom, Request, Retention, StoreOptions};

const KINDS: [Kind; 2] = [Kind::Memory, Kind::Sqlite];
const HOUR: i64 = 3_600_000_000_000;

/// Looks until it is so; a store on disk prunes a moment later.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::yield_now();
    }
}

fn numbers(bed: &Bed) -> Vec<u8> {
    bed.list(&Filter::default(), 100).iter().map(|view| view.record.id.as_bytes()[15]).collect()
}

#[test]
fn the_first_to_finish_go_when_there_are_too_many() {
    for kind in KINDS {
        let mut bed = Bed::keeping(kind, Retention { finished_jobs_max: 3, ..Retention::default() });
        let mut script = Script::default();
        for n in 1..=10 {
            script.now += 1;
            bed.record(script.whole_life(n));
        }
        bed.record(script.submit_all(11..=12));
        until("three finished jobs are left", || numbers(&bed) == [12, 11, 10, 9, 8]);
        assert_eq!(bed.store().spec(id(12)).expect("it reads").map(|spec| spec.len()), Some(100));
        assert_eq!(bed.view(id(5)), None);
    }
}

#[test]
fn finished_jobs_go_when_their_time_is_over() {
    for kind in KINDS {
        let mut bed = Bed::new(kind);
        let mut script = Script::default();
        script.now = clock::wall().0 - 8 * 24 * HOUR;
        bed.record(script.whole_life(1));
        let waiting = script.submit(2);
        bed.record(vec![waiting]);
        script.now = clock::wall().0 - 6 * 24 * HOUR;
        bed.record(script.whole_life(3));
        until("the week is over", || numbers(&bed) == [3, 2]);
    }
}

#[test]
fn thousands_go_in_steps_with_attempts_and_large_specs() {
    let mut bed = Bed::keeping(Kind::Sqlite, Retention { finished_jobs_max: 5, ..Retention::default() });
    let mut script = Script::default();
    for _ in 0..10 {
        let mut changes = Vec::new();
        for n in 1..=250 {
            let submitted = script.submit(n);
            let leased = script.lease(&submitted);
            let back = script.fail_and_go_on(&leased);
            let again = script.lease(&back);
            let done = script.succeed(&again);
            changes.extend([submitted, leased, back, again, done]);
        }
        // The ids of one round again, a round later.
        let round = changes[0].job.revision;
        for change in &mut changes {
            let mut bytes = *change.job.id.as_bytes();
            bytes[8..12].copy_from_slice(&(0x8000_0000 | round as u32).to_be_bytes());
            change.job.id = windlass_shared::ids::JobId::from_bytes(bytes);
        }
        bed.record(changes);
    }
    until("five are left", || bed.list(&Filter::default(), 100).len() == 5);
    bed.close();
    let conn = rusqlite::Connection::open(bed.dir().join("store.db")).expect("it opens");
    let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("it reads");
    assert_eq!(count("SELECT count(*) FROM history"), 5);
    assert_eq!(count("SELECT count(*) FROM attempts"), 5);
    assert!(count("SELECT count(*) FROM specs") <= 5);
    assert_eq!(count("SELECT count(*) FROM specs WHERE id NOT IN (SELECT id FROM history)"), 0);
}

#[test]
fn request_ids_go_after_a_day_or_when_there_are_too_many() {
    for kind in KINDS {
        let mut bed = Bed::keeping(kind, Retention { requests_max: 3, ..Retention::default() });
        let mut script = Script::default();
        let request = |n: u8, age: i64| Request {
            id: format!("r{n}").into(),
            digest: [n; 32],
            job: id(n),
            at: Timestamp(clock::wall().0 - age * HOUR),
        };
        bed.record_request(script.submit_all(1..=2), vec![request(1, 25), request(2, 23)]);
        until("a day has passed", || bed.store().request("r1").expect("it reads").is_none());
        assert!(bed.store().request("r2").expect("it reads").is_some());
        bed.record_request(script.submit_all(3..=5), vec![request(3, 2), request(4, 1), request(5, 0)]);
        until("three are left", || bed.store().request("r2").expect("it reads").is_none());
        assert!(bed.store().request("r3").expect("it reads").is_some());
    }
}

#[test]
fn changes_go_when_there_are_too_many() {
    let mut bed = Bed::with(Kind::Sqlite, StoreOptions { events_kept_max: 10, ..options() });
    let mut script = Script::default();
    for n in 1..=20 {
        bed.record(script.submit_all(n..=n));
    }
    let conn = rusqlite::Connection::open(bed.dir().join("store.db")).expect("it opens");
    let rows = || conn.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0)).expect("it reads");
    until("ten are left", || rows() == 10);
}

#[test]
fn specs_of_live_jobs_fill_the_store_and_those_of_finished_ones_make_room() {
    for kind in KINDS {
        let mut bed = Bed::keeping(kind, Retention { spec_bytes_max: 1_000, ..Retention::default() });
        let mut script = Script::default();
        let spec = |n: u8| (id(n), vec![n; 400].into());
        let mut submit = |bed: &mut Bed, n| {
            let change = script.submit(n);
            bed.commit(Batch { specs: vec![spec(n)], ..batch(vec![change.clone()]) });
            change
        };
        assert!(bed.store().room(1_000).is_ok());
        let first = submit(&mut bed, 1);
        submit(&mut bed, 2);
        assert!(bed.store().room(200).is_ok());
        assert!(matches!(bed.store().room(201), Err(NoRoom::Specs { max: 1_000 })));
        bed.reopen();
        assert!(matches!(bed.store().room(201), Err(NoRoom::Specs { max: 1_000 })), "after a restart too");
        let mut later = Script::default();
        bed.record(
            vec![later.cancel_waiting(&first)]
                .into_iter()
                .map(|mut change| {
                    change.job.revision = 100;
                    change
                })
                .collect(),
        );
        assert!(bed.store().room(600).is_ok(), "a finished job makes room");
        submit(&mut bed, 3);
        until("the finished job went early", || bed.view(id(1)).is_none());
        // The sums follow the rows within a moment.
        until("its bytes count no more", || bed.store().room(201).is_err());
        assert!(bed.store().room(200).is_ok());
    }
}

#[test]
fn results_count_with_the_specs_and_go_with_their_jobs() {
    for kind in KINDS {
        let mut bed = Bed::keeping(kind, Retention { spec_bytes_max: 10_000, ..Retention::default() });
        let mut script = Script::default();
        for n in 1..=4 {
            script.now += 1;
            let (ended, before) =
                script.answered(n, 4_000).split_last().map(|(a, b)| (a.clone(), b.to_vec())).expect("three");
            bed.record(before);
            bed.record(vec![ended]);
        }
        // Each is 100 bytes of spec and 4,000 of result: two fit.
        until("two are left", || numbers(&bed) == [4, 3]);
        assert_eq!(bed.store().result(id(2)).expect("it reads"), None);
        assert_eq!(bed.store().result(id(3)).expect("it reads").map(|result| result.value.len()), Some(4_000));
        bed.reopen();
        script.now += 1;
        bed.record(script.answered(6, 4_000));
        until("one goes for the next, after a restart too", || numbers(&bed) == [6, 4]);
        if bed.is_memory() {
            continue;
        }
        let conn = rusqlite::Connection::open(bed.dir().join("store.db")).expect("it opens");
        let stray = "SELECT count(*) FROM results WHERE id NOT IN (SELECT id FROM history)";
        assert_eq!(conn.query_row(stray, [], |row| row.get::<_, i64>(0)).expect("it reads"), 0);
        let sum: i64 = conn.query_row("SELECT sum(spec_bytes) FROM history", [], |row| row.get(0)).expect("it reads");
        assert!(sum <= 10_000, "{sum}");
    }
}
