//! Programs that mean harm, and those that are merely written badly: one row each, run beside a neighbour that must not notice.
//!
//! Of every row four things are asserted: the outcome with its proof, that nothing of its tree lives when that is reported, that
//! the neighbour runs to its own end, and that the agent then leaves in good order. `WINDLASS_ROW=name` runs one row alone.
//!
//! - [`row`] what a row says · [`site`] an agent with a neighbour on it, and who lives there · [`commands`] and [`calls`] how a
//!   row is run; the other files are the tables.
//!
//! Absent here: what kills every process it may signal. Under the agent's own user that is the agent's end, and the host's.

mod calls;
mod commands;
mod output;
mod row;
mod scratch;
mod signals;
mod site;
mod starts;
mod supervisors;
mod trees;
mod workers;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use row::{Row, Work};

/// Rows that run at one time in each table: they wait more than they work.
const AT_A_TIME: usize = 4;

#[test]
fn programs_that_will_not_hear_a_signal() {
    run(signals::rows());
}

#[test]
fn trees_that_do_not_want_to_be_found() {
    run(trees::rows());
}

#[test]
fn jobs_that_attack_those_who_watch_over_them() {
    run(supervisors::rows());
}

#[test]
fn programs_that_do_not_start() {
    run(starts::rows());
}

#[test]
fn jobs_that_write_what_and_as_much_as_they_like() {
    run(output::rows());
}

#[test]
fn jobs_that_leave_their_scratch_directory_in_a_bad_way() {
    run(scratch::rows());
}

#[test]
fn workers_that_do_everything_a_worker_must_not() {
    run(workers::rows());
}

#[test]
fn every_row_has_a_name_of_its_own() {
    let tables =
        [signals::rows, trees::rows, supervisors::rows, starts::rows, output::rows, scratch::rows, workers::rows];
    let mut names: Vec<_> = tables.iter().flat_map(|rows| rows()).map(|row| row.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(count >= 80, "{count} rows: a table has lost some");
}

/// Each row in a thread and a runtime of its own, so that all of a table run also where some fail.
fn run(rows: Vec<Row>) {
    let only = std::env::var("WINDLASS_ROW").ok();
    let wanted = rows.into_iter().filter(|row| only.as_deref().is_none_or(|only| only == row.name));
    let (queue, failed) = (Mutex::new(wanted), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|threads| {
        for _ in 0..AT_A_TIME {
            threads.spawn(|| {
                while let Some(row) = next() {
                    let name = row.name;
                    if catch_unwind(AssertUnwindSafe(|| run_one(row))).is_err() {
                        failed.lock().unwrap().push(name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "failed rows: {failed:?}");
}

fn run_one(row: Row) {
    let begun = std::time::Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let name = row.name;
    match row.work {
        Work::Command(_) => runtime.block_on(commands::run(row)),
        Work::Worker(_) => runtime.block_on(calls::run(row)),
    }
    println!("{name}: {} ms", begun.elapsed().as_millis());
}
