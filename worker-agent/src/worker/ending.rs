//! How a worker's life is brought to its end: asked, told by a signal, or killed.

use std::time::Duration;

use tokio::time::Instant;
use windlass_shared::domain::WorkerExit;
use windlass_shared::ipc;

use super::seat::{Seat, State};
use super::step::Strike;

/// Time for a worker that was told to end.
const RETIRE_WITHIN: Duration = Duration::from_secs(5);

impl Seat {
    /// Nothing more, and an end after what it has begun, for this reason.
    pub(super) fn part(&mut self, exit: WorkerExit, now: Instant) {
        self.parting = true;
        self.life.told.get_or_insert(exit);
        self.recall(..);
        self.end_if_done(now);
    }

    /// Ends it where it has done what it had to do.
    pub(super) fn end_if_done(&mut self, now: Instant) {
        if self.parting && self.state == State::Ready && self.window.is_empty() {
            self.retire(now);
        }
    }

    /// The agent leaves: whoever has nothing ends.
    pub(super) fn leave(&mut self, now: Instant) {
        match self.state {
            // It has said nothing yet, and so has nothing to tidy up.
            State::Starting(_) => self.kill(WorkerExit::Shutdown),
            State::Ready if self.window.is_empty() => {
                self.life.told.get_or_insert(WorkerExit::Shutdown);
                self.retire(now);
            }
            _ => {}
        }
    }

    /// Nothing more, and an end.
    pub(super) fn retire(&mut self, now: Instant) {
        self.state = State::Retiring(now + RETIRE_WITHIN);
        self.say(ipc::bye);
    }

    /// Nothing more; it is told to end by a signal, and killed where it does not.
    pub(super) fn end_by(&mut self, signo: i32, until: Instant, exit: WorkerExit) {
        self.life.told = Some(exit);
        if let Some(first) = self.window.front_mut() {
            first.kill_at = Some(first.kill_at.map_or(until, |at| at.min(until)));
            self.recall(1..);
        }
        self.state = State::Retiring(until);
        self.strikes.extend([Strike::Signal(signo), Strike::Signal(libc::SIGCONT)]);
    }

    /// Ends it by force, for this reason where it was told none before.
    pub(super) fn kill(&mut self, exit: WorkerExit) {
        if self.state != State::Dying {
            self.state = State::Dying;
            self.life.told.get_or_insert(exit);
            self.strikes.push(Strike::Kill);
        }
    }

    /// It has been told to end, and does not in time.
    pub(super) fn kill_overdue(&mut self) {
        self.kill(self.life.told.unwrap_or(WorkerExit::CallStopped));
    }

    /// It cannot be spoken to any more.
    pub(super) fn break_off(&mut self, exit: WorkerExit, why: impl Into<String>) {
        if self.broke.is_none() {
            self.tally.protocol_errors += u64::from(exit == WorkerExit::Protocol);
            self.broke = Some(why.into());
        }
        if self.state != State::Dying {
            self.life.told = Some(exit);
        }
        self.kill(exit);
    }
}
