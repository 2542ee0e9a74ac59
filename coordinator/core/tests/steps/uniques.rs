//! At most one unfinished job has a unique key.

use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::{AttemptState, Demand, JobHeader, OnConflict, Unique};

use crate::rig::{Rig, header};

fn unique(on_conflict: OnConflict) -> JobHeader {
    let unique = Some(Unique { key: "daily".into(), on_conflict });
    let demand = Demand { unique, ..Demand::default() };
    let retry =
        windlass_shared::domain::RetryPolicy { preset: windlass_shared::domain::Preset::Default, attempts_max: 3 };
    JobHeader { demand: Some(Arc::new(demand)), ..header(0, retry) }
}

#[test]
fn a_second_job_with_the_key_is_refused_until_the_first_is_over() {
    let mut rig = Rig::default();
    rig.join(1, 2);
    rig.submit_as(1, unique(OnConflict::Reject));
    let refused = rig.submit_as(2, unique(OnConflict::Reject));
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("which is LEASED, has the unique key \"daily\""), "{refused:?}");
    rig.succeeded(1, 1, 1);
    assert_eq!(rig.submit_as(2, unique(OnConflict::Reject))[0], "record 2 QUEUED");
}

#[test]
fn the_job_that_has_the_key_may_be_the_answer() {
    let mut rig = Rig::default();
    rig.submit_as(1, unique(OnConflict::Reject));
    assert_eq!(rig.submit_as(2, unique(OnConflict::ReturnExisting)), ["reply is 1"]);
    assert_eq!(rig.core.queue("default").queued, 1);
}

#[test]
fn a_job_that_no_agent_has_is_replaced_at_once_and_one_that_an_agent_has_is_not() {
    let mut rig = Rig::default();
    rig.submit_as(1, unique(OnConflict::Reject));
    assert_eq!(
        rig.submit_as(2, unique(OnConflict::ReplaceQueued)),
        ["record 1 CANCELLED (cancel requested)", "record 2 QUEUED", "reply ok"]
    );
    rig.join(1, 1);
    assert!(rig.submit_as(3, unique(OnConflict::ReplaceQueued))[0].contains("LEASED, has the unique key"));
    rig.started(1, 2, 1);
    rig.failed(1, 2, 1);
    let replaced = rig.submit_as(3, unique(OnConflict::ReplaceQueued));
    assert_eq!(replaced[..2], ["record 2 CANCELLED (cancel requested)", "record 3 QUEUED"], "it waited for its retry");
    assert!(rig.pass_hearing(Duration::from_secs(90), &[10]).is_empty(), "and that is called off");
}

#[test]
fn what_runs_is_cancelled_and_the_new_job_waits_until_that_is_proven() {
    let mut rig = Rig::default();
    rig.join(1, 2);
    rig.submit_as(1, unique(OnConflict::Reject));
    rig.started(1, 1, 1);
    assert_eq!(
        rig.submit_as(2, unique(OnConflict::CancelRunning)),
        ["record 1 CANCELLING, 1 STOPPING", "stop 1.1 at a1/0 (cancel requested)", "record 2 BLOCKED", "reply ok"]
    );
    let why = rig.core.why_waiting(rig.now, crate::rig::job(2)).unwrap_or_default();
    assert!(why.contains("has the same unique key, to be over; it is CANCELLING"), "{why}");
    assert_eq!(rig.submit_as(3, unique(OnConflict::ReturnExisting)), ["reply is 2"], "the newest has it");
    assert_eq!(
        rig.submit_as(3, unique(OnConflict::CancelRunning)),
        ["record 2 CANCELLED (cancel requested)", "record 3 BLOCKED", "reply ok"],
        "who waits is replaced"
    );
    let lines = rig.ended(1, 1, 1, AttemptState::Cancelled, None);
    assert_eq!(
        lines,
        [
            "record 1 CANCELLED (cancel requested), 1 CANCELLED",
            "record 3 QUEUED",
            "ack a1/0",
            "record 3 LEASED, 1 LEASED",
            "assign 3.1 to a1/0"
        ]
    );
}

#[test]
fn a_job_that_waits_for_a_key_holds_over_a_restart_and_may_be_cancelled() {
    let mut rig = Rig::default();
    rig.join(1, 2);
    rig.submit_as(1, unique(OnConflict::Reject));
    rig.started(1, 1, 1);
    rig.submit_as(2, unique(OnConflict::CancelRunning));
    rig.restart();
    assert!(rig.submit_as(3, unique(OnConflict::Reject))[0].contains("BLOCKED, has the unique key"));
    assert_eq!(rig.cancel(2), ["record 2 CANCELLED (cancel requested)", "reply ok"]);
    assert!(rig.submit_as(3, unique(OnConflict::Reject))[0].contains("CANCELLING, has the unique key"));
    let lines = rig.pass(Duration::from_secs(60));
    assert!(lines.iter().any(|line| line.starts_with("record 1 CANCELLED")), "{lines:?}");
    assert_eq!(rig.submit_as(3, unique(OnConflict::Reject))[0], "record 3 QUEUED");
}
