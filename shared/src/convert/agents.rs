//! Agents as they are shown.

use super::enums::{agent_state_to_wire, scheduling_to_wire};
use super::timestamp;
use super::traits::traits_to_wire;
use crate::domain::{AgentRecord, Health, PoolRecord};
use crate::pb;

/// An agent as it is shown.
#[must_use]
pub fn agent_to_wire(agent: &AgentRecord) -> pb::Agent {
    pb::Agent {
        id: agent.id.to_string(),
        name: agent.name.to_string(),
        state: agent_state_to_wire(agent.state).into(),
        scheduling: scheduling_to_wire(agent.scheduling).into(),
        slots: agent.slots,
        capacity: agent.capacity,
        held: agent.held,
        running: agent.running,
        host: agent.host.to_string(),
        version: agent.version.to_string(),
        connect_time: Some(timestamp(agent.connected_at)),
        heartbeat_time: Some(timestamp(agent.heard_at)),
        reason: agent.reason.as_deref().unwrap_or_default().to_owned(),
        pools: agent.pools.iter().map(pool).collect(),
        drain_time: agent.drain_at.map(timestamp),
        stuck: agent.stuck,
        quarantine_time: agent.quarantined_at.map(timestamp),
        traits: Some(traits_to_wire(&agent.traits)),
        health: health_to_wire(agent.health).into(),
        recent_ends: agent.ends,
        recent_failures: agent.failures,
    }
}

fn health_to_wire(health: Health) -> pb::agent::Health {
    match health {
        Health::Healthy => pb::agent::Health::Healthy,
        Health::Degraded => pb::agent::Health::Degraded,
        Health::Unhealthy => pb::agent::Health::Unhealthy,
    }
}

fn pool(pool: &PoolRecord) -> pb::Pool {
    let offer = &pool.offer;
    pb::Pool {
        name: offer.pool.to_string(),
        handlers: offer.handlers.iter().map(ToString::to_string).collect(),
        workers: offer.workers,
        capacity: offer.capacity,
        held: pool.held,
    }
}
