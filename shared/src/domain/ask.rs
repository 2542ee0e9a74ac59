//! What the coordinator asks of an agent for an operator, and what it gets.

use std::sync::Arc;

use super::{PoolAsk, PoolReply, PoolState};

/// What is asked of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentAsk {
    /// How all its pools stand. Answered with [`AgentAnswer::Pools`].
    Pools,
    /// Something of the pool of this name. Answered with [`AgentAnswer::Pool`].
    Pool(Arc<str>, PoolAsk),
    /// Something that this agent is too old to know. Answered with a refusal.
    Unknown,
}

/// What an agent answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentAnswer {
    /// How all its pools stand.
    Pools(Vec<PoolState>),
    /// What the pool answered, or why it does not do what it was asked.
    Pool(PoolReply),
}
