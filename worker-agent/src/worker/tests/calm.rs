//! Workers that do what they should, replaced for every reason there is, at random: as many as there should be are ready at any
//! moment, and every call is done by one of them.

use windlass_shared::domain::PoolAsk;

use super::*;
use crate::worker::seat::State;

struct Calm {
    bench: Bench,
    random: fastrand::Rng,
    number: u64,
    min: usize,
    max: usize,
    booted: bool,
    done: u64,
    starts: u64,
}

impl Calm {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let max = random.u32(1..=25);
        let min = random.u32(1..=max);
        let jobs = random.u32(1..10);
        let bench = Bench::new(&format!(
            "handlers = [\"h\"]\nmin = {min}\nmax = {max}\nmax_jobs = {jobs}\nmax_age_s = 60\nmax_rss = \"9MiB\"\n\
             idle_timeout_s = 5\nshrink_interval_s = 1\nstart_concurrency = 2"
        ));
        let (min, max) = (min as usize, max as usize);
        Self { bench, random, number: 0, min, max, booted: false, done: 0, starts: 0 }
    }

    /// Somebody does something.
    fn step(&mut self) {
        let ix = self.random.usize(0..self.bench.pool.seats.len());
        let done = match self.random.u32(0..20) {
            0 => {
                self.number += 1;
                let call = Call { once: self.random.bool(), ..call(self.number) };
                self.bench.run(call)
            }
            1 if self.random.u32(0..40) == 0 => {
                let now = self.bench.moment();
                self.bench.pool.on_ask(&PoolAsk::Recycle { force: false }, now).unwrap();
                self.bench.settle();
                std::mem::take(&mut self.bench.done)
            }
            2 => {
                let (now, bytes) = (self.bench.moment(), self.random.u64(1..10 << 20));
                self.bench.pool.on_memory(ix, bytes, now);
                self.bench.settle();
                std::mem::take(&mut self.bench.done)
            }
            3..6 => {
                let time = MS * self.random.u32(0..90);
                self.bench.pass(time)
            }
            _ => self.act(ix),
        };
        self.take(done);
        self.check();
    }

    /// A worker says what it has to say.
    fn act(&mut self, ix: usize) -> Vec<String> {
        let seat = &self.bench.pool.seats[ix];
        let first = seat.window.front().map(|flight| (flight.id, flight.began.is_some(), flight.recalled));
        match (seat.state, first) {
            (State::Starting(_), _) => self.bench.hear(ix, [hello(ALL)]),
            (State::Ready, Some((id, false, true))) => self.bench.say(ix, [Answer::Recalled(id)]),
            (State::Ready, Some((id, false, false))) => self.bench.say(ix, [Answer::Started(id)]),
            (State::Ready, Some((id, true, _))) => self.bench.say(ix, [result(id)]),
            (State::Ready, None) => self.bench.say(ix, [Answer::Pong]),
            (State::Retiring(_) | State::Dying, _) => self.bench.hear(ix, [exited(0)]),
            _ => Vec::new(),
        }
    }

    fn take(&mut self, done: Vec<String>) {
        for done in done {
            assert!(!done.contains("died") && !done.contains("broke"), "{done}");
            self.done += u64::from(done.contains("result"));
            self.starts += u64::from(done.ends_with("start"));
        }
    }

    fn check(&mut self) {
        let pool = &self.bench.pool;
        let ready = pool.seats.iter().filter(|seat| seat.state == State::Ready && !seat.parting).count();
        self.booted |= ready >= self.min;
        assert!(!self.booted || ready >= self.min, "{ready} of {} are ready", self.min);
        assert!(pool.lives() <= self.max + pool.policy.surge(), "{} live", pool.lives());
        let starting = pool.seats.iter().filter(|seat| matches!(seat.state, State::Starting(_))).count();
        assert!(starting <= 2, "{starting} start");
    }
}

#[test]
fn while_nobody_dies_as_many_as_there_should_be_are_ready_however_they_are_replaced() {
    let (mut replaced, mut done) = (0, 0);
    for seed in 0..60 {
        let mut calm = Calm::new(seed);
        for step in 0..2_000 {
            let run = std::panic::AssertUnwindSafe(|| calm.step());
            if let Err(panic) = std::panic::catch_unwind(run) {
                eprintln!("seed {seed}, step {step}");
                std::panic::resume_unwind(panic);
            }
        }
        replaced += calm.starts.saturating_sub(calm.max as u64);
        done += calm.done;
    }
    assert!(replaced > 500 && done > 3_000, "it shows something: {replaced} replaced, {done} done");
}
