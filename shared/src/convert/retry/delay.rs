//! The time between attempts.

use std::time::Duration;

use super::milli;
use crate::convert::span_from;
use crate::fault::Invalid;
use crate::limits::{DELAYS_MAX, RETRY_AFTER_MAX};
use crate::pb;
use crate::pb::backoff::{Growth as WireGrowth, Jitter as WireJitter};
use crate::resilience::delay::{BASE_MILLI_MAX, Delay, Growth, Jitter};

const FIRST: Duration = Duration::from_secs(1);
const CAP: Duration = Duration::from_secs(60);
const BASE_MILLI: u32 = 2_000;

pub(super) fn delay_from(field: &str, wire: &pb::Backoff, invalid: &mut Invalid) -> Delay {
    let growth = growth_from(field, wire, invalid);
    let listed = matches!(growth, Growth::Listed(_));
    let first = time(field, "initial", wire.initial.as_ref(), invalid);
    if listed && first.is_some() {
        invalid.add(format!("{field}.initial"), "has no meaning beside delays; leave it out");
    }
    let first = first.unwrap_or(if listed { Duration::ZERO } else { FIRST });
    let default_cap = if listed { RETRY_AFTER_MAX } else { CAP.max(first) };
    let cap = time(field, "cap", wire.cap.as_ref(), invalid).unwrap_or(default_cap);
    if cap < first {
        invalid.add(format!("{field}.cap"), "must be no less than initial");
    }
    Delay { growth, first, cap, jitter: jitter_from(field, wire.jitter, listed, invalid) }
}

fn growth_from(field: &str, wire: &pb::Backoff, invalid: &mut Invalid) -> Growth {
    let listed = !wire.delays.is_empty();
    let growth = match WireGrowth::try_from(wire.growth) {
        Ok(WireGrowth::Unspecified) if listed => WireGrowth::Listed,
        Ok(WireGrowth::Unspecified) => WireGrowth::Exponential,
        Ok(growth) => growth,
        Err(_) => {
            invalid.add(format!("{field}.growth"), format!("{} is no growth this coordinator knows", wire.growth));
            return Growth::Fixed;
        }
    };
    if wire.base.is_some() && growth != WireGrowth::Exponential {
        invalid.add(format!("{field}.base"), "has a meaning only for GROWTH_EXPONENTIAL");
    }
    if listed != (growth == WireGrowth::Listed) {
        invalid.add(format!("{field}.delays"), "are the times of GROWTH_LISTED, and of no other growth");
    }
    match growth {
        WireGrowth::Fixed => Growth::Fixed,
        WireGrowth::Linear => Growth::Linear,
        WireGrowth::Fibonacci => Growth::Fibonacci,
        WireGrowth::Decorrelated => Growth::Decorrelated,
        WireGrowth::Listed => Growth::Listed(delays(field, &wire.delays, invalid)),
        WireGrowth::Exponential | WireGrowth::Unspecified => {
            let base = |base| milli(&format!("{field}.base"), base, 1_000, BASE_MILLI_MAX, invalid);
            Growth::Exponential { base_milli: wire.base.map_or(BASE_MILLI, base) }
        }
    }
}

fn delays(field: &str, wire: &[prost_types::Duration], invalid: &mut Invalid) -> Box<[Duration]> {
    if wire.len() > DELAYS_MAX {
        invalid.add(format!("{field}.delays"), format!("holds {}, the limit is {DELAYS_MAX}", wire.len()));
        return Box::default();
    }
    let one = |(i, delay)| time(field, &format!("delays[{i}]"), Some(delay), invalid).unwrap_or_default();
    wire.iter().enumerate().map(one).collect()
}

fn time(field: &str, name: &str, wire: Option<&prost_types::Duration>, invalid: &mut Invalid) -> Option<Duration> {
    let time = span_from(wire?).filter(|time| *time <= RETRY_AFTER_MAX);
    if time.is_none() {
        invalid.add(format!("{field}.{name}"), "must be 0 s to 24 h");
    }
    time
}

fn jitter_from(field: &str, wire: i32, listed: bool, invalid: &mut Invalid) -> Jitter {
    match WireJitter::try_from(wire) {
        Ok(WireJitter::Unspecified) if listed => Jitter::None,
        Ok(WireJitter::Unspecified | WireJitter::Full) => Jitter::Full,
        Ok(WireJitter::Slight) => Jitter::Slight,
        Ok(WireJitter::None) => Jitter::None,
        Err(_) => {
            invalid.add(format!("{field}.jitter"), format!("{wire} is no jitter this coordinator knows"));
            Jitter::None
        }
    }
}
