//! Jobs, attempts, specs and request ids.

use windlass_shared::domain::{AttemptState, JobState};
use windlass_shared::time::Timestamp;

use super::bed::{Bed, batch, spec_of};
use super::on_every_store;
use super::script::{Script, id};
use crate::store::{ATTEMPTS_KEPT, Batch, Filter, Request};

on_every_store!(
    a_job_is_shown_as_it_was_last_committed,
    a_batch_with_a_whole_life_leaves_a_finished_job,
    attempts_are_listed_oldest_first_the_newest_as_it_is_now,
    a_change_without_attempt_leaves_the_attempts_alone,
    several_attempts_within_one_batch_are_all_kept,
    the_oldest_attempts_go_when_there_are_too_many,
    specs_come_back_byte_for_byte,
    a_spec_of_a_refused_submit_is_not_kept,
    request_ids_are_found,
    what_was_never_committed_is_not_there,
    an_empty_batch_commits,
);

fn states(bed: &Bed, n: u8) -> (JobState, Vec<(u32, AttemptState)>) {
    let view = bed.view(id(n)).expect("it is there");
    (view.record.state, view.attempts.iter().map(|attempt| (attempt.number, attempt.state)).collect())
}

fn a_job_is_shown_as_it_was_last_committed(bed: &mut Bed) {
    let mut script = Script::default();
    for change in script.whole_life(1) {
        bed.record(vec![change.clone()]);
        let view = bed.view(id(1)).expect("it is there");
        assert_eq!(view.record, change.job);
        assert_eq!(view.attempts, Vec::from_iter(change.attempt));
        assert_eq!(view.spec, spec_of(id(1)));
        let listed = bed.page(&Filter::default(), None, 10);
        assert_eq!((listed.jobs.len(), listed.next), (1, None));
        assert_eq!((&listed.jobs[0].record, listed.jobs[0].attempts.len()), (&change.job, 0));
    }
}

fn a_batch_with_a_whole_life_leaves_a_finished_job(bed: &mut Bed) {
    let mut script = Script::default();
    let mut life = script.whole_life(1);
    life.extend(script.whole_life(5)); // a large spec
    bed.record(life.clone());
    for (n, last) in [(1, &life[3]), (5, &life[7])] {
        let view = bed.view(id(n)).expect("it is there");
        assert_eq!((view.record, view.spec), (last.job.clone(), spec_of(id(n))));
        assert_eq!(view.attempts, Vec::from_iter(last.attempt.clone()));
    }
    assert!(bed.live_by_views().is_empty());
}

fn attempts_are_listed_oldest_first_the_newest_as_it_is_now(bed: &mut Bed) {
    let mut script = Script::default();
    let mut last = script.submit(1);
    bed.record(vec![last.clone()]);
    for _ in 0..2 {
        for step in [Script::lease, Script::start, Script::fail_and_go_on] {
            last = step(&mut script, &last);
            bed.record(vec![last.clone()]);
        }
    }
    assert_eq!(states(bed, 1), (JobState::Queued, vec![(1, AttemptState::Failed), (2, AttemptState::Failed)]));
    last = script.lease(&last);
    bed.record(vec![last.clone()]);
    let ended = [(1, AttemptState::Failed), (2, AttemptState::Failed)];
    assert_eq!(states(bed, 1), (JobState::Leased, [&ended[..], &[(3, AttemptState::Leased)]].concat()));
    last = script.succeed(&last);
    bed.record(vec![last]);
    assert_eq!(states(bed, 1), (JobState::Succeeded, [&ended[..], &[(3, AttemptState::Succeeded)]].concat()));
}

fn a_change_without_attempt_leaves_the_attempts_alone(bed: &mut Bed) {
    let mut script = Script::default();
    let submitted = script.submit(1);
    let leased = script.lease(&submitted);
    let back = script.fail_and_go_on(&leased);
    let cancelled = script.cancel_waiting(&back);
    bed.record(vec![submitted, leased]);
    bed.record(vec![back]);
    bed.record(vec![cancelled.clone()]);
    assert_eq!(states(bed, 1), (JobState::Cancelled, vec![(1, AttemptState::Failed)]));
    assert_eq!(bed.view(id(1)).expect("it is there").record, cancelled.job);
}

fn several_attempts_within_one_batch_are_all_kept(bed: &mut Bed) {
    let mut script = Script::default();
    let mut changes = vec![script.submit(1)];
    for step in [Script::lease, Script::fail_and_go_on, Script::lease, Script::fail_and_go_on, Script::lease] {
        changes.push(step(&mut script, changes.last().expect("not empty")));
    }
    bed.record(changes);
    let attempts = vec![(1, AttemptState::Failed), (2, AttemptState::Failed), (3, AttemptState::Leased)];
    assert_eq!(states(bed, 1), (JobState::Leased, attempts));
}

fn the_oldest_attempts_go_when_there_are_too_many(bed: &mut Bed) {
    let mut script = Script::default();
    let mut last = script.submit(1);
    let mut changes = vec![last.clone()];
    for _ in 0..ATTEMPTS_KEPT + 20 {
        for step in [Script::lease, Script::fail_and_go_on] {
            last = step(&mut script, &last);
            changes.push(last.clone());
        }
    }
    bed.record(changes);
    let numbers: Vec<u32> = bed.view(id(1)).expect("it is there").attempts.iter().map(|a| a.number).collect();
    assert_eq!(numbers, (21..=120).collect::<Vec<_>>());
    let last = script.lease(&last);
    bed.record(vec![last]);
    let numbers: Vec<u32> = bed.view(id(1)).expect("it is there").attempts.iter().map(|a| a.number).collect();
    assert_eq!(numbers, (22..=121).collect::<Vec<_>>());
}

fn specs_come_back_byte_for_byte(bed: &mut Bed) {
    let mut script = Script::default();
    let sizes = [0, 1, 511, 512, 513, 5_000, 1 << 20];
    for (n, size) in (1..).zip(sizes) {
        let change = script.submit(n);
        let spec: Vec<u8> = (0..size).map(|at: usize| (at * 31) as u8).collect();
        bed.commit(Batch {
            specs: vec![(id(n), spec.clone().into())],
            changes: vec![change.clone()],
            ..Batch::default()
        });
        assert_eq!(bed.store().spec(id(n)).expect("it reads").expect("it is there"), spec, "{size} bytes, live");
        let cancelled = script.cancel_waiting(&change);
        bed.record(vec![cancelled]);
        assert_eq!(bed.store().spec(id(n)).expect("it reads").expect("it is there"), spec, "{size} bytes, finished");
        assert_eq!(bed.view(id(n)).expect("it is there").spec, spec);
    }
    let mut listed = bed.list(&Filter::default(), 3).into_iter().map(|view| view.spec.len()).collect::<Vec<_>>();
    listed.reverse();
    assert_eq!(listed, sizes);
}

fn a_spec_of_a_refused_submit_is_not_kept(bed: &mut Bed) {
    let mut script = Script::default();
    let mut batch = batch(vec![script.submit(1)]);
    batch.specs.push((id(2), spec_of(id(2))));
    bed.commit(batch);
    assert_eq!(bed.store().spec(id(2)).expect("it reads"), None);
    assert_eq!(bed.view(id(2)), None);
}

fn request_ids_are_found(bed: &mut Bed) {
    let mut script = Script::default();
    let request = |text: &str, n: u8| Request {
        id: text.into(),
        digest: [n; 32],
        job: id(n),
        at: Timestamp(windlass_shared::clock::wall().0),
    };
    bed.record_request(script.submit_all(1..=2), vec![request("r1", 1), request("r2", 2)]);
    assert_eq!(bed.store().request("r1").expect("it reads"), Some(request("r1", 1)).map(|r| at_of(bed, r)));
    assert_eq!(bed.store().request("r2").expect("it reads").map(|r| (r.digest, r.job)), Some(([2; 32], id(2))));
    assert_eq!(bed.store().request("r3").expect("it reads"), None);
    bed.record_request(script.submit_all(3..=3), vec![request("r1", 3)]);
    assert_eq!(bed.store().request("r1").expect("it reads").map(|r| r.job), Some(id(3)), "used again after its time");
}

fn at_of(bed: &Bed, request: Request) -> Request {
    let stored = bed.store().request(&request.id).expect("it reads").expect("it is there");
    Request { at: stored.at, ..request }
}

fn what_was_never_committed_is_not_there(bed: &mut Bed) {
    assert_eq!(bed.view(id(1)), None);
    assert_eq!(bed.store().spec(id(1)).expect("it reads"), None);
    assert!(bed.list(&Filter::default(), 10).is_empty());
}

fn an_empty_batch_commits(bed: &mut Bed) {
    bed.commit(Batch::default());
    assert!(bed.list(&Filter::default(), 10).is_empty());
}
