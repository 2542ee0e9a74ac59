//! A real core, driven by random inputs: whatever it asks to be recorded, memory and disk must tell alike, and a restart must
//! bring back exactly what memory holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use windlass_core::{Change, Core, Effect, Input, Options, Submission, Ticket};
use windlass_shared::clock;
use windlass_shared::domain::{
    AgentHello, AttemptState, Credit, Event, Execution, Exit, ExitStatus, JobHeader, JobState, Lease, News,
    OnAgentLost, Outcome, Preset, Proof, Reason, ReportItem, RetryPolicy,
};
use windlass_shared::ids::{AgentId, JobId, SessionId};
use windlass_shared::time::Now;

use super::bed::{Bed, Kind, batch, options};
use crate::store::{Filter, StoreOptions};

const SEEDS: std::ops::Range<u64> = 0..6;
const COMMITS: usize = 100;
const EVENTS_KEPT: usize = 64;

/// A core with a few agents that do anything an agent may.
struct World {
    random: fastrand::Rng,
    core: Core,
    now: Now,
    jobs: Vec<JobId>,
    sessions: Vec<SessionId>,
    leases: BTreeMap<JobId, (SessionId, Lease)>,
    next: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let options = Options { incarnation: 7, epoch: 1, seed, ..Options::default() };
        Self {
            random: fastrand::Rng::with_seed(seed),
            core: Core::new(options),
            now: Now { wall: clock::wall(), ..Now::default() },
            jobs: Vec::new(),
            sessions: Vec::new(),
            leases: BTreeMap::new(),
            next: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// What some random inputs ask to be recorded.
    fn changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for _ in 0..self.random.usize(1..12) {
            let input = self.input();
            for effect in self.core.handle(self.now, input) {
                match effect {
                    Effect::Record(change) => changes.push(*change),
                    Effect::Assign(session, lease, _) => drop(self.leases.insert(lease.job, (session, lease))),
                    _ => {}
                }
            }
        }
        changes
    }

    fn input(&mut self) -> Input {
        match self.random.u8(0..12) {
            0..3 => self.submit(),
            3 => self.hello(),
            4 => self.cancel(),
            5 => self.pass(),
            _ => self.report(),
        }
    }

    fn submit(&mut self) -> Input {
        let count = self.random.usize(1..8);
        let jobs = (0..count).map(|_| Submission { job: self.job(), header: self.header(), spec_bytes: 9 }).collect();
        Input::Submit { ticket: Ticket(self.number()), jobs }
    }

    fn job(&mut self) -> JobId {
        let job = JobId::new(self.now.wall.unix_ms() + self.number(), &[self.random.u8(..); 10]);
        self.jobs.push(job);
        job
    }

    fn header(&mut self) -> JobHeader {
        let presets = [Preset::None, Preset::Default, Preset::Aggressive, Preset::Conservative];
        let preset = presets[self.random.usize(..presets.len())];
        JobHeader {
            queue: ["default", "a", "b"][self.random.usize(..3)].into(),
            priority: self.random.i8(-100..=100),
            retry: RetryPolicy { preset, attempts_max: self.random.u16(1..=4) },
            execution: [Execution::AtLeastOnce, Execution::AtMostOnce][self.random.usize(..2)],
            on_agent_lost: [OnAgentLost::Retry, OnAgentLost::Fail, OnAgentLost::Wait][self.random.usize(..3)],
            ..JobHeader::default()
        }
    }

    fn hello(&mut self) -> Input {
        let agent = self.random.u8(1..4);
        let session = SessionId(self.number());
        self.sessions.push(session);
        let held: Vec<Lease> = self.leases.values().map(|(_, lease)| *lease).collect();
        let inventory = held.into_iter().filter(|_| self.random.bool()).collect();
        let hello = AgentHello {
            id: AgentId::from_bytes([agent; 16]),
            name: format!("a{agent}").into(),
            instance: self.random.u64(1..3),
            boot_id: "boot".into(),
            session: session.0,
            slots: 4,
            credit: Credit { capacity: self.random.u32(1..10), ..Credit::default() },
            inventory,
            host: "host".into(),
            version: "0".into(),
            seen: None,
            answers_asks: true,
            traits: Arc::default(),
        };
        Input::Hello { session, hello: Box::new(hello) }
    }

    fn cancel(&mut self) -> Input {
        let job = self.any_job();
        let detail = self.random.bool().then(|| "enough".into());
        Input::Cancel { ticket: Ticket(self.number()), job, detail }
    }

    fn any_job(&mut self) -> JobId {
        if self.jobs.is_empty() { JobId::from_bytes([0; 16]) } else { self.jobs[self.random.usize(..self.jobs.len())] }
    }

    fn pass(&mut self) -> Input {
        let time = Duration::from_millis(self.random.u64(1..8_000));
        self.now = Now { mono: self.now.mono.after(time), wall: self.now.wall.after(time) };
        if let Some(session) = self.sessions.last().filter(|_| self.random.u8(..4) == 0) {
            return Input::Closed { session: *session };
        }
        Input::Tick
    }

    fn report(&mut self) -> Input {
        let Some((session, lease)) = self.any_lease() else { return Input::Tick };
        let news = match self.random.u8(0..6) {
            0..2 => News::Started(self.now.wall),
            2 => News::Returned(Reason::Drain),
            _ => News::Ended(Box::new(self.outcome())),
        };
        let items = vec![ReportItem { lease, news }];
        Input::Report { session, sequence: self.number(), items }
    }

    fn any_lease(&mut self) -> Option<(SessionId, Lease)> {
        let at = self.random.usize(..self.leases.len().max(1));
        self.leases.values().nth(at).copied()
    }

    fn outcome(&mut self) -> Outcome {
        use AttemptState::{Cancelled, Failed, Interrupted, Rejected, Succeeded, TimedOut};
        let states = [Succeeded, Succeeded, Failed, Failed, TimedOut, Cancelled, Interrupted, Rejected];
        let reasons = [None, Some(Reason::ExitCode), Some(Reason::SupervisorLost), Some(Reason::Shutdown)];
        let exit = Exit {
            status: ExitStatus::Code(self.random.u8(..)),
            user_time: Duration::from_nanos(self.random.u64(..)),
            system_time: Duration::ZERO,
            max_rss_bytes: self.random.u64(..),
            wall_time: Duration::from_secs(self.random.u64(..)),
            proof: [Proof::Cgroup, Proof::Keeper, Proof::None][self.random.usize(..3)],
        };
        Outcome {
            state: states[self.random.usize(..states.len())],
            reason: reasons[self.random.usize(..reasons.len())],
            detail: self.random.bool().then(|| "so it went".into()),
            exit: self.random.bool().then_some(exit),
            spawn_failure: None,
            stdout_bytes: self.random.u64(..),
            stderr_bytes: 0,
            started_at: self.random.bool().then_some(self.now.wall),
            result: None,
            error: None,
        }
    }
}

/// Both stores, told the same.
struct Pair {
    memory: Bed,
    disk: Bed,
    told: Vec<Event>,
    epoch: u64,
}

impl Pair {
    fn new() -> Self {
        let options = StoreOptions { events_kept_max: EVENTS_KEPT, ..options() };
        Self { memory: Bed::new(Kind::Memory), disk: Bed::with(Kind::Sqlite, options), told: Vec::new(), epoch: 1 }
    }

    fn record(&mut self, changes: Vec<Change>) {
        self.told.extend(changes.iter().map(Change::event));
        self.memory.commit(batch(changes.clone()));
        self.disk.commit(batch(changes));
    }

    fn restart(&mut self, seed: u64, revision: u64) {
        let live = self.memory.live_by_views();
        let opened = self.disk.reopen();
        self.epoch += 1;
        assert_eq!((opened.incarnation, opened.epoch, opened.revision), (7, self.epoch, revision), "seed {seed}");
        assert_eq!(opened.live.len(), live.len(), "seed {seed}");
        for (restored, held) in opened.live.iter().zip(&live) {
            assert_eq!(restored, held, "seed {seed}");
        }
        let kept = &self.told[self.told.len().saturating_sub(EVENTS_KEPT)..];
        assert_eq!(opened.events, kept, "seed {seed}");
    }

    fn compare(&self, seed: u64, jobs: &[JobId]) {
        for job in jobs {
            assert_eq!(self.disk.view(*job), self.memory.view(*job), "seed {seed}, job {job}");
            let specs = [&self.disk, &self.memory].map(|bed| bed.store().spec(*job).expect("it reads"));
            assert_eq!(specs[0], specs[1], "seed {seed}, job {job}");
        }
        let filters = [
            Filter::default(),
            Filter { queue: Some("a".into()), ..Filter::default() },
            Filter { states: vec![JobState::Queued, JobState::Failed], ..Filter::default() },
            Filter { states: vec![JobState::Delayed], ..Filter::default() },
            Filter { states: vec![JobState::Succeeded], queue: Some("b".into()), ..Filter::default() },
        ];
        for filter in filters {
            let lists = [&self.disk, &self.memory].map(|bed| bed.list(&filter, 7));
            assert_eq!(lists[0], lists[1], "seed {seed}, {filter:?}");
        }
    }
}

#[test]
fn a_restart_brings_back_what_memory_held() {
    for seed in SEEDS {
        let (mut world, mut pair) = (World::new(seed), Pair::new());
        for _ in 0..COMMITS {
            let changes = world.changes();
            pair.record(changes);
            if world.random.u8(..8) == 0 {
                pair.restart(seed, world.core.revision());
            }
        }
        pair.compare(seed, &world.jobs);
        pair.restart(seed, world.core.revision());
        pair.compare(seed, &world.jobs);
        let live = pair.memory.live_by_views();
        assert!(live.iter().any(|(_, attempt)| attempt.is_some()), "seed {seed}: nothing to restore");
        assert!(world.jobs.len() > live.len(), "seed {seed}: nothing ended");
    }
}
