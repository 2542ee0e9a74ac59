//! An agent as the coordinator knows it.

use std::sync::Arc;

use super::Traits;
use crate::ids::AgentId;
use crate::time::Timestamp;

/// Whether the coordinator hears from an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AgentState {
    /// It has a stream and its heartbeats arrive.
    Connected,
    /// Its stream broke or its heartbeats stay out: nothing new, and what it runs still counts as running.
    Suspect,
    /// Silent past its lease: what it ran is LOST.
    Lost,
    /// It said goodbye.
    Gone,
}

/// Whether an agent takes new work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheduling {
    /// Takes work.
    Active,
    /// Takes nothing new; what runs there goes on.
    Cordoned,
    /// Takes nothing new, finishes or hands back what it has.
    Draining,
    /// Drained: holds nothing.
    Drained,
    /// Takes nothing new: something on it cannot be killed.
    Quarantined,
}

/// How well an agent does, by how attempts ended there lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Health {
    /// Nothing speaks against it, which is so of one that has done nothing yet.
    #[default]
    Healthy,
    /// Much fails there, or something cannot be killed.
    Degraded,
    /// Most fails there: it gets work only where no other can have it.
    Unhealthy,
}

/// An agent as the coordinator knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRecord {
    /// Random UUID kept in its data directory.
    pub id: AgentId,
    /// Label for people.
    pub name: Arc<str>,
    /// Whether the coordinator hears from it.
    pub state: AgentState,
    /// Whether it takes new work.
    pub scheduling: Scheduling,
    /// Attempts it runs at a time, those of its pools included.
    pub slots: u32,
    /// Attempts it takes at a time, those that wait there for a slot included.
    pub capacity: u32,
    /// Attempts it holds now.
    pub held: u32,
    /// Attempts of those that run.
    pub running: u32,
    /// Host it runs on, by its own word.
    pub host: Arc<str>,
    /// Version of the agent.
    pub version: Arc<str>,
    /// When its session began.
    pub connected_at: Timestamp,
    /// When a heartbeat arrived last.
    pub heard_at: Timestamp,
    /// Its pools, by name.
    pub pools: Vec<PoolRecord>,
    /// Why it is cordoned or draining, in the operator's words; or why it is quarantined.
    pub reason: Option<Arc<str>>,
    /// When what still runs will be stopped, where it drains with a deadline.
    pub drain_at: Option<Timestamp>,
    /// Slots and workers that it cannot prove to be free.
    pub stuck: u32,
    /// Since when it is quarantined for that.
    pub quarantined_at: Option<Timestamp>,
    /// What it says of itself.
    pub traits: Arc<Traits>,
    /// How well it does.
    pub health: Health,
    /// Attempts that ended there within the last five minutes, by themselves.
    pub ends: u32,
    /// Of them, those that failed.
    pub failures: u32,
}

/// What one pool of an agent takes: calls of any of its handlers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolOffer {
    /// Its name, one each on an agent.
    pub pool: Arc<str>,
    /// Handlers its workers announced; none of them in another pool of the agent.
    pub handlers: Vec<Arc<str>>,
    /// Calls it runs at a time: its workers.
    pub workers: u32,
    /// Calls it takes at a time, those that wait for a worker included; 0: none for now.
    pub capacity: u32,
}

/// A pool as the coordinator knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRecord {
    /// What it takes.
    pub offer: PoolOffer,
    /// Calls it holds now.
    pub held: u32,
}

/// What an operator wants of an agent. It holds until it is taken back, whatever becomes of the agent's processes and streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What.
    pub kind: OrderKind,
    /// Why, in the operator's words.
    pub reason: Option<Arc<str>>,
    /// Name of the agent when it was given, to be shown while nothing else is known of it.
    pub agent_name: Arc<str>,
}

/// What an operator wants of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderKind {
    /// Nothing new.
    Cordon,
    /// Nothing new, and what has not started goes back; what runs is stopped at this time, where there is one.
    Drain(Option<Timestamp>),
}
