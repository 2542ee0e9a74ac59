//! Rows become state again. What ran before a restart is taken to run still: nothing is LOST before its agent has had a whole
//! lease, and the margin, to say hello.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::{
    AgentState, AttemptRecord, AttemptState, JobRecord, JobState, Order, OrderKind, Proof, Scheduling,
};
use windlass_shared::ids::AgentId;
use windlass_shared::time::{Moment, Now, Timestamp};

use crate::agents::Agent;
use crate::health::Lately;
use crate::jobs::Job;
use crate::keys::{AgentIx, Slot};
use crate::lease::Held;
use crate::orders::{Due, Standing};
use crate::quarantine::Stuck;
use crate::rooms::{RoomId, Rooms};
use crate::scheduling::{Bits, Class};
use crate::supply::{Needs, Supply};
use crate::timers::Timer;
use crate::{Core, Mark, Options};

/// A job that is not final, as it is on record, with its newest attempt.
pub type Live = (JobRecord, Option<AttemptRecord>);

impl Core {
    /// A core that goes on where the record ends: at `revision`, with these jobs and what operators decided.
    #[must_use]
    pub fn restore(options: Options, now: Now, revision: u64, live: Vec<Live>, marks: Vec<Mark>) -> Self {
        let mut core = Self::new(options);
        core.revision = revision;
        (core.wall, core.mono) = (now.wall, now.mono);
        core.judge_from = now.mono.after(core.options.recovery_window());
        core.restore_holders(now, &live);
        // Before the jobs, which take their places by what is paused.
        for mark in marks {
            core.restore_mark(now, mark);
        }
        for (record, attempt) in live {
            core.restore_one(now, record, attempt);
        }
        core
    }

    /// The agents that hold something, each as it was by its newest lease: an older row may speak of a former process.
    fn restore_holders(&mut self, now: Now, live: &[Live]) {
        let attempts = live.iter().filter_map(|(_, attempt)| attempt.as_ref());
        let mut held: Vec<&AttemptRecord> = attempts.filter(|attempt| !attempt.state.is_final()).collect();
        held.sort_unstable_by_key(|attempt| Reverse(attempt.fencing_token));
        for attempt in held {
            if self.agents.find(attempt.agent).is_none() {
                let ix = self.restore_agent(now, Seed::of_attempt(attempt), AgentState::Suspect);
                self.watch_lease(ix, now.mono.after(self.options.lease_ttl));
            }
        }
    }

    fn restore_mark(&mut self, now: Now, mark: Mark) {
        match mark {
            Mark::Queue { name, pause, settings } => {
                pause.into_iter().for_each(|pause| self.restore_pause(&name, pause));
                settings.into_iter().for_each(|settings| self.set_queue(now, &name, Some(settings)));
            }
            Mark::Agent { id, order: Some(order) } => self.restore_order(now, id, order),
            Mark::Limit { key, settings: Some(settings) } => self.restore_limit(now, &key, settings),
            Mark::Cooldown { key, cooldown: Some(cooldown) } => self.restore_cooldown(now, &key, cooldown),
            Mark::Agent { order: None, .. }
            | Mark::Limit { settings: None, .. }
            | Mark::Cooldown { cooldown: None, .. } => {}
        }
    }

    fn restore_order(&mut self, now: Now, id: AgentId, order: Order) {
        let known = self.agents.find(id);
        let ix = known.unwrap_or_else(|| self.restore_agent(now, Seed::of_order(id, &order), AgentState::Lost));
        let due = match order.kind {
            OrderKind::Drain(Some(until)) => Due::At(now.mono.after(time_until(until, now))),
            OrderKind::Drain(None) | OrderKind::Cordon => Due::Never,
        };
        self.set_order(ix, Some(Standing { order, due }));
    }

    fn restore_one(&mut self, now: Now, record: JobRecord, attempt: Option<AttemptRecord>) {
        let ready = record.ready_at.filter(|_| record.state == JobState::Delayed);
        let ready = ready.map(|at| Box::new((now.mono.after(time_until(at, now)), at)));
        let due = ready.as_ref().map(|ready| ready.0);
        let slot = self.restore_job(record, ready);
        self.join_chain(slot);
        self.restore_key(slot);
        let state = self.jobs.get(slot).state;
        match (state, attempt) {
            (JobState::Leased | JobState::Running | JobState::Cancelling, Some(attempt)) => {
                let held = self.restore_held(now, slot, &attempt);
                self.jobs.get_mut(slot).held = Some(held);
            }
            (_, Some(attempt)) if attempt.state == AttemptState::Lost && !is_by_word(&attempt) => {
                // Known only from what it lost, it is not waited for, and owns neither name nor id.
                let agent = self.agents.find(attempt.agent);
                let agent =
                    agent.unwrap_or_else(|| self.restore_agent(now, Seed::of_attempt(&attempt), AgentState::Lost));
                let held = held(agent, &attempt, self.class_of(slot), self.needs_of(slot));
                self.jobs.get_mut(slot).lost = Some(Box::new(held));
            }
            _ => {}
        }
        if state == JobState::Queued {
            self.line_up(slot);
        }
        if let Some(due) = due {
            self.timers.set(due, Timer::Ready(slot));
        }
    }

    pub(crate) fn restore_job(&mut self, record: JobRecord, ready: Option<Box<(Moment, Timestamp)>>) -> Slot {
        let (lane, mut extra) = self.join_lane(&record.header, usize::MAX).expect("shapes on record are not refused");
        let queue = self.scheduler.lanes.get(lane).profile.queue;
        self.queues.moved(queue, record.spec_bytes, None, Some(record.state));
        if record.tried.is_some() {
            extra.get_or_insert_default().tried = record.tried;
        }
        let counted = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        self.jobs.insert(Job {
            id: record.id,
            revision: record.revision,
            order: record.order,
            created_at: record.created_at,
            updated_at: record.updated_at,
            ready,
            held: None,
            lost: None,
            detail: record.detail,
            extra,
            lane,
            spec_bytes: record.spec_bytes,
            generation: record.generation,
            attempts: record.attempts,
            retry: record.header.retry,
            failures: counted(record.failures),
            infra_losses: u8::try_from(record.infra_losses).unwrap_or(u8::MAX),
            interruptions: counted(record.interruptions),
            priority: record.header.priority,
            execution: record.header.execution,
            on_agent_lost: record.header.on_agent_lost,
            state: record.state,
            reason: record.reason,
            cancel_requested: record.cancel_requested,
            worker_deaths: u8::try_from(record.worker_deaths).unwrap_or(u8::MAX),
        })
    }

    fn restore_held(&mut self, now: Now, slot: Slot, attempt: &AttemptRecord) -> Box<Held> {
        let agent = self.agents.find(attempt.agent);
        let ix = agent.unwrap_or_else(|| self.restore_agent(now, Seed::of_attempt(attempt), AgentState::Suspect));
        let mut held = held(ix, attempt, self.class_of(slot), self.needs_of(slot));
        held.room = self.agents.get(ix).rooms.place(held.class);
        self.occupy(ix, held.room, slot, held.started_at.is_some());
        self.hold_limits(slot);
        Box::new(held)
    }

    /// What is left of an agent over a restart: enough to wait for its hello, and to lose it.
    fn restore_agent(&mut self, now: Now, seed: Seed, state: AgentState) -> AgentIx {
        self.agents.insert(Agent {
            id: seed.id,
            name: seed.name,
            instance: seed.instance,
            boot: seed.boot,
            session_number: 0,
            session: None,
            state,
            scheduling: Scheduling::Active,
            order: None,
            stuck: Stuck::default(),
            rooms: Rooms::default(),
            matches: Bits::default(),
            matched: false,
            held: BTreeSet::new(),
            running: 0,
            host: "".into(),
            version: "".into(),
            connected_at: seed.seen_at,
            heard: now.mono,
            heard_at: seed.seen_at,
            lease_due: None,
            traits: Arc::default(),
            lately: Lately::default(),
            supply: Supply::default(),
        })
    }
}

/// All that is known of an agent from an attempt of its, or from an order.
struct Seed {
    id: AgentId,
    name: Arc<str>,
    instance: u64,
    /// 0: not known.
    boot: u64,
    seen_at: Timestamp,
}

impl Seed {
    fn of_attempt(attempt: &AttemptRecord) -> Self {
        let (name, instance, boot) = (attempt.agent_name.clone(), attempt.agent_instance, attempt.agent_boot);
        Self { id: attempt.agent, name, instance, boot, seen_at: attempt.leased_at }
    }

    fn of_order(id: AgentId, order: &Order) -> Self {
        Self { id, name: order.agent_name.clone(), instance: 0, boot: 0, seen_at: Timestamp::default() }
    }
}

/// Whether an operator said that it is lost: such an attempt is never taken back.
fn is_by_word(attempt: &AttemptRecord) -> bool {
    let exit = attempt.outcome.as_ref().and_then(|outcome| outcome.exit.as_ref());
    exit.is_some_and(|exit| exit.proof == Proof::Operator)
}

/// Waited for on the wall clock over the restart, as no other clock runs on; from here on by the monotonic one.
pub(crate) fn time_until(at: Timestamp, now: Now) -> Duration {
    Duration::from_nanos(u64::try_from(at.0.saturating_sub(now.wall.0)).unwrap_or(0))
}

fn held(agent: AgentIx, attempt: &AttemptRecord, class: Class, needs: Needs) -> Held {
    Held {
        agent,
        class,
        // Its pool is told with the hello.
        room: RoomId::STRAY,
        instance: attempt.agent_instance,
        boot: attempt.agent_boot,
        fencing_token: attempt.fencing_token,
        leased_at: attempt.leased_at,
        started_at: attempt.started_at,
        needs,
        grants: attempt.grants.clone(),
    }
}
