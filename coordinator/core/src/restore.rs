//! Rows become state again. What ran before a restart is taken to run still: nothing is LOST before its agent has had a whole
//! lease, and the margin, to say hello.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use windlass_shared::domain::{AgentState, AttemptRecord, AttemptState, JobRecord, JobState, Scheduling};
use windlass_shared::time::{Moment, Now, Timestamp};

use crate::agents::Agent;
use crate::jobs::Job;
use crate::keys::{AgentIx, Slot};
use crate::lease::Held;
use crate::rooms::{RoomId, Rooms};
use crate::timers::Timer;
use crate::{Core, Options};

/// A job that is not final, as it is on record, with its newest attempt.
pub type Live = (JobRecord, Option<AttemptRecord>);

impl Core {
    /// A core that goes on where the record ends: at `revision`, with these jobs.
    #[must_use]
    pub fn restore(options: Options, now: Now, revision: u64, live: Vec<Live>) -> Self {
        let mut core = Self::new(options);
        core.revision = revision;
        core.judge_from = now.mono.after(core.options.recovery_window());
        core.restore_holders(now, &live);
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
                let ix = self.restore_agent(now, attempt, AgentState::Suspect);
                self.watch_lease(ix, now.mono.after(self.options.lease_ttl));
            }
        }
    }

    fn restore_one(&mut self, now: Now, record: JobRecord, attempt: Option<AttemptRecord>) {
        let state = record.state;
        // Waited for on the wall clock over the restart, as no other clock runs on; from here on by the monotonic one.
        let ready = record.ready_at.filter(|_| state == JobState::Delayed).map(|at| {
            let wait = u64::try_from(at.0.saturating_sub(now.wall.0)).unwrap_or(0);
            Box::new((now.mono.after(Duration::from_nanos(wait)), at))
        });
        let due = ready.as_ref().map(|ready| ready.0);
        let slot = self.restore_job(record, ready);
        match (state, attempt) {
            (JobState::Leased | JobState::Running | JobState::Cancelling, Some(attempt)) => {
                let held = self.restore_held(now, slot, &attempt);
                self.jobs.get_mut(slot).held = Some(held);
            }
            (_, Some(attempt)) if attempt.state == AttemptState::Lost => {
                // Known only from what it lost, it is not waited for, and owns neither name nor id.
                let agent = self.agents.find(attempt.agent);
                let agent = agent.unwrap_or_else(|| self.restore_agent(now, &attempt, AgentState::Lost));
                self.jobs.get_mut(slot).lost = Some(Box::new(held(agent, &attempt)));
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

    fn restore_job(&mut self, record: JobRecord, ready: Option<Box<(Moment, Timestamp)>>) -> Slot {
        let queue = self.jobs.names.add(&record.header.queue);
        let class = self.jobs.class_of(record.header.handler.as_ref());
        self.queues.moved(queue, None, Some(record.state));
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
            queue,
            class,
            generation: record.generation,
            attempts: record.attempts,
            retry: record.header.retry,
            failures: counted(record.failures),
            infra_losses: counted(record.infra_losses),
            interruptions: record.interruptions,
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
        let ix = agent.unwrap_or_else(|| self.restore_agent(now, attempt, AgentState::Suspect));
        let mut held = held(ix, attempt);
        held.room = self.agents.get(ix).rooms.place(self.jobs.get(slot).class);
        self.occupy(ix, held.room, slot, held.started_at.is_some());
        Box::new(held)
    }

    /// All that is known of an agent from an attempt of its: enough to wait for its hello, and to lose it.
    fn restore_agent(&mut self, now: Now, attempt: &AttemptRecord, state: AgentState) -> AgentIx {
        self.agents.insert(Agent {
            id: attempt.agent,
            name: attempt.agent_name.clone(),
            instance: attempt.agent_instance,
            boot: attempt.agent_boot,
            session_number: 0,
            session: None,
            state,
            scheduling: Scheduling::Active,
            rooms: Rooms::default(),
            held: BTreeSet::new(),
            running: 0,
            host: "".into(),
            version: "".into(),
            connected_at: attempt.leased_at,
            heard: now.mono,
            heard_at: attempt.leased_at,
            lease_due: None,
        })
    }
}

fn held(agent: AgentIx, attempt: &AttemptRecord) -> Held {
    Held {
        agent,
        // Its pool is told with the hello.
        room: RoomId::STRAY,
        instance: attempt.agent_instance,
        boot: attempt.agent_boot,
        fencing_token: attempt.fencing_token,
        leased_at: attempt.leased_at,
        started_at: attempt.started_at,
    }
}
