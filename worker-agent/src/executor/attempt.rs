//! The life of one attempt's process tree, and the one serial point between its end and an order to stop it.
//!
//! ```text
//!  spawn ─► runs ──────────── leader's end read ─► tree ends ─► pipes read out ─► Ended ─► clean ─► Freed
//!            │ order, timeout                        ▲
//!            └─► stop signal ─ grace ─► kill ────────┘
//! ```
//! An end that was read before the signal went out is the outcome; one read after it is not.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use windlass_shared::clock;
use windlass_shared::domain::{AgentCounter, Lease, Outcome, Reason};

use super::context::Context;
use super::memory::{Host, Scale};
use super::verdict::{self, End};
use super::{Event, Handle, Input};
use crate::config::{READ_OUT_TIMEOUT, SURVIVORS_GRACE};
use crate::containment::{SAMPLE_EVERY, Sampler};
use crate::counters::Counters;
use crate::halt::Halt;
use crate::logs::{Capture, Logs, Offsets};
use crate::process::{Control, Events, LeaderEnd, Process, Proof, Stage, Warden};

/// Beyond the survivors' grace, what a keeper on a busy host may need to begin the kill.
const KEEPER_SLACK: Duration = Duration::from_secs(3);
/// Within this the start of an attempt is reported. What is over sooner is told in one piece: half the reports and half the
/// commits for jobs of a few milliseconds, and nobody watches that closely.
const START_TOLD_WITHIN: Duration = Duration::from_millis(20);

/// What an attempt needs to be carried out.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) context: Context,
    pub(super) warden: Warden,
    pub(super) sampler: Sampler,
    pub(super) logs: Logs,
    pub(super) counters: Counters,
    pub(super) executor: Handle,
    pub(super) halts: watch::Receiver<Option<Halt>>,
    pub(super) stop: CancellationToken,
}

impl Attempt {
    /// From its slot to the slot's end.
    pub(super) async fn run(mut self) {
        let (over, stuck) = self.carry_out().await;
        self.tell(over).await;
        if let Some(mut stuck) = stuck {
            self.tell(Event::Stuck).await;
            if !self.wait_for_proof(&mut stuck).await {
                return;
            }
            self.tell(Event::Unstuck).await;
        }
        self.context.clean().await;
        self.tell(Event::Freed).await;
    }

    /// How it is over, and what may still run.
    async fn carry_out(&mut self) -> (Event, Option<Stuck>) {
        let spec = match self.context.prepare() {
            Ok(spec) => spec,
            Err(outcome) => return (Event::Ended(outcome), None),
        };
        let spawned =
            if self.context.fenced { self.warden.spawn_fenced(spec).await } else { self.warden.spawn(spec).await };
        match spawned {
            Ok(process) => {
                let (outcome, stuck) = self.follow(process).await;
                (Event::Ended(Box::new(outcome)), stuck)
            }
            // Nothing was begun, so it counts for nothing.
            Err(error) if error.stage == Stage::Fence => (Event::Returned(Reason::Returned), None),
            Err(error) => {
                let stuck = (error.proof == Proof::None).then_some(Stuck::Unreachable);
                (Event::Ended(Box::new(self.context.spawn_failed(&error))), stuck)
            }
        }
    }

    async fn follow(&mut self, process: Process) -> (Outcome, Option<Stuck>) {
        let Process { pid, stdin: _, stdout, stderr, control, mut events } = process;
        let (started, at) = (Instant::now(), clock::wall());
        let lease = self.context.lease;
        tracing::debug!(job = %lease.job, attempt = lease.attempt, pid, "attempt started");
        let capture = Capture::new(self.logs.clone(), lease);
        let mut offsets = Offsets::default();
        let mut scale = Scale::new(&self.sampler, &control, &self.context.limits());
        let mut ladder = Ladder::new(&self.context, control, started, self.counters.clone());
        let (executor, mut told, mut host) = (self.executor.clone(), false, Host::default());
        let proof = {
            let mut reading = pin!(capture.read(stdout, stderr, &mut offsets));
            let mut running = pin!(ladder.climb(&mut self.halts, &mut events, &mut scale));
            let mut announce = pin!(tokio::time::sleep(START_TOLD_WITHIN));
            let mut read = false;
            let proof = loop {
                tokio::select! {
                    proof = &mut running => break proof,
                    () = &mut reading, if !read => read = true,
                    () = &mut announce, if !told => {
                        told = true;
                        host.look();
                        executor.send(Input::Attempt(lease, Event::Started(at))).await;
                    }
                }
            };
            // Everything the tree wrote is in the pipes by now.
            if !read && tokio::time::timeout(READ_OUT_TIMEOUT, reading).await.is_err() {
                tracing::warn!(job = %lease.job, "somebody outside the tree holds the attempt's output open");
            }
            proof
        };
        drop(capture);
        let Ladder { stopped, leader, .. } = ladder;
        let leader = leader.unwrap_or(LeaderEnd::Lost);
        let (weight, wall_time) = (scale.weigh(leader, &events, host), started.elapsed());
        let mut outcome = verdict::ended(&End { stopped, leader, proof, weight, wall_time, offsets });
        outcome.started_at = (!told).then_some(at);
        (outcome, (proof == Proof::None).then_some(Stuck::Tree(events)))
    }

    /// Keeps the slot from use until nothing of the attempt is left; whether that came.
    async fn wait_for_proof(&self, stuck: &mut Stuck) -> bool {
        let Lease { job, attempt, .. } = self.context.lease;
        tracing::error!(%job, attempt, "something of the attempt cannot be killed: its slot is stuck");
        self.counters.count(AgentCounter::KillsStuck);
        let proven = async {
            match stuck {
                Stuck::Tree(events) => events.proven().await != Proof::None,
                Stuck::Unreachable => std::future::pending().await,
            }
        };
        let proven = tokio::select! {
            proven = proven => proven,
            () = self.stop.cancelled() => false,
        };
        if proven {
            tracing::info!(%job, attempt, "nothing of the attempt is left: its slot is free again");
        }
        proven
    }

    async fn tell(&self, event: Event) {
        self.executor.send(Input::Attempt(self.context.lease, event)).await;
    }
}

/// What may still run after the end was reported.
#[derive(Debug)]
enum Stuck {
    /// A tree whose proof may come later.
    Tree(Events),
    /// A child that never became a process of ours to watch.
    Unreachable,
}

/// The rungs from running to proven dead, taken by time or by order.
#[derive(Debug)]
struct Ladder {
    control: Control,
    /// How many rungs were taken.
    counters: Counters,
    lease: Lease,
    stop_signal: i32,
    stop_grace: Duration,
    /// When the run timeout passes.
    deadline: Option<Instant>,
    /// When the grace passes.
    kill_at: Option<Instant>,
    killed: bool,
    /// Why the stop signal or the kill went out, where it did before the leader's end was read.
    stopped: Option<Reason>,
    leader: Option<LeaderEnd>,
}

/// What a rung waits for.
enum Step {
    Leader(LeaderEnd),
    Tree(Proof),
    Halted,
    Overweight(u64),
    Deadline,
    GraceOver,
}

impl Ladder {
    fn new(context: &Context, control: Control, started: Instant, counters: Counters) -> Self {
        Self {
            control,
            counters,
            lease: context.lease,
            stop_signal: context.stop_signal,
            stop_grace: context.stop_grace,
            deadline: context.run_timeout.map(|timeout| started + timeout),
            kill_at: None,
            killed: false,
            stopped: None,
            leader: None,
        }
    }

    async fn climb(
        &mut self,
        halts: &mut watch::Receiver<Option<Halt>>,
        events: &mut Events,
        scale: &mut Scale,
    ) -> Proof {
        let mut orders = true;
        loop {
            let step = tokio::select! {
                // In this order: an end that can be read is read before anything is sent.
                biased;
                step = next_end(events, self.leader.is_some()) => step,
                order = halts.changed(), if orders => {
                    orders = order.is_ok();
                    Step::Halted
                }
                bytes = scale.above(), if self.stopped.is_none() => Step::Overweight(bytes),
                () = at(self.kill_at) => Step::GraceOver,
                () = at(self.deadline) => Step::Deadline,
            };
            match step {
                Step::Leader(end) => self.on_leader(end, events.is_fenced()),
                Step::Tree(proof) => return proof,
                Step::Overweight(bytes) => self.on_overweight(bytes),
                Step::Halted => self.on_halt(*halts.borrow_and_update()),
                Step::Deadline => self.on_halt(Some(Halt { reason: Reason::RunTimeout, kill: false })),
                Step::GraceOver => self.kill(),
            }
        }
    }

    fn on_leader(&mut self, end: LeaderEnd, fenced: bool) {
        self.leader = Some(end);
        if fenced {
            self.stopped.get_or_insert(Reason::OutOfTouch);
        }
        // The outcome is fixed, and what survives its leader has a grace of its own. Its keeper sees to that; one that does not,
        // because the job stopped it, is told, and replaced by the sweep where it does not hear.
        self.deadline = None;
        let survivors_gone_at = Instant::now() + SURVIVORS_GRACE + KEEPER_SLACK;
        self.kill_at = Some(self.kill_at.map_or(survivors_gone_at, |at| at.min(survivors_gone_at)));
    }

    fn on_halt(&mut self, halt: Option<Halt>) {
        let Some(Halt { reason, kill }) = halt else { return };
        self.deadline = None;
        if self.leader.is_none() && self.stopped.is_none() {
            let Lease { job, attempt, .. } = self.lease;
            tracing::debug!(%job, attempt, reason = reason.name(), kill, "attempt is stopped");
            self.stopped = Some(reason);
            if !kill {
                self.signal(self.stop_signal, self.stop_grace);
            }
        }
        if kill {
            self.kill();
        }
    }

    /// It has until the next look, whatever grace it asked for: what grows that fast leaves no time for more.
    fn on_overweight(&mut self, bytes: u64) {
        let Lease { job, attempt, .. } = self.lease;
        if self.leader.is_none() {
            tracing::info!(%job, attempt, bytes, "attempt is above its memory limit: stopped");
            self.deadline = None;
            self.signal(libc::SIGTERM, SAMPLE_EVERY);
        }
        self.stopped.get_or_insert(Reason::MemoryLimit);
    }

    fn signal(&mut self, signo: i32, grace: Duration) {
        self.counters.count(AgentCounter::KillsByTerm);
        self.control.signal(signo);
        // A stopped process takes no signal but this one and the kill; it is to have its grace too.
        self.control.signal(libc::SIGCONT);
        self.kill_at = Some(Instant::now() + grace);
    }

    fn kill(&mut self) {
        self.kill_at = None;
        if !std::mem::replace(&mut self.killed, true) {
            self.counters.count(AgentCounter::KillsByKill);
            self.control.kill();
        }
    }
}

async fn next_end(events: &mut Events, leader_known: bool) -> Step {
    if leader_known { Step::Tree(events.tree_end().await.proof) } else { Step::Leader(events.leader_exit().await) }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
