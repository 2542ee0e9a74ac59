//! Workers that follow one another: replaced before they go, kept where their successors do not run.

use windlass_shared::domain::{BreakerState, PoolAnswer, PoolAsk, PoolState, WorkerExit};

use super::*;
use crate::confine::Confined;
use crate::worker::Reloaded;

impl Bench {
    pub(super) fn state(&mut self) -> PoolState {
        let now = self.moment();
        let Ok(PoolAnswer::State(state)) = self.pool.on_ask(&PoolAsk::State, now) else { panic!("no state") };
        *state
    }

    fn ask(&mut self, ask: &PoolAsk) -> Vec<String> {
        let now = self.moment();
        self.pool.on_ask(ask, now).unwrap();
        self.settle();
        std::mem::take(&mut self.done)
    }

    fn exits(&mut self) -> Vec<(WorkerExit, u64)> {
        self.state().exits.iter().collect()
    }

    fn reload(&mut self, rest: &str) -> Vec<String> {
        let options: PoolOptions = toml::from_str(&format!("name = \"p\"\n{rest}\n")).unwrap();
        let (policy, now) = (options.policy(4), self.moment());
        let reloaded = Reloaded { options, confined: Confined::default(), policy, calls_max: 1_000 };
        self.pool.on_order(Order::Reload(Box::new(reloaded)), now);
        self.settle();
        std::mem::take(&mut self.done)
    }

    fn one_call(&mut self, ix: usize, number: u64, id: u64) -> Vec<String> {
        self.run(call(number));
        self.say(ix, [Answer::Started(id), result(id)])
    }
}

fn says(text: &'static str) -> Heard {
    Heard::Output(LogStream::Stderr, text.into())
}

#[test]
fn a_worker_that_did_its_share_goes_when_another_is_ready_in_its_place() {
    let mut pool = Bench::ready("max = 1\nmax_jobs = 2", ALL);
    assert_eq!(pool.one_call(0, 1, 1), ["1 result, begin untold"]);
    assert_eq!(pool.one_call(0, 2, 2), ["1: start", "2 result, begin untold"]);
    // Until then it goes on.
    assert_eq!(pool.run(call(3)), ["0: job 3"]);
    assert_eq!(pool.hear(1, [hello(ALL)]), ["0: recall 3", "1: welcome"]);
    assert_eq!(pool.say(0, [Answer::Started(3)]), [""; 0]);
    assert_eq!(pool.run(call(4)), ["1: job 1"]);
    assert_eq!(pool.say(0, [result(3)]), ["0: bye", "3 result, begin untold"]);
    assert_eq!(pool.hear(0, [exited(0)]), [""; 0]);
    assert_eq!(pool.exits(), [(WorkerExit::RecycledJobs, 1)]);
}

#[test]
fn one_at_a_time_is_replaced_and_whoever_dies_meanwhile_is_another_matter() {
    let mut pool = Bench::ready("max = 3", ALL);
    assert_eq!(pool.ask(&PoolAsk::Recycle { force: false }), ["3: start"]);
    assert_eq!(pool.hear(3, [hello(ALL)]), ["0: bye", "3: welcome"]);
    assert_eq!(pool.hear(1, [exited(1)]), ["1: start"]);
    assert_eq!(pool.hear(0, [exited(0)]), ["0: start"]);
    assert_eq!(pool.hear(0, [hello(ALL)]), ["0: welcome"]);
    assert_eq!(pool.hear(1, [hello(ALL)]), ["1: welcome", "2: bye"]);
    assert_eq!(pool.hear(2, [exited(0)]), [""; 0]);
    assert_eq!(pool.exits(), [(WorkerExit::RecycledAsked, 2), (WorkerExit::Exited, 1)]);
    assert_eq!((pool.state().generation, pool.state().starts), (2, 6));
}

#[test]
fn a_worker_that_is_too_old_or_too_large_is_replaced_too() {
    let mut pool = Bench::ready("max = 1\nmax_age_s = 5\nmax_rss = \"100MiB\"", ALL);
    let now = pool.moment();
    pool.pool.on_memory(0, 100 << 20, now);
    pool.settle();
    assert_eq!(pool.done, [""; 0]);
    pool.pool.on_memory(0, (100 << 20) + 1, now);
    pool.settle();
    assert_eq!(std::mem::take(&mut pool.done), ["1: start"]);
    assert_eq!(pool.hear(1, [hello(ALL)]), ["0: bye", "1: welcome"]);
    pool.hear(0, [exited(0)]);
    assert_eq!(pool.pass(6 * S), ["0: start"]);
    assert_eq!(pool.hear(0, [hello(ALL)]), ["0: welcome", "1: bye"]);
    pool.hear(1, [exited(0)]);
    assert_eq!(pool.exits(), [(WorkerExit::RecycledRss, 1), (WorkerExit::RecycledAge, 1)]);
}

#[test]
fn a_worker_at_its_memory_limit_is_told_and_at_the_next_look_killed_with_its_call() {
    let mut pool = Bench::ready("max = 2\nmemory_limit = \"100MiB\"", ALL);
    pool.run(call(1));
    pool.say(0, [Answer::Started(1)]);
    let now = pool.moment();
    pool.pool.on_memory(0, 101 << 20, now);
    pool.settle();
    assert_eq!(std::mem::take(&mut pool.done), [format!("0: Signal({})", libc::SIGTERM)]);
    assert_eq!(pool.run(call(2)), ["1: job 1"]);
    pool.pool.on_memory(0, 1 << 20, now);
    pool.settle();
    assert_eq!(std::mem::take(&mut pool.done), ["0: Kill"]);
    assert_eq!(pool.hear(0, [exited(9)]), ["0: start", "1 died, begin untold"]);
    assert_eq!(pool.exits(), [(WorkerExit::MemoryLimit, 1)]);
    assert_eq!(pool.say(1, [Answer::Started(1), result(1)]), ["2 result, begin untold"]);
}

#[test]
fn what_the_kernel_limits_is_not_judged_by_looks_and_its_kill_is_named_for_the_call() {
    let mut pool = Bench::ready("max = 1\nmemory_limit = \"100MiB\"", ALL);
    pool.pool.recycling.rss_max = None;
    pool.pool.seats[0].life.limited = true;
    pool.run(call(1));
    pool.say(0, [Answer::Started(1)]);
    let now = pool.moment();
    pool.pool.on_memory(0, 101 << 20, now);
    pool.settle();
    assert_eq!(std::mem::take(&mut pool.done), [""; 0], "what its processes share counts once for each in a look");
    assert_eq!(pool.hear(0, [Heard::OomKilled, exited(1)]), ["0: start", "1 died, begin untold"]);
    assert_eq!(pool.exits(), [(WorkerExit::Exited, 1)], "it left by itself, though the kernel had killed in its tree");
    assert_eq!(pool.hear(0, [hello(ALL)]), ["0: welcome"]);
    assert_eq!(pool.run(call(2)), ["0: job 2"]);
    pool.say(0, [Answer::Started(2)]);
    let (status, none) = (ExitKind::Signal { signo: 9, core_dumped: false }, Duration::ZERO);
    let killed = ExitInfo { status, user_time: none, system_time: none, max_rss_bytes: 0, wall_time: none };
    let ended = Heard::Ended { leader: LeaderEnd::Exited(killed), proof: Proof::Cgroup, fenced: false };
    assert_eq!(pool.hear(0, [Heard::OomKilled, ended]).last().unwrap(), "2 died, begin untold");
    assert_eq!(pool.exits(), [(WorkerExit::Exited, 1), (WorkerExit::OomKilled, 1)]);
}

#[test]
fn five_boots_that_fail_open_the_breaker_with_the_last_words_and_a_probe_closes_it() {
    let mut pool = Bench::new("max = 2");
    for ix in [0, 1, 0, 1] {
        assert_eq!(pool.hear(ix, [exited(1)]).last().unwrap(), &format!("{ix}: start"));
    }
    assert_eq!(pool.hear(0, [says("no module named x\n"), exited(1)]), [""; 0]);
    let breaker = pool.state().breaker;
    assert_eq!((breaker.state, pool.capacity()), (BreakerState::Open, 0));
    assert_eq!(breaker.stderr_lines, ["no module named x".into()]);
    assert_eq!(pool.run(call(1)), ["1 returned Returned"]);
    // The other was on its way.
    assert_eq!(pool.hear(1, [exited(1)]), [""; 0]);
    assert_eq!(pool.pass(29 * S), [""; 0]);
    assert_eq!(pool.pass(S), ["0: start"]);
    assert_eq!(pool.state().breaker.state, BreakerState::HalfOpen);
    assert_eq!(pool.hear(0, [exited(1)]), [""; 0]);
    assert_eq!(pool.pass(59 * S), [""; 0]);
    assert_eq!(pool.pass(S), ["0: start"]);
    assert_eq!(pool.hear(0, [hello(ALL)]), ["0: welcome", "1: start"]);
    assert_eq!(pool.state().breaker.state, BreakerState::Closed);
    assert_eq!(pool.exits(), [(WorkerExit::BootFailed, 7)]);
}

#[test]
fn workers_that_finish_nothing_open_the_breaker_and_one_finished_call_closes_it() {
    let mut pool = Bench::ready("max = 1", ALL);
    for number in 1..10 {
        pool.run(call(number));
        assert_eq!(pool.say(0, [Answer::Started(number)]), [""; 0]);
        let done = pool.hear(0, [exited(1)]);
        assert_eq!(done[0], "0: start");
        pool.hear(0, [hello(ALL)]);
    }
    pool.run(call(10));
    assert_eq!(pool.hear(0, [Heard::Answer(Answer::Started(10)), exited(1)]), ["10 died, begin untold"]);
    assert_eq!(pool.capacity(), 0);
    assert_eq!(pool.pass(30 * S), ["0: start"]);
    pool.hear(0, [hello(ALL)]);
    assert_eq!((pool.state().breaker.state, pool.capacity()), (BreakerState::HalfOpen, 2));
    assert_eq!(pool.one_call(0, 11, 11), ["11 result, begin untold"]);
    assert_eq!(pool.state().breaker.state, BreakerState::Closed);
    assert_eq!(pool.exits(), [(WorkerExit::Exited, 10)]);
}

#[test]
fn exit_78_bars_a_pool_until_it_is_reset_or_changed() {
    let mut pool = Bench::new("max = 1");
    pool.done.clear();
    assert_eq!(pool.hear(0, [exited(78)]), [""; 0]);
    assert_eq!(pool.pass(3_600 * S), [""; 0]);
    assert_eq!(pool.ask(&PoolAsk::Reset), ["0: start"]);
    assert_eq!(pool.hear(0, [exited(78)]), [""; 0]);
    assert_eq!(pool.reload("command = [\"x\"]"), ["0: start"]);
    assert_eq!(pool.exits(), [(WorkerExit::BadConfig, 2)]);
}

#[test]
fn a_new_configuration_takes_over_worker_by_worker() {
    let mut pool = Bench::ready("max = 2", ALL);
    assert_eq!(pool.reload("command = [\"x\"]\nmax = 2"), ["2: start"]);
    assert_eq!(pool.run(call(1)), ["0: job 1"]);
    let new = Answer::Hello { protocol: 1, handlers: vec!["new".into()], features: ALL };
    assert_eq!(pool.say(2, [new]), ["1: bye", "2: welcome"]);
    // The old one still has what only it knows.
    assert_eq!(pool.run(call(2)), ["0: job 2"]);
    assert_eq!(pool.hear(1, [exited(0)]), ["1: start"]);
    let new = Answer::Hello { protocol: 1, handlers: vec!["new".into()], features: ALL };
    assert_eq!(pool.say(1, [new]), ["0: recall 1", "0: recall 2", "1: welcome"]);
    assert_eq!(
        pool.say(0, [Answer::Started(1), Answer::Recalled(2), result(1)]),
        ["0: bye", "1 result, begin untold", "2 returned Returned"]
    );
    assert_eq!(pool.exits(), [(WorkerExit::RecycledAsked, 1)]);
}

#[test]
fn a_new_configuration_that_does_not_boot_leaves_the_old_workers_where_they_are() {
    let mut pool = Bench::ready("max = 2", ALL);
    assert_eq!(pool.reload("command = [\"broken\"]\nmax = 2"), ["2: start"]);
    assert_eq!(pool.hear(2, [exited(1)]), ["2: start"]);
    assert_eq!(pool.hear(2, [exited(1)]), ["2: start"]);
    assert_eq!(pool.hear(2, [exited(1)]), [""; 0]);
    assert_eq!(pool.pool.options.command, ["w"]);
    let state = pool.state();
    assert_eq!((state.breaker.state, state.generation), (BreakerState::Closed, 3));
    assert_eq!(pool.pass(3 * S), [""; 0]);
    assert_eq!(pool.run(call(1)), ["0: job 1"]);
    // And exit 78 is enough at once.
    assert_eq!(pool.reload("command = [\"broken\"]\nmax = 2"), ["2: start"]);
    assert_eq!(pool.hear(2, [exited(78)]), [""; 0]);
    assert_eq!(pool.state().breaker.state, BreakerState::Closed);
    assert_eq!(pool.pool.options.command, ["w"]);
}

#[test]
fn a_new_size_replaces_nobody() {
    let mut pool = Bench::ready("max = 2", ALL);
    assert_eq!(pool.reload("command = [\"w\"]\nmax = 3"), ["2: start"]);
    pool.hear(2, [hello(ALL)]);
    pool.run(call(1));
    pool.say(0, [Answer::Started(1)]);
    // Whoever has nothing goes first.
    assert_eq!(pool.ask(&PoolAsk::ScaleTo { min: 1, max: 1 }), ["1: bye", "2: bye"]);
    pool.hear(1, [exited(0)]);
    pool.hear(2, [exited(0)]);
    assert_eq!(pool.exits(), [(WorkerExit::Idle, 2)]);
    assert_eq!(pool.ask(&PoolAsk::ScaleTo { min: 2, max: 2 }), ["1: start"]);
    let now = pool.moment();
    assert!(pool.pool.on_ask(&PoolAsk::ScaleTo { min: 1, max: 2 }, now).is_err(), "it is static");
}

#[test]
fn an_operators_kill_is_a_signal_and_a_grace_and_no_failure() {
    use windlass_shared::domain::WorkerKill;
    let mut pool = Bench::ready("max = 1", ALL);
    pool.run(call(1));
    pool.say(0, [Answer::Started(1)]);
    let kill = WorkerKill { worker: "p-0".into(), signal: 15, grace: 2 * S };
    assert_eq!(pool.ask(&PoolAsk::KillWorker(kill)), ["0: Signal(15)"]);
    assert_eq!(pool.pass(2 * S - MS), ["1 started"]);
    assert_eq!(pool.pass(MS), ["0: Kill"]);
    assert_eq!(pool.hear(0, [exited(9)]), ["0: start", "1 died"]);
    assert_eq!(pool.exits(), [(WorkerExit::Killed, 1)]);
    let now = pool.moment();
    let kill = WorkerKill { worker: "p-0".into(), signal: 0, grace: S };
    assert!(pool.pool.on_ask(&PoolAsk::KillWorker(kill), now).is_err());
}

fn once(id: &str, ask: PoolAsk) -> PoolAsk {
    PoolAsk::Once { request: id.into(), ask: Box::new(ask) }
}

#[test]
fn what_is_asked_again_under_its_id_is_answered_as_before_and_done_once() {
    use windlass_shared::domain::{PoolRefusal, WorkerKill};
    let mut pool = Bench::ready("max = 1", ALL);
    let kill = |worker: &str| PoolAsk::KillWorker(WorkerKill { worker: worker.into(), signal: 9, grace: S });
    let now = pool.moment();
    let refused = pool.pool.on_ask(&once("k", kill("p-9")), now);
    assert_eq!(refused, Err(PoolRefusal::NoWorker("p-9".into())), "nothing was done, so nothing is remembered");
    assert_eq!(pool.ask(&once("k", kill("p-0"))), ["0: Kill"]);
    assert_eq!(pool.hear(0, [exited(9)]), ["0: start"]);
    assert_eq!(pool.hear(0, [hello(ALL)]), ["0: welcome"]);
    assert_eq!(pool.ask(&once("k", kill("p-0"))), [""; 0], "its successor is spared");
    assert_eq!(pool.ask(&once("r", PoolAsk::Recycle { force: false })), ["1: start"]);
    assert_eq!(pool.ask(&once("r", PoolAsk::Recycle { force: false })), [""; 0]);
    assert_eq!(pool.state().generation, 2, "recycled once");
    assert_eq!(pool.exits(), [(WorkerExit::Killed, 1)]);
    let now = pool.moment();
    let other = pool.pool.on_ask(&once("r", PoolAsk::Recycle { force: true }), now);
    assert_eq!(other, Err(PoolRefusal::RequestIdTaken("r".into())));
    let (first, second) = (pool.pool.on_ask(&once("r", PoolAsk::Recycle { force: false }), now), pool.state());
    let Ok(PoolAnswer::State(first)) = first else { panic!("no state") };
    assert_eq!((first.generation, first.starts + 1), (2, second.starts), "the answer is the one that was given then");
    assert_eq!(pool.ask(&kill("p-0")), ["0: Kill"], "without an id every ask is a new one");
}

#[test]
fn what_a_worker_wrote_is_there_for_who_asks() {
    let mut pool = Bench::ready("max = 1", ALL);
    pool.hear(0, [says("one\n"), says("two\n")]);
    let now = pool.moment();
    let ask = PoolAsk::WorkerLogs { worker: "p-0".into(), tail_bytes: 4 };
    let Ok(PoolAnswer::Logs(logs)) = pool.pool.on_ask(&ask, now) else { panic!("no logs") };
    assert_eq!((&logs.data[..], logs.bytes_before), (&b"two\n"[..], 4));
}

#[test]
fn an_idle_worker_is_asked_twice_before_it_is_taken_for_hung() {
    let mut pool = Bench::ready("max = 1", ALL);
    assert_eq!(pool.pass(10 * S), ["0: ping"]);
    assert_eq!(pool.pass(5 * S), ["0: ping"]);
    assert_eq!(pool.say(0, [Answer::Pong]), [""; 0]);
    assert_eq!(pool.pass(15 * S), ["0: ping", "0: ping"]);
    assert_eq!(pool.pass(5 * S), ["0: Kill"]);
    pool.hear(0, [exited(9)]);
    assert_eq!(pool.exits(), [(WorkerExit::Unresponsive, 1)]);
}

#[test]
fn a_dynamic_pool_grows_with_its_calls_and_lets_its_workers_go_one_by_one() {
    let mut pool = Bench::new("mode = \"dynamic\"\nmax = 4\nidle_timeout_s = 20");
    assert_eq!(std::mem::take(&mut pool.done), ["0: start"]);
    assert_eq!(pool.hear(0, [hello(ALL)]), ["0: welcome"]);
    // One is kept ready for the next.
    assert_eq!(pool.run(Call { once: true, ..call(1) }), ["0: job 1", "1: start"]);
    pool.say(0, [Answer::Started(1)]);
    assert_eq!(pool.run(Call { once: true, ..call(2) }), ["2: start"]);
    assert_eq!(pool.hear(1, [hello(ALL)]), ["1: welcome", "1: job 1"]);
    pool.hear(2, [hello(ALL)]);
    pool.say(1, [Answer::Started(1), result(1)]);
    pool.say(0, [result(1)]);
    let mut alive = vec![3];
    for _ in 0..10 {
        for done in pool.pass(5 * S) {
            match done.split_once(": ").unwrap() {
                (ix, "ping") => drop(pool.say(ix.parse().unwrap(), [Answer::Pong])),
                (ix, "bye") => {
                    pool.hear(ix.parse().unwrap(), [exited(0)]);
                    alive.push(pool.pool.lives());
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((alive, pool.exits()), (vec![3, 2, 1], vec![(WorkerExit::Idle, 2)]));
}

#[test]
fn a_place_whose_workers_fail_waits_longer_each_time_and_begins_anew_after_a_finished_call() {
    let mut pool = Bench::ready("max = 1", ALL);
    pool.luck = 1.0;
    for (failures, wait) in (1..).zip([200, 400, 800]) {
        pool.run(call(failures));
        assert_eq!(pool.say(0, [Answer::Started(failures)]), [""; 0]);
        assert_eq!(pool.hear(0, [exited(1)]), [format!("{failures} died, begin untold")]);
        assert_eq!(pool.pass((wait - 1) * MS), [""; 0], "the wait is {wait} ms");
        assert_eq!(pool.pass(MS), ["0: start"]);
        pool.hear(0, [hello(ALL)]);
    }
    assert_eq!(pool.one_call(0, 4, 4), ["4 result, begin untold"]);
    pool.hear(0, [exited(1)]);
    assert_eq!(pool.pass(200 * MS), ["0: start"]);
    // And after a minute of life.
    pool.hear(0, [hello(ALL)]);
    for _ in 0..7 {
        pool.pass(9 * S);
        pool.say(0, [Answer::Pong]);
    }
    pool.hear(0, [exited(1)]);
    assert_eq!(pool.pass(200 * MS), ["0: start"]);
    assert_eq!(pool.exits(), [(WorkerExit::Exited, 5)]);
}

#[test]
fn workers_that_run_go_on_while_others_do_not_boot() {
    let mut pool = Bench::ready("max = 2", ALL);
    pool.hear(1, [exited(1)]);
    for _ in 0..5 {
        pool.hear(1, [exited(1)]);
    }
    assert_eq!((pool.state().breaker.state, pool.capacity()), (BreakerState::Open, 2));
    assert_eq!(pool.one_call(0, 1, 1), ["1 result, begin untold"]);
    assert_eq!(pool.state().breaker.state, BreakerState::Open, "it shows nothing of those that boot");
}

#[test]
fn an_elastic_pool_that_takes_nothing_sends_its_probe_all_the_same() {
    let mut pool = Bench::new("mode = \"ondemand\"\nhandlers = [\"h\"]");
    pool.run(call(1));
    for _ in 0..5 {
        pool.hear(0, [exited(1)]);
    }
    assert_eq!((pool.state().breaker.state, pool.capacity()), (BreakerState::Open, 0));
    assert_eq!(pool.pass(30 * S).last().map(String::as_str), Some("0: start"));
    pool.hear(0, [hello(ALL)]);
    assert_eq!(pool.state().breaker.state, BreakerState::Closed);
    assert!(pool.capacity() > 0);
}
