//! What an agent says of itself, for whoever chooses among agents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::fault::Invalid;
use crate::limits;
use crate::time::Timestamp;

/// Weight of an agent that names none: in the middle, so that others can be given more and less.
pub const WEIGHT_DEFAULT: u32 = 100;

/// What an agent says of itself: set by its operator, and by nothing that runs there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traits {
    /// What jobs may ask for or shun.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// What there is of each countable resource, in thousandths of its unit.
    pub resources: BTreeMap<Arc<str>, u64>,
    /// Devices by kind, each with the ids its own software knows it by, in the order they are lent. No kind is a resource too.
    pub devices: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// When it leaves, by its own clock; none: it stays.
    pub leaves_at: Option<Timestamp>,
    /// Its share of the work relative to other agents, where a queue's policy goes by weights.
    pub weight: u32,
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            labels: BTreeMap::new(),
            resources: BTreeMap::new(),
            devices: BTreeMap::new(),
            leaves_at: None,
            weight: WEIGHT_DEFAULT,
        }
    }
}

impl Traits {
    /// Whether it has all of these labels, an empty value standing for any.
    pub fn has_labels<'a>(&self, wanted: impl IntoIterator<Item = (&'a str, &'a str)>) -> bool {
        let has = |(key, value): (&str, &str)| {
            self.labels.get(key).is_some_and(|found| value.is_empty() || **found == *value)
        };
        wanted.into_iter().all(has)
    }

    /// Looks at every bound.
    ///
    /// # Errors
    /// All that cannot be, by field and with what to do about it.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        self.check_labels(&mut invalid);
        self.check_resources(&mut invalid);
        self.check_devices(&mut invalid);
        if !(1..=limits::WEIGHT_MAX).contains(&self.weight) {
            invalid.add("weight", format!("must be 1 to {}", limits::WEIGHT_MAX));
        }
        invalid.check()
    }

    fn check_labels(&self, invalid: &mut Invalid) {
        let (have, max) = (self.labels.len(), limits::LABELS_MAX);
        if have > max {
            return invalid.add("labels", format!("holds {have}, the limit is {max}; leave some out"));
        }
        let (key_max, value_max) = (limits::LABEL_KEY_BYTES_MAX, limits::LABEL_VALUE_BYTES_MAX);
        for (key, value) in &self.labels {
            if key.is_empty() || key.len() > key_max {
                invalid.add("labels", format!("keys must be 1 to {key_max} bytes"));
            }
            if value.len() > value_max {
                invalid.add(field("labels", key), format!("must be at most {value_max} bytes"));
            }
        }
    }

    fn check_resources(&self, invalid: &mut Invalid) {
        let (have, max) = (self.resources.len() + self.devices.len(), limits::RESOURCES_MAX);
        if have > max {
            let wrong = format!("there are {have} with the kinds of devices, the limit is {max}; leave some out");
            return invalid.add("resources", wrong);
        }
        for (name, milli) in &self.resources {
            check_name("resources", name, invalid);
            if *milli > limits::RESOURCE_AMOUNT_MAX {
                let max = limits::RESOURCE_AMOUNT_MAX / 1_000;
                invalid.add(field("resources", name), format!("must be at most {max}; count in a larger unit"));
            }
        }
    }

    fn check_devices(&self, invalid: &mut Invalid) {
        let (have, max) = (self.devices.values().map(Vec::len).sum::<usize>(), limits::DEVICES_MAX);
        if have > max {
            return invalid.add("devices", format!("there are {have}, the limit is {max}; leave some out"));
        }
        for (name, ids) in &self.devices {
            check_name("devices", name, invalid);
            let at = field("devices", name);
            if self.resources.contains_key(name) {
                invalid.add(&*at, "is a resource too; devices are counted by their ids, so leave the resource out");
            }
            if ids.is_empty() {
                invalid.add(&*at, "has no ids; leave it out where there are none");
            }
            if !ids.iter().all(|id| is_device_id(id)) {
                let max = limits::DEVICE_ID_BYTES_MAX;
                invalid.add(&*at, format!("ids must be 1 to {max} visible ASCII characters without a comma"));
            }
            if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
                invalid.add(at, "names a device twice; name each once");
            }
        }
    }
}

/// Some devices of one kind, lent to one attempt until it is proven over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Name of the kind.
    pub device: Arc<str>,
    /// The devices, each of them wholly but for the last.
    pub ids: Vec<Arc<str>>,
    /// How much of the last, in thousandths; 1000: all of it.
    pub share_milli: u32,
}

impl Grant {
    /// Whether it can be one.
    ///
    /// # Errors
    /// What cannot be, by field.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        check_name("devices", &self.device, &mut invalid);
        let at = field("devices", &self.device);
        if self.ids.is_empty() || !self.ids.iter().all(|id| is_device_id(id)) {
            invalid.add(&*at, "must have ids of visible ASCII characters without a comma");
        }
        if !(1..=1_000).contains(&self.share_milli) {
            invalid.add(at, "its share of the last must be 1 to 1000");
        }
        invalid.check()
    }
}

fn is_device_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b',';
    !id.is_empty() && id.len() <= limits::DEVICE_ID_BYTES_MAX && id.bytes().all(allowed)
}

fn check_name(within: &str, name: &str, invalid: &mut Invalid) {
    if !limits::is_name(name) {
        let max = limits::NAME_BYTES_MAX;
        invalid.add(field(within, name), format!("names must be 1 to {max} of [a-zA-Z0-9._-]"));
    }
}

/// One entry of a field, its name short enough to be read in an error.
fn field(within: &str, name: &str) -> String {
    format!("{within}[{}]", name.chars().take(32).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;

    fn wrong(change: impl FnOnce(&mut Traits)) -> Vec<(String, String)> {
        let mut traits = Traits::default();
        change(&mut traits);
        let violations = |invalid: Invalid| {
            invalid.violations().iter().map(|one| (one.field.clone(), one.description.clone())).collect()
        };
        traits.check().err().map(violations).unwrap_or_default()
    }

    fn fields(change: impl FnOnce(&mut Traits)) -> Vec<String> {
        wrong(change).into_iter().map(|(field, _)| field).collect()
    }

    fn label(traits: &mut Traits, key: &str, value: &str) {
        traits.labels.insert(key.into(), value.into());
    }

    fn resource(traits: &mut Traits, name: &str, milli: u64) {
        traits.resources.insert(name.into(), milli);
    }

    fn devices(traits: &mut Traits, name: &str, ids: &[&str]) {
        traits.devices.insert(name.into(), ids.iter().map(|id| Arc::from(*id)).collect());
    }

    #[test]
    fn an_agent_that_says_nothing_of_itself_is_right() {
        assert_eq!(Traits::default().check(), Ok(()));
    }

    #[test]
    fn what_an_agent_cannot_say_of_itself_is_named_by_field() {
        assert_eq!(fields(|t| (0..=64).for_each(|n| label(t, &n.to_string(), ""))), ["labels"]);
        assert_eq!(fields(|t| label(t, "", "x")), ["labels"]);
        assert_eq!(fields(|t| label(t, "zone", &"x".repeat(257))), ["labels[zone]"]);
        assert_eq!(fields(|t| resource(t, "a b", 1)), ["resources[a b]"]);
        let most = limits::RESOURCE_AMOUNT_MAX;
        assert_eq!(fields(|t| resource(t, "disk", most)), [""; 0]);
        assert_eq!(fields(|t| resource(t, "disk", most + 1)), ["resources[disk]"]);
        assert_eq!(fields(|t| (0..=32).for_each(|n| devices(t, &format!("d{n}"), &["0"]))), ["resources"]);
        assert_eq!(fields(|t| devices(t, "g/u", &["0"])), ["devices[g/u]"]);
        assert_eq!(fields(|t| devices(t, "gpu", &[])), ["devices[gpu]"]);
        assert_eq!(fields(|t| devices(t, "gpu", &["0", "1", "0"])), ["devices[gpu]"]);
        for id in ["", "0,1", "a b", "é", &"x".repeat(65)] {
            assert_eq!(fields(|t| devices(t, "gpu", &[id])), ["devices[gpu]"], "{id:?}");
        }
        assert_eq!(fields(|t| t.weight = 0), ["weight"]);
        assert_eq!(fields(|t| t.weight = 1_001), ["weight"]);
        let twice = |t: &mut Traits| {
            devices(t, "gpu", &["0"]);
            resource(t, "gpu", 1_000);
        };
        let remedy = "is a resource too; devices are counted by their ids, so leave the resource out";
        assert_eq!(wrong(twice), [("devices[gpu]".to_owned(), remedy.to_owned())]);
    }

    #[test]
    fn devices_are_bounded_over_all_kinds() {
        let ids: Vec<String> = (0..128).map(|n| n.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let two = |t: &mut Traits| ["a", "b"].iter().for_each(|kind| devices(t, kind, &ids));
        assert_eq!(fields(two), [""; 0]);
        let more = |t: &mut Traits| {
            two(t);
            devices(t, "c", &["0"]);
        };
        assert_eq!(fields(more), ["devices"]);
    }

    #[test]
    fn a_label_is_looked_for_with_its_value_or_any() {
        let mut traits = Traits::default();
        label(&mut traits, "zone", "a");
        assert!(traits.has_labels([("zone", "a")]) && traits.has_labels([("zone", "")]) && traits.has_labels([]));
        assert!(!traits.has_labels([("zone", "b")]) && !traits.has_labels([("zone", "a"), ("rack", "")]));
    }
}
