//! `decide` and `decide_scale`: what the pure scheduler takes to note that an attempt is over and to hand out the next, with a
//! million jobs queued and with a thousand. No socket, no store: what is left is the decision.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use windlass_core::{Core, Effect, Input, Options, Submission, Ticket};
use windlass_shared::domain::{
    AgentHello, AttemptState, Constraint, Credit, Demand, JobHeader, Lease, Must, News, Outcome, Placement, ReportItem,
    Traits,
};
use windlass_shared::ids::{AgentId, JobId, SessionId};
use windlass_shared::time::Now;

use crate::{Args, Figure, median};

const AGENTS: u64 = 1_000;
const SLOTS: u32 = 4;
const QUEUES: u64 = 1_000;
const SHAPES: u64 = 64;
const QUEUED: u64 = 1_000_000;
const QUEUED_FEW: u64 = 1_000;
const DECISIONS: usize = 100_000;
/// Decisions between two looks at the clock, which costs a system call.
const CHUNK: usize = 100;

pub(crate) fn run(args: &Args) -> Result<Vec<Figure>, OsString> {
    let (mut many, mut few) = (Bench::new(QUEUED), Bench::new(QUEUED_FEW));
    let rounds = || args.rounds.max(1);
    let micros = |bench: &mut Bench| median((0..rounds()).map(|_| bench.measure()).collect());
    let (few, many) = (micros(&mut few), micros(&mut many));
    Ok(vec![
        Figure::Value {
            scenario: "decide",
            value: many,
            unit: "µs",
            ceiling: 2.0,
            ceiling_is: "on the machine it was set on".into(),
        },
        Figure::Value {
            scenario: "decide_scale",
            value: many / few,
            unit: "x",
            ceiling: 1.5,
            ceiling_is: format!("{few:.2} µs with {QUEUED_FEW} queued"),
        },
    ])
}

struct Bench {
    core: Core,
    jobs: u64,
    /// What runs, oldest first, and on whose stream.
    runs: VecDeque<(SessionId, Lease)>,
    shapes: Vec<Arc<Demand>>,
    queues: Vec<Arc<str>>,
    effects: Vec<Effect>,
}

impl Bench {
    /// All agents are full, and so many wait.
    fn new(queued: u64) -> Self {
        let options = Options { jobs_live_max: usize::MAX, ..Options::default() };
        let mut bench = Self {
            core: Core::new(options),
            jobs: 0,
            runs: VecDeque::new(),
            shapes: (0..SHAPES).map(shape).collect(),
            queues: (0..QUEUES).map(|queue| format!("queue-{queue}").into()).collect(),
            effects: Vec::new(),
        };
        (0..AGENTS).for_each(|agent| bench.join(agent));
        while bench.runs.len() < usize::try_from(AGENTS * u64::from(SLOTS)).unwrap_or(0) {
            bench.submit();
        }
        (0..queued).for_each(|_| bench.submit());
        bench
    }

    fn give(&mut self, input: Input) {
        self.core.handle_into(Now::default(), input, &mut self.effects);
        for effect in self.effects.drain(..) {
            if let Effect::Assign(session, lease, ..) = black_box(effect) {
                self.runs.push_back((session, lease));
            }
        }
    }

    fn join(&mut self, agent: u64) {
        let traits = Traits {
            labels: [("zone".into(), zone(agent % 8)), ("disk".into(), disk(agent / 8 % 2))].into(),
            resources: [("memory".into(), 64_000)].into(),
            devices: [("gpu".into(), vec!["0".into(), "1".into()])].into(),
            ..Traits::default()
        };
        let hello = AgentHello {
            id: AgentId::from_bytes(u128::from(agent).to_be_bytes()),
            name: format!("agent-{agent}").into(),
            instance: 1,
            boot_id: "boot".into(),
            session: 1,
            slots: SLOTS,
            credit: Credit { capacity: SLOTS, ..Credit::default() },
            inventory: Vec::new(),
            host: "host".into(),
            version: "0".into(),
            seen: None,
            answers_asks: true,
            traits: Arc::new(traits),
        };
        self.give(Input::Hello { session: SessionId(agent), hello: Box::new(hello) });
    }

    /// Each queue has jobs of two shapes.
    fn submit(&mut self) {
        self.jobs += 1;
        let queue = self.jobs % QUEUES;
        let shape = (queue + 7 * (self.jobs / QUEUES % 2)) % SHAPES;
        let at = |list: u64| usize::try_from(list).unwrap_or(0);
        let header = JobHeader {
            queue: self.queues[at(queue)].clone(),
            program: Some("true".into()),
            demand: Some(self.shapes[at(shape)].clone()),
            ..JobHeader::default()
        };
        let mut id = [0; 16];
        id[8..].copy_from_slice(&self.jobs.to_be_bytes());
        let jobs = vec![Submission { job: JobId::from_bytes(id), header, spec_bytes: 100 }];
        self.give(Input::Submit { ticket: Ticket(0), jobs });
    }

    /// Microseconds to note an end and hand out the next, the mean of many. As many wait before a chunk of them as before the next.
    fn measure(&mut self) -> f64 {
        let mut spent = Duration::ZERO;
        for _ in 0..DECISIONS / CHUNK {
            let reports: Vec<Input> = self.runs.drain(..CHUNK).map(ended).collect();
            let began = cpu_time();
            reports.into_iter().for_each(|report| self.give(report));
            spent += cpu_time().saturating_sub(began);
            (0..CHUNK).for_each(|_| self.submit());
            // Where nothing that waited fitted, what is submitted fills up.
            while self.runs.len() < usize::try_from(AGENTS * u64::from(SLOTS)).unwrap_or(0) {
                self.submit();
            }
        }
        spent.as_secs_f64() * 1e6 / DECISIONS as f64
    }
}

fn ended((session, lease): (SessionId, Lease)) -> Input {
    let news = News::Ended(Box::new(Outcome::bare(AttemptState::Succeeded, None)));
    Input::Report { session, sequence: 1, items: vec![ReportItem { lease, news }] }
}

/// What this thread has used of a core: what others use of it meanwhile is none of the scheduler's.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn zone(zone: u64) -> Arc<str> {
    format!("z{zone}").into()
}

fn disk(disk: u64) -> Arc<str> {
    if disk == 0 { "ssd".into() } else { "hdd".into() }
}

/// One of 8 zones or all but one, one of two disks or any, memory, and half of a device for every other.
fn shape(shape: u64) -> Arc<Demand> {
    let is = |label: &str, must: Must| Constraint { label: label.into(), must };
    let in_zone = if shape % 16 < 8 { Must::In(vec![zone(shape % 8)]) } else { Must::NotIn(vec![zone(shape % 8)]) };
    let mut constraints = vec![is("zone", in_zone)];
    if shape / 16 % 2 == 1 {
        constraints.push(is("disk", Must::In(vec![disk(shape % 2)])));
    }
    let mut resources = vec![("memory".into(), 1_000 + 500 * (shape / 16))];
    if shape / 32 == 1 {
        resources.insert(0, ("gpu".into(), 500));
    }
    let placement = Placement { resources, constraints, ..Placement::default() };
    Arc::new(Demand { placement, ..Demand::default() })
}
