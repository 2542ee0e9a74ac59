//! What an agent says.

use std::sync::Arc;

use super::super::agent_id;
use super::super::asks::{answer_from, answer_to_wire};
use super::super::enums::{reason, reason_to_wire};
use super::super::name::check_name;
use super::super::traits::{traits_from, traits_to_wire};
use super::news::{item_to_wire, items};
use super::{lease_to_wire, leases};
use crate::domain::{AgentAnswer, AgentHello, Credit, PoolOffer, Reason, ReportItem, Seen};
use crate::fault::Invalid;
use crate::limits;
use crate::pb;
use pb::connect_request::Message as Up;

/// What an agent said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromAgent {
    /// First on every stream, and only first.
    Hello(Box<AgentHello>),
    /// A sign of life, by its number.
    Heartbeat(u64),
    /// News of attempts, by the report's number.
    Report(u64, Vec<ReportItem>),
    /// What it takes from now on.
    Credit(Credit),
    /// It takes nothing new and will leave.
    Draining(Reason),
    /// It holds nothing and leaves.
    Goodbye,
    /// What it answers to an ask, by the ask's number.
    Answer(u64, AgentAnswer),
}

/// Reads what an agent said.
///
/// # Errors
/// Where the message breaks the protocol, named by field.
pub fn from_agent(wire: pb::ConnectRequest) -> Result<FromAgent, Invalid> {
    let message = wire.message.ok_or_else(|| Invalid::one("message", "is required"))?;
    Ok(match message {
        Up::Hello(hello) => FromAgent::Hello(Box::new(hello_from(hello).map_err(|err| err.within("hello"))?)),
        Up::Heartbeat(beat) => FromAgent::Heartbeat(beat.sequence),
        Up::Report(report) => FromAgent::Report(report.sequence, items(report.items)?),
        Up::Credit(wire) => FromAgent::Credit(credit_with_traits(wire).map_err(|err| err.within("credit"))?),
        Up::Draining(draining) => FromAgent::Draining(reason(draining.reason).unwrap_or(Reason::Drain)),
        Up::Goodbye(pb::Goodbye {}) => FromAgent::Goodbye,
        Up::Answer(answer) => {
            let (id, answer) = answer_from(answer)?;
            FromAgent::Answer(id, answer)
        }
    })
}

fn credit_with_traits(wire: pb::Credit) -> Result<Credit, Invalid> {
    let traits = wire.traits.map(traits_from).transpose()?.map(Arc::new);
    let slots = wire.slots.map(slots_from).transpose()?;
    Ok(Credit { traits, slots, ..credit_from(wire.capacity, wire.pools, wire.stuck)? })
}

fn slots_from(slots: u32) -> Result<u32, Invalid> {
    let max = limits::AGENT_CAPACITY_MAX;
    if slots <= max { Ok(slots) } else { Err(Invalid::one("slots", format!("must be at most {max}"))) }
}

fn credit_from(capacity: u32, pools: Vec<pb::PoolOffer>, stuck: u32) -> Result<Credit, Invalid> {
    let mut invalid = Invalid::default();
    let max = limits::AGENT_CAPACITY_MAX;
    let takes = pools.iter().fold(capacity, |sum, pool| sum.saturating_add(pool.capacity));
    if takes > max {
        invalid.add("capacity", format!("must be at most {max}, those of pools included"));
    }
    if pools.len() > limits::POOLS_MAX {
        invalid.add("pools", format!("holds {}, the limit is {}", pools.len(), limits::POOLS_MAX));
        return Err(invalid);
    }
    let pools: Vec<_> = pools.into_iter().enumerate().map(|(i, pool)| offer_from(i, pool, &mut invalid)).collect();
    let mut names: Vec<_> = pools.iter().map(|pool| &pool.pool).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        invalid.add("pools", format!("two of them are named {}", twice[0]));
    }
    let mut handlers: Vec<_> = pools.iter().flat_map(|pool| &pool.handlers).collect();
    handlers.sort_unstable();
    if let Some(twice) = handlers.windows(2).find(|pair| pair[0] == pair[1]) {
        invalid.add("pools", format!("the handler {} is in two of them", twice[0]));
    }
    invalid.check()?;
    Ok(Credit { capacity, pools, stuck, traits: None, slots: None })
}

fn offer_from(at: usize, wire: pb::PoolOffer, invalid: &mut Invalid) -> PoolOffer {
    check_name(&format!("pools[{at}].pool"), &wire.pool, invalid);
    if wire.handlers.len() > limits::HANDLERS_MAX {
        let (have, max) = (wire.handlers.len(), limits::HANDLERS_MAX);
        invalid.add(format!("pools[{at}].handlers"), format!("holds {have}, the limit is {max}"));
    }
    for handler in wire.handlers.iter().take(limits::HANDLERS_MAX) {
        check_name(&format!("pools[{at}].handlers"), handler, invalid);
    }
    let handlers = wire.handlers.into_iter().map(Arc::from).collect();
    PoolOffer { pool: wire.pool.into(), handlers, workers: wire.workers, capacity: wire.capacity }
}

fn hello_from(wire: pb::Hello) -> Result<AgentHello, Invalid> {
    let mut invalid = Invalid::default();
    check_name("name", &wire.name, &mut invalid);
    for (field, value) in [("boot_id", &wire.boot_id), ("host", &wire.host), ("version", &wire.version)] {
        if value.len() > limits::NAME_BYTES_MAX {
            invalid.add(field, format!("must be at most {} bytes", limits::NAME_BYTES_MAX));
        }
    }
    let (held, held_max) = (wire.inventory.len(), limits::INVENTORY_ITEMS_MAX);
    if held > held_max {
        invalid.add("inventory", format!("holds {held}, the limit is {held_max}"));
    }
    if wire.capacity < wire.slots {
        invalid.add("slots", "must be at most capacity");
    }
    if wire.slots == 0 && wire.pools.is_empty() {
        invalid.add("slots", "must be at least 1 where there are no pools");
    }
    invalid.check()?;
    Ok(AgentHello {
        id: agent_id("agent_id", &wire.agent_id)?,
        name: wire.name.into(),
        instance: wire.instance,
        boot_id: wire.boot_id.into(),
        session: wire.session,
        slots: wire.slots,
        credit: credit_from(wire.capacity, wire.pools, wire.stuck)?,
        inventory: leases("inventory", wire.inventory)?,
        host: wire.host.into(),
        version: wire.version.into(),
        seen: (wire.seen_incarnation != 0).then_some(Seen {
            incarnation: wire.seen_incarnation,
            epoch: wire.seen_epoch,
            revision: wire.seen_revision,
        }),
        answers_asks: wire.answers_asks,
        traits: Arc::new(wire.traits.map(traits_from).transpose()?.unwrap_or_default()),
    })
}

fn up(message: Up) -> pb::ConnectRequest {
    pb::ConnectRequest { message: Some(message) }
}

/// The agent's first message.
#[must_use]
pub fn hello(hello: &AgentHello) -> pb::ConnectRequest {
    up(Up::Hello(pb::Hello {
        agent_id: hello.id.to_string(),
        name: hello.name.to_string(),
        instance: hello.instance,
        boot_id: hello.boot_id.to_string(),
        session: hello.session,
        slots: hello.slots,
        capacity: hello.credit.capacity,
        pools: hello.credit.pools.iter().map(offer).collect(),
        inventory: hello.inventory.iter().map(lease_to_wire).collect(),
        host: hello.host.to_string(),
        version: hello.version.to_string(),
        seen_incarnation: hello.seen.map_or(0, |seen| seen.incarnation),
        seen_epoch: hello.seen.map_or(0, |seen| seen.epoch),
        seen_revision: hello.seen.map_or(0, |seen| seen.revision),
        answers_asks: hello.answers_asks,
        stuck: hello.credit.stuck,
        traits: Some(traits_to_wire(&hello.traits)),
    }))
}

/// A sign of life.
#[must_use]
pub fn heartbeat(sequence: u64) -> pb::ConnectRequest {
    up(Up::Heartbeat(pb::Heartbeat { sequence }))
}

/// News of attempts.
#[must_use]
pub fn report(sequence: u64, items: &[ReportItem]) -> pb::ConnectRequest {
    up(Up::Report(pb::Report { sequence, items: items.iter().map(item_to_wire).collect() }))
}

fn offer(offer: &PoolOffer) -> pb::PoolOffer {
    pb::PoolOffer {
        pool: offer.pool.to_string(),
        handlers: offer.handlers.iter().map(ToString::to_string).collect(),
        workers: offer.workers,
        capacity: offer.capacity,
    }
}

/// How much the agent takes from now on.
#[must_use]
pub fn credit(credit: &Credit) -> pb::ConnectRequest {
    let pools = credit.pools.iter().map(offer).collect();
    let traits = credit.traits.as_deref().map(traits_to_wire);
    up(Up::Credit(pb::Credit { capacity: credit.capacity, pools, stuck: credit.stuck, traits, slots: credit.slots }))
}

/// The agent takes nothing new and will leave.
#[must_use]
pub fn draining(reason: Reason) -> pb::ConnectRequest {
    up(Up::Draining(pb::Draining { reason: reason_to_wire(Some(reason)).into() }))
}

/// The agent holds nothing and leaves.
#[must_use]
pub fn goodbye() -> pb::ConnectRequest {
    up(Up::Goodbye(pb::Goodbye {}))
}

/// Answers an ask.
#[must_use]
pub fn answer(id: u64, answer: AgentAnswer) -> pb::ConnectRequest {
    up(Up::Answer(answer_to_wire(id, answer)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Lease, Traits};
    use crate::ids::{AgentId, JobId};
    use crate::time::Timestamp;
    use prost::Message;

    fn the_largest_traits() -> Traits {
        let text = |n: usize, bytes: usize| -> Arc<str> { format!("{n:0bytes$}").into() };
        let name = |n| text(n, limits::NAME_BYTES_MAX);
        let value = text(0, limits::LABEL_VALUE_BYTES_MAX);
        let ids = (0..limits::DEVICES_MAX).map(|n| text(n, limits::DEVICE_ID_BYTES_MAX)).collect();
        Traits {
            labels: (0..limits::LABELS_MAX).map(|n| (name(n), value.clone())).collect(),
            resources: (1..limits::RESOURCES_MAX).map(|n| (name(n), limits::RESOURCE_AMOUNT_MAX)).collect(),
            devices: [(name(0), ids)].into(),
            leaves_at: Some(Timestamp(i64::MAX)),
            weight: limits::WEIGHT_MAX,
        }
    }

    #[test]
    fn the_largest_hello_fits_a_message() {
        let (id, longest): (_, Arc<str>) = (AgentId::new([0xff; 16]), "x".repeat(limits::NAME_BYTES_MAX).into());
        let (generation, attempt, job) = (u32::MAX, u32::MAX, JobId::from_bytes([0xff; 16]));
        let (incarnation, epoch, fencing_token) = (u64::MAX, u64::MAX, u64::MAX);
        let lease = Lease { job, generation, attempt, incarnation, epoch, fencing_token };
        let wire = hello(&AgentHello {
            id,
            name: longest.clone(),
            instance: u64::MAX,
            boot_id: longest.clone(),
            session: u64::MAX,
            slots: limits::AGENT_CAPACITY_MAX,
            credit: Credit {
                capacity: limits::AGENT_CAPACITY_MAX,
                pools: Vec::new(),
                stuck: u32::MAX,
                traits: None,
                slots: None,
            },
            inventory: vec![lease; limits::INVENTORY_ITEMS_MAX],
            host: longest.clone(),
            version: longest,
            seen: Some(Seen { incarnation, epoch, revision: u64::MAX }),
            answers_asks: true,
            traits: Arc::new(the_largest_traits()),
        });
        assert!(wire.encoded_len() < limits::MESSAGE_BYTES_MAX, "{}", wire.encoded_len());
        assert!(from_agent(wire).is_ok());
    }
}
