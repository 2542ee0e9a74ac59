//! Who holds what and who may run. One owner, synchronous functions, no waiting: an input is one step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::sync::{Notify, watch};
use windlass_shared::convert;
use windlass_shared::domain::{Assignment, Grant, JobSpec, Lease, News, Outcome, Reason, ReportItem, Work};
use windlass_shared::task::Tasks;

use super::attempt::Attempt;
use super::context::Context;
use super::given::Calls;
use super::seen::Seen;
use super::{Active, Event, Handle, Inbox, Input, StuckSlots, Surroundings, verdict};
use crate::config::HELD_SPARE;
use crate::containment::Sampler;
use crate::counters::Counters;
use crate::halt::Halt;
use crate::logs::{Logs, Offsets};
use crate::outbox::Outbox;
use crate::process::Warden;
use crate::worker::{Called, PoolHandle, Pools};

/// Why a job without a spec is not run.
const DAMAGED: &str = "what was submitted is damaged in the coordinator's record, so nothing was run; \
                       `windlass-coordinator store verify` says what else is";

/// What the executor works with.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Commands it runs at a time, as pools leave them.
    pub(crate) slots: watch::Receiver<u32>,
    pub(crate) pools: Pools,
    pub(crate) surroundings: Arc<Surroundings>,
    pub(crate) warden: Warden,
    pub(crate) sampler: Sampler,
    pub(crate) outbox: Outbox,
    pub(crate) logs: Logs,
    pub(crate) counters: Counters,
    pub(crate) tasks: Tasks,
    /// Told when the coordinator assigns more than fits: the session must be begun anew.
    pub(crate) overrun: Arc<Notify>,
    /// For attempts to report to.
    pub(crate) handle: Handle,
}

/// The state of everything this agent was given.
#[derive(Debug)]
pub(crate) struct Orchestrator {
    pub(super) parts: Parts,
    /// Slots that commands have.
    used: u32,
    pub(super) held: BTreeMap<Lease, Held>,
    /// Those without a slot, in the order they came; entries that are no longer held are passed over.
    pub(super) waiting: VecDeque<Lease>,
    seen: Seen,
    pub(super) draining: Option<Reason>,
    pub(super) active: watch::Sender<usize>,
    stuck: watch::Sender<u32>,
}

#[derive(Debug)]
pub(super) enum Held {
    Waiting(Box<(JobSpec, Vec<Grant>)>),
    Running {
        halt: watch::Sender<Option<Halt>>,
        /// Its lease is stale: nothing is said of it.
        silent: bool,
    },
    /// Given to a pool.
    Called {
        pool: PoolHandle,
        /// As above.
        silent: bool,
    },
}

impl Held {
    pub(super) fn is_silent(&self) -> bool {
        matches!(self, Self::Running { silent: true, .. } | Self::Called { silent: true, .. })
    }
}

impl Orchestrator {
    /// Holds nothing yet.
    pub(crate) fn new(parts: Parts) -> (Self, Active, StuckSlots) {
        let ((active, watcher), (stuck, stuck_slots)) = (watch::channel(0), watch::channel(0));
        let (held, waiting, mut seen) = (BTreeMap::new(), VecDeque::new(), Seen::default());
        // What a former life ended is over in this one too.
        for lease in parts.outbox.ended() {
            seen.note(&lease);
        }
        (Self { parts, used: 0, held, waiting, seen, draining: None, active, stuck }, watcher, stuck_slots)
    }

    /// Takes inputs until the agent stops.
    pub(crate) async fn run(mut self, mut inbox: Inbox, mut called: Called) {
        let stop = self.parts.tasks.stop_token().clone();
        let mut slots = self.parts.slots.clone();
        loop {
            tokio::select! {
                input = inbox.recv() => match input {
                    Some(input) => self.handle(input),
                    None => return,
                },
                // Pools never end before we do, and one that is not there says nothing.
                Some(news) = called.recv() => self.on_called(news),
                Ok(()) = slots.changed() => self.start_ready(),
                () = stop.cancelled() => return,
            }
        }
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Assign(given) => {
                let mut calls = Calls::default();
                given.into_iter().for_each(|assignment| self.on_assign(assignment, &mut calls));
                calls.give();
            }
            Input::Stop(orders) => orders.into_iter().for_each(|order| self.on_stop(order)),
            Input::Recall(leases) => leases.iter().for_each(|lease| self.on_recall(lease)),
            Input::Stale(leases) => leases.iter().for_each(|lease| self.on_stale(lease)),
            Input::Inventory(answer) => {
                // Whoever asked may have lost its stream meanwhile.
                let _ = answer.send(self.inventory());
            }
            Input::Drain(reason) => self.on_drain(reason),
            Input::Halt(halt) => self.on_halt(halt),
            Input::Detached => self.on_detached(),
            Input::Attempt(lease, event) => self.on_event(lease, event),
        }
        self.start_ready();
    }

    fn on_assign(&mut self, assignment: Assignment, calls: &mut Calls) {
        let Assignment { lease, spec, grants } = assignment;
        let held_max = self.slots() as usize + self.parts.pools.calls_max() + HELD_SPARE;
        if self.held.len() >= held_max || self.parts.outbox.is_full() {
            // Not noted as seen and not held: the next hello shows that it never arrived.
            tracing::error!(job = %lease.job, held = self.held.len(), "assigned beyond what fits: the session begins anew");
            self.parts.overrun.notify_one();
            return;
        }
        if !self.seen.note(&lease) {
            tracing::debug!(job = %lease.job, attempt = lease.attempt, "assignment repeated, dropped");
            return;
        }
        tracing::debug!(job = %lease.job, attempt = lease.attempt, fencing_token = lease.fencing_token, "attempt assigned");
        let spec = match convert::read_spec(&spec) {
            // No job has an empty spec: it is how the coordinator says that it cannot read what it was given.
            _ if spec.is_empty() => return self.end(lease, verdict::rejected(DAMAGED)),
            Ok(spec) => spec,
            Err(invalid) => return self.end(lease, verdict::rejected(&invalid.to_string())),
        };
        if let Err(outcome) = self.parts.surroundings.accepts(&lease, &spec) {
            return self.end(lease, *outcome);
        }
        if let Some(reason) = self.not_now(&spec.work) {
            self.report(lease, News::Returned(reason));
            return;
        }
        if matches!(spec.work, Work::Call(_)) {
            return self.on_call(lease, spec, grants, calls);
        }
        self.held.insert(lease, Held::Waiting(Box::new((spec, grants))));
        self.waiting.push_back(lease);
    }

    fn slots(&self) -> u32 {
        *self.parts.slots.borrow()
    }

    /// Why nothing new is begun, where that is so: the word of it and an assignment may cross.
    fn not_now(&self, work: &Work) -> Option<Reason> {
        let full = matches!(work, Work::Exec(_)) && self.slots() == 0;
        let unable = full || self.parts.outbox.is_closed();
        self.draining.or_else(|| unable.then_some(Reason::Returned))
    }

    fn inventory(&self) -> Vec<Lease> {
        let wanted = self.held.iter().filter(|(_, held)| !held.is_silent());
        let mut leases: BTreeSet<Lease> = wanted.map(|(lease, _)| *lease).collect();
        // One that is over and whose slot is not clear yet is in both.
        leases.extend(self.parts.outbox.ended());
        leases.into_iter().collect()
    }

    fn on_event(&mut self, lease: Lease, event: Event) {
        match event {
            Event::Started(at) => {
                if let Some(Held::Running { silent: false, .. }) = self.held.get(&lease) {
                    self.report(lease, News::Started(at));
                }
            }
            Event::Ended(outcome) => self.on_over(lease, |this| this.end(lease, *outcome)),
            Event::Returned(reason) => self.on_over(lease, |this| this.report(lease, News::Returned(reason))),
            Event::Stuck => {
                self.stuck.send_modify(|stuck| *stuck += 1);
                // Whoever waits for this slot could wait for ever.
                self.return_waiting(Reason::Returned);
            }
            Event::Unstuck => self.stuck.send_modify(|stuck| *stuck -= 1),
            Event::Freed => self.used -= 1,
        }
    }

    pub(super) fn on_over(&mut self, lease: Lease, tell: impl FnOnce(&Self)) {
        if self.held.remove(&lease).is_some_and(|held| !held.is_silent()) {
            tell(self);
        }
        // Last: whoever waits until nothing runs looks into the outbox next, and is woken for nothing but that.
        self.active.send_if_modified(|active| {
            *active -= 1;
            *active == 0
        });
    }

    pub(super) fn more_active(&self) {
        self.active.send_if_modified(|active| {
            *active += 1;
            false
        });
    }

    pub(super) fn end(&self, lease: Lease, outcome: Outcome) {
        let (state, reason) = (outcome.state.name(), outcome.reason.map(Reason::name));
        let exit = outcome.exit.as_ref().map(|exit| tracing::field::debug(exit.status));
        tracing::debug!(job = %lease.job, attempt = lease.attempt, state, reason, exit, "attempt ended");
        let Parts { outbox, logs, .. } = &self.parts;
        if outcome.stdout_bytes == 0 && outcome.stderr_bytes == 0 {
            return outbox.push(ReportItem { lease, news: News::Ended(Box::new(outcome)) }, Offsets::ALL);
        }
        outbox.push(ReportItem { lease, news: News::Ended(Box::new(outcome)) }, logs.shipped(&lease));
        // Once more: what was shipped between the two would be news to nobody.
        outbox.shipped(&lease, logs.shipped(&lease));
    }

    pub(super) fn report(&self, lease: Lease, news: News) {
        match news {
            News::Returned(why) => {
                tracing::debug!(job = %lease.job, attempt = lease.attempt, reason = why.name(), "attempt given back");
            }
            News::Started(_) => tracing::debug!(job = %lease.job, attempt = lease.attempt, "start is reported"),
            News::Ended(_) => {} // told with what it ended by
        }
        self.parts.outbox.push(ReportItem { lease, news }, Offsets::ALL);
    }

    /// The one place that gives slots away, whatever freed them.
    fn start_ready(&mut self) {
        while self.used < self.slots() {
            let Some(lease) = self.waiting.pop_front() else { return };
            let Some(held @ Held::Waiting(_)) = self.held.get_mut(&lease) else { continue };
            let (halt, halts) = watch::channel(None);
            let Held::Waiting(given) = std::mem::replace(held, Held::Running { halt, silent: false }) else { continue };
            self.used += 1;
            self.more_active();
            self.launch(lease, *given, halts);
        }
    }

    fn launch(&self, lease: Lease, (spec, grants): (JobSpec, Vec<Grant>), halts: watch::Receiver<Option<Halt>>) {
        let attempt = Attempt {
            context: Context::new(lease, spec, grants, Arc::clone(&self.parts.surroundings)),
            warden: self.parts.warden.clone(),
            sampler: self.parts.sampler.clone(),
            logs: self.parts.logs.clone(),
            counters: self.parts.counters.clone(),
            executor: self.parts.handle.clone(),
            halts,
            stop: self.parts.tasks.stop_token().clone(),
        };
        self.parts.tasks.spawn("attempt", attempt.run());
    }
}
