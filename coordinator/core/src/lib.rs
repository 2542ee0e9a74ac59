//! The pure scheduler. What happened goes in, what must be done comes out:
//!
//! ```text
//!              Input                        Vec<Effect>
//!   driver ───────────►  Core::handle(now) ───────────►  driver
//!                        jobs, agents, leases            commit the changes, then
//!                        no clock, no socket, no luck    reply, send, show
//! ```
//!
//! Absent here: tasks, sockets, files, clocks, the system's randomness, specs and logs. The same inputs at the same times give
//! the same effects, byte for byte, which is what lets a simulator replay a failure from its seed. The core cannot fail: what
//! cannot be done comes out as a refusal, and what nobody may see yet is not shown until its change is durable.

mod agents;
mod cancel;
mod chains;
mod check;
mod explain;
mod health;
mod hello;
mod hopeless;
mod input;
mod jobs;
mod keys;
mod lease;
mod limit_orders;
mod limits;
mod lineup;
mod moves;
mod names;
mod orders;
mod quarantine;
mod queue_settings;
mod queues;
mod readopt;
mod refusal;
mod report;
mod requeue;
mod restore;
mod retry;
mod rooms;
mod rules;
mod scheduling;
mod settle;
mod submit;
mod supply;
mod timers;
mod uniques;
mod why;
mod word;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::{AgentRecord, JobState, Traits};
use windlass_shared::ids::{AgentId, JobId};
use windlass_shared::time::{Moment, Now, Timestamp};

pub use input::{Admitted, Change, Effect, Input, Mark, Reply, Submission, Ticket};
pub use refusal::Refusal;
pub use restore::Live;
pub use rules::QueueRules;
pub use scheduling::Policy;

use agents::Agents;
use chains::Chains;
use jobs::Jobs;
use lease::Issuer;
use limits::Limits;
use queues::Queues;
use scheduling::Scheduler;
use timers::{Timer, Timers};
use uniques::Uniques;

/// What a core is made with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Identity of the record, minted when its store is made.
    pub incarnation: u64,
    /// Start of the coordinator, greater at every start; at most 2^24 - 1, since fencing tokens hold it in 24 bits.
    pub epoch: u64,
    /// Seed of the retry jitter.
    pub seed: u64,
    /// Silence after which an agent gets nothing new; a third of it later its attempts are LOST.
    pub lease_ttl: Duration,
    /// The same of the start before: agents may still count on it. Zero: there was none.
    pub lease_ttl_before: Duration,
    /// Jobs held that are not final. At about 200 bytes each, the default of 2,000,000 is 400 MB.
    pub jobs_live_max: usize,
    /// Agents known, lost and gone ones included; the longest gone are forgotten first.
    pub agents_max: usize,
    /// Time that something may be stuck on an agent before it gets nothing new.
    pub quarantine_after: Duration,
    /// Shapes of unfinished work: each combination of a handler, or a command, with what is asked of an agent. Each is matched with
    /// all agents once, and looked at in each decision that it is part of, so that thousands cost microseconds.
    pub shapes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            incarnation: 0,
            epoch: 1,
            seed: 0,
            lease_ttl: Duration::from_secs(15),
            lease_ttl_before: Duration::ZERO,
            jobs_live_max: 2_000_000,
            agents_max: 10_000,
            quarantine_after: Self::QUARANTINE_AFTER,
            shapes_max: 4_096,
        }
    }
}

impl Options {
    /// Time between heartbeats: five chances within a lease, so that one lost and one late message are nothing.
    #[must_use]
    pub fn heartbeat_interval(&self) -> Duration {
        self.lease_ttl / 5
    }

    /// Time after a start in which no agent is judged: a whole lease to say hello in, and the one told before, with its margin.
    #[must_use]
    pub fn recovery_window(&self) -> Duration {
        self.lease_ttl.max(self.lease_ttl_before + self.lease_ttl_before / 3)
    }

    /// What is added to the lease before an attempt is LOST: clocks drift, and a last word may be on its way.
    #[must_use]
    pub fn lease_margin(&self) -> Duration {
        self.lease_ttl / 3
    }
}

/// The scheduler's whole state.
#[derive(Debug)]
pub struct Core {
    options: Options,
    jobs: Jobs,
    agents: Agents,
    scheduler: Scheduler,
    chains: Chains,
    queues: Queues,
    /// By queue, where they are not the default ones.
    rules: BTreeMap<Arc<str>, QueueRules>,
    rules_default: QueueRules,
    limits: Limits,
    uniques: Uniques,
    issuer: Issuer,
    timers: Timers,
    random: fastrand::Rng,
    revision: u64,
    // Agents are not judged before this: after a pause of our own, their words may still lie unread.
    judge_from: Moment,
    last_tick: Option<Moment>,
    /// When the latest input came.
    wall: Timestamp,
    mono: Moment,
}

impl Core {
    /// A core that knows no job and no agent.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            jobs: Jobs::default(),
            agents: Agents::default(),
            scheduler: Scheduler::default(),
            chains: Chains::default(),
            queues: Queues::default(),
            rules: BTreeMap::new(),
            rules_default: QueueRules::default(),
            limits: Limits::default(),
            uniques: Uniques::default(),
            issuer: Issuer::new(options.epoch),
            timers: Timers::default(),
            random: fastrand::Rng::with_seed(options.seed),
            revision: 0,
            judge_from: Moment::default(),
            last_tick: None,
            wall: Timestamp::default(),
            mono: Moment::default(),
            options,
        }
    }

    /// What follows from `input`, in the order it must be done.
    #[must_use]
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Effect> {
        let mut out = Vec::new();
        self.handle_into(now, input, &mut out);
        out
    }

    /// The same, added to `out`, so that a tick of many inputs fills one list.
    pub fn handle_into(&mut self, now: Now, input: Input, out: &mut Vec<Effect>) {
        (self.wall, self.mono) = (now.wall, now.mono);
        match input {
            Input::Submit { ticket, jobs } => self.submit(now, ticket, jobs, out),
            Input::Cancel { ticket, job, detail } => self.cancel(now, ticket, job, detail, out),
            Input::Update { ticket, job, priority, queue } => {
                self.update(now, ticket, job, (priority, queue.as_ref()), out);
            }
            Input::Purge { ticket, queue, detail } => self.purge(now, ticket, &queue, detail.as_ref(), out),
            Input::Requeue { ticket, jobs } => self.requeue(now, ticket, jobs, out),
            Input::Pause { ticket, queue, pause } => self.pause(ticket, &queue, pause, out),
            Input::Resume { ticket, queue } => self.resume(ticket, &queue, out),
            Input::UpdateQueue { ticket, queue, settings, fields } => {
                self.update_queue(now, ticket, &queue, (&settings, &fields), out);
            }
            Input::SetLimit { ticket, key, settings } => self.set_limit(now, ticket, &key, settings, out),
            Input::SetCooldown { ticket, key, cooldown } => self.set_cooldown(now, ticket, &key, cooldown, out),
            Input::Cordon { ticket, agent, reason } => self.cordon(ticket, agent, reason, out),
            Input::Drain { ticket, agent, deadline, reason } => self.drain(now, ticket, agent, deadline, reason, out),
            Input::Uncordon { ticket, agent } => self.uncordon(ticket, agent, out),
            Input::Abandon { ticket, job, detail } => self.abandon(now, ticket, job, detail, out),
            Input::ForceLost { ticket, agent, detail } => self.force_lost(now, ticket, agent, detail.as_ref(), out),
            Input::Hello { session, hello } => self.hello(now, session, &hello, out),
            Input::Alive { session, at } => self.alive(now, session, at),
            Input::Report { session, sequence, items } => self.report(now, session, sequence, items, out),
            Input::Credit { session, credit } => self.credit(now, session, &credit),
            Input::Draining { session } => self.draining(session),
            Input::Goodbye { session } => self.goodbye(now, session, out),
            Input::Closed { session } => self.closed(session),
            Input::Tick => self.tick(now, out),
        }
        self.assign_ready(now, out); // one place hands out work, whatever woke us
    }

    /// When [`Input::Tick`] is due next, if nothing else happens first.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        [self.timers.next(), self.limits.next_cooled(), self.scheduler.parking.next_alarm()].into_iter().flatten().min()
    }

    /// Up to `limit` agents of those known, by id, after `after`.
    #[must_use]
    pub fn agents(&self, after: Option<AgentId>, limit: usize) -> Vec<AgentRecord> {
        self.agents_that(after, limit, |_| true)
    }

    /// The same of those whose traits are wanted.
    #[must_use]
    pub fn agents_that(
        &self,
        after: Option<AgentId>,
        limit: usize,
        wanted: impl Fn(&Traits) -> bool,
    ) -> Vec<AgentRecord> {
        self.agents.records(after, &self.jobs.names, wanted).take(limit).collect()
    }

    /// Whether there is a job of this id that is not final.
    #[must_use]
    pub fn is_live(&self, job: JobId) -> bool {
        self.jobs.find(job).is_some()
    }

    /// Where a job stands; none: no job of this id is unfinished.
    #[must_use]
    pub fn state_of(&self, job: JobId) -> Option<JobState> {
        self.jobs.find(job).map(|slot| self.jobs.get(slot).state)
    }

    /// Jobs that are not final.
    #[must_use]
    pub fn jobs_live(&self) -> usize {
        self.jobs.len()
    }

    /// Number of the latest change.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    fn tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        // The driver ticks at least once a heartbeat interval. A longer gap is a pause of ours (a stopped process, a
        // suspended machine), in which agents spoke and nobody read.
        let stalled = self.last_tick.is_some_and(|last| now.mono.since(last) > self.options.lease_ttl / 2);
        if stalled {
            self.judge_from = now.mono.after(self.options.lease_ttl);
        }
        self.last_tick = Some(now.mono);
        self.end_cooldowns(now, out);
        while let Some(timer) = self.timers.pop_due(now.mono) {
            match timer {
                Timer::Ready(slot) => self.make_ready(now, slot, out),
                Timer::Lease(agent) => self.judge(now, agent, out),
                Timer::Drain(agent) => self.drain_due(agent, out),
                Timer::Quarantine(agent) => self.quarantine(now, agent),
            }
        }
        self.give_up_hopeless(now, out);
    }

    fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }
}
