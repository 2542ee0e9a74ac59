//! Random records through the blobs and back.

use std::sync::Arc;
use std::time::Duration;

use windlass_shared::domain::{
    Affinity, AttemptRecord, AttemptState, CallResult, Constraint, Demand, Event, Execution, Exit, ExitStatus,
    Fairness, Grant, HandlerError, JobHeader, JobRecord, JobState, LimitUse, Must, OnAgentLost, OnConflict, Outcome,
    Placement, Preset, Proof, Reason, RetryPolicy, SpawnFailure, Tried, Unique,
};
use windlass_shared::ids::{AgentId, JobId};
use windlass_shared::resilience::delay::{Delay, Growth, Jitter};
use windlass_shared::resilience::plan::RetryPlan;
use windlass_shared::resilience::rules::{Action, Again, Match, RetryRule};
use windlass_shared::time::Timestamp;

use crate::store::Request;

/// Draws records.
pub(in crate::store) struct Draw(pub(in crate::store) fastrand::Rng);

impl Draw {
    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.0.usize(..all.len())]
    }

    fn maybe<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.0.bool() { Some(draw(self)) } else { None }
    }

    // Small, large and extreme: each has its own length on disk.
    fn number(&mut self) -> u64 {
        let any = self.0.u64(..);
        self.of(&[0, 1, 127, 128, any, u64::MAX])
    }

    fn small(&mut self) -> u32 {
        let any = self.0.u32(..);
        self.of(&[0, 1, any, u32::MAX])
    }

    fn time(&mut self) -> Timestamp {
        let any = self.0.i64(..);
        Timestamp(self.of(&[0, -1, any, i64::MIN, i64::MAX]))
    }

    fn span(&mut self) -> Duration {
        let any = Duration::new(self.0.u64(..), self.0.u32(..1_000_000_000));
        self.of(&[Duration::ZERO, Duration::from_nanos(1), any, Duration::MAX])
    }

    fn text<T: for<'a> From<&'a str>>(&mut self) -> T {
        self.of(&["", "default", "näme ⚓", "x\0y", "a rather long text that says how it went and why"]).into()
    }

    pub(in crate::store) fn id(&mut self) -> JobId {
        JobId::from_bytes(self.0.u128(..).to_be_bytes())
    }

    fn demand(&mut self) -> Arc<Demand> {
        let key = |text: &str| Arc::<str>::from(text);
        let must = self.of(&[0, 1, 2, 3, 4, 5]);
        let must = match must {
            0 => Must::In(vec![key("a"), key("b")]),
            1 => Must::NotIn(vec![key("")]),
            2 => Must::Exist,
            3 => Must::NotExist,
            4 => Must::Exceed(self.of(&[i64::MIN, 0, i64::MAX - 2])),
            _ => Must::StayBelow(self.of(&[i64::MIN + 2, 0, i64::MAX])),
        };
        let constraint = Constraint { label: "disk".into(), must };
        let on_conflict =
            [OnConflict::Reject, OnConflict::ReturnExisting, OnConflict::ReplaceQueued, OnConflict::CancelRunning];
        let cost = self.of(&[1, 500, 1_001, 1_000_000_000]);
        Arc::new(Demand {
            placement: Placement {
                resources: vec![(key("cpus"), self.of(&[1, 1_500, 1_000_000_000_000_000])), (key("gpu"), 2_000)],
                affinities: vec![Affinity { constraint: constraint.clone(), weight: self.of(&[-100, 1, 100]) }],
                constraints: vec![constraint],
                min_lifetime: self.of(&[None, Some(Duration::from_nanos(1)), Some(Duration::from_secs(3_600))]),
            },
            fairness: self.maybe(|_| Fairness { key: key("tenant:1"), cost }),
            ordering_key: self.maybe(|_| key("order/7")),
            unique: self.maybe(|draw| Unique { key: key("u@h"), on_conflict: draw.of(&on_conflict) }),
            limits: vec![LimitUse { key: key("api.example"), units: 3, cost: 0 }],
        })
    }

    fn agent(&mut self) -> AgentId {
        AgentId::from_bytes(self.0.u128(..).to_be_bytes())
    }

    fn state(&mut self) -> JobState {
        use JobState::{
            Blocked, Cancelled, Cancelling, Coalesced, Delayed, Expired, Failed, Leased, Queued, Running, Succeeded,
        };
        self.of(&[
            Blocked, Delayed, Queued, Leased, Running, Cancelling, Succeeded, Failed, Cancelled, Expired, Coalesced,
        ])
    }

    fn reason(&mut self) -> Reason {
        self.of(&[Reason::ExitCode, Reason::Signal, Reason::AgentLost, Reason::Poison, Reason::OutOfTouch])
    }

    fn plan(&mut self) -> Arc<RetryPlan> {
        let growth = [Growth::Fixed, Growth::Fibonacci, Growth::Decorrelated][self.0.usize(..3)].clone();
        let cap = Duration::from_millis(self.0.u64(9..86_400_000));
        let delay = Delay { growth, first: Duration::from_millis(9), cap, jitter: Jitter::Full };
        let again = Again { delay: Some(delay.clone()), times_max: Some(self.0.u16(1..=1_000)), ..Again::default() };
        let when = Match { exit_codes: [self.0.u8(..9)..=9].into(), ..Match::default() };
        let last =
            RetryRule { when: Match::default(), action: [Action::Fail, Action::DeadLetter][self.0.usize(..2)].clone() };
        let rules = [RetryRule { when, action: Action::Retry(again) }, last].into();
        Arc::new(RetryPlan { delay: self.0.bool().then_some(delay), rules, dead_letter: self.0.bool() })
    }

    fn tried(&mut self) -> Arc<Tried> {
        Arc::new(Tried {
            agents: (0..self.0.usize(..4)).map(|_| self.agent()).collect(),
            other_agent: self.0.bool(),
            wait: Duration::new(self.0.u64(..9), self.0.u32(..1_000_000_000)),
            rule_uses: (0..self.0.usize(..4)).map(|_| self.0.u16(..)).collect(),
            uncharged: self.0.u16(..),
            memory: self.maybe(Self::number),
        })
    }

    fn attempt_state(&mut self) -> AttemptState {
        use AttemptState::{Cancelled, Failed, Leased, Lost, Returned, Running, Starting, Succeeded};
        self.of(&[Leased, Starting, Running, Succeeded, Failed, Cancelled, Lost, Returned])
    }

    pub(in crate::store) fn job(&mut self) -> JobRecord {
        JobRecord {
            id: self.id(),
            state: self.state(),
            generation: self.small(),
            revision: self.number(),
            header: JobHeader {
                queue: self.text(),
                priority: self.0.i8(..),
                retry: RetryPolicy {
                    preset: self.of(&[Preset::None, Preset::Default, Preset::Conservative, Preset::Aggressive]),
                    attempts_max: self.0.u16(..),
                },
                retry_plan: self.maybe(Self::plan),
                execution: self.of(&[Execution::AtLeastOnce, Execution::AtMostOnce]),
                on_agent_lost: self.of(&[OnAgentLost::Retry, OnAgentLost::Fail, OnAgentLost::Wait]),
                handler: self.maybe(Self::text),
                program: self.maybe(Self::text),
                demand: self.maybe(Self::demand),
            },
            order: self.number(),
            created_at: self.time(),
            updated_at: self.time(),
            ended_at: self.maybe(Self::time),
            ready_at: self.maybe(Self::time),
            reason: self.maybe(Self::reason),
            detail: self.maybe(Self::text),
            cancel_requested: self.0.bool(),
            failures: self.small(),
            infra_losses: self.small(),
            interruptions: self.small(),
            worker_deaths: self.small(),
            spec_bytes: self.small(),
            attempts: self.small(),
            tried: self.maybe(Self::tried),
            dead_lettered: self.0.bool(),
        }
    }

    pub(in crate::store) fn attempt(&mut self) -> AttemptRecord {
        let outcome = self.maybe(|draw| Box::new(draw.outcome()));
        let here = outcome.as_ref().and_then(|outcome| outcome.result.as_ref()).map_or(0, |result| result.value.len());
        AttemptRecord {
            number: self.small(),
            state: self.attempt_state(),
            agent: self.agent(),
            agent_name: self.text(),
            agent_instance: self.number(),
            agent_boot: self.number(),
            fencing_token: self.number(),
            leased_at: self.time(),
            started_at: self.maybe(Self::time),
            ended_at: self.maybe(Self::time),
            grants: self.maybe(Self::grant).into_iter().collect(),
            result_bytes: here as u64,
            retry_rule: self.maybe(Self::text),
            outcome,
        }
    }

    fn grant(&mut self) -> Grant {
        let ids = (0..self.0.u8(1..4)).map(|n| n.to_string().into()).collect();
        Grant { device: self.text(), ids, share_milli: self.small() }
    }

    fn outcome(&mut self) -> Outcome {
        Outcome {
            state: self.attempt_state(),
            reason: self.maybe(Self::reason),
            detail: self.maybe(Self::text),
            exit: self.maybe(Self::exit),
            spawn_failure: self.maybe(|draw| SpawnFailure { stage: draw.text(), errno: draw.0.i32(..) }),
            stdout_bytes: self.number(),
            stderr_bytes: self.number(),
            started_at: None,
            result: self.maybe(|draw| CallResult {
                value: vec![draw.0.u8(..); draw.0.usize(..9)].into(),
                content_type: draw.maybe(Self::text),
            }),
            error: self.maybe(|draw| HandlerError {
                code: draw.maybe(Self::text),
                permanent: draw.0.bool(),
                retry_after: draw.maybe(|draw| Duration::from_millis(draw.0.u64(..1 << 40))),
                cooldown_key: draw.maybe(Self::text),
            }),
        }
    }

    fn exit(&mut self) -> Exit {
        let signal = ExitStatus::Signal { number: self.0.u8(..), core_dumped: self.0.bool() };
        let code = ExitStatus::Code(self.0.u8(..));
        Exit {
            status: self.of(&[code, signal, ExitStatus::Code(0), ExitStatus::Unknown]),
            user_time: self.span(),
            system_time: self.span(),
            max_rss_bytes: self.number(),
            wall_time: self.span(),
            proof: self.of(&[Proof::Cgroup, Proof::Keeper, Proof::Swept, Proof::LeaseExpired, Proof::None]),
        }
    }

    pub(in crate::store) fn event(&mut self) -> Event {
        Event {
            revision: self.number(),
            time: self.time(),
            job: self.id(),
            state: self.state(),
            attempt: self.small(),
            agent: self.maybe(Self::agent),
            reason: self.maybe(Self::reason),
        }
    }

    pub(in crate::store) fn request(&mut self) -> Request {
        Request { id: self.text(), digest: [self.0.u8(..); 32], job: self.id(), at: self.time() }
    }
}
