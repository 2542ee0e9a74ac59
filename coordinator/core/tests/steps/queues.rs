//! A queue that is paused hands out nothing, and forgets nothing.

use windlass_shared::domain::{QueueField, QueueSettings, RetryPolicy};

use crate::rig::{Rig, SPEC_BYTES, call, header, pool};

fn of_queue(queue: &str) -> windlass_shared::domain::JobHeader {
    windlass_shared::domain::JobHeader { queue: queue.into(), ..header(0, RetryPolicy::NONE) }
}

#[test]
fn a_paused_queue_hands_out_nothing_while_others_go_on() {
    let mut rig = Rig::default();
    rig.join(1, 2);
    assert_eq!(rig.pause("bulk"), ["mark queue bulk paused", "reply bulk paused 0+0"], "before its first job");
    assert_eq!(rig.submit_as(1, of_queue("bulk")), ["record 1 QUEUED", "reply ok"]);
    assert_eq!(rig.submit(2).last().map(String::as_str), Some("assign 2.1 to a1/0"));
    assert_eq!(
        rig.resume("bulk"),
        ["mark queue bulk resumed", "reply bulk 1+0", "record 1 LEASED, 1 LEASED", "assign 1.1 to a1/0"]
    );
}

#[test]
fn what_runs_when_its_queue_is_paused_runs_on_and_a_retry_of_it_waits() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit_retrying(1, 3);
    rig.started(1, 1, 1);
    assert_eq!(rig.pause("default"), ["mark queue default paused", "reply default paused 0+1"]);
    assert_eq!(rig.failed(1, 1, 1), ["record 1 DELAYED (exit code), 1 FAILED", "ack a1/0"]);
    assert_eq!(rig.pass_hearing(std::time::Duration::from_secs(2), &[10]), ["record 1 QUEUED (exit code)"]);
    let lines = rig.resume("default");
    assert_eq!(lines.last().map(String::as_str), Some("assign 1.2 to a1/0"));
}

#[test]
fn priority_and_submit_order_are_kept_over_a_pause() {
    let mut rig = Rig::default();
    rig.pause("default");
    rig.submit(1);
    rig.submit_as(2, header(5, RetryPolicy::NONE));
    rig.submit(3);
    rig.submit_as(4, of_queue("other"));
    rig.join(1, 1);
    assert_eq!(rig.succeeded(1, 4, 1), ["record 4 SUCCEEDED, 1 SUCCEEDED", "ack a1/0"]);
    assert_eq!(rig.resume("default").last().map(String::as_str), Some("assign 2.1 to a1/0"));
    assert_eq!(rig.succeeded(1, 2, 1).last().map(String::as_str), Some("assign 1.1 to a1/0"));
    assert_eq!(rig.succeeded(1, 1, 1).last().map(String::as_str), Some("assign 3.1 to a1/0"));
}

#[test]
fn a_pause_holds_for_calls_too() {
    let mut rig = Rig::default();
    rig.join_with(1, &[pool("p", &["resize"], 1)]);
    rig.pause("default");
    assert_eq!(rig.submit_as(1, call("resize", 0)), ["record 1 QUEUED", "reply ok"]);
    assert_eq!(rig.resume("default").last().map(String::as_str), Some("assign 1.1 to a1/0"));
}

#[test]
fn pausing_twice_keeps_the_later_reason_and_resuming_what_is_not_paused_changes_nothing() {
    let mut rig = Rig::default();
    rig.pause("bulk");
    assert_eq!(rig.pause("bulk"), ["mark queue bulk paused", "reply bulk paused 0+0"]);
    assert_eq!(rig.resume("bulk"), ["mark queue bulk resumed", "reply bulk 0+0"]);
    assert_eq!(rig.resume("bulk"), ["reply bulk 0+0"]);
    let left: Vec<_> = rig.core.queues(None, 9).into_iter().map(|queue| queue.name.to_string()).collect();
    assert_eq!(left, ["default"], "neither jobs nor a pause; the default one is always there");
}

#[test]
fn queues_are_shown_by_name_with_what_waits_and_what_runs() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    rig.submit(2);
    rig.submit_as(3, of_queue("bulk"));
    let shown = |queues: Vec<windlass_shared::domain::QueueRecord>| -> Vec<_> {
        queues.into_iter().map(|queue| (queue.name.to_string(), queue.queued, queue.running)).collect()
    };
    assert_eq!(shown(rig.core.queues(None, 9)), [("bulk".to_owned(), 1, 0), ("default".to_owned(), 1, 1)]);
    assert_eq!(shown(rig.core.queues(Some("bulk"), 9)), [("default".to_owned(), 1, 1)]);
    assert_eq!(shown(rig.core.queues(None, 1)), [("bulk".to_owned(), 1, 0)]);
    rig.cancel(3);
    assert_eq!(shown(rig.core.queues(None, 9)), [("default".to_owned(), 1, 1)]);
}

#[test]
fn pages_of_queues_have_the_default_one_in_its_place_whether_it_has_jobs_or_not() {
    let mut rig = Rig::default();
    for (n, queue) in [(1, "a"), (2, "z"), (3, "b")] {
        rig.submit_as(n, of_queue(queue));
    }
    rig.submit_as(4, call("c", 0)); // in the default queue; its handler's name is none of a queue
    for without_jobs in [false, true] {
        if without_jobs {
            rig.cancel(4);
        }
        for limit in 1..=5 {
            let (mut names, mut after): (Vec<String>, Option<String>) = (Vec::new(), None);
            while let [.., last] = &rig.core.queues(after.as_deref(), limit)[..] {
                names.extend(rig.core.queues(after.as_deref(), limit).into_iter().map(|queue| queue.name.to_string()));
                after = Some(last.name.to_string());
            }
            assert_eq!(names, ["a", "b", "default", "z"], "{limit} a page, {without_jobs}");
        }
    }
}

#[test]
fn a_pause_holds_over_a_restart() {
    let mut rig = Rig::default();
    rig.pause("default");
    rig.submit(1);
    rig.restart();
    assert_eq!(rig.join(1, 1), ["welcome a1/0"]);
    assert_eq!(rig.resume("default").last().map(String::as_str), Some("assign 1.1 to a1/0"));
    rig.submit(2);
    rig.restart();
    assert_eq!(rig.core.queue("default").pause, None);
}

#[test]
fn settings_of_a_queue_are_taken_field_by_field_and_hold_over_a_restart() {
    let mut rig = Rig::default();
    let asked = QueueSettings { weight: 3, depth_max: Some(1), ..QueueSettings::default() };
    assert_eq!(
        rig.update_queue("bulk", asked.clone(), &[QueueField::Weight]),
        ["mark queue bulk resumed, set", "reply bulk 0+0"]
    );
    assert_eq!(rig.update_queue("bulk", asked.clone(), &[QueueField::Weight]), ["reply bulk 0+0"], "it was so");
    rig.restart();
    let shown = rig.core.queue("bulk").settings.expect("set");
    assert_eq!((shown.weight, shown.depth_max), (3, None));
    rig.pause("bulk");
    assert_eq!(
        rig.update_queue("bulk", QueueSettings::default(), &QueueField::ALL),
        ["mark queue bulk paused", "reply bulk paused 0+0"]
    );
    assert_eq!(rig.core.queue("bulk").settings, None);
}

#[test]
fn a_queue_takes_no_more_jobs_or_bytes_than_may_wait_in_it_but_those_that_wait_again() {
    let mut rig = Rig::default();
    let fields = [QueueField::DepthMax, QueueField::BytesMax];
    rig.update_queue("default", QueueSettings { depth_max: Some(1), ..QueueSettings::default() }, &fields);
    rig.join(1, 1);
    rig.submit_retrying(1, 3);
    rig.submit(2);
    let full = rig.submit(3);
    assert_eq!(full.len(), 1, "{full:?}");
    assert!(full[0].contains("1 jobs wait in queue default"), "{full:?}");
    rig.started(1, 1, 1);
    let again = rig.failed(1, 1, 1);
    assert!(again[0].starts_with("record 1 DELAYED"), "{again:?}");
    let bytes = QueueSettings { bytes_max: Some(u64::from(SPEC_BYTES) * 3 - 1), ..QueueSettings::default() };
    rig.update_queue("default", bytes, &fields);
    assert!(rig.submit(3)[0].starts_with("record 3"), "one waits, and one more fits");
    assert!(rig.submit(4)[0].contains("29 bytes"), "and no other");
}
