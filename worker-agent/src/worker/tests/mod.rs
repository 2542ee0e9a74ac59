//! A pool, step by step: every test lists all that follows from a step, and every wait checks that no deadline is met twice.

mod asks;
mod calm;
mod chaos;
mod counts;
mod turnover;

use std::time::Duration;

use tokio::time::Instant;
use windlass_shared::domain::{CallResult, CallSpec, HandlerError, Lease, LogStream, Reason};
use windlass_shared::ids::JobId;
use windlass_shared::ipc::{Answer, Features};
use windlass_shared::time::Timestamp;

use super::link::Heard;
use super::pool::Pool;
use super::step::{Now, Strike};
use super::tally::Tally;
use super::{Call, How, News, Order, PoolOptions};
use crate::halt::Halt;
use crate::logs::{Logs, Offsets};
use crate::process::{ExitInfo, ExitKind, LeaderEnd, Proof, SpawnError, Stage};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const ALL: Features = Features { prefetch: true, cancel: true, validate: true };
const NONE: Features = Features { prefetch: false, cancel: false, validate: false };

fn lease(number: u64) -> Lease {
    let job = JobId::new(number, &[0; 10]);
    Lease { job, generation: 1, attempt: 1, incarnation: 1, epoch: 1, fencing_token: number }
}

fn call(number: u64) -> Call {
    Call {
        lease: lease(number),
        spec: CallSpec {
            handler: "h".into(),
            input: "1".into(),
            content_type: None,
            headers: Vec::new(),
            validate_only: false,
        },
        trace: None,
        grants: Vec::new(),
        run_timeout: None,
        stop_grace: 5 * S,
        stop_signal: libc::SIGTERM,
        once: false,
        bounces: 0,
    }
}

fn exited(code: i32) -> Heard {
    let (status, none) = (ExitKind::Code(code), Duration::ZERO);
    let exit = ExitInfo { status, user_time: none, system_time: none, max_rss_bytes: 0, wall_time: none };
    Heard::Ended { leader: LeaderEnd::Exited(exit), proof: Proof::Keeper, fenced: false }
}

fn result(id: u64) -> Answer {
    Answer::Result(id, CallResult { value: "1".into(), content_type: None })
}

fn told(news: &News) -> String {
    match news {
        News::Started(_) => "started".into(),
        News::Returned(reason) => format!("returned {reason:?}"),
        News::Ended(end) => {
            let how = match &end.how {
                How::NotBegun => "not begun".into(),
                How::Result(_) => "result".into(),
                How::Error(message, _) => format!("error {message}"),
                How::Died(_) => "died".into(),
                How::Broke(why, _) => format!("broke: {why}"),
            };
            let began = if end.started_at.is_some() { ", begin untold" } else { "" };
            let wrote = if end.offsets == Offsets::default() { "" } else { ", wrote" };
            let stopped = end.stopped.map_or(String::new(), |reason| format!(", stopped by {reason:?}"));
            format!("{how}{stopped}{began}{wrote}")
        }
    }
}

struct Bench {
    pool: Pool,
    now: Instant,
    /// What every draw gives.
    luck: f64,
    done: Vec<String>,
    /// What was counted.
    tally: Tally,
}

impl Bench {
    fn new(rest: &str) -> Self {
        let text = format!("name = \"p\"\ncommand = [\"w\"]\n{rest}\n");
        let options: PoolOptions = toml::from_str(&text).unwrap();
        let (now, policy) = (Instant::now(), options.policy(4));
        let pool = Pool::new(
            options,
            policy,
            Logs::new(&crate::logs::LogOptions::default(), crate::counters::Counters::default()),
            1_000,
            now,
        );
        let mut bench = Self { pool, now, luck: 0.0, done: Vec::new(), tally: Tally::default() };
        bench.settle();
        bench
    }

    /// With its workers ready, and that taken note of.
    fn ready(rest: &str, features: Features) -> Self {
        let mut bench = Self::new(rest);
        for ix in 0..bench.pool.seats.len() {
            bench.hear(ix, [hello(features)]);
        }
        bench.done.clear();
        bench
    }

    fn moment(&self) -> Now {
        Now { at: self.now, wall: Timestamp(1), random: self.luck }
    }

    fn settle(&mut self) {
        let now = self.moment();
        self.pool.on_time(now);
        self.pool.settle(now);
        for (ix, seat) in self.pool.seats.iter_mut().enumerate() {
            let (before, tally) = (self.done.len(), std::mem::take(&mut seat.tally));
            self.tally += tally;
            for line in std::mem::take(&mut seat.out).split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let frame: serde_json::Value = serde_json::from_slice(line).unwrap();
                let id = frame.get("id").map_or(String::new(), |id| format!(" {id}"));
                self.done.push(format!("{ix}: {}{id}", frame["type"].as_str().unwrap()));
            }
            assert_eq!((self.done.len() - before) as u64, tally.frames_out, "frames that go out, and those counted");
            let strikes = seat.strikes.drain(..).filter(|strike| *strike != Strike::Signal(libc::SIGCONT));
            self.done.extend(strikes.map(|strike| format!("{ix}: {strike:?}")));
        }
        self.done.extend(self.pool.starts.drain(..).map(|ix| format!("{ix}: start")));
        self.done
            .extend(self.pool.news.drain(..).map(|(lease, news)| format!("{} {}", lease.fencing_token, told(&news))));
    }

    fn order(&mut self, order: Order) -> Vec<String> {
        let now = self.moment();
        self.pool.on_order(order, now);
        self.settle();
        std::mem::take(&mut self.done)
    }

    fn run(&mut self, call: Call) -> Vec<String> {
        self.order(Order::Run(Box::new(call)))
    }

    /// In one batch, as read in one go.
    fn hear(&mut self, ix: usize, heard: impl IntoIterator<Item = Heard>) -> Vec<String> {
        let now = self.moment();
        heard.into_iter().for_each(|heard| self.pool.on_heard(ix, heard, now));
        self.settle();
        std::mem::take(&mut self.done)
    }

    fn say(&mut self, ix: usize, answers: impl IntoIterator<Item = Answer>) -> Vec<String> {
        self.hear(ix, answers.into_iter().map(Heard::Answer))
    }

    /// Lets time pass, waking up when the pool wants to.
    fn pass(&mut self, time: Duration) -> Vec<String> {
        let until = self.now + time;
        while let Some(at) = self.pool.deadline(self.now).filter(|at| *at <= until) {
            assert!(at > self.now, "a deadline that is met stays: the pool would spin");
            self.now = at;
            self.settle();
        }
        self.now = until;
        self.settle();
        std::mem::take(&mut self.done)
    }

    fn capacity(&self) -> u32 {
        self.pool.offer().capacity
    }
}

fn hello(features: Features) -> Heard {
    Heard::Answer(Answer::Hello { protocol: 1, handlers: vec!["h".into()], features })
}

fn halt(number: u64, reason: Reason, kill: bool) -> Order {
    Order::Halt(lease(number), Halt { reason, kill })
}

#[test]
fn a_worker_that_neither_begins_what_it_was_given_nor_gives_it_back_is_broken_and_its_calls_go_on() {
    let mut pool = Bench::ready("max = 1", ALL);
    assert_eq!(pool.run(call(1)), ["0: job 1"]);
    assert_eq!(pool.run(call(2)), ["0: job 2"]);
    assert_eq!(pool.order(halt(1, Reason::CancelRequested, false)), ["0: recall 1"]);
    assert_eq!(pool.order(Order::Recall(lease(2))), ["0: recall 2"]);
    assert_eq!(pool.pass(9 * S), [""; 0]);
    assert_eq!(pool.pass(S), ["0: Kill"]);
    assert_eq!(pool.pass(S), [""; 0]);
    let end = ["0: start", "2 returned Returned", "1 not begun, stopped by CancelRequested"];
    assert_eq!(pool.hear(0, [exited(9)]), end);
}

#[test]
fn an_input_is_checked_by_a_worker_that_can_and_nothing_is_run_by_one_that_cannot() {
    let check = |number| {
        let call = call(number);
        Call { spec: CallSpec { validate_only: true, ..call.spec }, ..call }
    };
    let mut pool = Bench::ready("max = 1", ALL);
    assert_eq!(pool.run(check(1)), ["0: validate 1"]);
    assert_eq!(pool.say(0, [Answer::Valid(1)]), ["1 result, begin untold"]);
    pool.run(call(2));
    assert_eq!(pool.say(0, [Answer::Valid(2)]), ["0: Kill"]);
    let mut pool = Bench::ready("max = 1", ALL);
    pool.run(check(1));
    assert_eq!(pool.say(0, [result(1)]), ["0: Kill"]);
    let mut pool = Bench::ready("max = 1", NONE);
    let why = "1 error the workers of the pool p do not check inputs of h: they declare no feature `validate`";
    assert_eq!(pool.run(check(1)), [why]);
    assert_eq!(pool.run(call(2)), ["0: job 1"]);
}

#[test]
fn a_worker_hears_that_the_agent_leaves() {
    let mut pool = Bench::ready("max = 2", ALL);
    pool.run(call(1));
    pool.say(0, [Answer::Started(1)]);
    // The idle one is told to end with it.
    let told = pool.order(Order::GiveBack(Reason::Drain, true));
    assert_eq!(told, ["0: drain", "1: drain", "1: bye"]);
    assert_eq!(pool.say(0, [result(1), Answer::Bye]), ["0: bye", "1 result, begin untold"]);
}

#[test]
fn the_time_to_begin_runs_anew_from_each_answer() {
    let mut pool = Bench::ready("max = 1", ALL);
    pool.run(call(1));
    pool.run(call(2));
    pool.pass(8 * S);
    assert_eq!(pool.say(0, [Answer::Started(1), result(1)]), ["1 result, begin untold"]);
    assert_eq!(pool.pass(8 * S), [""; 0]);
    assert_eq!(pool.say(0, [Answer::Started(2)]), [""; 0]);
    assert_eq!(pool.pass(3600 * S), ["2 started"]);
    assert_eq!(pool.say(0, [result(2)]), ["2 result"]);
}

#[test]
fn what_a_broken_worker_began_is_hurt_and_never_run_again() {
    let mut pool = Bench::ready("max = 1", ALL);
    for number in 1..=3 {
        pool.run(call(number));
    }
    let said = [
        Heard::Answer(Answer::Started(1)),
        Heard::Broke("nonsense".into()),
        Heard::Answer(result(1)),
        Heard::Answer(Answer::Started(2)),
    ];
    assert_eq!(pool.hear(0, said), ["0: Kill"]);
    let end = ["0: start", "1 broke: nonsense, begin untold", "2 broke: nonsense, begin untold"];
    assert_eq!(pool.hear(0, [exited(9)]), end);
    assert_eq!(pool.hear(0, [hello(ALL)]), ["0: welcome", "0: job 3"]);
    assert_eq!(pool.say(0, [Answer::Started(3), result(3)]), ["3 result, begin untold"]);
}

#[test]
fn a_call_that_was_answered_out_of_turn_may_have_run_and_is_not_run_again() {
    let mut pool = Bench::ready("max = 1", ALL);
    pool.run(call(1));
    pool.run(call(2));
    assert_eq!(pool.say(0, [Answer::Started(1), result(2)]), ["0: Kill"]);
    let why = "it answers for 2, which is not the job it has to do now";
    let end = ["0: start".to_owned(), format!("1 broke: {why}, begin untold"), format!("2 broke: {why}, begin untold")];
    assert_eq!(pool.hear(0, [exited(9)]), end);
}

#[test]
fn everything_is_killed_on_demand_also_what_has_not_begun() {
    let mut pool = Bench::ready("max = 2", ALL);
    pool.run(call(1));
    pool.run(call(2));
    pool.say(1, [Answer::Started(1)]);
    let all = Order::HaltAll(Halt { reason: Reason::Shutdown, kill: true });
    let done = pool.order(all);
    assert!(["0: Kill", "1: Kill"].iter().all(|kill| done.iter().any(|done| done == kill)), "{done:?}");
    assert_eq!(pool.hear(0, [exited(9)]), ["0: start", "1 returned Shutdown"]);
    assert_eq!(pool.hear(1, [exited(9)]), ["1: start", "2 died, stopped by Shutdown, begin untold"]);
}

#[test]
fn a_call_that_has_not_begun_when_the_agent_is_out_of_touch_goes_back_unharmed() {
    let mut pool = Bench::ready("max = 1", ALL);
    pool.run(call(1));
    assert_eq!(pool.order(Order::GiveBack(Reason::Returned, false)), ["0: recall 1"]);
    assert_eq!(pool.order(Order::HaltAll(Halt { reason: Reason::OutOfTouch, kill: false })), [""; 0]);
    assert_eq!(pool.say(0, [Answer::Recalled(1)]), ["1 returned Returned"]);
}

#[test]
fn a_worker_that_is_signalled_is_asked_for_what_waits_behind() {
    let mut pool = Bench::ready("max = 1", Features { cancel: false, ..ALL });
    pool.run(call(1));
    pool.run(call(2));
    pool.say(0, [Answer::Started(1)]);
    assert_eq!(
        pool.order(halt(1, Reason::CancelRequested, false)),
        ["0: recall 2".to_owned(), format!("0: Signal({})", libc::SIGTERM)]
    );
    assert_eq!(pool.pass(5 * S), ["1 started", "0: Kill"]);
    assert_eq!(pool.hear(0, [exited(9)]), ["0: start", "1 died, stopped by CancelRequested"]);
    assert_eq!(pool.hear(0, [hello(ALL)]), ["0: welcome", "0: job 3"]);
}

#[test]
fn an_agent_out_of_touch_does_not_spin_on_a_fenced_pool() {
    let mut pool = Bench::new("max = 1\nfence = true");
    for _ in 0..3 {
        pool.done.clear();
        let refused = SpawnError::early(Stage::Fence, libc::ETIME);
        assert_eq!(pool.hear(0, [Heard::NotStarted(refused)]), [""; 0]);
        assert_eq!(pool.capacity(), 0);
        assert_eq!(pool.pass(S), ["0: start"]);
    }
}

#[test]
fn a_pool_with_nobody_there_waits_for_its_worker_and_takes_nothing_while_that_does_not_come() {
    let mut pool = Bench::new("max = 1\nmin = 0\nhandlers = [\"h\"]");
    assert_eq!(pool.pass(90 * S), [""; 0]);
    assert!(pool.capacity() > 0);
    assert_eq!(pool.run(call(1)), ["0: start"]);
    assert_eq!(pool.pass(S), ["1 returned Returned"]);
    assert_eq!(pool.capacity(), 0);
    assert_eq!(pool.pass(3 * S), [""; 0]);
    assert_eq!(pool.hear(0, [hello(ALL)]), ["0: welcome"]);
    assert!(pool.capacity() > 0);
    assert_eq!(pool.run(call(2)), ["0: job 1"]);
    assert_eq!(pool.say(0, [Answer::Started(1), result(1)]), ["2 result, begin untold"]);
    let done = pool.pass(75 * S);
    assert_eq!(done.last().unwrap(), "0: Kill", "{done:?}");
}

#[test]
fn a_worker_on_its_way_out_has_no_room() {
    let mut pool = Bench::ready("max = 2", ALL);
    let room = pool.capacity();
    assert_eq!(pool.say(0, [Answer::Bye]), ["0: bye"]);
    assert_eq!(pool.capacity(), room / 2);
    // Saying it again wins no time.
    assert_eq!(pool.pass(3 * S), [""; 0]);
    assert_eq!(pool.say(0, [Answer::Bye]), [""; 0]);
    assert_eq!(pool.pass(2 * S), ["0: Kill"]);
    assert_eq!(pool.hear(0, [exited(0)]), ["0: start"]);
}

#[test]
fn what_is_printed_before_a_begin_is_of_that_call_alone() {
    let mut pool = Bench::ready("max = 1", ALL);
    let error = |text: &'static str| Heard::Output(LogStream::Stderr, text.into());
    pool.run(call(1));
    pool.hear(0, [error("early")]);
    // It answers at once, which its protocol does not promise.
    assert_eq!(pool.say(0, [result(1)]), ["1 result, begin untold, wrote"]);
    pool.run(call(2));
    pool.order(Order::Recall(lease(2)));
    pool.hear(0, [error("of nobody"), Heard::Answer(Answer::Recalled(2))]);
    assert_eq!(pool.pool.seats[0].stray, b"of nobody");
    pool.run(call(3));
    assert_eq!(pool.say(0, [Answer::Started(3), result(3)]), ["3 result, begin untold"]);
}

#[test]
fn a_call_that_was_to_go_back_is_not_blamed_for_the_death_of_its_worker() {
    let mut pool = Bench::ready("max = 1", ALL);
    pool.run(Call { bounces: 2, ..call(1) });
    assert_eq!(pool.order(Order::Recall(lease(1))), ["0: recall 1"]);
    assert_eq!(pool.hear(0, [exited(1)]), ["0: start", "1 returned Returned"]);
    pool.hear(0, [hello(ALL)]);
    pool.run(Call { bounces: 2, ..call(2) });
    let done = pool.hear(0, [exited(1)]);
    assert_eq!(done, ["0: start", "2 died"]);
}

#[test]
fn nothing_of_a_worker_that_is_not_proven_gone_is_given_to_another() {
    let mut pool = Bench::ready("max = 2", ALL);
    pool.run(call(1));
    let Heard::Ended { leader, .. } = exited(9) else { unreachable!() };
    assert_eq!(pool.hear(0, [Heard::Ended { leader, proof: Proof::None, fenced: false }]), ["1 died"]);
    assert_eq!(pool.hear(0, [Heard::Proven]), ["0: start"]);
}

#[test]
fn a_finished_call_is_a_sign_of_life() {
    let mut pool = Bench::ready("max = 1", NONE);
    assert_eq!(pool.pass(10 * S), ["0: ping"]);
    assert_eq!(pool.run(call(1)), ["0: job 1"]);
    assert_eq!(pool.pass(20 * S), ["1 started"]);
    assert_eq!(pool.say(0, [result(1)]), ["1 result"]);
    assert_eq!(pool.pass(9 * S), [""; 0]);
}

#[test]
fn a_worker_that_names_a_handler_twice_is_refused_by_its_own_agent() {
    let mut pool = Bench::new("max = 1");
    pool.done.clear();
    let twice = Answer::Hello { protocol: 1, handlers: vec!["h".into(), "h".into()], features: ALL };
    assert_eq!(pool.say(0, [twice]), ["0: Kill"]);
    assert_eq!(pool.capacity(), 0);
    let mut pool = Bench::new("max = 1");
    pool.done.clear();
    let none = Answer::Hello { protocol: 1, handlers: Vec::new(), features: ALL };
    assert_eq!(pool.say(0, [none]), ["0: Kill"]);
}

#[test]
fn a_run_timeout_counts_from_the_begin_and_ends_in_the_workers_death_after_the_grace() {
    let mut pool = Bench::ready("max = 1", ALL);
    pool.run(Call { run_timeout: Some(S), ..call(1) });
    assert_eq!(pool.pass(5 * S), [""; 0]);
    assert_eq!(pool.say(0, [Answer::Started(1)]), [""; 0]);
    assert_eq!(pool.pass(999 * MS), ["1 started"]);
    assert_eq!(pool.pass(MS), ["0: cancel 1"]);
    assert_eq!(pool.pass(4_999 * MS), [""; 0]);
    assert_eq!(pool.pass(MS), ["0: Kill"]);
    assert_eq!(pool.hear(0, [exited(9)]), ["0: start", "1 died, stopped by RunTimeout"]);
    pool.hear(0, [hello(ALL)]);
    pool.run(Call { run_timeout: Some(S), ..call(2) });
    pool.say(0, [Answer::Started(2)]);
    pool.pass(S);
    let error = Answer::Error(2, "stopped".into(), HandlerError::default(), None);
    assert_eq!(pool.say(0, [error]), ["2 error stopped, stopped by RunTimeout"]);
}
