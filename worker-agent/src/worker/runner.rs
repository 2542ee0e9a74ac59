//! Feeds a pool and does what it says.

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};
use windlass_shared::clock;
use windlass_shared::domain::{AgentCounter, Lease, PoolOffer};
use windlass_shared::task::Tasks;

use super::asks::{Asked, asks};
use super::handle::Hand;
use super::link::{Link, Word};
use super::mailbox::Mailbox;
use super::memory::LOOK_EVERY;
use super::pool::Pool;
use super::seat::State;
use super::slots::Slots;
use super::step::{Now, Strike};
use super::tally::Tally;
use super::{News, Order, PoolHandle, Reloaded, scratch};
use crate::confine::merged;
use crate::containment::{Limits, Sampler, Watched};
use crate::counters::Counters;
use crate::logs::Logs;
use crate::process::{Control, SpawnSpec, Stdin, Warden};

/// Words of workers that wait for the pool; past it, they wait in their pipes.
const WORDS: usize = 64;

/// A deadline that is noticed so much later was missed by us: this process was stopped, or has no processor.
const STALL: Duration = Duration::from_millis(500);
/// Time to hear then what workers have said meanwhile.
const CATCH_UP: Duration = Duration::from_millis(100);

/// What a pool works with.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) warden: Warden,
    pub(crate) logs: Logs,
    pub(crate) tasks: Tasks,
    pub(crate) sampler: Sampler,
    pub(crate) counters: Counters,
    /// What every worker finds in its environment beside what its pool gives.
    pub(crate) env: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where workers have directories of their own.
    pub(crate) scratch: PathBuf,
}

impl Parts {
    /// Of what the agent has, with the environment of workers and where they have directories of their own.
    pub(crate) fn new(
        warden: &Warden,
        logs: &Logs,
        tasks: &Tasks,
        sampler: &Sampler,
        counters: &Counters,
        env: Vec<(Vec<u8>, Vec<u8>)>,
        scratch: PathBuf,
    ) -> Self {
        let (warden, logs, tasks) = (warden.clone(), logs.clone(), tasks.clone());
        let (sampler, counters) = (sampler.clone(), counters.clone());
        Self { warden, logs, tasks, sampler, counters, env, scratch }
    }
}

/// What a pool has of what all of them share.
#[derive(Debug)]
pub(super) struct Share {
    /// Which pool it is.
    pub(super) number: u64,
    pub(super) slots: Slots,
    /// Where news of calls go.
    pub(super) news: mpsc::Sender<Vec<(Lease, News)>>,
    /// Told when what the pool takes changes.
    pub(super) changed: Arc<Notify>,
    /// Where its workers have directories of their own.
    pub(super) scratch: PathBuf,
}

/// One pool at work.
#[derive(Debug)]
pub(super) struct Runner {
    pool: Pool,
    parts: Parts,
    share: Share,
    /// Slots that it is known to have.
    slots_told: usize,
    orders: Mailbox<Vec<Order>>,
    asks: mpsc::Receiver<Asked>,
    offer: watch::Sender<PoolOffer>,
    lives: watch::Sender<usize>,
    stuck: watch::Sender<u32>,
    words: mpsc::Receiver<(usize, Word)>,
    speaker: mpsc::Sender<(usize, Word)>,
    outgoing: Vec<Mailbox<Vec<u8>>>,
    controls: Vec<Option<Control>>,
    /// What the workers have in memory, where there is a bound on it.
    weights: Vec<Option<Watched>>,
    random: fastrand::Rng,
}

impl Runner {
    /// A pool, and the hand on it.
    pub(super) fn new(reloaded: Reloaded, parts: Parts, share: Share) -> (Self, PoolHandle) {
        let Reloaded { options, confined, policy, calls_max } = reloaded;
        let fenced = options.fence;
        let mut pool = Pool::new(options.clone(), policy, parts.logs.clone(), calls_max, Instant::now());
        pool.confine(confined);
        let (offer, offered) = watch::channel(pool.offer());
        let (lives, living) = watch::channel(0);
        let (stuck, stuck_told) = watch::channel(0);
        let (speaker, words) = mpsc::channel(WORDS);
        let orders = Mailbox::default();
        let (asker, asks) = asks();
        let handle = PoolHandle::new(Hand {
            name: Arc::clone(&pool.name),
            number: share.number,
            fenced,
            orders: orders.clone(),
            asker,
            offer: offered,
            living,
            stuck: stuck_told,
            options: Mutex::new(options),
        });
        let (outgoing, controls, weights) = (Vec::new(), Vec::new(), Vec::new());
        let random = fastrand::Rng::with_seed(clock::now().wall.0.unsigned_abs());
        let slots_told = pool.policy.max;
        let runner = Self {
            pool,
            parts,
            share,
            slots_told,
            orders,
            asks,
            offer,
            lives,
            stuck,
            words,
            speaker,
            outgoing,
            controls,
            weights,
            random,
        };
        (runner, handle)
    }

    /// Runs until the agent stops, or the pool is no more.
    pub(super) async fn run(mut self) {
        self.work().await;
        self.share.slots.free(self.share.number);
        self.share.changed.notify_one();
    }

    async fn work(&mut self) {
        let stop = self.parts.tasks.stop_token().clone();
        let (mut words, mut due) = (Vec::new(), None);
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if due.is_some_and(|due| due + STALL <= Instant::now()) {
                self.catch_up().await;
            }
            let now = self.now();
            self.pool.on_time(now);
            self.pool.settle(now);
            self.carry_out().await;
            if self.pool.is_over() {
                return;
            }
            due = self.pool.deadline(now.at);
            tokio::select! {
                orders = self.orders.take() => {
                    let now = self.now();
                    orders.into_iter().for_each(|order| self.pool.on_order(order, now));
                }
                _ = self.words.recv_many(&mut words, WORDS) => words.drain(..).for_each(|(ix, word)| self.on_word(ix, word)),
                Some((ask, reply)) = self.asks.recv() => {
                    let now = self.now();
                    // Whoever asked may have stopped waiting.
                    let _ = reply.send(self.pool.on_ask(&ask, now));
                }
                () = at(due) => {}
                _ = looks.tick(), if self.pool.weighs() => self.weigh(),
                () = stop.cancelled() => return,
            }
        }
    }

    /// Tells the pool what its workers have in memory.
    fn weigh(&mut self) {
        let now = self.now();
        for (ix, weight) in self.weights.iter().enumerate() {
            if let Some(bytes) = weight.as_ref().map(Watched::bytes).filter(|bytes| *bytes > 0) {
                self.pool.on_memory(ix, bytes, now);
            }
        }
    }

    /// Nobody is late whom we did not listen to.
    async fn catch_up(&mut self) {
        tokio::time::sleep(CATCH_UP).await;
        // As many as can have waited: those of a flood have no end.
        for _ in 0..WORDS + self.controls.len() {
            let Ok((ix, word)) = self.words.try_recv() else { return };
            self.on_word(ix, word);
        }
    }

    fn now(&mut self) -> Now {
        Now { at: Instant::now(), wall: clock::wall(), random: self.random.f64() }
    }

    fn on_word(&mut self, ix: usize, word: Word) {
        match word {
            Word::Runs(control, pid) => {
                let life = &mut self.pool.seats[ix].life;
                (life.pid, life.limited) = (Some(pid), control.limits_memory());
                if self.pool.weighs() {
                    self.weights[ix] = Some(self.parts.sampler.watch(control.tree()));
                }
                // It may have been given up on while it was being started.
                if self.pool.seats[ix].state == State::Dying {
                    self.parts.counters.count(AgentCounter::KillsByKill);
                    control.kill();
                }
                self.controls[ix] = Some(control);
            }
            Word::Heard(heard) => {
                let now = self.now();
                heard.into_iter().for_each(|heard| self.pool.on_heard(ix, heard, now));
            }
        }
    }

    async fn carry_out(&mut self) {
        self.controls.resize_with(self.pool.seats.len(), || None);
        self.outgoing.resize_with(self.pool.seats.len(), Mailbox::default);
        self.weights.resize_with(self.pool.seats.len(), || None);
        let mut tally = Tally::default();
        for ix in 0..self.pool.seats.len() {
            let seat = &mut self.pool.seats[ix];
            if !seat.out.is_empty() {
                let out = std::mem::take(&mut seat.out);
                self.outgoing[ix].put(|waiting| waiting.extend_from_slice(&out));
            }
            for strike in seat.strikes.drain(..) {
                let Some(control) = &self.controls[ix] else { continue };
                match strike {
                    Strike::Signal(signo) => {
                        tally.terms += u64::from(signo != libc::SIGCONT);
                        control.signal(signo);
                    }
                    Strike::Kill => {
                        tally.kills += 1;
                        control.kill();
                    }
                }
            }
            tally += std::mem::take(&mut seat.tally);
        }
        tally.count(&self.parts.counters);
        for ix in std::mem::take(&mut self.pool.starts) {
            self.start(ix);
        }
        // Rarely news, and whoever waits is woken by news alone.
        self.lives.send_if_modified(|lives| renew(lives, self.pool.lives()));
        if self.stuck.send_if_modified(|stuck| renew(stuck, self.pool.stuck())) {
            self.share.changed.notify_one();
        }
        if self.offer.send_if_modified(|offer| self.pool.renew(offer)) {
            self.share.changed.notify_one();
        }
        let slots = self.pool.policy.max;
        if std::mem::replace(&mut self.slots_told, slots) != slots {
            self.share.slots.set(self.share.number, u32::try_from(slots).unwrap_or(u32::MAX));
            self.share.changed.notify_one();
        }
        if !self.pool.news.is_empty() {
            // The executor waits for nobody, so this is a moment.
            let _ = self.share.news.send(std::mem::take(&mut self.pool.news)).await;
        }
    }

    fn start(&mut self, ix: usize) {
        // What was written to the one before is not for this one.
        (self.outgoing[ix], self.controls[ix], self.weights[ix]) = (Mailbox::default(), None, None);
        let link = Link {
            ix,
            scratch: self.scratch(ix),
            confined: self.pool.confined.clone(),
            warden: self.parts.warden.clone(),
            spec: self.spec(ix),
            fenced: self.pool.options.fence,
            outgoing: self.outgoing[ix].clone(),
            words: self.speaker.clone(),
        };
        self.parts.tasks.spawn("worker", link.run());
    }

    fn scratch(&self, ix: usize) -> PathBuf {
        self.share.scratch.join(ix.to_string())
    }

    fn spec(&self, ix: usize) -> SpawnSpec {
        let options = &self.pool.options;
        let given = options.env.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes()));
        let mut env = merged(&self.pool.confined.env, given.collect());
        env.extend(self.parts.env.iter().cloned());
        env.push((b"WINDLASS_POOL".to_vec(), options.name.clone().into_bytes()));
        env.push((b"WINDLASS_WORKER".to_vec(), format!("{}-{ix}", options.name).into_bytes()));
        env.push((scratch::VARIABLE.into(), self.scratch(ix).into_os_string().into_vec()));
        SpawnSpec {
            argv: options.command.iter().map(|arg| arg.clone().into_bytes()).collect(),
            env,
            cwd: options.cwd.clone().unwrap_or_else(|| self.scratch(ix)),
            stdin: Stdin::Pipe,
            confinement: self.pool.confined.confinement.clone(),
            limits: Limits { memory_bytes: self.pool.recycling.memory_limit, ..self.pool.confined.limits },
        }
    }
}

/// Whether it was anything else.
fn renew<T: PartialEq>(value: &mut T, now: T) -> bool {
    let new = *value != now;
    *value = now;
    new
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
