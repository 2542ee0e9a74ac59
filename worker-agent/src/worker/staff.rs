//! Who is started and who ends, as sizing, recycling and the breaker have it.

use tokio::time::Instant;
use windlass_shared::domain::{WorkerExit, WorkerStatus};

use super::life::Life;
use super::pool::Pool;
use super::seat::{Seat, State};
use super::sizing::Census;
use super::step::Now;

impl Pool {
    pub(super) fn take_census(&self, now: Instant) -> Census {
        let mut census = Census { waiting: self.waiting.len(), ..Census::default() };
        for seat in &self.seats {
            seat.count(&mut census, now, self.policy.idle_timeout);
        }
        census
    }

    /// Starts and ends workers.
    pub(super) fn staff(&mut self, now: Now) {
        let census = self.take_census(now.at);
        if self.leaving.is_some() {
            self.seats.iter_mut().for_each(|seat| seat.leave(now.at));
            self.census = census;
            return;
        }
        self.breaker.look(now.at, census.starting, census.ready());
        let plan = self.sizing.plan(now.at, &self.policy, &census);
        let room = census.taken() < self.policy.max + self.policy.surge();
        let start = self.breaker.allowed(now.at, plan.start, room);
        if start == 0 && plan.changes_nobody() {
            self.census = census;
            return;
        }
        (0..start).for_each(|_| self.start_one(now));
        self.part(plan.replaced, now.at, |seat| seat.life.due);
        self.part(plan.shed, now.at, |_| Some(WorkerExit::Idle));
        let idle_timeout = self.policy.idle_timeout;
        self.part(plan.shrink, now.at, |seat| seat.idles_for(now.at, idle_timeout).then_some(WorkerExit::Idle));
        self.census = self.take_census(now.at);
    }

    fn start_one(&mut self, now: Now) {
        let off = self.seats.iter().position(|seat| seat.state == State::Off);
        let ix = off.unwrap_or_else(|| {
            self.seats.push(Seat::new(now.at));
            self.seats.len() - 1
        });
        // One draw a step: the golden ratio spreads those that are started in the same step as evenly as luck would.
        let fraction = (now.random + 0.618 * f64::from(u32::try_from(ix).unwrap_or(u32::MAX))).fract();
        let life = Life::new(now.at, self.generation, &self.recycling, fraction);
        self.seats[ix].start(now, self.options.start_timeout(), life);
        self.starts_total += 1;
        self.starts.push(ix);
    }

    /// So many of those that there is a reason for take nothing more and end after what they have: first whoever has least, and
    /// of those the one that has idled longest.
    fn part(&mut self, many: usize, now: Instant, why: impl Fn(&Seat) -> Option<WorkerExit>) {
        for _ in 0..many {
            let open = self.seats.iter_mut().filter(|seat| seat.state == State::Ready && !seat.parting);
            let reasons = open.filter_map(|seat| why(seat).map(|exit| (seat, exit)));
            let Some((seat, exit)) = reasons.min_by_key(|(seat, _)| (seat.window.len(), seat.idle_since)) else {
                return;
            };
            let (done, rss) = (seat.life.done, seat.life.rss);
            tracing::debug!(pool = &*self.name, exit = exit.name(), done, rss, "a worker ends after what it has");
            seat.part(exit, now);
        }
    }

    /// How a place stands, for people.
    pub(super) fn status(&self, seat: &Seat) -> WorkerStatus {
        match seat.state {
            State::Off if self.breaker.is_barred() => WorkerStatus::Barred,
            State::Off => WorkerStatus::Off,
            State::Starting(_) => WorkerStatus::Starting,
            State::Ready if seat.parting => WorkerStatus::Retiring,
            State::Ready if seat.window.is_empty() => WorkerStatus::Idle,
            State::Ready => WorkerStatus::Busy,
            State::Retiring(_) => WorkerStatus::Retiring,
            State::Dying => WorkerStatus::Stopping,
            State::Backoff(_) => WorkerStatus::Backoff,
            State::Stuck => WorkerStatus::Stuck,
        }
    }
}
