//! What the agent says of itself, as its operator spells it: labels, resources, devices, when it leaves, and its weight.
//!
//! ```toml
//! weight = 200
//! lifetime = "8h"
//!
//! [labels]
//! zone = "a"
//!
//! [resources]
//! memory = 64
//! licences = 1.5
//!
//! [devices]
//! gpu = "auto"
//! fpga = ["0000:3b:00.0"]
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use tokio::sync::watch;
use windlass_shared::clock;
use windlass_shared::convert::instant_from_text;
use windlass_shared::domain::{Traits, WEIGHT_DEFAULT, parse_amount};
use windlass_shared::fault::{Fault, Invalid};
use windlass_shared::limits::LIFETIME_MAX;
use windlass_shared::time::Timestamp;

use crate::config::{ConfigError, parse_time};
use crate::executor::in_capitals;

/// Where devices that can be looked for show themselves.
const DEV: &str = "/dev";
/// In place of ids: whatever is there.
const AUTO: &str = "auto";

/// What is said of the agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct TraitOptions {
    /// A label that jobs may ask for or shun; repeat for more.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// How much there is of something that jobs share, such as memory=64 or licences=1.5, in whatever unit jobs mean by its name;
    /// repeat for more.
    #[arg(long = "resource", value_name = "NAME=AMOUNT", value_parser = resource)]
    pub resources: Vec<(String, Amount)>,
    /// Devices of one kind by their ids, such as gpu=0,1, which are lent to one job each; gpu=auto takes those that /dev/nvidia0
    /// and so on show; repeat for more kinds.
    #[arg(long = "device", value_name = "NAME=ID,...", value_parser = device)]
    pub devices: Vec<(String, Ids)>,
    /// Share of the work relative to other agents, where a queue goes by weights, 1 to 1000 [default: 100].
    #[arg(long, value_name = "N")]
    pub weight: Option<u32>,
    /// When the agent leaves, such as 2026-01-31T12:00:00Z: jobs that need it for longer go elsewhere, and what still runs
    /// --drain-timeout before then is told to finish.
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with = "lifetime")]
    pub leave_at: Option<Timestamp>,
    /// The same, as the time from its start, such as 8h.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub lifetime: Option<Duration>,
}

/// What only tables of a file say as this.
#[derive(Debug, Default)]
pub(crate) struct TraitTables {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) resources: BTreeMap<String, Amount>,
    pub(crate) devices: BTreeMap<String, Ids>,
}

/// An amount in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount(u64);

/// Devices of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ids {
    /// Those that are there when it is read.
    Auto,
    /// These.
    Given(Vec<String>),
}

/// What the agent says of itself from now on; whoever listens hears of each change.
#[derive(Debug)]
pub(crate) struct Speaker {
    began: Timestamp,
    said: watch::Sender<Arc<Traits>>,
}

impl Speaker {
    /// One that says this, of an agent that begins now.
    ///
    /// # Errors
    /// What cannot be said.
    pub(crate) fn new(options: &TraitOptions) -> Result<Self, ConfigError> {
        let began = clock::wall();
        Ok(Self { began, said: watch::Sender::new(Arc::new(options.traits(began)?)) })
    }

    pub(crate) fn listen(&self) -> watch::Receiver<Arc<Traits>> {
        self.said.subscribe()
    }

    /// What these make of it.
    ///
    /// # Errors
    /// What cannot be said.
    pub(crate) fn read(&self, options: &TraitOptions) -> Result<Traits, ConfigError> {
        options.traits(self.began)
    }

    /// Says this from now on; nobody hears of what is no news.
    pub(crate) fn say(&self, traits: Traits) {
        self.said.send_if_modified(|said| {
            let news = **said != traits;
            if news {
                *said = Arc::new(traits);
            }
            news
        });
    }
}

impl TraitOptions {
    /// With what a file says as well, where the command line says nothing of it.
    pub(crate) fn or(mut self, tables: TraitTables) -> Self {
        fill(&mut self.labels, tables.labels);
        fill(&mut self.resources, tables.resources);
        fill(&mut self.devices, tables.devices);
        self
    }

    /// What the agent says of itself, with the devices that are there now; its lifetime counts from `began`.
    ///
    /// # Errors
    /// What cannot be, by its flag and with what to do about it.
    pub(crate) fn traits(&self, began: Timestamp) -> Result<Traits, ConfigError> {
        self.traits_of(began, Path::new(DEV))
    }

    fn traits_of(&self, began: Timestamp, dev: &Path) -> Result<Traits, ConfigError> {
        if self.lifetime.is_some_and(|lifetime| lifetime.is_zero() || lifetime > LIFETIME_MAX) {
            return Err(ConfigError::new(
                "lifetime",
                "must be more than 0s and at most 8760h; leave it out for no end",
            ));
        }
        let mut devices = BTreeMap::new();
        for (name, ids) in once_each("device", &self.devices)? {
            let ids = match ids {
                Ids::Given(ids) => ids.clone(),
                Ids::Auto => match found(name, dev)? {
                    // No mistake: the same file serves hosts with such devices and without.
                    none if none.is_empty() => continue,
                    ids => ids,
                },
            };
            devices.insert(Arc::from(&**name), ids.into_iter().map(Arc::from).collect());
        }
        let labels = once_each("label", &self.labels)?;
        let resources = once_each("resource", &self.resources)?;
        let traits = Traits {
            labels: labels.map(|(key, value)| (Arc::from(&**key), Arc::from(&**value))).collect(),
            resources: resources.map(|(name, amount)| (Arc::from(&**name), amount.0)).collect(),
            devices,
            leaves_at: self.leave_at.or(self.lifetime.map(|lifetime| began.after(lifetime))),
            weight: self.weight.unwrap_or(WEIGHT_DEFAULT),
        };
        traits.check().map_err(|invalid| by_flag(&invalid))?;
        check_variables(&traits)?;
        Ok(traits)
    }
}

fn fill<T>(given: &mut Vec<(String, T)>, table: BTreeMap<String, T>) {
    for (name, value) in table {
        if !given.iter().any(|(other, _)| *other == name) {
            given.push((name, value));
        }
    }
}

/// The pairs, where none is there twice.
fn once_each<'a, T>(
    flag: &'static str,
    pairs: &'a [(String, T)],
) -> Result<impl Iterator<Item = &'a (String, T)>, ConfigError> {
    let mut names = BTreeSet::new();
    match pairs.iter().find(|(name, _)| !names.insert(name)) {
        Some((name, _)) => Err(ConfigError::new(flag, format!("{name} is given twice; give it once"))),
        None => Ok(pairs.iter()),
    }
}

/// Ids of devices that show themselves: so far of GPUs, whose driver makes `nvidia0` and so on.
fn found(name: &str, dev: &Path) -> Result<Vec<String>, ConfigError> {
    if name != "gpu" {
        let problem = format!("{name}: only gpu can be {AUTO}; name the ids of others");
        return Err(ConfigError::new("device", problem));
    }
    let entries = std::fs::read_dir(dev)
        .map_err(|err| ConfigError::new("device", format!("gpu={AUTO}: {}: {err}; name the ids", dev.display())))?;
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.strip_prefix("nvidia")?.parse::<u32>().ok();
    let numbers: BTreeSet<u32> = entries.filter_map(Result::ok).filter_map(number).collect();
    Ok(numbers.into_iter().map(|number| number.to_string()).collect())
}

/// Two kinds that a process could not tell apart are one too many.
fn check_variables(traits: &Traits) -> Result<(), ConfigError> {
    let mut kinds: BTreeMap<String, &str> = BTreeMap::new();
    for name in traits.devices.keys() {
        if let Some(other) = kinds.insert(in_capitals(name), name) {
            let variable = in_capitals(name);
            let problem = format!("{other} and {name} would both be WINDLASS_DEVICES_{variable}; rename one");
            return Err(ConfigError::new("device", problem));
        }
    }
    Ok(())
}

/// The first thing that is wrong, by the flag that says it.
fn by_flag(invalid: &Invalid) -> ConfigError {
    let (field, description) = invalid.violations().first().map_or(("", ""), |one| (&*one.field, &*one.description));
    let (table, name) = field.trim_end_matches(']').split_once('[').unwrap_or((field, ""));
    let flag = match table {
        "labels" => "label",
        "resources" => "resource",
        "devices" => "device",
        _ => "weight",
    };
    let problem = if name.is_empty() { description.to_owned() } else { format!("{name}: {description}") };
    ConfigError::new(flag, problem)
}

fn pair<'a>(text: &'a str, form: &str) -> Result<(&'a str, &'a str), String> {
    text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| format!("must be {form}"))
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = pair(text, "KEY=VALUE, such as zone=a")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn resource(text: &str) -> Result<(String, Amount), String> {
    let (name, amount) = pair(text, "NAME=AMOUNT, such as memory=64")?;
    Ok((name.to_owned(), Amount(parse_amount(amount)?)))
}

fn device(text: &str) -> Result<(String, Ids), String> {
    let (name, ids) = pair(text, "NAME=ID,..., such as gpu=0,1")?;
    let ids = if ids == AUTO { Ids::Auto } else { Ids::Given(ids.split(',').map(str::to_owned).collect()) };
    Ok((name.to_owned(), ids))
}

fn instant(text: &str) -> Result<Timestamp, String> {
    instant_from_text(text).ok_or_else(|| "must be a time of RFC 3339, such as 2026-01-31T12:00:00Z".to_owned())
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AmountVisitor;

        impl Visitor<'_> for AmountVisitor {
            type Value = Amount;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an amount, such as 2 or 1.5")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Amount, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Amount, E> {
                // Shortest text that reads as this number: what the file says, where that has three decimals.
                self.visit_str(&number.to_string())
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Amount, E> {
                parse_amount(text).map(Amount).map_err(|problem| E::custom(format!("{text}: {problem}")))
            }
        }

        deserializer.deserialize_any(AmountVisitor)
    }
}

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "must be \"auto\" or a list of ids, such as [\"0\", \"1\"]")]
        enum Said {
            Word(String),
            List(Vec<Id>),
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Id {
            Number(u32),
            Text(String),
        }
        let text = |id| match id {
            Id::Number(number) => number.to_string(),
            Id::Text(text) => text,
        };
        match Said::deserialize(deserializer)? {
            Said::Word(word) if word == AUTO => Ok(Self::Auto),
            Said::Word(word) => Err(Error::invalid_value(Unexpected::Str(&word), &"\"auto\", or a list of ids")),
            Said::List(ids) => Ok(Self::Given(ids.into_iter().map(text).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::config::Options;

    const BEGAN: Timestamp = Timestamp(1_000_000_000);

    /// What an agent with this file and these flags says of itself.
    fn read(file: &str, args: &[&str]) -> Result<Traits, String> {
        let config = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(config.path(), file).unwrap();
        let config = format!("--config={}", config.path().display());
        let args: Vec<OsString> = ["--data=/d", &config].iter().chain(args).map(OsString::from).collect();
        let options = Options::parse_args(&args).map_err(|err| err.to_string())?;
        options.traits.traits(BEGAN).map_err(|err| err.to_string())
    }

    fn flags(args: &[&str]) -> Result<Traits, String> {
        read("", args)
    }

    fn texts(texts: &[&str]) -> Vec<Arc<str>> {
        texts.iter().map(|text| Arc::from(*text)).collect()
    }

    #[test]
    fn an_agent_says_what_its_file_and_its_flags_say() {
        let file = "weight = 7\nlifetime = \"1m\"\n[labels]\nzone = \"a\"\nrack = \"r1\"\n\
                    [resources]\nmemory = 64\nlicences = 1.5\n[devices]\ngpu = [0, \"GPU-1\"]\n";
        let traits = read(file, &["--label", "zone=b", "--resource", "disk=0.25", "--device=fpga=x,y"]).unwrap();
        assert_eq!(traits.labels, [("rack".into(), "r1".into()), ("zone".into(), "b".into())].into());
        let amounts = [("disk".into(), 250), ("licences".into(), 1_500), ("memory".into(), 64_000)];
        assert_eq!(traits.resources, amounts.into());
        assert_eq!(
            traits.devices,
            [("fpga".into(), texts(&["x", "y"])), ("gpu".into(), texts(&["0", "GPU-1"]))].into()
        );
        assert_eq!((traits.weight, traits.leaves_at), (7, Some(BEGAN.after(Duration::from_secs(60)))));
        assert_eq!(flags(&[]), Ok(Traits::default()));
    }

    #[test]
    fn it_leaves_at_a_time_or_after_a_time_and_the_command_line_counts() {
        let at = Some(Timestamp(1_800_000_000_000_000_000));
        assert_eq!(flags(&["--leave-at=2027-01-15T08:00:00Z"]).unwrap().leaves_at, at);
        assert_eq!(read("lifetime = \"1m\"", &["--leave-at=2027-01-15T08:00:00Z"]).unwrap().leaves_at, at);
        assert_eq!(read("leave_at = \"2027-01-15T08:00:00Z\"", &[]).unwrap().leaves_at, at);
        assert!(flags(&["--leave-at=2027-01-15T08:00:00Z", "--lifetime=1m"]).is_err(), "not both");
        assert!(flags(&["--leave-at=tomorrow"]).unwrap_err().contains("such as 2026-01-31T12:00:00Z"));
        let wrong = "--lifetime must be more than 0s and at most 8760h; leave it out for no end";
        assert_eq!(flags(&["--lifetime=0s"]), Err(wrong.into()));
        assert_eq!(flags(&["--lifetime=8761h"]), Err(wrong.into()));
    }

    #[test]
    fn what_cannot_be_said_is_named_by_its_flag_with_what_to_do() {
        let long = format!("--label=zone={}", "x".repeat(257));
        for (flag, wrong) in [
            ("--label=a", "must be KEY=VALUE"),
            ("--label==a", "must be KEY=VALUE"),
            (&long, "--label zone: must be at most 256 bytes"),
            ("--resource=memory", "must be NAME=AMOUNT"),
            ("--resource=memory=-1", "must be a number with up to three decimals"),
            ("--resource=memory=NaN", "must be a number with up to three decimals"),
            ("--resource=a b=1", "--resource a b: names must be 1 to 128 of [a-zA-Z0-9._-]"),
            ("--device=gpu", "must be NAME=ID,..."),
            ("--device=gpu=", "--device gpu: ids must be 1 to 64 visible ASCII characters without a comma"),
            ("--device=gpu=0,0", "--device gpu: names a device twice; name each once"),
            ("--device=fpga=auto", "--device fpga: only gpu can be auto; name the ids of others"),
            ("--weight=0", "--weight must be 1 to 1000"),
            ("--weight=x", "invalid digit"),
        ] {
            let problem = flags(&[flag]).unwrap_err();
            assert!(problem.contains(wrong), "{flag}: {problem}");
        }
        let twice = flags(&["--label=a=1", "--label=a=2"]);
        assert_eq!(twice, Err("--label a is given twice; give it once".into()));
        let both = flags(&["--resource=gpu=1", "--device=gpu=0"]).unwrap_err();
        assert!(both.starts_with("--device gpu: is a resource too"), "{both}");
        let alike = flags(&["--device=net-a=0", "--device=net.a=0"]);
        assert_eq!(alike, Err("--device net-a and net.a would both be WINDLASS_DEVICES_NET_A; rename one".into()));
    }

    #[test]
    fn what_a_file_cannot_say_is_named_with_its_place() {
        for (file, wrong) in [
            ("[resources]\nmemory = -1\n", "-1: must be a number with up to three decimals"),
            ("[resources]\nmemory = nan\n", "NaN: must be a number with up to three decimals"),
            ("[resources]\nmemory = 0.0001\n", "0.0001: must be a number with up to three decimals"),
            ("[resources]\nmemory = true\n", "an amount, such as 2 or 1.5"),
            ("[devices]\ngpu = \"all\"\n", "\"auto\", or a list of ids"),
            ("[devices]\ngpu = []\n", "--device gpu: has no ids; leave it out where there are none"),
            ("[devices]\ngpu = 2\n", "must be \"auto\" or a list of ids"),
            ("[label]\nzone = \"a\"\n", "unknown field `label`"),
        ] {
            let problem = read(file, &[]).unwrap_err();
            assert!(problem.contains(wrong), "{file}: {problem}");
        }
    }

    #[test]
    fn gpus_that_show_themselves_are_found_in_the_order_of_their_numbers() {
        let dev = tempfile::tempdir().unwrap();
        let traits = || {
            let options = TraitOptions { devices: vec![("gpu".into(), Ids::Auto)], ..TraitOptions::default() };
            options.traits_of(BEGAN, dev.path()).unwrap()
        };
        assert_eq!(traits(), Traits::default(), "none is no mistake");
        for name in ["nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm", "null"] {
            std::fs::write(dev.path().join(name), "").unwrap();
        }
        assert_eq!(traits().devices, [("gpu".into(), texts(&["2", "10"]))].into());
    }
}
