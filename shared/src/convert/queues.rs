//! Queues: as they are shown, and what is set of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{limits as limit, span, span_from};
use crate::domain::{PlacementPolicy, QueueField, QueueRecord, QueueSettings};
use crate::fault::Invalid;
use crate::limits;
use crate::pb;
use crate::pb::queue_settings::Placement;

/// A queue as it is shown.
#[must_use]
pub fn queue_to_wire(queue: &QueueRecord) -> pb::Queue {
    let reason = queue.pause.as_ref().and_then(|pause| pause.reason.as_deref());
    pb::Queue {
        name: queue.name.to_string(),
        paused: queue.pause.is_some(),
        queued: queue.queued,
        running: queue.running,
        reason: reason.unwrap_or_default().to_owned(),
        queued_bytes: queue.queued_bytes,
        settings: queue.settings.as_deref().map(settings_to_wire),
    }
}

fn settings_to_wire(settings: &QueueSettings) -> pb::QueueSettings {
    let weights = settings.fairness_weights.iter().map(|(key, weight)| (key.to_string(), *weight));
    pb::QueueSettings {
        weight: Some(settings.weight),
        max_running: settings.limit.units_max,
        rate: settings.limit.rate.as_ref().map(limit::rate_to_wire),
        max_depth: settings.depth_max,
        max_bytes: settings.bytes_max,
        aging_step: Some(span(settings.aging_step)),
        placement: placement_to_wire(settings.placement).into(),
        fairness_weights: weights.collect(),
        unsatisfiable_after: settings.unsatisfiable_after.map(span),
    }
}

/// What is to be set of a queue, and which of it.
///
/// # Errors
/// Where something is out of its range, or the mask names what there is not.
pub fn queue_settings(request: &pb::UpdateQueueRequest) -> Result<(QueueSettings, Vec<QueueField>), Invalid> {
    let fields = fields(request.update_mask.as_ref())?;
    let settings = request.settings.clone().unwrap_or_default();
    Ok((settings_from(settings).map_err(|invalid| invalid.within("settings"))?, fields))
}

fn settings_from(wire: pb::QueueSettings) -> Result<QueueSettings, Invalid> {
    let mut invalid = Invalid::default();
    let limit = limit::settings("max_running", wire.max_running, wire.rate.as_ref(), &mut invalid);
    let settings = QueueSettings {
        weight: weight("weight", wire.weight.unwrap_or(1), &mut invalid),
        limit,
        depth_max: wire.max_depth,
        bytes_max: wire.max_bytes,
        aging_step: aging_step(wire.aging_step, &mut invalid),
        placement: placement(wire.placement, &mut invalid),
        fairness_weights: fairness_weights(wire.fairness_weights, &mut invalid),
        unsatisfiable_after: unsatisfiable_after(wire.unsatisfiable_after, &mut invalid),
    };
    if wire.max_depth.is_some_and(|max| max > limits::QUEUE_DEPTH_MAX) {
        invalid.add("max_depth", format!("must be at most {}", limits::QUEUE_DEPTH_MAX));
    }
    if wire.max_bytes.is_some_and(|max| max > limits::QUEUE_BYTES_MAX) {
        invalid.add("max_bytes", format!("must be at most {}", limits::QUEUE_BYTES_MAX));
    }
    invalid.check().map(|()| settings)
}

fn fields(mask: Option<&prost_types::FieldMask>) -> Result<Vec<QueueField>, Invalid> {
    let Some(mask) = mask else { return Ok(QueueField::ALL.to_vec()) };
    let known: Vec<&str> = QueueField::ALL.iter().map(|field| path(*field)).collect();
    let mut invalid = Invalid::default();
    if mask.paths.is_empty() {
        invalid.add("update_mask", "names nothing; leave it out to set all fields");
    }
    let mut fields = Vec::new();
    for (i, text) in mask.paths.iter().enumerate() {
        match QueueField::ALL.iter().find(|field| path(**field) == text) {
            Some(field) => fields.push(*field),
            None => invalid.add(format!("update_mask.paths[{i}]"), format!("must be one of {}", known.join(", "))),
        }
    }
    invalid.check().map(|()| fields)
}

fn path(field: QueueField) -> &'static str {
    match field {
        QueueField::Weight => "weight",
        QueueField::RunningMax => "max_running",
        QueueField::Rate => "rate",
        QueueField::DepthMax => "max_depth",
        QueueField::BytesMax => "max_bytes",
        QueueField::AgingStep => "aging_step",
        QueueField::Placement => "placement",
        QueueField::FairnessWeights => "fairness_weights",
        QueueField::UnsatisfiableAfter => "unsatisfiable_after",
    }
}

fn weight(field: &str, weight: u32, invalid: &mut Invalid) -> u32 {
    if !(1..=limits::SHARE_WEIGHT_MAX).contains(&weight) {
        invalid.add(field, format!("must be 1 to {}", limits::SHARE_WEIGHT_MAX));
    }
    weight
}

fn fairness_weights(wire: BTreeMap<String, u32>, invalid: &mut Invalid) -> BTreeMap<Arc<str>, u32> {
    if wire.len() > limits::FAIRNESS_WEIGHTS_MAX {
        let (count, max) = (wire.len(), limits::FAIRNESS_WEIGHTS_MAX);
        invalid.add("fairness_weights", format!("holds {count} keys, the limit is {max}; those not named have 1"));
        return BTreeMap::new();
    }
    let mut weights = BTreeMap::new();
    for (key, number) in wire {
        let field = format!("fairness_weights[{key}]");
        if !limits::is_key(&key) {
            invalid.add(&*field, format!("must have a key of 1 to {} of [a-zA-Z0-9._:/@-]", limits::NAME_BYTES_MAX));
        }
        weights.insert(key.into(), weight(&field, number, invalid));
    }
    weights
}

fn aging_step(wire: Option<prost_types::Duration>, invalid: &mut Invalid) -> Duration {
    let Some(wire) = wire else { return QueueSettings::AGING_STEP };
    let step = span_from(&wire).filter(|step| (Duration::from_millis(1)..=limits::AGING_STEP_MAX).contains(step));
    if step.is_none() {
        invalid.add("aging_step", "must be 1 ms to 7 days");
    }
    step.unwrap_or(QueueSettings::AGING_STEP)
}

fn unsatisfiable_after(wire: Option<prost_types::Duration>, invalid: &mut Invalid) -> Option<Duration> {
    let wire = wire?;
    let time = span_from(&wire).filter(|time| !time.is_zero() && *time <= limits::UNSATISFIABLE_MAX);
    if time.is_none() {
        invalid
            .add("unsatisfiable_after", "must be longer than 0 s and at most 31 days; leave it out to wait for ever");
    }
    time
}

fn placement(number: i32, invalid: &mut Invalid) -> PlacementPolicy {
    match Placement::try_from(number) {
        Ok(Placement::Unspecified | Placement::LeastLoaded) => PlacementPolicy::LeastLoaded,
        Ok(Placement::RoundRobin) => PlacementPolicy::RoundRobin,
        Ok(Placement::WeightedRoundRobin) => PlacementPolicy::WeightedRoundRobin,
        Ok(Placement::BinPack) => PlacementPolicy::BinPack,
        Ok(Placement::Spread) => PlacementPolicy::Spread,
        Ok(Placement::Sticky) => PlacementPolicy::Sticky,
        Err(_) => {
            invalid.add("placement", format!("{number} is no value this coordinator knows"));
            PlacementPolicy::LeastLoaded
        }
    }
}

fn placement_to_wire(placement: PlacementPolicy) -> Placement {
    match placement {
        PlacementPolicy::LeastLoaded => Placement::LeastLoaded,
        PlacementPolicy::RoundRobin => Placement::RoundRobin,
        PlacementPolicy::WeightedRoundRobin => Placement::WeightedRoundRobin,
        PlacementPolicy::BinPack => Placement::BinPack,
        PlacementPolicy::Spread => Placement::Spread,
        PlacementPolicy::Sticky => Placement::Sticky,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_settings_has_a_path_of_its_own() {
        let set = <prost_types::FileDescriptorSet as prost::Message>::decode(pb::DESCRIPTORS).expect("our own");
        let messages = set.file.iter().flat_map(|file| &file.message_type);
        let settings = messages.filter(|message| message.name() == "QueueSettings").flat_map(|message| &message.field);
        let fields: Vec<&str> = settings.map(prost_types::FieldDescriptorProto::name).collect();
        assert_eq!(QueueField::ALL.map(path).to_vec(), fields);
    }

    #[test]
    fn settings_come_back_as_they_were_set() {
        let wire = settings_to_wire(&QueueSettings::default());
        assert_eq!(settings_from(wire), Ok(QueueSettings::default()));
        assert_eq!(settings_from(pb::QueueSettings::default()), Ok(QueueSettings::default()));
    }
}
