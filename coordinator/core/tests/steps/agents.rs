//! Agents come, go, fall silent and come back.

use std::time::Duration;

use windlass_core::Input;
use windlass_shared::domain::{AgentState, Scheduling};
use windlass_shared::ids::SessionId;

use crate::rig::{Rig, agent, hello, takes};

const TEN: SessionId = SessionId(10);

/// A rig whose job 1 runs on agent 1, with agent 2 idle.
fn running() -> Rig {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    rig.started(1, 1, 1);
    rig.join(2, 1);
    rig
}

fn state(rig: &Rig, n: u8) -> AgentState {
    rig.core.agents(None, 99).into_iter().find(|one| one.id == agent(n)).expect("known").state
}

#[test]
fn a_silent_agent_is_suspect_after_the_lease_and_lost_only_after_the_margin() {
    let mut rig = running();
    assert_eq!(rig.pass_hearing(Duration::from_secs(14), &[20]), Vec::<String>::new());
    assert_eq!(state(&rig, 1), AgentState::Connected);
    assert_eq!(rig.pass_hearing(Duration::from_secs(2), &[20]), Vec::<String>::new());
    assert_eq!(state(&rig, 1), AgentState::Suspect);
    assert_eq!(
        rig.pass_hearing(Duration::from_secs(4), &[20]),
        [
            "close a1/0 LEASE_EXPIRED",
            "record 1 QUEUED (agent lost), 1 LOST",
            "record 1 LEASED (agent lost), 2 LEASED",
            "assign 1.2 to a2/0"
        ]
    );
    assert_eq!(state(&rig, 1), AgentState::Lost);
}

#[test]
fn heartbeats_keep_an_agent_for_as_long_as_its_job_takes() {
    let mut rig = running();
    assert_eq!(rig.pass_hearing(Duration::from_secs(3600), &[10, 20]), Vec::<String>::new());
    assert_eq!(state(&rig, 1), AgentState::Connected);
}

#[test]
fn a_suspect_agent_gets_nothing_new_and_is_well_again_when_it_is_heard() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.pass(Duration::from_secs(16));
    assert_eq!(rig.submit(1), ["record 1 QUEUED", "reply ok"]);
    let old = rig.now.mono;
    rig.now.mono = old.after(Duration::from_secs(60));
    assert_eq!(rig.step(Input::Alive { session: TEN, at: old }), Vec::<String>::new(), "an old stamp read late");
    let at = rig.now.mono;
    assert_eq!(rig.step(Input::Alive { session: TEN, at }), ["record 1 LEASED, 1 LEASED", "assign 1.1 to a1/0"]);
}

#[test]
fn a_pause_of_our_own_is_never_held_against_an_agent() {
    let mut rig = running();
    rig.pass_hearing(Duration::from_secs(3), &[10, 20]);
    rig.now.mono = rig.now.mono.after(Duration::from_secs(600));
    assert_eq!(rig.step(Input::Tick), Vec::<String>::new());
    assert_eq!(state(&rig, 1), AgentState::Connected);
    assert_eq!(rig.pass(Duration::from_secs(14)), Vec::<String>::new(), "a whole lease to be heard again");
    assert_eq!(state(&rig, 1), AgentState::Connected);
    assert_eq!(rig.pass_hearing(Duration::from_secs(60), &[10, 20]), Vec::<String>::new());
    assert_eq!(state(&rig, 1), AgentState::Connected);
}

#[test]
fn a_stream_that_ends_says_nothing_about_the_attempts_on_it() {
    let mut rig = running();
    assert_eq!(rig.step(Input::Closed { session: TEN }), Vec::<String>::new());
    assert_eq!(state(&rig, 1), AgentState::Suspect);
    let mut again = hello(1, 1);
    again.session = 2;
    again.inventory = vec![rig.lease(1, 1)];
    assert_eq!(rig.greet(11, again), ["welcome a1/1"]);
    let news = windlass_shared::domain::News::Ended(crate::rig::outcome(
        windlass_shared::domain::AttemptState::Succeeded,
        None,
    ));
    assert_eq!(rig.report_on(11, rig.lease(1, 1), news), ["record 1 SUCCEEDED, 1 SUCCEEDED", "ack a1/1"]);
}

#[test]
fn a_lease_the_same_process_never_got_is_returned_and_given_out_again() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    rig.step(Input::Closed { session: TEN });
    let mut again = hello(1, 1);
    again.session = 2;
    assert_eq!(
        rig.greet(11, again),
        [
            "welcome a1/1",
            "record 1 QUEUED (returned), 1 RETURNED",
            "record 1 LEASED (returned), 2 LEASED",
            "assign 1.2 to a1/1"
        ]
    );
}

#[test]
fn what_a_former_process_of_the_agent_held_is_lost() {
    let mut rig = running();
    let mut reborn = hello(1, 1);
    reborn.instance = 2;
    assert_eq!(
        rig.greet(11, reborn),
        [
            "close a1/0 SESSION_SUPERSEDED",
            "welcome a1/1",
            "record 1 QUEUED (agent lost), 1 LOST",
            "record 1 LEASED (agent lost), 2 LEASED",
            "assign 1.2 to a2/0"
        ]
    );
}

#[test]
fn a_new_process_cannot_say_that_the_former_one_never_got_a_lease() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    let mut reborn = hello(1, 1);
    reborn.instance = 2;
    assert_eq!(rig.greet(11, reborn)[2], "record 1 QUEUED (agent lost), 1 LOST");
}

#[test]
fn an_attempt_that_comes_back_after_its_successor_was_cut_is_killed_as_stale() {
    let mut rig = running();
    rig.pass_hearing(Duration::from_secs(21), &[20]);
    let mut back = hello(1, 1);
    back.session = 2;
    back.inventory = vec![rig.lease(1, 1)];
    assert_eq!(rig.greet(11, back), ["welcome a1/1", "stop 1.1 at a1/1 (agent lost)"]);
}

#[test]
fn an_older_session_of_a_process_cannot_evict_a_newer_one() {
    let mut rig = Rig::default();
    let mut newer = hello(1, 1);
    newer.session = 5;
    rig.greet(11, newer);
    assert_eq!(rig.join(1, 1), ["close a1/0 SESSION_SUPERSEDED"]);
    assert_eq!(rig.submit(1).last().map(String::as_str), Some("assign 1.1 to a1/1"));
}

#[test]
fn an_agent_that_names_no_boot_is_no_proof_of_another_that_names_none() {
    let mut rig = Rig::default();
    let mut nameless = hello(1, 1);
    nameless.boot_id = "".into();
    rig.greet(10, nameless.clone());
    nameless.instance = 2;
    assert_eq!(rig.greet(11, nameless), ["close a1/1 AGENT_ID_IN_USE"]);
}

#[test]
fn a_clone_of_a_live_agent_on_another_host_is_refused_until_the_lease_is_out() {
    let mut rig = running();
    let mut clone = hello(1, 1);
    clone.instance = 2;
    clone.boot_id = "another".into();
    assert_eq!(rig.greet(11, clone.clone()), ["close a1/1 AGENT_ID_IN_USE"]);
    rig.pass_hearing(Duration::from_secs(21), &[20]);
    assert_eq!(rig.greet(12, clone), ["welcome a1/2"]);
}

#[test]
fn a_second_agent_of_the_same_name_is_refused_while_the_first_is_live() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    let mut namesake = hello(2, 1);
    namesake.name = "a1".into();
    assert_eq!(rig.greet(20, namesake.clone()), ["close a1/0 AGENT_NAME_TAKEN"]);
    rig.pass(Duration::from_secs(21));
    assert_eq!(rig.greet(21, namesake), ["welcome a1/1"]);
}

#[test]
fn a_draining_agent_gets_nothing_new_even_after_a_new_stream_and_leaves_with_goodbye() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    assert_eq!(rig.step(Input::Draining { session: TEN }), Vec::<String>::new());
    assert_eq!(rig.submit(1), ["record 1 QUEUED", "reply ok"]);
    let mut again = hello(1, 1);
    again.session = 2;
    assert_eq!(rig.greet(11, again), ["close a1/0 SESSION_SUPERSEDED", "welcome a1/1"]);
    assert_eq!(rig.step(Input::Goodbye { session: SessionId(11) }), Vec::<String>::new());
    let record = &rig.core.agents(None, 99)[0];
    assert_eq!((record.state, record.scheduling, record.held), (AgentState::Gone, Scheduling::Drained, 0));
    assert_eq!(rig.pass(Duration::from_secs(60)), Vec::<String>::new(), "nobody waits for the gone");
}

#[test]
fn an_assignment_that_crosses_with_a_goodbye_is_given_to_another() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    rig.join(2, 1);
    assert_eq!(
        rig.step(Input::Goodbye { session: TEN }),
        ["record 1 QUEUED (drain), 1 RETURNED", "record 1 LEASED (drain), 2 LEASED", "assign 1.2 to a2/0"]
    );
}

#[test]
fn credit_opens_and_closes_an_agent_for_more_work() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    rig.submit(1);
    rig.submit(2);
    assert_eq!(
        rig.step(Input::Credit { session: TEN, credit: takes(2) }),
        ["record 2 LEASED, 1 LEASED", "assign 2.1 to a1/0"]
    );
    assert_eq!(rig.step(Input::Credit { session: TEN, credit: takes(0) }), Vec::<String>::new());
    rig.submit(3);
    assert_eq!(rig.succeeded(1, 1, 1), ["record 1 SUCCEEDED, 1 SUCCEEDED", "ack a1/0"]);
}

#[test]
fn the_longest_gone_agent_makes_room_and_a_full_house_says_so() {
    let mut rig = Rig::new(windlass_core::Options { agents_max: 2, ..Default::default() });
    rig.join(1, 1);
    rig.join(2, 1);
    assert_eq!(rig.join(3, 1), ["close a3/0 AGENTS_FULL"]);
    rig.step(Input::Goodbye { session: TEN });
    assert_eq!(rig.join(3, 1), ["welcome a3/0"]);
    let known: Vec<_> = rig.core.agents(None, 99).into_iter().map(|one| one.id).collect();
    assert_eq!(known, [agent(2), agent(3)]);
}

#[test]
fn a_session_nobody_knows_changes_nothing() {
    let mut rig = running();
    let stranger = SessionId(99);
    for input in [
        Input::Draining { session: stranger },
        Input::Goodbye { session: stranger },
        Input::Closed { session: stranger },
        Input::Credit { session: stranger, credit: takes(9) },
        Input::Report { session: stranger, sequence: 1, items: vec![] },
        Input::Alive { session: stranger, at: rig.now.mono },
    ] {
        assert_eq!(rig.step(input.clone()), Vec::<String>::new(), "{input:?}");
    }
}
