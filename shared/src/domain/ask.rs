//! What the coordinator asks of an agent for an operator, and what it gets.

use std::sync::Arc;

use super::{AgentCounter, PoolAsk, PoolReply, PoolState};

/// What is asked of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentAsk {
    /// How it and all its pools stand. Answered with [`AgentAnswer::Pools`].
    Pools,
    /// Something of the pool of this name. Answered with [`AgentAnswer::Pool`].
    Pool(Arc<str>, PoolAsk),
    /// Something that this agent is too old to know. Answered with a refusal.
    Unknown,
}

/// What an agent answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentAnswer {
    /// How all its pools stand, and what it counted. A counter that it is too old to know is not there: that is not zero.
    Pools(Vec<PoolState>, Vec<(AgentCounter, u64)>),
    /// What the pool answered, or why it does not do what it was asked.
    Pool(PoolReply),
}
