//! Pages and filters.

use windlass_shared::domain::JobState;
use windlass_shared::ids::JobId;
use windlass_shared::time::Timestamp;

use super::bed::{Bed, batch};
use super::on_every_store;
use super::script::{Script, id};
use crate::store::{Batch, Filter, ROWS_SCANNED_MAX};

on_every_store!(
    pages_go_from_the_newest_to_the_oldest,
    filters_pass_what_they_say,
    a_prefix_finds_one_job_among_many,
    a_page_that_nothing_passes_says_where_to_go_on,
    labels_and_group_are_looked_up_in_the_spec,
    large_specs_that_do_not_pass_do_not_hold_up_a_page,
    times_narrow_the_ids_and_are_exact,
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
        ..Filter::default()
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
        change.job.id = JobId::from_bytes(bytes);
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

/// A field of bytes, as protobuf writes it.
fn field(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag << 3 | 2);
    let mut length = bytes.len();
    while length > 127 {
        out.push((length & 127) as u8 | 128);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

/// Submits with these labels (field 5 of a spec) and this group (13), small or large.
fn submit(bed: &mut Bed, script: &mut Script, n: u8, labels: &[(&str, &str)], group: &str, padding: usize) {
    let mut spec = Vec::new();
    field(&mut spec, 1, &vec![0; padding]);
    for (key, value) in labels {
        let mut entry = Vec::new();
        field(&mut entry, 1, key.as_bytes());
        field(&mut entry, 2, value.as_bytes());
        field(&mut spec, 5, &entry);
    }
    field(&mut spec, 13, group.as_bytes());
    bed.commit(Batch { specs: vec![(id(n), spec.into())], ..batch(vec![script.submit(n)]) });
}

fn labelled(labels: &[(&str, &str)], group: Option<&str>) -> Filter {
    let labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    Filter { labels, group: group.map(Box::from), ..Filter::default() }
}

fn labels_and_group_are_looked_up_in_the_spec(bed: &mut Bed) {
    let mut script = Script::default();
    submit(bed, &mut script, 1, &[("team", "a")], "g", 0);
    submit(bed, &mut script, 2, &[("team", "b"), ("env", "")], "g", 2_000);
    submit(bed, &mut script, 3, &[], "h", 0);
    submit(bed, &mut script, 4, &[("team", "a"), ("env", "x")], "", 0);
    for (labels, group, found) in [
        (&[("team", "a")][..], None, &[4, 1][..]),
        (&[("team", "")], None, &[4, 2, 1]),
        (&[("team", ""), ("env", "")], None, &[4, 2]),
        (&[("team", "a"), ("env", "y")], None, &[]),
        (&[], Some("g"), &[2, 1]),
        (&[("team", "b")], Some("g"), &[2]),
        (&[("team", "b")], Some("h"), &[]),
        (&[("other", "")], None, &[]),
    ] {
        assert_eq!(numbers(bed, &labelled(labels, group), 2), found, "{labels:?} {group:?}");
    }
}

fn large_specs_that_do_not_pass_do_not_hold_up_a_page(bed: &mut Bed) {
    let mut script = Script::default();
    submit(bed, &mut script, 1, &[("found", "")], "", 0);
    for n in 2..=24 {
        submit(bed, &mut script, n, &[], "", 1 << 20);
    }
    let filter = labelled(&[("found", "")], None);
    let first = bed.page(&filter, None, 10);
    assert!(first.jobs.is_empty() && first.next.is_some_and(|next| next > id(4)), "{:?}", first.next);
    assert_eq!(numbers(bed, &filter, 10), [1]);
}

fn times_narrow_the_ids_and_are_exact(bed: &mut Bed) {
    const HOUR: i64 = 3_600_000_000_000;
    let mut script = Script::default();
    for n in 1..=5 {
        script.now = i64::from(n) * 10 * HOUR;
        let mut change = script.submit(n);
        let ms = u64::from(n) * 10 * 3_600_000 - 5; // drawn a moment before it was accepted
        change.job.id = JobId::new(ms, &[n; 10]);
        bed.record(vec![change]);
    }
    let found = |from: Option<i64>, before: Option<i64>| {
        let filter =
            Filter { created_from: from.map(Timestamp), created_before: before.map(Timestamp), ..Filter::default() };
        numbers(bed, &filter, 2)
    };
    assert_eq!(found(Some(20 * HOUR), None), [5, 4, 3, 2]);
    assert_eq!(found(Some(20 * HOUR + 1), None), [5, 4, 3]);
    assert_eq!(found(None, Some(30 * HOUR)), [2, 1]);
    assert_eq!(found(None, Some(30 * HOUR + 1)), [3, 2, 1]);
    assert_eq!(found(Some(20 * HOUR), Some(40 * HOUR)), [3, 2]);
    assert_eq!(found(Some(40 * HOUR), Some(20 * HOUR)), [0; 0]);
    assert_eq!(found(Some(-5), Some(i64::MAX)), [5, 4, 3, 2, 1]);
}
