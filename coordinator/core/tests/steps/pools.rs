//! Calls go where their handler is offered, and nowhere else.

use std::time::Duration;

use windlass_core::Input;
use windlass_shared::domain::{Credit, PoolOffer, RetryPolicy};
use windlass_shared::ids::SessionId;

use crate::rig::{Rig, agent, call, header, hello_with, job, pool, takes};

const TEN: SessionId = SessionId(10);
const NOTHING: [&str; 0] = [];

fn last(lines: &[String]) -> &str {
    lines.last().map_or("", String::as_str)
}

/// What agent 1 says of its pools, on session `session`.
fn credit(rig: &mut Rig, session: u64, pools: &[PoolOffer]) -> Vec<String> {
    let credit = Credit { pools: pools.to_vec(), ..Credit::default() };
    rig.step(Input::Credit { session: SessionId(session), credit })
}

fn why(rig: &Rig, n: u8) -> String {
    rig.core.why_waiting(rig.now, job(n)).unwrap_or_default()
}

/// By pool: its name and what it holds.
fn held(rig: &Rig, n: u8) -> Vec<(String, u32)> {
    let record = rig.core.agents(None, 99).into_iter().find(|one| one.id == agent(n)).expect("known");
    record.pools.into_iter().map(|pool| (pool.offer.pool.to_string(), pool.held)).collect()
}

#[test]
fn a_call_goes_only_to_an_agent_that_offers_its_handler() {
    let mut rig = Rig::default();
    rig.join(1, 4);
    rig.join_with(2, &[pool("p", &["resize", "crop"], 1)]);
    assert_eq!(last(&rig.submit_as(1, call("resize", 0))), "assign 1.1 to a2/0");
    assert_eq!(rig.submit_as(2, call("crop", 0)), ["record 2 QUEUED", "reply ok"], "the pool's one worker is taken");
    assert_eq!(last(&rig.submit(3)), "assign 3.1 to a1/0");
    assert_eq!(
        rig.succeeded(2, 1, 1),
        ["record 1 SUCCEEDED, 1 SUCCEEDED", "ack a2/0", "record 2 LEASED, 1 LEASED", "assign 2.1 to a2/0"]
    );
}

#[test]
fn commands_and_calls_never_take_each_others_places() {
    let mut rig = Rig::default();
    let mut both = hello_with(1, &[pool("p", &["resize"], 1)]);
    (both.slots, both.credit.capacity) = (1, 1);
    rig.greet(10, both);
    assert_eq!(last(&rig.submit(1)), "assign 1.1 to a1/0");
    assert_eq!(rig.submit(2), ["record 2 QUEUED", "reply ok"]);
    assert_eq!(last(&rig.submit_as(3, call("resize", 0))), "assign 3.1 to a1/0");
    let record = &rig.core.agents(None, 99)[0];
    assert_eq!((record.slots, record.capacity, record.held), (2, 2, 2));
}

#[test]
fn an_agent_without_slots_gets_no_command_whatever_it_says_it_takes() {
    let mut rig = Rig::default();
    let mut pools_only = hello_with(1, &[pool("p", &["resize"], 1)]);
    pools_only.credit.capacity = 5;
    rig.greet(10, pools_only);
    assert_eq!(rig.submit(1), ["record 1 QUEUED", "reply ok"]);
}

#[test]
fn a_handler_nobody_offers_waits_and_holds_up_nobody() {
    let mut rig = Rig::default();
    rig.join(1, 1);
    assert_eq!(rig.submit_as(1, call("resize", 100)), ["record 1 QUEUED", "reply ok"]);
    assert_eq!(last(&rig.submit(2)), "assign 2.1 to a1/0");
    assert_eq!(why(&rig, 1), "no agent offers the handler resize");
    assert_eq!(
        rig.join_with(2, &[pool("p", &["resize"], 1)])[1..],
        ["record 1 LEASED, 1 LEASED", "assign 1.1 to a2/0"]
    );
}

#[test]
fn calls_go_to_the_pool_with_the_fewest_for_its_workers() {
    let mut rig = Rig::default();
    rig.join_with(1, &[pool("p", &["resize"], 1)]);
    rig.join_with(2, &[pool("q", &["resize"], 3)]);
    let assigned: Vec<_> = (1..=4).map(|n| rig.submit_as(n, call("resize", 0)).pop().expect("an effect")).collect();
    assert_eq!(assigned, ["assign 1.1 to a1/0", "assign 2.1 to a2/0", "assign 3.1 to a2/0", "assign 4.1 to a2/0"]);
    assert_eq!(rig.submit_as(5, call("resize", 0)), ["record 5 QUEUED", "reply ok"]);
}

#[test]
fn what_one_pool_holds_does_not_make_another_look_loaded() {
    let mut rig = Rig::default();
    rig.join_with(1, &[pool("a", &["crop"], 4), pool("b", &["resize"], 2)]);
    rig.join_with(2, &[pool("b", &["resize"], 2)]);
    (1..=3).for_each(|n| drop(rig.submit_as(n, call("crop", 0))));
    assert_eq!(last(&rig.submit_as(4, call("resize", 0))), "assign 4.1 to a1/0");
    assert_eq!(last(&rig.submit_as(5, call("resize", 0))), "assign 5.1 to a2/0");
}

#[test]
fn priority_and_submit_order_hold_across_the_handlers_of_one_pool() {
    let mut rig = Rig::default();
    rig.submit_as(1, call("crop", 0));
    rig.submit_as(2, call("resize", 0));
    rig.submit_as(3, call("crop", 5));
    rig.submit_as(4, call("resize", 9));
    let lines = rig.join_with(1, &[pool("p", &["resize", "crop"], 4)]);
    let assigned: Vec<_> = lines.iter().filter(|line| line.starts_with("assign")).collect();
    assert_eq!(assigned, ["assign 4.1 to a1/0", "assign 3.1 to a1/0", "assign 1.1 to a1/0", "assign 2.1 to a1/0"]);
}

#[test]
fn an_agents_own_drain_closes_its_pools_too() {
    let mut rig = Rig::default();
    rig.join_with(1, &[pool("p", &["resize"], 1)]);
    rig.step(Input::Draining { session: TEN });
    assert_eq!(rig.submit_as(1, call("resize", 0)), ["record 1 QUEUED", "reply ok"]);
    assert_eq!(why(&rig, 1), "every agent with workers of resize is cordoned or draining");
}

#[test]
fn a_call_of_a_pool_that_is_no_longer_offered_counts_until_it_is_settled() {
    let mut rig = Rig::default();
    rig.join_with(1, &[pool("p", &["resize"], 2)]);
    rig.submit_as(1, call("resize", 0));
    assert_eq!(credit(&mut rig, 10, &[]), NOTHING);
    assert_eq!(held(&rig, 1), [("p".to_owned(), 1)]);
    assert_eq!((rig.core.agents(None, 99)[0].slots, rig.core.agents(None, 99)[0].capacity), (0, 0));
    assert_eq!(rig.submit_as(2, call("resize", 0)), ["record 2 QUEUED", "reply ok"]);
    assert_eq!(rig.succeeded(1, 1, 1), ["record 1 SUCCEEDED, 1 SUCCEEDED", "ack a1/0"]);
    assert_eq!(held(&rig, 1), [], "it went with the last of its calls");
}

#[test]
fn a_pool_that_comes_back_still_counts_what_it_held() {
    let mut rig = Rig::default();
    rig.join_with(1, &[pool("p", &["resize"], 1)]);
    rig.submit_as(1, call("resize", 0));
    credit(&mut rig, 10, &[]);
    credit(&mut rig, 10, &[pool("p", &["resize"], 1)]);
    assert_eq!(rig.submit_as(2, call("resize", 0)), ["record 2 QUEUED", "reply ok"]);
    assert_eq!(last(&rig.succeeded(1, 1, 1)), "assign 2.1 to a1/0");
}

#[test]
fn a_handler_that_moves_to_another_pool_is_served_there_while_the_old_one_runs_out() {
    let mut rig = Rig::default();
    rig.join_with(1, &[pool("p", &["resize"], 1)]);
    rig.submit_as(1, call("resize", 0));
    credit(&mut rig, 10, &[pool("q", &["resize"], 1)]);
    assert_eq!(last(&rig.submit_as(2, call("resize", 0))), "assign 2.1 to a1/0");
    assert_eq!(held(&rig, 1), [("p".to_owned(), 1), ("q".to_owned(), 1)]);
    rig.succeeded(1, 1, 1);
    assert_eq!(held(&rig, 1), [("q".to_owned(), 1)]);
}

#[test]
fn a_pool_that_shrinks_below_what_it_holds_gets_nothing_new() {
    let mut rig = Rig::default();
    rig.join_with(1, &[pool("p", &["resize"], 2)]);
    (1..=3).for_each(|n| drop(rig.submit_as(n, call("resize", 0))));
    assert_eq!(credit(&mut rig, 10, &[pool("p", &["resize"], 1)]), NOTHING);
    assert_eq!(rig.succeeded(1, 1, 1), ["record 1 SUCCEEDED, 1 SUCCEEDED", "ack a1/0"]);
    assert_eq!(last(&rig.succeeded(1, 2, 1)), "assign 3.1 to a1/0");
}

#[test]
fn a_pool_without_workers_takes_nothing_until_one_is_up() {
    let mut rig = Rig::default();
    rig.join_with(1, &[pool("p", &["resize"], 0)]);
    assert_eq!(rig.submit_as(1, call("resize", 0)), ["record 1 QUEUED", "reply ok"]);
    assert_eq!(why(&rig, 1), "none of the workers of resize is up");
    assert_eq!(last(&credit(&mut rig, 10, &[pool("p", &["resize"], 1)])), "assign 1.1 to a1/0");
}

#[test]
fn what_an_agent_holds_is_placed_by_handler_when_it_comes_back() {
    let mut rig = Rig::default();
    rig.join_with(1, &[pool("p", &["resize"], 1)]);
    rig.submit_as(1, call("resize", 0));
    rig.started(1, 1, 1);
    rig.restart();
    let mut back = hello_with(1, &[pool("renamed", &["resize"], 1)]);
    back.session = 2;
    back.inventory = vec![rig.lease(1, 1)];
    assert_eq!(rig.greet(11, back), ["welcome a1/1"]);
    assert_eq!(held(&rig, 1), [("renamed".to_owned(), 1)]);
    assert_eq!(rig.submit_as(2, call("resize", 0)), ["record 2 QUEUED", "reply ok"]);
}

#[test]
fn a_call_taken_back_after_its_loss_counts_in_its_pool() {
    let mut rig = Rig::default();
    rig.join_with(1, &[pool("p", &["resize"], 1)]);
    rig.submit_as(1, call("resize", 0));
    rig.started(1, 1, 1);
    rig.pass(Duration::from_secs(21));
    let mut back = hello_with(1, &[pool("p", &["resize"], 1)]);
    back.session = 2;
    back.inventory = vec![rig.lease(1, 1)];
    assert_eq!(rig.greet(11, back), ["welcome a1/1", "record 1 RUNNING, 1 RUNNING"]);
    assert_eq!(held(&rig, 1), [("p".to_owned(), 1)]);
}

#[test]
fn a_call_is_a_call_after_a_restart() {
    let mut rig = Rig::default();
    rig.submit_as(1, call("resize", 0));
    rig.restart();
    assert_eq!(rig.join(1, 1), ["welcome a1/0"], "no command");
    assert_eq!(rig.record(1).header.handler.as_deref(), Some("resize"));
    assert_eq!(last(&rig.join_with(2, &[pool("p", &["resize"], 1)])), "assign 1.1 to a2/0");
}

#[test]
fn slots_that_pools_give_back_after_the_hello_take_commands_and_those_they_take_do_not() {
    let mut rig = Rig::default();
    rig.join_with(1, &[pool("p", &["resize"], 2)]);
    rig.submit(1);
    assert_eq!(why(&rig, 1), "no agent takes commands: all slots are their pools'");
    let scaled = |slots, workers| Credit {
        capacity: slots,
        slots: Some(slots),
        pools: vec![pool("p", &["resize"], workers)],
        ..Credit::default()
    };
    let said = rig.step(Input::Credit { session: SessionId(10), credit: scaled(1, 1) });
    assert_eq!(last(&said), "assign 1.1 to a1/0");
    rig.submit(2);
    assert_eq!(why(&rig, 2), "all slots are taken (1 of 1)");
    assert_eq!(rig.step(Input::Credit { session: SessionId(10), credit: scaled(0, 2) }), [""; 0], "what is held stays");
    assert_eq!(why(&rig, 2), "no agent takes commands: all slots are their pools'");
    // One that says nothing of its slots has as many as it said last.
    let silent = Credit { slots: None, ..scaled(1, 1) };
    assert_eq!(rig.step(Input::Credit { session: SessionId(10), credit: silent }), [""; 0]);
}

#[test]
fn what_a_job_waits_for_is_said_in_a_sentence() {
    let mut rig = Rig::default();
    rig.submit(1);
    assert_eq!(why(&rig, 1), "no agent is connected");
    rig.join_with(1, &[pool("p", &["resize"], 1)]);
    assert_eq!(why(&rig, 1), "no agent takes commands: all slots are their pools'");
    rig.submit_as(2, call("resize", 0));
    assert_eq!(why(&rig, 2), "", "it runs");
    rig.submit_as(3, call("resize", 0));
    assert_eq!(why(&rig, 3), "all workers of resize are taken (1 of 1)");
    rig.join(2, 1);
    rig.submit_as(4, header(-1, RetryPolicy::NONE));
    assert_eq!(why(&rig, 4), "all slots are taken (1 of 1)");
    rig.step(Input::Draining { session: SessionId(20) });
    assert_eq!(why(&rig, 4), "every agent with slots is cordoned or draining");
    rig.step(Input::Credit { session: SessionId(20), credit: takes(0) });
    rig.pause("default");
    assert_eq!(why(&rig, 4), "queue default is paused");
    rig.failed(1, 2, 1);
    assert!(why(&rig, 2).starts_with("a retry in "), "{}", why(&rig, 2));
}
