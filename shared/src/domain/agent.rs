//! An agent as the coordinator knows it.

use std::sync::Arc;

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
    /// Attempts it runs at a time.
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
}
