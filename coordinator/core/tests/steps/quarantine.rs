//! An agent on which something cannot be killed gets nothing new after a while, and work again once all is gone or a person says so.

use std::time::Duration;

use windlass_core::{Input, Options};
use windlass_shared::domain::{Credit, Scheduling};
use windlass_shared::ids::SessionId;

use crate::rig::{Rig, agent, hello, takes};

const AFTER: Duration = Options::QUARANTINE_AFTER;
const SECOND: Duration = Duration::from_secs(1);

fn says(rig: &mut Rig, stuck: u32) -> Vec<String> {
    rig.step(Input::Credit { session: SessionId(10), credit: Credit { stuck, ..takes(1) } })
}

fn shown(rig: &Rig) -> (Scheduling, u32, Option<String>) {
    let shown = rig.core.agent(agent(1)).expect("known");
    (shown.scheduling, shown.stuck, shown.reason.map(|reason| reason.to_string()))
}

fn stuck_for(time: Duration) -> Rig {
    let mut rig = Rig::default();
    rig.join(1, 1);
    says(&mut rig, 2);
    rig.pass_hearing(time, &[10]);
    rig
}

#[test]
fn an_agent_that_is_stuck_for_a_minute_gets_nothing_and_its_jobs_say_why() {
    let mut rig = stuck_for(AFTER - SECOND);
    assert_eq!(shown(&rig), (Scheduling::Active, 2, None), "not yet");
    rig.pass_hearing(SECOND, &[10]);
    let (scheduling, stuck, reason) = shown(&rig);
    assert_eq!((scheduling, stuck), (Scheduling::Quarantined, 2));
    assert!(reason.expect("why").contains("2 slots or workers cannot be killed"));
    assert_eq!(rig.submit(1), ["record 1 QUEUED", "reply ok"]);
    let why = rig.core.why_waiting(rig.now, crate::rig::job(1)).expect("it waits");
    assert_eq!(why, "every agent with slots is cordoned, draining or quarantined");
    assert_eq!(says(&mut rig, 0), ["record 1 LEASED, 1 LEASED", "assign 1.1 to a1/0"], "all is gone: by itself");
    assert_eq!(shown(&rig), (Scheduling::Active, 0, None));
}

#[test]
fn what_is_gone_in_time_was_nothing() {
    let mut rig = stuck_for(AFTER - SECOND);
    says(&mut rig, 0);
    rig.pass_hearing(AFTER, &[10]);
    assert_eq!(shown(&rig).0, Scheduling::Active);
    says(&mut rig, 1);
    rig.pass_hearing(AFTER - SECOND, &[10]);
    assert_eq!(shown(&rig).0, Scheduling::Active, "its time begins anew");
}

#[test]
fn another_stream_does_not_give_the_time_back() {
    let mut rig = stuck_for(AFTER / 2);
    let mut again = hello(1, 1);
    (again.session, again.credit.stuck) = (2, 2);
    rig.greet(11, again);
    rig.pass_hearing(AFTER / 2, &[11]);
    assert_eq!(shown(&rig).0, Scheduling::Quarantined);
    let mut third = hello(1, 1);
    (third.session, third.credit.stuck) = (3, 2);
    rig.greet(12, third);
    assert_eq!(shown(&rig).0, Scheduling::Quarantined, "nor does it end the quarantine");
}

#[test]
fn an_operator_takes_it_back_into_service_until_more_is_stuck() {
    let mut rig = stuck_for(AFTER);
    assert_eq!(rig.uncordon(1), ["reply Active"]);
    says(&mut rig, 2);
    rig.pass_hearing(AFTER * 2, &[10]);
    assert_eq!(shown(&rig).0, Scheduling::Active, "of these two a person knows");
    says(&mut rig, 3);
    rig.pass_hearing(AFTER, &[10]);
    assert_eq!(shown(&rig).0, Scheduling::Quarantined);
}

#[test]
fn an_order_of_an_operator_is_shown_before_a_quarantine_and_ends_without_it() {
    let mut rig = stuck_for(AFTER);
    rig.cordon(1);
    assert_eq!((shown(&rig).0, shown(&rig).2.as_deref()), (Scheduling::Cordoned, Some("disk")));
    assert_eq!(rig.uncordon(1), ["mark agent 1 active", "reply Active"]);
}

#[test]
fn what_an_agent_says_is_stuck_is_said_again_after_a_restart_and_its_time_begins_anew() {
    let mut rig = stuck_for(AFTER);
    rig.restart();
    let mut again = hello(1, 1);
    (again.session, again.credit.stuck) = (2, 2);
    rig.greet(11, again);
    assert_eq!(shown(&rig).0, Scheduling::Active);
    rig.pass_hearing(AFTER, &[11]);
    assert_eq!(shown(&rig).0, Scheduling::Quarantined);
}
