//! Numbers, beside those of bare SQLite in the same run. Not a check: machines differ, and so do their neighbours.
//!
//! `cargo test --release -p windlass-coordinator --lib store::tests::speed -- --ignored --nocapture`

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tempfile::TempDir;
use windlass_core::Change;
use windlass_shared::ids::JobId;

use super::bed::{batch, options, runtime};
use super::script::Script;
use crate::store::{Batch, Store, open};

const JOBS: usize = 1_000_000;
const PER_COMMIT: usize = 1_000;
/// Changes timed of each kind.
const CHANGES: usize = 100_000;

fn rate(what: &str, count: usize, took: Duration) {
    println!("{what:<60} {:>10.0} /s", count as f64 / took.as_secs_f64());
}

fn resident_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("it reads");
    let pages: usize = status.split(' ').nth(1).and_then(|field| field.parse().ok()).expect("a number");
    (pages * 4096) >> 20
}

fn job(at: usize) -> JobId {
    JobId::new(1_700_000_000_000 + at as u64 / 50, &(at as u128).to_be_bytes()[6..].try_into().expect("ten bytes"))
}

fn submits(script: &mut Script, at: usize) -> Batch {
    let changes: Vec<Change> = (at..at + PER_COMMIT)
        .map(|at| {
            let mut change = script.submit(1);
            change.job.id = job(at);
            change
        })
        .collect();
    let specs = changes.iter().map(|change| (change.job.id, vec![7; 100].into())).collect();
    Batch { changes, specs, ..Batch::default() }
}

fn commit_all(store: &dyn Store, batches: Vec<Batch>) -> Duration {
    let runtime = runtime();
    let start = Instant::now();
    for batch in batches {
        runtime.block_on(store.commit(batch)).expect("it commits");
    }
    start.elapsed()
}

/// One step for each of these jobs, a thousand a commit.
fn step(store: &dyn Store, what: &str, last: &mut [Change], mut next: impl FnMut(&Change) -> Change) {
    for change in last.iter_mut() {
        *change = next(change);
    }
    let batches = last.chunks(PER_COMMIT).map(|changes| batch(changes.to_vec())).collect();
    rate(what, last.len(), commit_all(store, batches));
}

fn bare() {
    let dir = TempDir::new().expect("a directory");
    let mut conn = Connection::open(dir.path().join("bare.db")).expect("it opens");
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -32768;
         CREATE TABLE rows(id BLOB PRIMARY KEY, blob BLOB NOT NULL) WITHOUT ROWID;",
    )
    .expect("it is set up");
    let mut blob = [7u8; 250];
    let mut run = |what: &str, sql: &str, ids: &[JobId]| {
        blob[0] += 1; // SQLite does not write what is so already
        let start = Instant::now();
        for ids in ids.chunks(PER_COMMIT) {
            let tx = conn.transaction().expect("it begins");
            for id in ids {
                tx.prepare_cached(sql)
                    .and_then(|mut sql| sql.execute(params![id.as_bytes(), blob]))
                    .expect("it writes");
            }
            tx.commit().expect("it commits");
        }
        rate(what, ids.len(), start.elapsed());
    };
    let ids: Vec<JobId> = (0..JOBS).map(job).collect();
    run("bare SQLite: insert, 250 B, 1,000 a commit", "INSERT INTO rows VALUES(?1, ?2)", &ids);
    let mut random = fastrand::Rng::with_seed(1);
    let some: Vec<JobId> = (0..CHANGES).map(|_| job(random.usize(..JOBS))).collect();
    run("bare SQLite: update anywhere in 1,000,000 rows", "UPDATE rows SET blob = ?2 WHERE id = ?1", &some);
    run("bare SQLite: update in order", "UPDATE rows SET blob = ?2 WHERE id = ?1", &ids[..CHANGES]);
    let start = Instant::now();
    let mut select = conn.prepare("SELECT id, blob FROM rows").expect("it prepares");
    let sum: usize = select
        .query_map([], |row| Ok(row.get_ref(0)?.as_blob()?.len() + row.get_ref(1)?.as_blob()?.len()))
        .expect("it reads")
        .map(|row| row.expect("a row"))
        .sum();
    println!("{:<60} {:>10.2} s ({sum} bytes)", "bare SQLite: 1,000,000 rows read", start.elapsed().as_secs_f64());
}

#[test]
#[ignore = "takes a minute; run it in release"]
fn speed() {
    bare();
    let dir = TempDir::new().expect("a directory");
    let opened = open(dir.path(), &options(), 7).expect("it opens");
    let store = &*opened.store;
    let mut script = Script::default();
    let batches: Vec<Batch> = (0..JOBS / PER_COMMIT).map(|at| submits(&mut script, at * PER_COMMIT)).collect();
    let firsts: Vec<Change> = batches.iter().flat_map(|batch| batch.changes.clone()).collect();
    rate("insert, 100 B specs, 1,000 a commit", JOBS, commit_all(store, batches));

    let mut random = fastrand::Rng::with_seed(1);
    let mut anywhere: Vec<Change> = firsts[CHANGES..].to_vec();
    random.shuffle(&mut anywhere);
    anywhere.truncate(CHANGES);
    let mut in_order = firsts[..CHANGES].to_vec();
    step(store, "state change in order: leased", &mut in_order, |last| script.lease(last));
    step(store, "state change in order: running", &mut in_order, |last| script.start(last));
    step(store, "state change in order: succeeded (moved to history)", &mut in_order, |last| script.succeed(last));
    step(store, "state change anywhere in 1,000,000: leased", &mut anywhere, |last| script.lease(last));
    step(store, "state change anywhere: running", &mut anywhere, |last| script.start(last));

    let single: Vec<Batch> = (0..500).map(|n| batch(vec![script.start(&anywhere[n])])).collect();
    let took = commit_all(store, single);
    println!("{:<60} {:>10.0} µs", "one change a commit", took.as_secs_f64() * 1e6 / 500.0);
    let start = Instant::now();
    for change in anywhere.iter().take(10_000) {
        store.spec(change.job.id).expect("it reads").expect("it is there");
    }
    println!("{:<60} {:>10.1} µs", "spec(), anywhere", start.elapsed().as_secs_f64() * 1e6 / 10_000.0);

    drop((firsts, in_order, anywhere));
    drop(opened);
    let before = resident_mib();
    let start = Instant::now();
    let opened = open(dir.path(), &options(), 7).expect("it opens");
    println!(
        "{:<60} {:>10.2} s ({} live jobs; {before} MiB resident before, {} with all in hand)",
        "opened again",
        start.elapsed().as_secs_f64(),
        opened.live.len(),
        resident_mib(),
    );
}
