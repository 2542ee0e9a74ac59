//! What a worker's tree may have in memory, and what follows from a look.

use std::time::Duration;

use windlass_shared::domain::WorkerExit;

use super::pool::Pool;
use super::seat::State;
use super::step::Now;

/// Time between two looks; the sampler's own where few trees are watched.
pub(super) const LOOK_EVERY: Duration = crate::containment::SAMPLE_OFTEN;
/// The kill follows at the next look; this much later it follows without one.
const KILL_WITHIN: Duration = Duration::from_secs(2);

impl Pool {
    /// Whether anybody has to look.
    pub(super) fn weighs(&self) -> bool {
        self.recycling.rss_max.is_some() || self.recycling.memory_limit.is_some()
    }

    /// A look found so many bytes.
    pub(super) fn on_memory(&mut self, ix: usize, bytes: u64, now: Now) {
        let bounds = self.recycling;
        let seat = &mut self.seats[ix];
        if !matches!(seat.state, State::Starting(_) | State::Ready | State::Retiring(_)) {
            return;
        }
        seat.life.rss = Some(bytes);
        if seat.life.told == Some(WorkerExit::MemoryLimit) {
            // It had from one look to the next.
            seat.kill(WorkerExit::MemoryLimit);
        } else if !seat.life.limited && bounds.memory_limit.is_some_and(|limit| bytes > limit) {
            tracing::warn!(
                pool = &*self.name,
                worker = ix,
                bytes,
                limit = bounds.memory_limit,
                "a worker takes too much memory"
            );
            match seat.state {
                State::Starting(_) => seat.kill(WorkerExit::MemoryLimit),
                _ => seat.end_by(libc::SIGTERM, now.at + KILL_WITHIN, WorkerExit::MemoryLimit),
            }
        } else if bounds.rss_max.is_some_and(|max| bytes > max) && seat.state == State::Ready {
            seat.life.due.get_or_insert(WorkerExit::RecycledRss);
        }
    }
}
