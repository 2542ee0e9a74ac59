//! Random lives of a small cluster: agents that crash, lose their streams and change their pools, operators that pause and drain, a
//! coordinator that restarts. Whatever comes, no attempt is on record as over while it runs, nothing that may begin once begins twice,
//! and once the faults end every job does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use windlass_core::{Core, Effect, Input, Live, Mark, Options, Submission, Ticket};
use windlass_shared::domain::{
    Affinity, AgentHello, AttemptState, Constraint, Credit, Demand, Execution, Fairness, JobHeader, Lease, Must, News,
    OnAgentLost, Pause, Placement, Preset, Reason, ReportItem, RetryPolicy, StopOrder, Traits,
};
use windlass_shared::ids::{AgentId, JobId, SessionId};
use windlass_shared::time::{Moment, Now, Timestamp};

use crate::rig::{agent, header, hello, outcome, pool};

mod bounds;

use bounds::{all_traits, some_traits};

const HOSTS: u8 = 3;
const HANDLERS: [&str; 3] = ["h0", "h1", "h2"];
const QUEUES: [&str; 3] = ["default", "bulk", "slow"];

/// What waits on a stream to be read by the agent.
enum Down {
    Assign(Lease),
    Stop(StopOrder),
    Recall(Vec<Lease>),
    Ack(u64),
}

/// A host with its agent, as it truly is.
struct Host {
    n: u8,
    instance: u64,
    session: Option<SessionId>,
    sessions: u64,
    inbox: VecDeque<Down>,
    /// What it holds, and whether that runs.
    held: BTreeMap<Lease, bool>,
    /// News that is not acknowledged, with the report that has it.
    outbox: Vec<(u64, ReportItem)>,
    reports: u64,
    offers: Credit,
    /// What it says of itself in its next hello.
    traits: Arc<Traits>,
}

struct World {
    seed: u64,
    random: fastrand::Rng,
    core: Core,
    options: Options,
    now: Now,
    hosts: Vec<Host>,
    rows: BTreeMap<JobId, Live>,
    attempts: BTreeMap<(JobId, u32), AttemptState>,
    marks: BTreeMap<String, Mark>,
    /// By job and generation.
    starts: BTreeMap<(JobId, u32), u32>,
    jobs: u32,
    tickets: u64,
    next_session: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let options = Options { incarnation: 7, seed, agents_max: 3, ..Options::default() };
        let host = |n| Host {
            n,
            instance: 1,
            session: None,
            sessions: 0,
            inbox: VecDeque::new(),
            held: BTreeMap::new(),
            outbox: Vec::new(),
            reports: 0,
            offers: Credit { capacity: 2, ..Credit::default() },
            traits: all_traits(),
        };
        Self {
            seed,
            random: fastrand::Rng::with_seed(seed),
            core: Core::new(options.clone()),
            options,
            now: Now::default(),
            hosts: (1..=HOSTS).map(host).collect(),
            rows: BTreeMap::new(),
            attempts: BTreeMap::new(),
            marks: BTreeMap::new(),
            starts: BTreeMap::new(),
            jobs: 0,
            tickets: 0,
            next_session: 1,
        }
    }

    fn give(&mut self, input: Input) {
        for effect in self.core.handle(self.now, input) {
            match effect {
                Effect::Record(change) => {
                    if let Some(attempt) = &change.attempt {
                        self.attempts.insert((change.job.id, attempt.number), attempt.state);
                    }
                    let row = self.rows.entry(change.job.id).or_insert_with(|| (change.job.clone(), None));
                    let again = change.job.generation == row.0.generation + 1;
                    let ended = row.0.state.is_final();
                    assert!(!ended || again, "seed {}: {} is final and changes", self.seed, change.job.id);
                    row.0 = change.job;
                    row.1 = change.attempt.or_else(|| row.1.take());
                }
                Effect::Mark(mark) => {
                    let of = match &mark {
                        Mark::Queue { name, .. } => name.to_string(),
                        Mark::Agent { id, .. } => id.to_string(),
                        Mark::Limit { key, .. } => format!("limit/{key}"),
                        Mark::Cooldown { key, .. } => format!("cooldown/{key}"),
                    };
                    self.marks.insert(of, mark);
                }
                Effect::Assign(session, lease, _) => self.deliver(session, Down::Assign(lease)),
                Effect::Stop(session, order) => self.deliver(session, Down::Stop(order)),
                Effect::Recall(session, leases) => self.deliver(session, Down::Recall(leases)),
                Effect::Ack(session, sequence, _) => self.deliver(session, Down::Ack(sequence)),
                Effect::Close(session, _) => self.cut(session),
                Effect::Reply(..) | Effect::Welcome(..) => {}
            }
        }
        self.core.check();
        self.look();
    }

    fn deliver(&mut self, session: SessionId, message: Down) {
        if let Some(host) = self.hosts.iter_mut().find(|host| host.session == Some(session)) {
            host.inbox.push_back(message);
        }
    }

    fn cut(&mut self, session: SessionId) {
        if let Some(host) = self.hosts.iter_mut().find(|host| host.session == Some(session)) {
            host.session = None;
            host.inbox.clear();
        }
    }

    /// What runs is on record as running, or as lost.
    fn look(&self) {
        use AttemptState::{Leased, Lost, Running, Starting, Stopping};
        for lease in self.hosts.iter().flat_map(|host| &host.held).filter(|(_, runs)| **runs).map(|(lease, _)| lease) {
            let state = self.attempts[&(lease.job, lease.attempt)];
            let right = matches!(state, Leased | Starting | Running | Stopping | Lost);
            assert!(right, "seed {}: {} attempt {} runs and is {}", self.seed, lease.job, lease.attempt, state.name());
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn submit(&mut self) {
        self.jobs += 1;
        let mut id = [0; 16];
        id[..4].copy_from_slice(&self.jobs.to_be_bytes());
        id[12..].copy_from_slice(&self.jobs.to_be_bytes());
        let random = &mut self.random;
        let retry = RetryPolicy { preset: Preset::Default, attempts_max: random.u16(1..4) };
        let header = JobHeader {
            demand: some_demand(random),
            queue: QUEUES[random.usize(..3)].into(),
            execution: if random.bool() { Execution::AtLeastOnce } else { Execution::AtMostOnce },
            on_agent_lost: [OnAgentLost::Retry, OnAgentLost::Fail, OnAgentLost::Wait][random.usize(..3)],
            program: random.bool().then(|| ["sh", "true"][random.usize(..2)].into()),
            handler: random.bool().then(|| HANDLERS[random.usize(..3)].into()),
            ..header(random.i8(-1..2), retry)
        };
        let (ticket, jobs) =
            (self.ticket(), vec![Submission { job: JobId::from_bytes(id), header, spec_bytes: self.jobs }]);
        self.give(Input::Submit { ticket, jobs });
    }

    fn any_job(&mut self) -> Option<JobId> {
        let at = self.random.usize(..self.rows.len().max(1));
        self.rows.keys().nth(at).copied()
    }

    fn operate(&mut self) {
        let (ticket, queue) = (self.ticket(), QUEUES[self.random.usize(..3)].into());
        let agent = agent(self.random.u8(1..=HOSTS));
        let deadline = [None, Some(Duration::ZERO), Some(Duration::from_secs(9))][self.random.usize(..3)];
        let input = match self.random.u8(..13) {
            12 => match self.any_job() {
                Some(job) => Input::Requeue { ticket, jobs: vec![self.rows[&job].0.clone()] },
                None => return,
            },
            0 => Input::Pause { ticket, queue, pause: Pause::default() },
            1 | 2 => Input::Resume { ticket, queue },
            3 => Input::Cordon { ticket, agent, reason: Some("disk".into()) },
            4 => Input::Drain { ticket, agent, deadline, reason: Some("disk".into()) },
            5 | 6 => Input::Uncordon { ticket, agent },
            7 => Input::ForceLost { ticket, agent, detail: None },
            10 => match self.any_job() {
                Some(job) => {
                    let (priority, queue) = (Some(self.random.i8(-1..2)), self.random.bool().then_some(queue));
                    Input::Update { ticket, job, priority, queue }
                }
                None => return,
            },
            11 if self.random.u8(..4) == 0 => Input::Purge { ticket, queue, detail: None },
            8 => match self.any_job() {
                Some(job) => Input::Abandon { ticket, job, detail: None },
                None => return,
            },
            _ => match self.any_job() {
                Some(job) => Input::Cancel { ticket, job, detail: None },
                None => return,
            },
        };
        self.give(input);
    }

    fn offers(&mut self) -> Credit {
        let mut pools = Vec::new();
        for handler in HANDLERS {
            let name = ["p", "q", "r"][self.random.usize(..3)];
            if self.random.u8(..4) > 0
                && pools.iter().all(|offer: &windlass_shared::domain::PoolOffer| &*offer.pool != name)
            {
                pools.push(pool(name, &[handler], self.random.u32(..3)));
            }
        }
        Credit { capacity: self.random.u32(..4), pools, stuck: self.random.u32(..6) / 5, traits: None, slots: None }
    }

    fn greet(&mut self, at: usize) {
        let session = SessionId(self.next_session);
        self.next_session += 1;
        let host = &mut self.hosts[at];
        host.sessions += 1;
        host.session = Some(session);
        host.inbox.clear();
        let mut inventory: Vec<Lease> = host.held.keys().copied().collect();
        let ended = |item: &ReportItem| matches!(item.news, News::Ended(_));
        inventory.extend(host.outbox.iter().filter(|(_, item)| ended(item)).map(|(_, item)| item.lease));
        inventory.dedup();
        let hello = AgentHello {
            instance: host.instance,
            session: host.sessions,
            credit: host.offers.clone(),
            traits: host.traits.clone(),
            inventory,
            ..hello(host.n, 2)
        };
        self.give(Input::Hello { session, hello: Box::new(hello) });
        self.resend(at);
    }

    fn resend(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        let Some(session) = host.session else { return };
        let items: Vec<ReportItem> = host.outbox.iter().map(|(_, item)| item.clone()).collect();
        if items.is_empty() {
            return;
        }
        host.reports += 1;
        let sequence = host.reports;
        host.outbox.iter_mut().for_each(|(report, _)| *report = sequence);
        self.give(Input::Report { session, sequence, items });
    }

    fn tell(&mut self, at: usize, lease: Lease, news: News) {
        let host = &mut self.hosts[at];
        host.reports += 1;
        let (sequence, item) = (host.reports, ReportItem { lease, news });
        host.outbox.push((sequence, item.clone()));
        if let Some(session) = host.session {
            self.give(Input::Report { session, sequence, items: vec![item] });
        }
    }

    fn read(&mut self, at: usize) {
        let Some(message) = self.hosts[at].inbox.pop_front() else { return };
        let host = &mut self.hosts[at];
        match message {
            Down::Assign(lease) => drop(host.held.insert(lease, false)),
            Down::Ack(sequence) => host.outbox.retain(|(report, _)| *report > sequence),
            Down::Stop(StopOrder { lease, reason: Reason::AgentLost }) => {
                host.held.remove(&lease);
                host.outbox.retain(|(_, item)| item.lease != lease);
            }
            Down::Stop(StopOrder { lease, reason }) => {
                let state = if reason == Reason::Drain { AttemptState::Interrupted } else { AttemptState::Cancelled };
                match host.held.remove(&lease) {
                    Some(false) if reason == Reason::Drain => self.tell(at, lease, News::Returned(reason)),
                    Some(_) => self.tell(at, lease, News::Ended(outcome(state, Some(reason)))),
                    None => {}
                }
            }
            Down::Recall(leases) => {
                for lease in leases {
                    if self.hosts[at].held.get(&lease) == Some(&false) {
                        self.hosts[at].held.remove(&lease);
                        self.tell(at, lease, News::Returned(Reason::Returned));
                    }
                }
            }
        }
    }

    fn work(&mut self, at: usize, well: bool) {
        let nth = self.random.usize(..self.hosts[at].held.len().max(1));
        let Some((lease, runs)) = self.hosts[at].held.iter().nth(nth).map(|(lease, runs)| (*lease, *runs)) else {
            return;
        };
        if !runs {
            self.hosts[at].held.insert(lease, true);
            let starts = self.starts.entry((lease.job, lease.generation)).or_default();
            *starts += 1;
            let once = self.rows[&lease.job].0.header.execution == Execution::AtMostOnce;
            assert!(!once || *starts == 1, "seed {}: {} began twice", self.seed, lease.job);
            self.tell(at, lease, News::Started(Timestamp(1)));
            return;
        }
        self.hosts[at].held.remove(&lease);
        let (state, reason) = match self.random.u8(..6) {
            0 => (AttemptState::Failed, Some(Reason::ExitCode)),
            1 if !well => (AttemptState::Interrupted, Some(Reason::SupervisorLost)),
            2 if !well => (AttemptState::Interrupted, Some(Reason::Drain)),
            _ => (AttemptState::Succeeded, None),
        };
        self.tell(at, lease, News::Ended(outcome(state, reason)));
    }

    /// The agent's process dies and another takes its place; what it ran dies before that, and only ends that are on disk are left.
    fn crash(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        host.instance += 1;
        host.sessions = 0;
        host.held.clear();
        host.outbox.retain(|(_, item)| matches!(item.news, News::Ended(_)));
        self.close(at);
    }

    fn close(&mut self, at: usize) {
        if let Some(session) = self.hosts[at].session {
            self.cut(session);
            self.give(Input::Closed { session });
        }
    }

    fn goodbye(&mut self, at: usize) {
        let Some(session) = self.hosts[at].session else { return };
        if self.hosts[at].held.is_empty() && self.hosts[at].outbox.is_empty() {
            self.give(Input::Draining { session });
            self.give(Input::Goodbye { session });
            self.crash(at);
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = Now { mono: self.now.mono.after(time), wall: self.now.wall.after(time) };
        let sessions: Vec<SessionId> = self.hosts.iter().filter_map(|host| host.session).collect();
        for session in sessions {
            if self.random.u8(..8) > 0 {
                self.give(Input::Alive { session, at: self.now.mono });
            }
        }
        self.give(Input::Tick);
    }

    fn restart(&mut self) {
        let (queues, orders) = (self.core.queues(None, 9), self.orders());
        self.options.epoch += 1;
        self.now.mono = Moment(0);
        self.hosts.iter_mut().for_each(|host| {
            host.session = None;
            host.inbox.clear();
        });
        let live = self.rows.values().filter(|(job, _)| !job.state.is_final()).cloned().collect();
        let marks = self.marks.values().cloned().collect();
        self.core = Core::restore(self.options.clone(), self.now, self.core.revision(), live, marks);
        self.core.check();
        assert_eq!((self.core.queues(None, 9), self.orders()), (queues, orders), "seed {}", self.seed);
    }

    /// What operators want of each agent, by what it shows.
    fn orders(&self) -> Vec<(AgentId, Option<Arc<str>>, Option<Timestamp>)> {
        let ordered = self.core.agents(None, 9).into_iter().filter(|agent| agent.reason.is_some());
        ordered.map(|agent| (agent.id, agent.reason, agent.drain_at)).collect()
    }

    fn step(&mut self) {
        let at = self.random.usize(..usize::from(HOSTS));
        match self.random.u8(..40) {
            0..=5 => self.submit(),
            6 => self.operate(),
            7 => self.bound(),
            8 => self.crash(at),
            9 => self.close(at),
            10..=13 if self.hosts[at].session.is_none() || self.random.u8(..5) == 0 => self.greet(at),
            14 => {
                self.hosts[at].offers = self.offers();
                self.hosts[at].traits = some_traits(&mut self.random);
                if let Some(session) = self.hosts[at].session {
                    let traits = self.random.bool().then(|| self.hosts[at].traits.clone());
                    let credit = Credit { traits, ..self.hosts[at].offers.clone() };
                    self.give(Input::Credit { session, credit });
                }
            }
            15 => self.goodbye(at),
            16 => {
                let time = Duration::from_millis(self.random.u64(..9_000));
                self.pass(time);
            }
            17 if self.random.u8(..5) == 0 => self.restart(),
            18 => self.resend(at),
            19..=29 => self.read(at),
            _ => self.work(at, false),
        }
    }

    /// Faults end, operators take everything back, and every host takes everything.
    fn mend(&mut self) {
        for queue in QUEUES {
            let ticket = self.ticket();
            self.give(Input::Resume { ticket, queue: queue.into() });
        }
        for at in 0..usize::from(HOSTS) {
            let ticket = self.ticket();
            self.give(Input::Uncordon { ticket, agent: agent(self.hosts[at].n) });
            self.close(at);
            self.hosts[at].traits = all_traits();
            self.hosts[at].offers = Credit { capacity: 2, pools: vec![pool("p", &HANDLERS, 2)], ..Credit::default() };
        }
        for _ in 0..3_000 {
            for at in 0..usize::from(HOSTS) {
                if self.hosts[at].session.is_none() {
                    self.greet(at);
                }
                self.read(at);
                self.work(at, true);
            }
            self.pass(Duration::from_secs(2));
            if self.core.jobs_live() == 0 {
                return;
            }
        }
        let stuck: Vec<_> = self.rows.values().filter(|(job, _)| !job.state.is_final()).collect();
        panic!("seed {}: not over: {stuck:#?}", self.seed);
    }
}

#[test]
fn whatever_happens_no_job_is_stuck_run_twice_or_believed_to_be_over_while_it_runs() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        (0..600).for_each(|_| world.step());
        world.mend();
    }
}

/// Half of the jobs ask for nothing, the others for a share of their own, and some to be counted.
fn some_demand(random: &mut fastrand::Rng) -> Option<Arc<Demand>> {
    let fairness = random.bool().then(|| Fairness {
        key: ["ann", "bob"][random.usize(..2)].into(),
        cost: [1, 1_000, 1_000_000_000][random.usize(..3)],
    });
    let limits = bounds::some_uses(random);
    let placement = if random.u8(..3) > 0 { Placement::default() } else { some_placement(random) };
    let ordering_key = (random.u8(..4) == 0).then(|| ["x", "y"][random.usize(..2)].into());
    let unique = bounds::some_key(random);
    let demand = Demand { placement, fairness, limits, ordering_key, unique };
    (demand != Demand::default()).then(|| Arc::new(demand))
}

fn some_placement(random: &mut fastrand::Rng) -> Placement {
    let zone = |random: &mut fastrand::Rng| Constraint {
        label: "zone".into(),
        must: if random.bool() { Must::In(vec!["a".into()]) } else { Must::Exist },
    };
    let mut resources = Vec::new();
    if random.bool() {
        resources.push(("gpu".into(), [250, 1_000, 1_250, 2_000][random.usize(..4)]));
    }
    if random.bool() {
        resources.push(("memory".into(), random.u64(1..=4)));
    }
    Placement {
        resources,
        constraints: (0..random.u8(..2)).map(|_| zone(random)).collect(),
        affinities: (0..random.u8(..2)).map(|_| Affinity { constraint: zone(random), weight: 1 }).collect(),
        min_lifetime: random.bool().then(|| Duration::from_secs(random.u64(1..9))),
    }
}
