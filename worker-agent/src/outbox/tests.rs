use std::io;
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use windlass_shared::domain::{AttemptState, CallResult, Exit, ExitStatus, News, Outcome, Proof, Reason, SpawnFailure};
use windlass_shared::ids::JobId;
use windlass_shared::limits;
use windlass_shared::time::Timestamp;

use super::*;
use crate::config::REPORTS_UNACKED_MAX;

pub(super) fn lease(token: u64) -> Lease {
    let job = JobId::new(token, &[0; 10]);
    Lease { job, generation: 1, attempt: 1, incarnation: 1, epoch: 1, fencing_token: token }
}

pub(super) fn returned(token: u64) -> ReportItem {
    ReportItem { lease: lease(token), news: News::Returned(Reason::Drain) }
}

pub(super) fn started(token: u64) -> ReportItem {
    ReportItem { lease: lease(token), news: News::Started(Timestamp(1_700_000_000_000_000_001)) }
}

pub(super) fn ended(token: u64, stdout_bytes: u64) -> ReportItem {
    let second = Duration::from_nanos(1_000_000_001);
    let status = ExitStatus::Signal { number: 11, core_dumped: true };
    let (user_time, system_time, wall_time) = (second, Duration::ZERO, second);
    let exit = Exit { status, user_time, system_time, max_rss_bytes: 1 << 40, wall_time, proof: Proof::Swept };
    let outcome = Outcome {
        state: AttemptState::Failed,
        reason: Some(Reason::Signal),
        detail: Some("why ä".into()),
        exit: Some(exit),
        spawn_failure: Some(SpawnFailure { stage: "exec".into(), errno: -2 }),
        stdout_bytes,
        stderr_bytes: 5,
        started_at: None,
        result: None,
        error: None,
    };
    ReportItem { lease: lease(token), news: News::Ended(Box::new(outcome)) }
}

fn outbox() -> (Outbox, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (again(&dir), dir)
}

/// As the next life finds it.
fn again(dir: &TempDir) -> Outbox {
    Outbox::open(&dir.path().join("outbox")).unwrap()
}

/// As the next life would find it, of a copy: opening cuts a torn end off.
fn again_beside(dir: &TempDir) -> Outbox {
    let copy = dir.path().join("copy");
    std::fs::copy(dir.path().join("outbox"), &copy).unwrap();
    Outbox::open(&copy).unwrap()
}

fn push(outbox: &Outbox, item: ReportItem) {
    outbox.push(item, Offsets::ALL);
    outbox.save();
}

fn ack(outbox: &Outbox, number: u64) {
    outbox.ack(number);
    outbox.save();
}

fn is_stuck(outbox: &Outbox) -> bool {
    outbox.state().stuck
}

fn file_bytes(dir: &TempDir) -> u64 {
    std::fs::metadata(dir.path().join("outbox")).unwrap().len()
}

fn taken(outbox: &Outbox) -> Option<(u64, Vec<u64>)> {
    let (number, items) = outbox.take_batch()?;
    Some((number, items.iter().map(|item| item.lease.fencing_token).collect()))
}

#[test]
fn what_waits_goes_in_one_report_and_only_once_a_stream() {
    let (outbox, _dir) = outbox();
    push(&outbox, returned(1));
    push(&outbox, returned(2));
    assert_eq!(taken(&outbox), Some((2, vec![1, 2])));
    push(&outbox, returned(3));
    assert_eq!(taken(&outbox), Some((3, vec![3])));
    assert_eq!(taken(&outbox), None);
}

#[test]
fn a_new_stream_hears_again_what_was_not_acknowledged_under_the_same_numbers() {
    let (outbox, _dir) = outbox();
    for token in 1..=3 {
        push(&outbox, returned(token));
    }
    assert_eq!(taken(&outbox), Some((3, vec![1, 2, 3])));
    ack(&outbox, 1);
    outbox.rewind();
    push(&outbox, returned(4));
    assert_eq!(taken(&outbox), Some((4, vec![2, 3, 4])));
    ack(&outbox, 4);
    assert!(outbox.is_empty());
}

#[test]
fn the_forgotten_are_neither_said_nor_held() {
    let (outbox, _dir) = outbox();
    push(&outbox, started(1));
    push(&outbox, returned(1));
    push(&outbox, returned(2));
    assert_eq!(outbox.ended(), [lease(1), lease(2)]);
    outbox.forget(&lease(1));
    assert_eq!(outbox.ended(), [lease(2)]);
    assert_eq!(taken(&outbox), Some((3, vec![2])));
}

#[test]
fn reports_stop_at_the_window_until_something_is_acknowledged() {
    let (outbox, _dir) = outbox();
    let all = REPORTS_UNACKED_MAX as u64 + 10;
    for token in 1..=all {
        push(&outbox, returned(token));
    }
    let mut last = 0;
    while let Some((number, items)) = outbox.take_batch() {
        assert!(items.len() <= limits::REPORT_ITEMS_MAX);
        last = number;
    }
    assert_eq!(last, REPORTS_UNACKED_MAX as u64);
    ack(&outbox, 5);
    assert_eq!(outbox.take_batch().map(|(number, items)| (number, items.len())), Some((last + 5, 5)));
}

#[test]
fn large_results_go_in_as_many_reports_as_fit_the_coordinators_limit_and_outlive_the_agent() {
    let (outbox, dir) = outbox();
    let result = CallResult { value: vec![b'1'; limits::PAYLOAD_BYTES_MAX].into(), content_type: None };
    let succeeded = Outcome { result: Some(result), ..Outcome::bare(AttemptState::Succeeded, None) };
    let large = |token| ReportItem { lease: lease(token), news: News::Ended(Box::new(succeeded.clone())) };
    (1..=40).for_each(|token| push(&outbox, large(token)));
    for outbox in [&outbox, &again(&dir)] {
        let mut said = 0;
        while let Some((_, items)) = outbox.take_batch() {
            said += items.len();
            assert!(items.len() * limits::PAYLOAD_BYTES_MAX < limits::MESSAGE_BYTES_MAX, "{}", items.len());
        }
        assert_eq!(said, 40);
    }
    // A coordinator that is so far behind is not asked for more.
    assert!(!outbox.is_closed());
    (41..=256).for_each(|token| push(&outbox, large(token)));
    assert!(outbox.is_closed());
    outbox.ack(2);
    assert!(!outbox.is_closed());
}

#[test]
fn the_next_life_says_what_was_not_acknowledged_and_goes_on_counting() {
    let (outbox, dir) = outbox();
    for item in [started(1), ended(1, 0), started(2), ended(2, 0), returned(3)] {
        push(&outbox, item);
    }
    ack(&outbox, 2);
    let next = again(&dir);
    assert_eq!(next.ended(), [lease(2), lease(3)]);
    let (number, items) = next.take_batch().unwrap();
    assert_eq!((number, items), (5, vec![started(2), ended(2, 0), returned(3)]));
    push(&next, returned(4));
    assert_eq!(taken(&next), Some((6, vec![4])));
    ack(&next, 5);
    assert_eq!(again(&dir).ended(), [lease(4)]);
    ack(&next, 6);
    assert_eq!((again(&dir).is_empty(), file_bytes(&dir)), (true, 0));
}

#[test]
fn a_start_whose_end_nobody_saw_is_not_said_by_the_next_life() {
    let (outbox, dir) = outbox();
    push(&outbox, started(1));
    push(&outbox, returned(2));
    push(&outbox, started(3));
    assert_eq!(taken(&again(&dir)), Some((2, vec![2])));
    ack(&outbox, 2);
    assert!(again(&dir).is_empty());
    assert_eq!(file_bytes(&dir), 0);
}

#[test]
fn a_log_that_was_not_shipped_ends_for_the_next_life_where_the_coordinator_has_it() {
    let (outbox, dir) = outbox();
    let shipped = |outbox: &Outbox| match outbox.take_batch().unwrap().1.remove(0).news {
        News::Ended(outcome) => (outcome.stdout_bytes, outcome.stderr_bytes),
        other => panic!("{other:?}"),
    };
    outbox.push(ended(1, 1000), Offsets { stdout: 10, stderr: 0 });
    outbox.save();
    assert_eq!(shipped(&again(&dir)), (10, 0));
    outbox.shipped(&lease(1), Offsets { stdout: 700, stderr: 5 });
    outbox.save();
    assert_eq!(shipped(&again(&dir)), (700, 5));
    outbox.shipped(&lease(1), Offsets::ALL);
    outbox.save();
    assert_eq!(shipped(&again(&dir)), (1000, 5));
    // This life has the bytes, and says so.
    assert_eq!(shipped(&outbox), (1000, 5));
}

#[test]
fn a_file_that_is_mostly_past_is_written_anew() {
    let (outbox, dir) = outbox();
    let mut largest = 0;
    push(&outbox, returned(1));
    for token in 2..60_000 {
        push(&outbox, returned(token));
        ack(&outbox, token - 1);
        largest = largest.max(file_bytes(&dir));
    }
    assert!(largest < 2 << 20, "{largest}");
    assert_eq!(again(&dir).ended(), [lease(59_999)]);
}

#[test]
fn an_acknowledgement_of_everything_goes_with_the_next_news_and_the_file_is_not_cut_for_it() {
    let (outbox, dir) = outbox();
    push(&outbox, returned(1));
    let before = file_bytes(&dir);
    outbox.ack(1);
    push(&outbox, returned(2));
    assert!(file_bytes(&dir) > 2 * (before - 8), "{before}"); // 8: what the file begins with
    assert_eq!(taken(&again_beside(&dir)), Some((2, vec![2])));
    ack(&outbox, 2);
    assert_eq!((again(&dir).is_empty(), file_bytes(&dir)), (true, 0));
}

#[test]
fn what_is_not_on_disk_is_not_said_unless_the_disk_refuses() {
    let (outbox, dir) = outbox();
    outbox.push(returned(1), Offsets::ALL);
    assert_eq!((taken(&outbox), file_bytes(&dir)), (None, 0));
    outbox.save();
    outbox.push(returned(2), Offsets::ALL);
    assert_eq!(taken(&outbox), Some((1, vec![1])));
    outbox.state().note_refused(&io::ErrorKind::StorageFull.into());
    assert_eq!((is_stuck(&outbox), taken(&outbox)), (true, Some((2, vec![2]))));
    outbox.save();
    assert_eq!((is_stuck(&outbox), again(&dir).ended()), (false, vec![lease(1), lease(2)]));
}

#[test]
fn what_is_acknowledged_or_forgotten_while_it_is_written_stays_gone() {
    let (outbox, dir) = outbox();
    for token in 1..=3 {
        outbox.push(returned(token), Offsets::ALL);
    }
    // As `save` does, in its steps.
    let work = outbox.state().work();
    outbox.forget(&lease(1));
    outbox.0.journal.lock().unwrap().append(&work.bytes).unwrap();
    outbox.state().note_saved(&work.news, &outbox.0.journal.lock().unwrap());
    outbox.save();
    assert_eq!(outbox.ended(), [lease(2), lease(3)]);
    ack(&outbox, 3);
    assert_eq!((again(&dir).is_empty(), file_bytes(&dir)), (true, 0));
}

#[test]
fn a_disk_that_hangs_holds_up_nobody() {
    let (outbox, _dir) = outbox();
    push(&outbox, returned(1));
    let hanging = outbox.0.journal.lock().unwrap();
    assert_eq!(taken(&outbox), Some((1, vec![1])));
    outbox.push(ended(2, 10), Offsets::default());
    outbox.shipped(&lease(2), Offsets::ALL);
    outbox.ack(1);
    outbox.forget(&lease(2));
    outbox.rewind();
    assert_eq!((is_stuck(&outbox), outbox.is_full(), outbox.is_empty(), taken(&outbox)), (false, false, true, None));
    drop(hanging);
}

/// Waits, up to 20 s, until the thread that writes has done what `what` asks for.
async fn until(what: impl Fn() -> bool) {
    let done = async {
        while !what() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), done).await.expect("not written in time");
}

#[tokio::test]
async fn news_are_written_as_they_come_and_the_past_when_nothing_does() {
    let (outbox, dir) = outbox();
    let stop = CancellationToken::new();
    let use_it = async {
        for token in 1..=3 {
            // From its rest, and from its patience.
            until(|| outbox.state().writer.rests || token > 1).await;
            outbox.push(returned(token), Offsets::ALL);
            until(|| taken(&outbox) == Some((token, vec![token]))).await;
            assert_eq!(again_beside(&dir).ended().len() as u64, token);
        }
        until(|| outbox.state().writer.rests).await;
        outbox.ack(2);
        until(|| again_beside(&dir).ended() == [lease(3)]).await;
        outbox.ack(3);
        until(|| file_bytes(&dir) == 0).await;
        outbox.push(returned(4), Offsets::ALL);
        stop.cancel();
    };
    tokio::join!(outbox.clone().tend(stop.clone()), use_it);
    assert_eq!(again(&dir).ended(), [lease(4)]);
}
