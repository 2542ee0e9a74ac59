//! Workers that do anything, in any order, against one pool: every call ends once, and begins at most once.

use std::collections::{BTreeMap, VecDeque};

use windlass_shared::domain::{PoolAsk, WorkerKill};

use super::*;
use crate::worker::breaker::Stand;
use crate::worker::seat::State;

/// One worker's process, and its pipes.
#[derive(Default)]
struct Life {
    runs: bool,
    hung: bool,
    greeted: bool,
    features: Features,
    /// Frames, in its pipe or read.
    given: VecDeque<serde_json::Value>,
    running: Option<u64>,
    said: VecDeque<Heard>,
}

/// What is known of a call from outside the pool.
#[derive(Debug, Default)]
struct Fate {
    entered: u32,
    ended: Vec<String>,
}

struct World {
    random: fastrand::Rng,
    pool: Pool,
    now: Instant,
    lives: Vec<Life>,
    fates: BTreeMap<u64, Fate>,
    log: Vec<String>,
    /// The largest bound that it had.
    max_ever: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let max = random.u32(1..=3);
        let min = random.u32(0..=max);
        let (jobs, at_once) = (random.u32(0..20), random.u32(1..=3));
        let text = format!(
            "name = \"p\"\ncommand = [\"w\"]\nhandlers = [\"h\"]\nmin = {min}\nmax = {max}\nmax_jobs = {jobs}\n\
             start_concurrency = {at_once}\nmemory_limit = \"9MiB\"\n"
        );
        let now = Instant::now();
        let options: PoolOptions = toml::from_str(&text).unwrap();
        let policy = options.policy(4);
        let pool = Pool::new(
            options,
            policy,
            Logs::new(&crate::logs::LogOptions::default(), crate::counters::Counters::default()),
            1_000,
            now,
        );
        let lives = (0..max).map(|_| Life::default()).collect();
        Self { random, pool, now, lives, fates: BTreeMap::new(), log: Vec::new(), max_ever: max as usize }
    }

    fn moment(&mut self) -> Now {
        Now { at: self.now, wall: Timestamp(1), random: self.random.f64() }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.u32(0..100) < percent
    }

    fn order(&mut self, order: Order) {
        self.log.push(format!("{order:?}"));
        let now = self.moment();
        self.pool.on_order(order, now);
        self.settle();
    }

    fn settle(&mut self) {
        let now = self.moment();
        self.pool.on_time(now);
        let open = matches!(self.pool.breaker.stand(), Stand::Open(..));
        self.pool.settle(now);
        self.lives.resize_with(self.pool.seats.len(), Life::default);
        self.check(open);
        for ix in 0..self.lives.len() {
            let out = std::mem::take(&mut self.pool.seats[ix].out);
            let strikes = std::mem::take(&mut self.pool.seats[ix].strikes);
            let frames = out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            for frame in frames {
                self.log.push(format!("{ix} < {}", String::from_utf8_lossy(frame)));
                self.lives[ix].given.push_back(serde_json::from_slice(frame).unwrap());
            }
            for strike in strikes {
                self.log.push(format!("{ix} {strike:?}"));
                match strike {
                    Strike::Kill => self.die(ix, 9),
                    Strike::Signal(_) if self.random.bool() => self.die(ix, 15),
                    Strike::Signal(_) => {}
                }
            }
        }
        for ix in std::mem::take(&mut self.pool.starts) {
            self.log.push(format!("{ix} starts"));
            assert!(!self.lives[ix].runs && self.lives[ix].said.is_empty(), "two lives in one place");
            let features = Features { prefetch: !self.chance(20), cancel: !self.chance(30), validate: false };
            self.lives[ix] = Life { runs: true, features, ..Life::default() };
            if self.chance(5) {
                let stage = if self.random.bool() { Stage::Fence } else { Stage::Exec };
                self.end(ix, [Heard::NotStarted(SpawnError::early(stage, libc::ENOENT))]);
            }
        }
        for (lease, news) in std::mem::take(&mut self.pool.news) {
            self.log.push(format!("{} {}", lease.fencing_token, told(&news)));
            let fate = self.fates.get_mut(&lease.fencing_token).unwrap();
            if matches!(news, News::Started(_)) {
                assert!(fate.ended.is_empty(), "{} starts after its end", lease.fencing_token);
                continue;
            }
            let unbegun = match &news {
                News::Ended(end) => matches!(end.how, How::NotBegun),
                _ => true,
            };
            assert!(!unbegun || fate.entered == 0, "{} is said not to have begun: {fate:?}", lease.fencing_token);
            fate.ended.push(told(&news));
            assert!(fate.ended.len() == 1, "{} ended twice: {fate:?}", lease.fencing_token);
        }
    }

    /// What holds at any moment, whatever has happened.
    fn check(&self, was_open: bool) {
        let policy = self.pool.policy;
        let starting = self.pool.seats.iter().filter(|seat| matches!(seat.state, State::Starting(_))).count();
        assert!(starting <= policy.start_concurrency, "{starting} start at a time");
        assert!(self.pool.lives() <= self.max_ever + policy.surge(), "{} live", self.pool.lives());
        let probes = if was_open { 1 } else { usize::MAX };
        assert!(self.pool.starts.len() <= probes, "the breaker is open, and {} start", self.pool.starts.len());
    }

    fn die(&mut self, ix: usize, code: i32) {
        self.end(ix, [exited(code)]);
    }

    fn end(&mut self, ix: usize, last: impl IntoIterator<Item = Heard>) {
        let life = &mut self.lives[ix];
        if std::mem::take(&mut life.runs) {
            life.said.extend(last);
        }
    }

    fn say(&mut self, ix: usize, answer: Answer) {
        self.log.push(format!("{ix} > {answer:?}"));
        self.lives[ix].said.push_back(Heard::Answer(answer));
    }

    /// The worker does something.
    fn act(&mut self, ix: usize) {
        if !self.lives[ix].runs || self.lives[ix].hung {
            return;
        }
        match self.random.u32(0..300) {
            0 => self.lives[ix].hung = true,
            1..=3 => self.die(ix, 1),
            4 => self.say(ix, Answer::Bye),
            5 => self.lives[ix].said.push_back(Heard::Broke("nonsense".into())),
            6 => self.say(ix, result(999)),
            8 => {
                let fence = Heard::Ended { leader: LeaderEnd::Lost, proof: Proof::Swept, fenced: true };
                self.end(ix, [fence]);
            }
            9 => {
                let lost = Heard::Ended { leader: LeaderEnd::Lost, proof: Proof::None, fenced: false };
                self.end(ix, [lost, Heard::Proven]);
            }
            7 => self.lives[ix].said.push_back(Heard::Output(LogStream::Stderr, "x".into())),
            _ if !std::mem::replace(&mut self.lives[ix].greeted, true) => {
                let features = self.lives[ix].features;
                self.lives[ix].said.push_back(hello(features));
            }
            _ => self.work(ix),
        }
    }

    fn work(&mut self, ix: usize) {
        let life = &mut self.lives[ix];
        let urgent = |frame: &serde_json::Value| matches!(frame["type"].as_str(), Some("recall" | "cancel"));
        let at = life.given.iter().position(urgent).filter(|_| life.features.cancel);
        if let Some(frame) = at.and_then(|at| life.given.remove(at)) {
            let id = frame["id"].as_u64().unwrap();
            let of = |other: &serde_json::Value| other["type"] == "job" && other["id"] == id;
            if frame["type"] == "cancel" && life.running == Some(id) {
                life.running = None;
                self.say(ix, Answer::Error(id, "stopped".into(), HandlerError::default(), None));
            } else if frame["type"] == "recall"
                && let Some(at) = life.given.iter().position(of)
            {
                life.given.remove(at);
                self.say(ix, Answer::Recalled(id));
            }
        } else if let Some(id) = life.running {
            if self.random.u32(0..4) == 0 {
                self.lives[ix].running = None;
                self.say(ix, result(id));
            }
        } else if let Some(frame) = life.given.pop_front() {
            match frame["type"].as_str().unwrap() {
                "job" => self.enter(ix, &frame),
                "ping" => self.say(ix, Answer::Pong),
                "bye" => self.die(ix, 0),
                "recall" => {
                    let id = frame["id"].as_u64().unwrap();
                    let life = &mut self.lives[ix];
                    let of = |other: &serde_json::Value| other["type"] == "job" && other["id"] == id;
                    if let Some(at) = life.given.iter().position(of) {
                        life.given.remove(at);
                        self.say(ix, Answer::Recalled(id));
                    }
                }
                _ => {}
            }
        }
    }

    fn enter(&mut self, ix: usize, frame: &serde_json::Value) {
        let id = frame["id"].as_u64().unwrap();
        let number: u64 = frame["fencing_token"].as_str().unwrap().parse().unwrap();
        if self.lives[ix].features.prefetch {
            self.say(ix, Answer::Started(id));
        }
        self.lives[ix].running = Some(id);
        let fate = self.fates.get_mut(&number).unwrap();
        fate.entered += 1;
        assert!(fate.entered == 1 && fate.ended.is_empty(), "{number} is entered once more: {fate:?}");
    }

    /// The pool hears some of what a worker said.
    fn hear(&mut self, ix: usize) {
        let many = self.random.usize(1..=4);
        let now = self.moment();
        for _ in 0..many {
            let Some(heard) = self.lives[ix].said.pop_front() else { break };
            self.log.push(format!("{ix} heard {heard:?}"));
            self.pool.on_heard(ix, heard, now);
        }
        self.settle();
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.pool.deadline(self.now).filter(|at| *at <= until) {
            assert!(at > self.now, "a deadline that is met stays: the pool would spin");
            self.now = at;
            self.settle();
        }
        self.now = until;
        self.settle();
    }

    fn step(&mut self, number: &mut u64) {
        let ix = self.random.usize(0..self.lives.len());
        match self.random.u32(0..100) {
            0..10 => {
                *number += 1;
                self.fates.insert(*number, Fate::default());
                let timeout = self.chance(20).then_some(S);
                let mut call = Call { run_timeout: timeout, ..call(*number) };
                call.once = self.chance(20);
                let held = self.fates.values().filter(|fate| fate.ended.is_empty()).count();
                let asked = held <= self.pool.offer().capacity as usize;
                self.order(Order::Run(Box::new(call)));
                // A coordinator would give it again at once, and again.
                let back = !self.fates[number].ended.is_empty();
                assert!(!(asked && back), "{number} was asked for and is given back: {:?}", self.pool.offer());
            }
            10..14 if *number > 0 => {
                let of = self.random.u64(number.saturating_sub(6)..=*number);
                let order = match self.random.u32(0..4) {
                    0 => Order::Recall(lease(of)),
                    1 => halt(of, Reason::AgentLost, true),
                    _ => halt(of, Reason::CancelRequested, false),
                };
                self.order(order);
            }
            14 if self.chance(10) => {
                self.order(Order::GiveBack(Reason::Returned, false));
                self.order(Order::HaltAll(Halt { reason: Reason::OutOfTouch, kill: false }));
            }
            14 if self.chance(30) => {
                let max = self.random.u32(1..=4);
                let (min, limit) = (self.random.u32(0..=max), self.random.bool());
                let kill = WorkerKill { worker: format!("p-{ix}").into(), signal: 15, grace: S };
                let ask = match self.random.u32(0..4) {
                    0 => PoolAsk::ScaleTo { min, max },
                    1 => PoolAsk::Recycle { force: limit },
                    2 => PoolAsk::Reset,
                    _ => PoolAsk::KillWorker(kill),
                };
                self.log.push(format!("{ask:?}"));
                let now = self.moment();
                // What does not fit is refused.
                let _ = self.pool.on_ask(&ask, now);
                self.max_ever = self.max_ever.max(self.pool.policy.max);
                self.settle();
            }
            14 if self.chance(10) => {
                let now = self.moment();
                self.pool.on_memory(ix, 10 << 20, now);
                self.settle();
            }
            15..30 => {
                let time = MS * self.random.u32(0..150);
                self.pass(time);
            }
            30..65 => self.act(ix),
            _ => self.hear(ix),
        }
    }

    /// Leaves as an agent does; whoever hangs is killed in the end.
    fn leave(&mut self) {
        self.order(Order::GiveBack(Reason::Drain, true));
        for round in 0..400 {
            if round == 200 {
                self.order(Order::HaltAll(Halt { reason: Reason::Drain, kill: true }));
            }
            for ix in 0..self.lives.len() {
                if round < 200 {
                    self.act(ix);
                }
                self.hear(ix);
            }
            self.pass(100 * MS);
        }
        for (number, fate) in &self.fates {
            assert_eq!(fate.ended.len(), 1, "{number} has no end: {fate:?}");
        }
        assert!(self.pool.waiting.is_empty() && self.lives.iter().all(|life| !life.runs || life.hung || !life.greeted));
    }
}

#[test]
fn whatever_workers_do_every_call_ends_once_and_begins_at_most_once() {
    for seed in 0..300 {
        let mut world = World::new(seed);
        let run = std::panic::AssertUnwindSafe(|| {
            let mut number = 0;
            world.settle();
            (0..1_000).for_each(|_| world.step(&mut number));
            world.leave();
        });
        if let Err(panic) = std::panic::catch_unwind(run) {
            let from = world.log.len().saturating_sub(60);
            eprintln!("seed {seed}, the last of it:\n{}", world.log[from..].join("\n"));
            std::panic::resume_unwind(panic);
        }
    }
}
