//! Pools: workers that live on from call to call, and which call goes to which.
//!
//! ```text
//!  executor ── Order ──► Runner ─► Pool (pure: who does what, and until when) ─► writes, signals, starts
//!     ▲                    ▲ │                                                        │
//!     └── (lease, News) ───┼─┘             ┌──────────────────────────────────────────┘
//!                          └── Heard ── link, one a worker ══ stdin, stdout, stderr ══ worker's process
//! ```
//! A worker: starting → ready (idle ⇄ busy) → parting → retiring → gone → backoff → starting. Its hello opens the door to calls; its death is
//! classified only when its pipe was read to the end.
//!
//! - [`pool`] who has what, [`hearing`] what follows from a word, [`deaths`] from an end, [`due`] from the time, [`staff`] who is started
//!   and who goes, [`turnover`] one generation after another ([`trial`]: what the former was), [`memory`] what they hold: synchronous, one owner · [`seat`] one worker's place in it, [`ending`] how its life is
//!   ended, [`pulse`] its signs of life ·
//!   [`flight`] one call in a worker's hands, and the ladder that stops it · [`pace`] how far ahead it is worth going.
//! - [`sizing`] how many there should be, [`breaker`] whether any is started, [`life`] when one is replaced, [`restart`] how long a
//!   place waits: plain state · [`step`] what every step is given · [`tail`] the end of what one wrote.
//! - [`asks`] what operators ask of it.
//! - [`pools`] all of them, for executor and session, [`handle`] a hand on one · [`slots`] what they leave to commands · [`options`] what
//!   one is told, [`bounds`] whether it can be.
//! - [`runner`] feeds the pool and does what it says · [`link`] one process and its pipes · [`scratch`] its directory · [`mailbox`] hands
//!   things over.
//!
//! Not here: sockets, leases' rules, what becomes of an outcome.

mod asks;
mod bounds;
mod breaker;
mod bytes;
mod deaths;
mod due;
mod ending;
mod flight;
mod handle;
mod hearing;
mod life;
mod link;
mod mailbox;
mod memory;
mod options;
mod pace;
mod pool;
mod pools;
mod pulse;
mod repeats;
mod restart;
mod runner;
mod scratch;
mod seat;
mod sizing;
mod slots;
mod staff;
mod step;
mod tail;
mod tally;
mod trial;
mod turnover;

use std::time::Duration;

use windlass_shared::domain::{CallResult, CallSpec, Grant, HandlerError, Lease, Reason, Trace, WorkerExit};
use windlass_shared::time::Timestamp;

use crate::confine::Confined;
use crate::halt::Halt;
use crate::logs::Offsets;
use crate::process::{LeaderEnd, Proof};
pub(crate) use bounds::check_pools;
pub use bytes::Bytes;
pub(crate) use handle::PoolHandle;
pub use options::PoolOptions;
pub(crate) use pools::{Called, Changes, Pools};
pub(crate) use runner::Parts;
pub use sizing::Mode;
use sizing::Policy;
pub(crate) use slots::Slots;

/// A call to carry out.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) lease: Lease,
    pub(crate) spec: CallSpec,
    pub(crate) trace: Option<Box<Trace>>,
    /// Devices it is lent.
    pub(crate) grants: Vec<Grant>,
    pub(crate) run_timeout: Option<Duration>,
    pub(crate) stop_grace: Duration,
    pub(crate) stop_signal: i32,
    /// It may begin once only: it never waits in a worker's pipe.
    pub(crate) once: bool,
    /// Workers that died with it at the head of their pipe, not begun.
    pub(crate) bounces: u8,
}

/// What the executor wants of a pool.
#[derive(Debug)]
pub(crate) enum Order {
    /// Carry this out.
    Run(Box<Call>),
    /// Stop this one; one that has not begun ends at once.
    Halt(Lease, Halt),
    /// Give this one back, where it has not begun.
    Recall(Lease),
    /// Stop everything that has begun.
    HaltAll(Halt),
    /// Give back everything that has not begun, and take nothing more where the agent leaves, or the pool is no more.
    GiveBack(Reason, bool),
    /// Be this from now on.
    Reload(Box<Reloaded>),
    /// Nobody has a hand on it any more: end, when nothing is left to do.
    Forget,
}

/// How a call came further.
#[derive(Debug)]
pub(crate) enum News {
    /// Its handler runs.
    Started(Timestamp),
    /// It is over.
    Ended(Box<CallEnd>),
    /// It was not begun.
    Returned(Reason),
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct CallEnd {
    pub(crate) how: How,
    /// Why it was to stop, where that was before its end was read.
    pub(crate) stopped: Option<Reason>,
    /// When it began, where that was not told.
    pub(crate) started_at: Option<Timestamp>,
    /// What it wrote.
    pub(crate) offsets: Offsets,
}

/// The end itself.
#[derive(Debug)]
pub(crate) enum How {
    /// Stopped before it began.
    NotBegun,
    /// The handler answered.
    Result(CallResult),
    /// The handler answered an error, with its message.
    Error(String, HandlerError),
    /// The worker ended.
    Died(Death),
    /// The worker broke the protocol, and was ended.
    Broke(String, Death),
}

/// The end of a worker's process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Death {
    pub(crate) leader: LeaderEnd,
    pub(crate) proof: Proof,
    /// Why it ended, as its pool counts it.
    pub(crate) exit: WorkerExit,
    /// From the call's begin to here.
    pub(crate) wall_time: Duration,
}

/// What a pool is from now on.
#[derive(Debug)]
pub(crate) struct Reloaded {
    options: PoolOptions,
    confined: Confined,
    policy: Policy,
    /// Calls it holds at most.
    calls_max: u32,
}

#[cfg(test)]
mod tests;
