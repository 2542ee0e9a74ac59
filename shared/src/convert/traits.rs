//! What an agent says of itself, and what of it is lent.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{timestamp, timestamp_from};
use crate::domain::{Grant, Traits, WEIGHT_DEFAULT};
use crate::fault::Invalid;
use crate::pb;

pub(super) fn traits_from(wire: pb::Traits) -> Result<Traits, Invalid> {
    let mut devices = BTreeMap::new();
    // Their names are compared before they become keys: of two sets with one name, one would be lost without a word.
    for set in wire.devices {
        let ids = set.ids.into_iter().map(Arc::from).collect();
        if devices.insert(Arc::from(set.name), ids).is_some() {
            return Err(Invalid::one("traits.devices", "two of them have one name; name each kind once"));
        }
    }
    let traits = Traits {
        labels: wire.labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
        resources: wire.resources.into_iter().map(|(name, milli)| (name.into(), milli)).collect(),
        devices,
        leaves_at: wire.leave_time.as_ref().map(timestamp_from),
        weight: if wire.weight == 0 { WEIGHT_DEFAULT } else { wire.weight },
    };
    traits.check().map_err(|err| err.within("traits"))?;
    Ok(traits)
}

pub(super) fn grants_from(field: &str, wire: Vec<pb::DeviceGrant>) -> Result<Vec<Grant>, Invalid> {
    let read = |grant: pb::DeviceGrant| {
        let ids = grant.ids.into_iter().map(Arc::from).collect();
        Grant { device: grant.name.into(), ids, share_milli: grant.share_milli }
    };
    let grants: Vec<Grant> = wire.into_iter().map(read).collect();
    for grant in &grants {
        grant.check().map_err(|err| err.within(field))?;
    }
    Ok(grants)
}

pub(super) fn grants_to_wire(grants: &[Grant]) -> Vec<pb::DeviceGrant> {
    let wire = |grant: &Grant| pb::DeviceGrant {
        name: grant.device.to_string(),
        ids: grant.ids.iter().map(ToString::to_string).collect(),
        share_milli: grant.share_milli,
    };
    grants.iter().map(wire).collect()
}

pub(super) fn traits_to_wire(traits: &Traits) -> pb::Traits {
    let text = |text: &Arc<str>| text.to_string();
    let set = |(name, ids): (&Arc<str>, &Vec<Arc<str>>)| pb::DeviceSet {
        name: name.to_string(),
        ids: ids.iter().map(text).collect(),
    };
    pb::Traits {
        labels: traits.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        resources: traits.resources.iter().map(|(name, milli)| (name.to_string(), *milli)).collect(),
        devices: traits.devices.iter().map(set).collect(),
        leave_time: traits.leaves_at.map(timestamp),
        weight: traits.weight,
    }
}
