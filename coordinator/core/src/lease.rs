//! Cutting leases, and telling a live one from a stale one.

use windlass_shared::domain::Lease;
use windlass_shared::time::Timestamp;

use crate::agents::AgentIx;
use crate::jobs::Job;

/// The fencing token's counter has 40 bits: a million leases a second for twelve days within one epoch.
const COUNTER_BITS: u32 = 40;

#[derive(Debug)]
pub(crate) struct Issuer {
    incarnation: u64,
    epoch: u64,
    counter: u64,
}

impl Issuer {
    pub(crate) fn new(incarnation: u64, epoch: u64) -> Self {
        Self { incarnation, epoch, counter: 0 }
    }

    pub(crate) fn fencing_token(&mut self) -> u64 {
        self.counter += 1;
        debug_assert!(self.counter < 1 << COUNTER_BITS, "the epoch's tokens are used up");
        (self.epoch << COUNTER_BITS) | self.counter
    }

    /// The lease that `job` is held under.
    pub(crate) fn lease(&self, job: &Job, held: &Held) -> Lease {
        Lease {
            job: job.id,
            generation: job.generation,
            attempt: job.attempts,
            incarnation: self.incarnation,
            epoch: held.fencing_token >> COUNTER_BITS,
            fencing_token: held.fencing_token,
        }
    }
}

/// What a leased job has and a waiting one has not; boxed there, since most jobs wait.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) agent: AgentIx,
    pub(crate) fencing_token: u64,
    pub(crate) leased_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
}
