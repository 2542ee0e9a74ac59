//! Fencing tokens, and what a leased job has that a waiting one has not.

use windlass_shared::domain::Grant;
use windlass_shared::time::Timestamp;

use crate::keys::AgentIx;
use crate::rooms::RoomId;
use crate::scheduling::Class;
use crate::supply::Needs;

/// The fencing token's counter has 40 bits: a million leases a second for twelve days within one epoch.
const COUNTER_BITS: u32 = 40;

/// Makes fencing tokens, each greater than all before it, those of earlier epochs included.
#[derive(Debug)]
pub(crate) struct Issuer {
    epoch: u64,
    counter: u64,
}

impl Issuer {
    pub(crate) fn new(epoch: u64) -> Self {
        Self { epoch, counter: 0 }
    }

    pub(crate) fn fencing_token(&mut self) -> u64 {
        self.counter += 1;
        debug_assert!(self.counter < 1 << COUNTER_BITS, "the epoch's tokens are used up");
        (self.epoch << COUNTER_BITS) | self.counter
    }
}

/// The coordinator start that issued a token.
pub(crate) fn epoch_of(fencing_token: u64) -> u64 {
    fencing_token >> COUNTER_BITS
}

/// What a leased job has; boxed there, since most jobs wait.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) agent: AgentIx,
    /// The room of the agent that it counts against.
    pub(crate) room: RoomId,
    /// What it asks of a room: pools come and go under other names while it runs.
    pub(crate) class: Class,
    /// The agent's process that it was given to.
    pub(crate) instance: u64,
    /// That process's boot and lock, as [`crate::agents::boot_mark`] has them.
    pub(crate) boot: u64,
    pub(crate) fencing_token: u64,
    pub(crate) leased_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    /// What it takes of the agent's resources.
    pub(crate) needs: Needs,
    /// Devices it was lent, until it is proven over.
    pub(crate) grants: Vec<Grant>,
}
