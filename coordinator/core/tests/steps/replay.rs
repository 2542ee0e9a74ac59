//! Same inputs, same effects, byte for byte; and no order of inputs leaves the state in contradiction.

use std::time::Duration;

use windlass_core::Input;
use windlass_shared::domain::{AttemptState, Credit, News, PoolOffer, Reason};
use windlass_shared::ids::SessionId;

use crate::rig::{Rig, call, hello, outcome, pool};

/// A few hundred random inputs from one seed; `Rig::step` checks the state after each.
fn story(seed: u64) -> Vec<String> {
    let (mut rig, mut random) = (Rig::default(), fastrand::Rng::with_seed(seed));
    let mut lines = Vec::new();
    let mut sessions = [10_u64, 20, 30];
    let mut submitted = 0;
    for _ in 0..400 {
        let a = random.usize(0..3);
        let n = u8::try_from(a + 1).expect("small");
        lines.extend(match random.u8(0..18) {
            16 => rig.drain(n, random.bool().then_some(Duration::from_secs(random.u64(0..9)))),
            17 => match random.bool() {
                true => rig.cordon(n),
                false => rig.uncordon(n),
            },
            13 => match random.bool() {
                true => rig.pause("default"),
                false => rig.resume("default"),
            },
            14 => {
                let credit = Credit {
                    capacity: random.u32(0..3),
                    pools: some_pools(&mut random),
                    stuck: random.u32(0..2),
                    traits: None,
                    slots: None,
                };
                rig.step(Input::Credit { session: SessionId(sessions[a]), credit })
            }
            15 if submitted < 250 => {
                submitted += 1;
                rig.submit_as(submitted, call(HANDLERS[random.usize(0..3)], random.i8(-1..2)))
            }
            12 => {
                rig.restart();
                Vec::new()
            }
            0..=2 if submitted < 250 => {
                submitted += 1;
                rig.submit_retrying(submitted, random.u16(1..4))
            }
            3 => {
                sessions[a] += 1;
                let mut hello = hello(n, 2);
                hello.credit.pools = some_pools(&mut random);
                hello.session = sessions[a];
                hello.instance = random.u64(1..3);
                rig.greet(sessions[a], hello)
            }
            4 => rig.step(Input::Closed { session: SessionId(sessions[a]) }),
            5 => rig.pass_hearing(Duration::from_secs(random.u64(1..12)), &sessions[..random.usize(0..3)]),
            6 if submitted > 0 => rig.cancel(random.u8(1..=submitted)),
            7 => rig.step(Input::Goodbye { session: SessionId(sessions[a]) }),
            _ => some_report(&mut rig, &mut random, sessions[a], submitted),
        });
    }
    lines
}

const HANDLERS: [&str; 3] = ["resize", "crop", "scale"];

/// Up to two pools, each handler in one of them at most.
fn some_pools(random: &mut fastrand::Rng) -> Vec<PoolOffer> {
    let split = random.usize(0..=HANDLERS.len());
    let names = ["p", "q", "r"];
    let offers = [&HANDLERS[..split], &HANDLERS[split..]];
    let offer =
        |handlers: &[&str], random: &mut fastrand::Rng| pool(names[random.usize(0..3)], handlers, random.u32(0..3));
    let mut pools: Vec<PoolOffer> = offers.iter().map(|handlers| offer(handlers, random)).collect();
    pools.truncate(random.usize(0..3));
    pools.dedup_by(|a, b| a.pool == b.pool);
    pools
}

fn some_report(rig: &mut Rig, random: &mut fastrand::Rng, session: u64, submitted: u8) -> Vec<String> {
    let (n, attempt) = (random.u8(0..=submitted), random.u32(1..4));
    let Some(lease) = rig.find_lease(n, attempt) else { return Vec::new() };
    let news = match random.u8(0..6) {
        4 => News::Ended(outcome(AttemptState::Failed, Some(Reason::WorkerDied))),
        0 | 1 => News::Started(rig.now.wall),
        2 => News::Ended(outcome(AttemptState::Succeeded, None)),
        3 => News::Ended(outcome(AttemptState::Failed, Some(Reason::ExitCode))),
        _ => News::Returned(Reason::Drain),
    };
    rig.report_on(session, lease, news)
}

#[test]
fn the_same_inputs_give_the_same_effects() {
    for seed in 0..20 {
        assert_eq!(story(seed), story(seed), "seed {seed}");
    }
}

#[test]
fn a_final_job_is_never_recorded_again_and_revisions_never_repeat() {
    for seed in 0..200 {
        let mut over = std::collections::BTreeSet::new();
        for line in story(seed) {
            let Some(rest) = line.strip_prefix("record ") else { continue };
            let mut words = rest.split([' ', ',']);
            let (job, state) = (words.next().expect("a job"), words.next().expect("a state"));
            assert!(!over.contains(job), "seed {seed}: job {job} is {state} after its end");
            if matches!(state, "SUCCEEDED" | "FAILED" | "CANCELLED") {
                over.insert(job.to_owned());
            }
        }
        assert!(!over.is_empty(), "seed {seed}: the story ends no job, so it shows nothing");
    }
}
