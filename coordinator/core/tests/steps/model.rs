//! The scheduler against a reference that is slow and obviously right: it looks at every job and every agent for each decision, and
//! knows neither lanes nor shapes nor notes. Whatever happens, both hand out the same jobs to the same agents in the same order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use windlass_core::{Core, Effect, Input, Options, QueueRules, Submission, Ticket};
use windlass_shared::domain::{
    AgentHello, AttemptState, Constraint, Demand, Fairness, JobHeader, Lease, Must, News, Placement, ReportItem,
    RetryPolicy, Traits,
};
use windlass_shared::ids::{JobId, SessionId};
use windlass_shared::time::Now;

use crate::rig::{header, hello, outcome};

/// Worlds that are compared; ten times as many where the tests are built with WINDLASS_LONG.
const CASES: u64 = if option_env!("WINDLASS_LONG").is_some() { 100_000 } else { 10_000 };
const STEPS: usize = 30;
const QUEUES: [&str; 3] = ["a", "b", "c"];
const KEYS: [&str; 3] = ["", "k", "l"];
const ZONES: [&str; 3] = ["", "x", "y"];
const STEP_MS: i64 = 60_000;

#[derive(Debug, Clone)]
struct Job {
    queue: usize,
    key: usize,
    cost: u32,
    priority: i8,
    submitted_ms: i64,
    zone: usize,
    memory: u64,
    agent: Option<usize>,
}

#[derive(Debug, Clone)]
struct Agent {
    slots: u64,
    zone: usize,
    memory: u64,
    open: bool,
}

/// Where a share stands, by the book: ADR 19.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    tag: u128,
    left: u128,
}

impl Share {
    fn serve(&mut self, clock: &mut u128, cost: u32, weight: u32) {
        let charge = (u128::from(cost) * 1_024 / u128::from(weight)).max(1);
        if self.left == 0 && self.tag < *clock {
            self.left = 1_024_000;
        }
        if self.left > charge {
            self.left -= charge;
        } else {
            self.left = 0;
            *clock = self.tag.max(*clock);
            self.tag = *clock + charge;
        }
    }
}

/// All unfinished jobs by number, which is their submit order.
#[derive(Debug, Default)]
struct Reference {
    jobs: BTreeMap<u64, Job>,
    agents: Vec<Agent>,
    weights: [u32; 3],
    clock: u128,
    queues: BTreeMap<usize, (Share, u128)>,
    keys: BTreeMap<(usize, usize), Share>,
}

impl Reference {
    fn held(&self, agent: usize) -> impl Iterator<Item = &Job> {
        self.jobs.values().filter(move |job| job.agent == Some(agent))
    }

    fn load(&self, agent: usize) -> u64 {
        ((self.held(agent).count() as u64) << 16) / self.agents[agent].slots
    }

    fn fits(&self, job: &Job, at: usize) -> bool {
        let agent = &self.agents[at];
        let memory: u64 = self.held(at).map(|job| job.memory).sum();
        let zone = job.zone == 0 || job.zone == agent.zone;
        agent.open && zone && (self.held(at).count() as u64) < agent.slots && memory + job.memory <= agent.memory
    }

    /// A queue or key without an unfinished job is forgotten.
    fn forget(&mut self) {
        let jobs = &self.jobs;
        self.queues.retain(|queue, _| jobs.values().any(|job| job.queue == *queue));
        self.keys.retain(|(queue, key), _| jobs.values().any(|job| (job.queue, job.key) == (*queue, *key)));
    }

    fn next(&mut self) -> Option<(u64, usize)> {
        let able = |job: &Job| (0..self.agents.len()).any(|at| self.fits(job, at));
        let waiting = self.jobs.iter().filter(|(_, job)| job.agent.is_none() && able(job));
        let rank = |(order, job): &(&u64, &Job)| {
            let queue = self.queues.get(&job.queue).map_or(0, |queue| queue.0.tag);
            let key = self.keys.get(&(job.queue, job.key)).map_or(0, |share| share.tag);
            (queue, key, job.submitted_ms - STEP_MS * i64::from(job.priority), **order)
        };
        let (order, job) = waiting.min_by_key(rank)?;
        let (order, job) = (*order, job.clone());
        let at = (0..self.agents.len()).filter(|at| self.fits(&job, *at)).min_by_key(|at| (self.load(*at), *at))?;
        let queue = self.queues.entry(job.queue).or_default();
        self.keys.entry((job.queue, job.key)).or_default().serve(&mut queue.1, job.cost, 1);
        queue.0.serve(&mut self.clock, job.cost, self.weights[job.queue]);
        self.jobs.get_mut(&order)?.agent = Some(at);
        Some((order, at))
    }

    fn decide(&mut self) -> Vec<(u64, usize)> {
        self.forget();
        std::iter::from_fn(|| self.next()).collect()
    }
}

struct Pair {
    core: Core,
    reference: Reference,
    now: Now,
    random: fastrand::Rng,
    submitted: u64,
    leases: BTreeMap<u64, (SessionId, Lease)>,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut core = Core::new(Options { lease_ttl: Duration::from_secs(1 << 30), ..Options::default() });
        let weights = [1, random.u32(1..4), random.u32(1..9)];
        for (queue, weight) in QUEUES.into_iter().zip(weights) {
            core.set_rules(&queue.into(), QueueRules { weight, ..QueueRules::default() });
        }
        let reference = Reference { weights, ..Reference::default() };
        let mut pair = Self { core, reference, now: Now::default(), random, submitted: 0, leases: BTreeMap::new() };
        (0..pair.random.u8(1..5)).for_each(|at| pair.join(at));
        pair
    }

    fn join(&mut self, at: u8) {
        let random = &mut self.random;
        let (slots, zone, memory) = (random.u32(1..4), random.usize(..3), random.u64(..6));
        let mut traits = Traits { resources: [("memory".into(), memory)].into(), ..Traits::default() };
        if zone > 0 {
            traits.labels.insert("zone".into(), ZONES[zone].into());
        }
        self.reference.agents.push(Agent { slots: slots.into(), zone, memory, open: true });
        let hello = AgentHello { traits: Arc::new(traits), ..hello(at + 1, slots) };
        self.give(Input::Hello { session: SessionId(at.into()), hello: Box::new(hello) });
    }

    /// What the core hands out, in order.
    fn give(&mut self, input: Input) -> Vec<(u64, usize)> {
        let mut assigned = Vec::new();
        for effect in self.core.handle(self.now, input) {
            if let Effect::Assign(session, lease, ..) = effect {
                let job = u64::from_be_bytes(*lease.job.as_bytes().last_chunk().expect("16 bytes"));
                self.leases.insert(job, (session, lease));
                assigned.push((job, usize::try_from(session.0).expect("few")));
            }
        }
        assigned
    }

    fn submit(&mut self) -> Input {
        self.submitted += 1;
        let random = &mut self.random;
        let job = Job {
            queue: random.usize(..3),
            key: random.usize(..3),
            cost: [1, 500, 1_000, 7_000][random.usize(..4)],
            priority: random.i8(-2..3),
            submitted_ms: self.now.wall.0 / 1_000_000,
            zone: random.usize(..3),
            memory: random.u64(..4),
            agent: None,
        };
        let mut id = [0; 16];
        id[8..].copy_from_slice(&self.submitted.to_be_bytes());
        let jobs = vec![Submission { job: JobId::from_bytes(id), header: header_of(&job), spec_bytes: 100 }];
        // A job without a key costs what all cost: there is nothing to say it in.
        let cost = if job.key == 0 { 1_000 } else { job.cost };
        self.reference.jobs.insert(self.submitted, Job { cost, ..job });
        Input::Submit { ticket: Ticket(0), jobs }
    }

    fn any(&mut self, which: impl Fn(&Job) -> bool) -> Option<u64> {
        let jobs: Vec<u64> = self.reference.jobs.iter().filter(|(_, job)| which(job)).map(|(n, _)| *n).collect();
        (!jobs.is_empty()).then(|| jobs[self.random.usize(..jobs.len())])
    }

    fn end_one(&mut self) -> Option<Input> {
        let job = self.any(|job| job.agent.is_some())?;
        self.reference.jobs.remove(&job);
        let (session, lease) = self.leases.remove(&job)?;
        let items = vec![ReportItem { lease, news: News::Ended(outcome(AttemptState::Succeeded, None)) }];
        Some(Input::Report { session, sequence: 1, items })
    }

    fn cancel_one(&mut self) -> Option<Input> {
        let job = self.any(|job| job.agent.is_none())?;
        self.reference.jobs.remove(&job);
        let mut id = [0; 16];
        id[8..].copy_from_slice(&job.to_be_bytes());
        Some(Input::Cancel { ticket: Ticket(0), job: JobId::from_bytes(id), detail: None })
    }

    fn cordon_one(&mut self) -> Input {
        let at = self.random.usize(..self.reference.agents.len());
        let agent = crate::rig::agent(u8::try_from(at + 1).expect("few"));
        let open = &mut self.reference.agents[at].open;
        *open = !*open;
        match *open {
            true => Input::Uncordon { ticket: Ticket(0), agent },
            false => Input::Cordon { ticket: Ticket(0), agent, reason: None },
        }
    }

    fn step(&mut self) -> Option<Input> {
        match self.random.u8(..20) {
            0..=8 => Some(self.submit()),
            9..=15 => self.end_one(),
            16 => self.cancel_one(),
            17 => Some(self.cordon_one()),
            _ => {
                let time = Duration::from_millis(self.random.u64(..90_000));
                self.now = Now { mono: self.now.mono.after(time), wall: self.now.wall.after(time) };
                Some(Input::Tick)
            }
        }
    }
}

fn header_of(job: &Job) -> JobHeader {
    let fairness = (job.key > 0).then(|| Fairness { key: KEYS[job.key].into(), cost: job.cost });
    let zone = || Constraint { label: "zone".into(), must: Must::In(vec![ZONES[job.zone].into()]) };
    let placement = Placement {
        resources: (job.memory > 0).then(|| ("memory".into(), job.memory)).into_iter().collect(),
        constraints: (job.zone > 0).then(zone).into_iter().collect(),
        ..Placement::default()
    };
    let demand = Demand { placement, fairness, ..Demand::default() };
    let demand = (demand != Demand::default()).then(|| Arc::new(demand));
    JobHeader { queue: QUEUES[job.queue].into(), demand, ..header(job.priority, RetryPolicy::NONE) }
}

#[test]
fn the_same_jobs_go_to_the_same_agents_in_the_same_order_as_where_everything_is_looked_at() {
    for seed in 0..CASES {
        let mut pair = Pair::new(seed);
        for step in 0..STEPS {
            let Some(input) = pair.step() else { continue };
            let assigned = pair.give(input.clone());
            let expected = pair.reference.decide();
            assert_eq!(assigned, expected, "seed {seed}, step {step}: {input:?}");
        }
        pair.core.check();
    }
}
