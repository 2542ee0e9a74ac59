//! What the coordinator and an agent say to each other.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Grant, Lease, Outcome, PoolOffer, Reason, Traits};
use crate::ids::AgentId;
use crate::time::Timestamp;

/// Who an agent is and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentHello {
    /// Random UUID kept in its data directory.
    pub id: AgentId,
    /// Label for people.
    pub name: Arc<str>,
    /// Random number of the process; another one means that whatever ran before is gone.
    pub instance: u64,
    /// The host's boot and the lock of the data directory, in one opaque text: another instance with the same is a successor.
    pub boot_id: Arc<str>,
    /// Number of the session, growing with each stream of the process.
    pub session: u64,
    /// Commands it runs at a time; 0 where its pools have all slots.
    pub slots: u32,
    /// What it takes.
    pub credit: Credit,
    /// Every attempt it holds: waiting, running, or finished with the report not acknowledged.
    pub inventory: Vec<Lease>,
    /// Host name.
    pub host: Arc<str>,
    /// Version of the agent.
    pub version: Arc<str>,
    /// The furthest it has seen a coordinator; none: it has seen none.
    pub seen: Option<Seen>,
    /// It answers asks; one that is older than they are does not.
    pub answers_asks: bool,
    /// What it says of itself.
    pub traits: Arc<Traits>,
}

/// How much an agent takes at a time, what waits there included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credit {
    /// Commands.
    pub capacity: u32,
    /// Calls, by pool.
    pub pools: Vec<PoolOffer>,
    /// Slots and workers that it cannot prove to be free: something in them was killed and is not gone.
    pub stuck: u32,
    /// What it says of itself from now on; none: as it said before.
    pub traits: Option<Arc<Traits>>,
    /// Commands it runs at a time; none: as many as it said last, in its hello or since.
    pub slots: Option<u32>,
}

/// How far somebody has seen a coordinator's record. One that is behind this has lost something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Seen {
    /// Identity of the record.
    pub incarnation: u64,
    /// Coordinator start.
    pub epoch: u64,
    /// Number of the latest change.
    pub revision: u64,
}

/// One attempt to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The right to run it.
    pub lease: Lease,
    /// The spec exactly as it was submitted; empty where it cannot be read any more.
    pub spec: Bytes,
    /// Devices of the agent that are lent to it until it is proven over.
    pub grants: Vec<Grant>,
}

/// What an agent must keep to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// That of the hello.
    pub session: u64,
    /// Silence after which its attempts are taken for lost, less the margin.
    pub lease_ttl: Duration,
    /// Time between heartbeats.
    pub heartbeat_interval: Duration,
    /// Identity of the coordinator's record.
    pub incarnation: u64,
    /// Coordinator start.
    pub epoch: u64,
    /// Number of the latest change.
    pub revision: u64,
}

/// News of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportItem {
    /// The attempt.
    pub lease: Lease,
    /// The news.
    pub news: News,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Its process runs since then, by the agent's clock.
    Started(Timestamp),
    /// It is over.
    Ended(Box<Outcome>),
    /// It did not start and is given back.
    Returned(Reason),
}

impl News {
    /// What kind of news it is, for logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Started(_) => "started",
            Self::Ended(_) => "ended",
            Self::Returned(_) => "returned",
        }
    }
}

/// One attempt to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopOrder {
    /// The attempt.
    pub lease: Lease,
    /// Why, which decides how the attempt ends. [`Reason::AgentLost`]: the lease is stale; stop at once and say nothing.
    pub reason: Reason,
}
