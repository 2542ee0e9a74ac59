//! One life of a worker: what it has done, when another is to take its place, and why it ends.
//!
//! A worker that is *due* goes on taking calls until its successor is ready; one that was *told* to end does not.

use std::sync::Arc;
use std::time::Duration;

use libc::SIGKILL;
use tokio::time::Instant;
use windlass_shared::domain::WorkerExit;
use windlass_shared::ipc::EXIT_CONFIG;

use super::restart::STABLE;
use crate::process::{ExitKind, LeaderEnd};

/// What a worker of this pool may do and hold before another takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Recycling {
    /// Calls, about.
    pub(super) jobs_max: Option<u32>,
    /// Age before which no number of calls is too many.
    pub(super) jobs_from: Duration,
    /// Age, about.
    pub(super) age_max: Option<Duration>,
    /// Bytes of its tree in memory.
    pub(super) rss_max: Option<u64>,
    /// Bytes of its tree in memory at which it is not let finish.
    pub(super) memory_limit: Option<u64>,
}

/// Part of a bound by which it differs from worker to worker, either way: those that were started together are not replaced
/// together.
const JITTER: f64 = 0.1;

/// One life.
#[derive(Debug)]
pub(super) struct Life {
    /// The pool's when it began.
    pub(super) generation: u32,
    began: Instant,
    /// When it said hello.
    pub(super) ready_at: Option<Instant>,
    /// Handlers that calls to it may name.
    pub(super) handlers: Arc<[Arc<str>]>,
    /// Number of its process, for people.
    pub(super) pid: Option<u32>,
    /// Calls it has finished.
    pub(super) done: u64,
    /// What its tree had in memory at the last look.
    pub(super) rss: Option<u64>,
    /// Another is to take its place, for this reason.
    pub(super) due: Option<WorkerExit>,
    /// The kernel keeps its memory limit, more exactly than a look can.
    pub(super) limited: bool,
    /// The kernel killed in its tree, by the word of its control group.
    pub(super) oom_killed: bool,
    /// It was told to end, or killed, for this reason.
    pub(super) told: Option<WorkerExit>,
    jobs_max: u64,
    jobs_from: Instant,
    age_until: Option<Instant>,
}

impl Life {
    /// It begins, with bounds of its own.
    pub(super) fn new(now: Instant, generation: u32, bounds: &Recycling, fraction: f64) -> Self {
        let factor = 1.0 + JITTER * (2.0 * fraction - 1.0);
        // A bound of one call stays one.
        let jobs = |max: u32| (f64::from(max) * factor).round().max(1.0) as u64;
        Self {
            generation,
            began: now,
            ready_at: None,
            handlers: Arc::default(),
            pid: None,
            done: 0,
            rss: None,
            due: None,
            limited: false,
            oom_killed: false,
            told: None,
            jobs_max: bounds.jobs_max.map_or(u64::MAX, jobs),
            jobs_from: now + bounds.jobs_from,
            age_until: bounds.age_max.map(|age| now + age.mul_f64(factor)),
        }
    }

    /// It finished a call.
    pub(super) fn finished(&mut self, now: Instant) {
        self.done += 1;
        if self.done >= self.jobs_max && now >= self.jobs_from {
            self.due.get_or_insert(WorkerExit::RecycledJobs);
        }
    }

    /// When it is too old.
    pub(super) fn age_until(&self) -> Option<Instant> {
        self.age_until.filter(|_| self.due.is_none())
    }

    /// Whether it lived for long enough to show that it can.
    pub(super) fn is_stable(&self, now: Instant) -> bool {
        self.ready_at.is_some() && now.saturating_duration_since(self.began) >= STABLE
    }

    /// Why it ended, where this is how. `asked`: it was on its way out; `called`: with a call in its hands, begun or not.
    pub(super) fn exit(&self, leader: LeaderEnd, fenced: bool, asked: bool, called: bool) -> WorkerExit {
        let status = match leader {
            LeaderEnd::Exited(exit) => Some(exit.status),
            LeaderEnd::Lost => None,
        };
        match (self.told.filter(|_| asked), status) {
            (Some(told), _) => told,
            _ if fenced => WorkerExit::Fenced,
            (None, None) => WorkerExit::SupervisorLost,
            (None, Some(ExitKind::Code(EXIT_CONFIG))) => WorkerExit::BadConfig,
            (None, Some(ExitKind::Signal { signo: SIGKILL, .. })) if self.oom_killed => WorkerExit::OomKilled,
            (None, Some(_)) if self.ready_at.is_none() => WorkerExit::BootFailed,
            (None, Some(ExitKind::Code(0))) if !called => WorkerExit::ExitedIdle,
            (None, Some(ExitKind::Code(_))) => WorkerExit::Exited,
            (None, Some(ExitKind::Signal { .. })) => WorkerExit::Signalled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn jobs(bounds: Recycling, fraction: f64) -> u64 {
        let now = Instant::now();
        let mut life = Life::new(now, 1, &bounds, fraction);
        while life.due.is_none() && life.done < 5_000 {
            life.finished(now + 60 * S);
        }
        life.done
    }

    #[test]
    fn the_number_of_calls_varies_by_a_tenth_either_way_and_a_bound_of_one_is_one() {
        let of = |max: u32| Recycling { jobs_max: Some(max), ..Recycling::default() };
        assert_eq!([0.0, 0.5, 1.0].map(|fraction| jobs(of(1_000), fraction)), [900, 1_000, 1_100]);
        assert_eq!([0.0, 0.5, 1.0].map(|fraction| jobs(of(1), fraction)), [1, 1, 1]);
        assert_eq!(jobs(Recycling::default(), 0.5), 5_000);
    }

    #[test]
    fn a_young_worker_is_not_replaced_for_its_calls_where_the_pool_says_nothing_of_them() {
        let bounds = Recycling { jobs_max: Some(10), jobs_from: 60 * S, ..Recycling::default() };
        let now = Instant::now();
        let mut life = Life::new(now, 1, &bounds, 0.5);
        (0..1_000).for_each(|_| life.finished(now + 59 * S));
        assert_eq!(life.due, None);
        life.finished(now + 60 * S);
        assert_eq!(life.due, Some(WorkerExit::RecycledJobs));
    }

    #[test]
    fn the_age_varies_too_and_is_no_deadline_any_more_once_it_is_met() {
        let bounds = Recycling { age_max: Some(100 * S), ..Recycling::default() };
        let now = Instant::now();
        let mut life = Life::new(now, 1, &bounds, 0.0);
        assert_eq!(life.age_until(), Some(now + 90 * S));
        life.due = Some(WorkerExit::RecycledAge);
        assert_eq!(life.age_until(), None);
    }
}
