//! Pages and filters.

use windlass_shared::domain::JobState;

use super::bed::Bed;
use super::on_every_store;
use super::script::{Script, id};
use crate::store::{Filter, ROWS_SCANNED_MAX};

on_every_store!(
    pages_go_from_the_newest_to_the_oldest,
    filters_pass_what_they_say,
    a_prefix_finds_one_job_among_many,
    a_page_that_nothing_passes_says_where_to_go_on,
);

/// Jobs 1 to 20: every third is done, every second of the rest runs, queue "b" has those above 10.
fn fill(bed: &mut Bed) {
    let mut script = Script::default();
    for n in 1..=20 {
        let submitted = script.submit_to(if n > 10 { "b" } else { "a" }, n);
        let leased = script.lease(&submitted);
        let changes = match n % 3 {
            0 => vec![script.succeed(&leased)],
            _ if n % 2 == 0 => vec![script.start(&leased)],
            _ => Vec::new(),
        };
        let leased = if changes.is_empty() { Vec::new() } else { vec![leased] };
        bed.record([vec![submitted], leased, changes].concat());
    }
}

fn numbers(bed: &Bed, filter: &Filter, limit: usize) -> Vec<u8> {
    bed.list(filter, limit).iter().map(|view| view.record.id.as_bytes()[15]).collect()
}

fn pages_go_from_the_newest_to_the_oldest(bed: &mut Bed) {
    fill(bed);
    let all: Vec<u8> = (1..=20).rev().collect();
    for limit in [1, 3, 19, 20, 21] {
        assert_eq!(numbers(bed, &Filter::default(), limit), all, "{limit} a page");
    }
    let page = bed.page(&Filter::default(), Some(id(3)), 10);
    assert_eq!((page.jobs.len(), page.next), (2, None));
    assert!(bed.page(&Filter::default(), Some(id(0)), 10).jobs.is_empty());
}

fn filters_pass_what_they_say(bed: &mut Bed) {
    fill(bed);
    let of = |states: &[JobState], queue: Option<&str>| Filter {
        states: states.to_vec(),
        queue: queue.map(Into::into),
        id_prefix: None,
    };
    assert_eq!(numbers(bed, &of(&[JobState::Succeeded], None), 2), [18, 15, 12, 9, 6, 3]);
    assert_eq!(numbers(bed, &of(&[JobState::Running], None), 2), [20, 16, 14, 10, 8, 4, 2]);
    assert_eq!(numbers(bed, &of(&[JobState::Running, JobState::Succeeded], Some("b")), 4), [20, 18, 16, 15, 14, 12]);
    assert_eq!(numbers(bed, &of(&[], Some("c")), 4), [0; 0]);
    assert_eq!(numbers(bed, &of(&[JobState::Failed], None), 4), [0; 0]);
}

fn a_prefix_finds_one_job_among_many(bed: &mut Bed) {
    fill(bed);
    let of = |prefix: &str| Filter { id_prefix: Some(prefix.into()), ..Filter::default() };
    let seven = id(7).to_string();
    assert_eq!(numbers(bed, &of(&seven), 10), [7]);
    assert_eq!(numbers(bed, &of(&seven[..13]), 10), [7]);
    assert_eq!(numbers(bed, &of("00000000-000"), 10), (1..=15).rev().collect::<Vec<_>>());
    assert_eq!(numbers(bed, &of("ff"), 10), [0; 0]);
    let page = bed.page(&of(&seven[..13]), Some(id(7)), 10);
    assert_eq!((page.jobs.len(), page.next), (0, None));
}

fn a_page_that_nothing_passes_says_where_to_go_on(bed: &mut Bed) {
    let mut script = Script::default();
    let rows = ROWS_SCANNED_MAX + 50;
    let changes = (0..rows).map(|n| {
        let mut change = script.submit(1);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
        change.job.id = windlass_shared::ids::JobId::from_bytes(bytes);
        change
    });
    let changes = changes.collect();
    bed.record(changes);
    let filter = Filter { queue: Some("nowhere".into()), ..Filter::default() };
    let first = bed.page(&filter, None, 10);
    assert!(first.jobs.is_empty() && first.next.is_some());
    let second = bed.page(&filter, first.next, 10);
    assert!(second.jobs.is_empty() && second.next.is_none());
}
