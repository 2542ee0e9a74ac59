//! One call in a worker's hands.

use std::time::Duration;

use tokio::time::Instant;
use windlass_shared::domain::{Lease, Reason, WorkerExit};
use windlass_shared::time::Timestamp;

use super::{Call, CallEnd, Death, How, News};
use crate::halt::Halt;
use crate::logs::Offsets;
use crate::process::{LeaderEnd, Proof};

/// Within this the start of a call is reported; what is over sooner is told in one piece, as for commands.
const START_TOLD_WITHIN: Duration = Duration::from_millis(20);

/// When a handler was entered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Began {
    pub(super) at: Instant,
    wall: Timestamp,
    told: bool,
}

/// One call in a worker's hands.
#[derive(Debug)]
pub(super) struct Flight {
    /// Names it between us and the worker.
    pub(super) id: u64,
    pub(super) call: Box<Call>,
    /// None: it waits in the worker's pipe.
    pub(super) began: Option<Began>,
    /// It is to stop.
    pub(super) stop: Option<Halt>,
    /// It is to go back to the coordinator, where it has not begun.
    pub(super) give_back: Option<Reason>,
    /// The worker was asked for it.
    pub(super) recalled: bool,
    /// The worker was told to stop it.
    pub(super) pressed: bool,
    /// When its grace is over.
    pub(super) kill_at: Option<Instant>,
    pub(super) offsets: Offsets,
}

impl Flight {
    pub(super) fn new(id: u64, call: Box<Call>) -> Self {
        let offsets = Offsets::default();
        let (began, stop, give_back, kill_at) = (None, None, None, None);
        Self { id, call, began, stop, give_back, recalled: false, pressed: false, kill_at, offsets }
    }

    pub(super) fn lease(&self) -> Lease {
        self.call.lease
    }

    /// The handler is entered.
    pub(super) fn begin(&mut self, at: Instant, wall: Timestamp) {
        self.began.get_or_insert(Began { at, wall, told: false });
    }

    /// For how long it runs.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        self.began.map(|began| now.saturating_duration_since(began.at))
    }

    /// When its start is to be told.
    pub(super) fn told_at(&self) -> Option<Instant> {
        self.began.filter(|began| !began.told).map(|began| began.at + START_TOLD_WITHIN)
    }

    /// The news of its start.
    pub(super) fn tell_start(&mut self) -> Option<(Lease, News)> {
        let lease = self.lease();
        let began = self.began.as_mut().filter(|began| !began.told)?;
        began.told = true;
        Some((lease, News::Started(began.wall)))
    }

    /// When its run timeout passes, while nobody stops it.
    pub(super) fn timeout_at(&self) -> Option<Instant> {
        let timeout = self.call.run_timeout.filter(|_| self.stop.is_none())?;
        self.began.map(|began| began.at + timeout)
    }

    /// It is over so.
    pub(super) fn end(self, how: How) -> (Lease, News) {
        let lease = self.lease();
        let started_at = self.began.filter(|began| !began.told).map(|began| began.wall);
        let stopped = self.stop.map(|halt| halt.reason);
        (lease, News::Ended(Box::new(CallEnd { how, stopped, started_at, offsets: self.offsets })))
    }

    /// It is over with its worker, which broke the protocol where `broke` says how.
    pub(super) fn die(
        self,
        now: Instant,
        leader: LeaderEnd,
        proof: Proof,
        exit: WorkerExit,
        broke: Option<&str>,
    ) -> (Lease, News) {
        let death = Death { leader, proof, exit, wall_time: self.age(now).unwrap_or_default() };
        self.end(match broke {
            Some(why) => How::Broke(why.to_owned(), death),
            None => How::Died(death),
        })
    }
}

/// What becomes of a call that was stopped before it began: a stop of the agent's gives it back.
pub(super) fn unbegun(lease: Lease, reason: Reason) -> (Lease, News) {
    match reason {
        Reason::Drain | Reason::Shutdown => (lease, News::Returned(reason)),
        Reason::OutOfTouch => (lease, News::Returned(Reason::Returned)),
        _ => {
            let end =
                CallEnd { how: How::NotBegun, stopped: Some(reason), started_at: None, offsets: Offsets::default() };
            (lease, News::Ended(Box::new(end)))
        }
    }
}
