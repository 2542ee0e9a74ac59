//! Finished jobs that begin again, and finished jobs that nobody wants to keep.

use windlass_core::Change;
use windlass_shared::domain::JobState;

use super::bed::{Bed, Kind, batch, spec_of};
use super::on_every_store;
use super::script::{Script, id};
use crate::store::{Batch, Filter, Finished, Revived};

on_every_store!(
    a_job_that_begins_again_is_live_with_the_attempts_of_its_former_life,
    it_may_be_leased_and_over_in_the_very_batch_that_takes_it_in,
    what_its_handler_answered_before_is_gone,
    it_comes_back_although_it_was_pruned_meanwhile,
    a_job_that_is_live_is_no_finished_one,
    a_purged_job_leaves_nothing_and_the_others_stay,
    what_is_not_there_or_not_over_is_not_purged,
);

fn finished(bed: &Bed, n: u8) -> Option<Finished> {
    bed.store().finished(id(n)).expect("it reads")
}

/// The batch of a requeue, as the driver puts it together.
fn revival(bed: &Bed, n: u8, changes: Vec<Change>) -> Batch {
    let attempt = finished(bed, n).expect("it is over").attempt;
    Batch { revived: vec![Revived { job: id(n), attempt }], ..batch(changes) }
}

fn numbers(bed: &Bed, n: u8) -> Vec<u32> {
    bed.view(id(n)).expect("it is there").attempts.iter().map(|attempt| attempt.number).collect()
}

fn a_job_that_begins_again_is_live_with_the_attempts_of_its_former_life(bed: &mut Bed) {
    let mut script = Script::default();
    for n in [1, 5] {
        let life = script.whole_life(n);
        bed.record(life.clone());
        let of_before = finished(bed, n).expect("it is over");
        assert_eq!((&of_before.record, &of_before.spec), (&life[3].job, &spec_of(id(n))));
        assert_eq!(of_before.attempt, life[3].attempt);

        let again = script.requeue(&life[3]);
        bed.commit(revival(bed, n, vec![again.clone()]));
        let view = bed.view(id(n)).expect("it is there");
        assert_eq!((&view.record, view.spec), (&again.job, spec_of(id(n))));
        assert_eq!(view.attempts, Vec::from_iter(life[3].attempt.clone()));
        assert_eq!(finished(bed, n), None);
        let live = Filter { states: vec![JobState::Queued], ..Filter::default() };
        assert_eq!(bed.list(&live, 10).iter().filter(|view| view.record.id == id(n)).count(), 1, "once");
        if !bed.is_memory() {
            assert!(bed.reopen().live.iter().any(|(job, attempt)| *job == again.job && attempt.is_none()));
        }

        let leased = script.lease(&again);
        bed.record(vec![leased.clone()]);
        assert_eq!(numbers(bed, n), [1, 2]);
        let done = script.succeed(&leased);
        bed.record(vec![done.clone()]);
        assert_eq!(numbers(bed, n), [1, 2]);
        assert_eq!(finished(bed, n).expect("it is over again").record, done.job);
    }
}

fn it_may_be_leased_and_over_in_the_very_batch_that_takes_it_in(bed: &mut Bed) {
    let mut script = Script::default();
    let life = script.whole_life(1);
    bed.record(life.clone());
    let again = script.requeue(&life[3]);
    let leased = script.lease(&again);
    let cancelled = script.end(&leased, windlass_shared::domain::AttemptState::Returned, JobState::Cancelled);
    bed.commit(revival(bed, 1, vec![again, leased, cancelled.clone()]));
    assert_eq!(numbers(bed, 1), [1, 2]);
    assert_eq!(finished(bed, 1).expect("it is over again").record, cancelled.job);
}

fn what_its_handler_answered_before_is_gone(bed: &mut Bed) {
    let mut script = Script::default();
    for bytes in [10, 10_000] {
        let n = if bytes == 10 { 1 } else { 2 };
        let life = script.answered(n, bytes);
        bed.record(life.clone());
        assert!(bed.store().result(id(n)).expect("it reads").is_some());
        let again = script.requeue(&life[2]);
        bed.commit(revival(bed, n, vec![again.clone()]));
        let leased = script.lease(&again);
        let cancelled = script.end(&leased, windlass_shared::domain::AttemptState::Cancelled, JobState::Cancelled);
        bed.record(vec![leased, cancelled]);
        assert_eq!(bed.store().result(id(n)).expect("it reads"), None);
        assert_eq!(bed.view(id(n)).expect("it is there").attempts[0].result_bytes, 0);
    }
}

fn it_comes_back_although_it_was_pruned_meanwhile(bed: &mut Bed) {
    let mut script = Script::default();
    let life = script.whole_life(5);
    bed.record(life.clone());
    let again = script.requeue(&life[3]);
    let revival = revival(bed, 5, vec![again.clone()]);
    bed.commit(Batch { purged: vec![id(5)], ..Batch::default() });
    assert_eq!(bed.view(id(5)), None);
    bed.commit(revival);
    let view = bed.view(id(5)).expect("it is there");
    assert_eq!((view.record, view.spec), (again.job, spec_of(id(5))));
}

fn a_job_that_is_live_is_no_finished_one(bed: &mut Bed) {
    let mut script = Script::default();
    bed.record(vec![script.submit(1)]);
    assert_eq!((finished(bed, 1), finished(bed, 2)), (None, None));
}

fn a_purged_job_leaves_nothing_and_the_others_stay(bed: &mut Bed) {
    let mut script = Script::default();
    let lives = [script.whole_life(5), script.answered(2, 10_000), script.whole_life(3)].concat();
    bed.record(lives);
    bed.commit(Batch { purged: vec![id(5), id(2)], ..Batch::default() });
    assert_eq!((bed.view(id(5)), bed.view(id(2))), (None, None));
    assert_eq!(bed.store().result(id(2)).expect("it reads"), None);
    assert!(bed.view(id(3)).is_some());
    assert_eq!(bed.list(&Filter::default(), 10).len(), 1);
    if !bed.is_memory() {
        bed.close();
        let report = crate::store::tools::verify(bed.dir()).expect("it can be looked at");
        assert_eq!((report.problems, report.jobs), (Vec::<String>::new(), 1));
    }
}

fn what_is_not_there_or_not_over_is_not_purged(bed: &mut Bed) {
    let mut script = Script::default();
    bed.record(vec![script.submit(1)]);
    bed.commit(Batch { purged: vec![id(1), id(9)], ..Batch::default() });
    assert!(bed.view(id(1)).is_some());
}

/// Prunes by number: what is counted must be what is there, whatever was requeued and purged.
#[test]
fn what_is_kept_is_counted_right_over_requeues_and_purges() {
    let mut bed = Bed::new(Kind::Sqlite);
    let mut script = Script::default();
    for n in 1..=6 {
        let life = if n % 2 == 0 { script.answered(n, 10_000) } else { script.whole_life(n) };
        let last = life[life.len() - 1].clone();
        bed.record(life);
        let again = script.requeue(&last);
        bed.commit(revival(&bed, n, vec![again.clone()]));
        if n > 2 {
            let leased = script.lease(&again);
            let done = script.succeed(&leased);
            bed.record(vec![leased, done]);
        }
    }
    bed.commit(Batch { purged: vec![id(3)], ..Batch::default() });
    let told = format!("{:?}", bed.opened().store);
    bed.close();
    let bed_again = bed.reopen();
    let counted = |text: &str| {
        let of = |name: &str| text.split(name).nth(1).and_then(|rest| rest.split([',', '}']).next().map(str::to_owned));
        (of("finished: "), of("spec_bytes: "))
    };
    assert_eq!(counted(&told), counted(&format!("{:?}", bed_again.store)));
}
