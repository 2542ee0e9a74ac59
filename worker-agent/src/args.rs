//! The command line, and the file it names: the flags under their own names, and the pools.
//!
//! ```toml
//! coordinator = "http://10.0.0.1:7070"
//! slots = 8
//!
//! [labels]
//! zone = "a"
//!
//! [devices]
//! gpu = "auto"
//!
//! [exec]
//! run_as = "jobs"
//!
//! [logs]
//! spool_bytes = 16777216
//!
//! [[pool]]
//! name = "resize"
//! command = ["python3", "/srv/resize.py"]
//! max = 4
//! ```
//! What is on the command line as well counts there.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use serde::Deserialize;

use crate::config::{ConfigError, Options};
use crate::confine::ConfineOptions;
use crate::logs::LogOptions;
use crate::traits::{Amount, Ids, TraitTables};
use crate::worker::PoolOptions;

/// What a file may say. Unknown keys are refused by name: a misspelt limit is no limit.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    coordinator: Option<String>,
    data: Option<String>,
    name: Option<String>,
    slots: Option<u32>,
    drain_timeout: Option<String>,
    detach_max: Option<String>,
    start_timeout: Option<String>,
    lock_timeout: Option<String>,
    containment: Option<String>,
    cgroup_root: Option<String>,
    policy: Option<String>,
    weight: Option<u32>,
    lifetime: Option<String>,
    leave_at: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    resources: BTreeMap<String, Amount>,
    #[serde(default)]
    devices: BTreeMap<String, Ids>,
    #[serde(default)]
    exec: ConfineOptions,
    #[serde(default)]
    logs: LogOptions,
    #[serde(default)]
    pool: Vec<PoolOptions>,
}

impl Options {
    /// Reads the arguments, those after the program's name or role, and the file they name.
    ///
    /// # Errors
    /// What clap has to say, a request for help included, and what is wrong with the file.
    pub fn parse_args(args: &[OsString]) -> Result<Self, clap::Error> {
        let name = OsString::from("windlass-worker-agent");
        let bad = |err: ConfigError| Self::command().error(ErrorKind::InvalidValue, err);
        let (args, tables) = with_file(args).map_err(bad)?;
        let Tables { exec, logs, pools, traits } = tables;
        let said = Self::try_parse_from(std::iter::once(&name).chain(&args))?;
        Ok(Self { exec, logs, pools, traits: said.traits.clone().or(traits), ..said })
    }
}

/// What only a file can say.
#[derive(Debug, Default)]
struct Tables {
    exec: ConfineOptions,
    logs: LogOptions,
    pools: Vec<PoolOptions>,
    traits: TraitTables,
}

/// The arguments with what the file of `--config` adds to them, and its tables.
///
/// # Errors
/// Where the file cannot be read or says what cannot be.
fn with_file(args: &[OsString]) -> Result<(Vec<OsString>, Tables), ConfigError> {
    let mut args = args.to_vec();
    let Some(path) = value_of(&args, "--config") else { return Ok((args, Tables::default())) };
    let file = read(Path::new(&path))?;
    let number = |value: Option<u64>| value.map(|value| value.to_string());
    for (flag, value) in [
        ("--coordinator", file.coordinator),
        ("--data", file.data),
        ("--name", file.name),
        ("--slots", number(file.slots.map(Into::into))),
        ("--drain-timeout", file.drain_timeout),
        ("--detach-max", file.detach_max),
        ("--start-timeout", file.start_timeout),
        ("--lock-timeout", file.lock_timeout),
        ("--containment", file.containment),
        ("--cgroup-root", file.cgroup_root),
        ("--policy", file.policy),
        ("--weight", number(file.weight.map(Into::into))),
        ("--lifetime", file.lifetime.filter(|_| !is_given(&args, "--leave-at"))),
        ("--leave-at", file.leave_at.filter(|_| !is_given(&args, "--lifetime"))),
    ] {
        if let Some(value) = value
            && !is_given(&args, flag)
        {
            args.push(format!("{flag}={value}").into());
        }
    }
    let traits = TraitTables { labels: file.labels, resources: file.resources, devices: file.devices };
    Ok((args, Tables { exec: file.exec, logs: file.logs, pools: file.pool, traits }))
}

fn read(path: &Path) -> Result<File, ConfigError> {
    let bad = |problem: String| ConfigError::in_file(format!("{}: {problem}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|err| bad(err.to_string()))?;
    toml::from_str(&text).map_err(|err| bad(err.to_string()))
}

fn is_given(args: &[OsString], flag: &str) -> bool {
    let name = |arg: &OsString| arg.as_bytes().split(|byte| *byte == b'=').next() == Some(flag.as_bytes());
    args.iter().any(name)
}

fn value_of(args: &[OsString], flag: &str) -> Option<OsString> {
    let at = args.iter().position(|arg| is_given(std::slice::from_ref(arg), flag))?;
    match args[at].as_bytes().strip_prefix(flag.as_bytes())?.split_first() {
        Some((_, value)) => Some(OsStr::from_bytes(value).into()),
        None => args.get(at + 1).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    fn merged(text: &str, args: &[&str]) -> Result<(Vec<String>, usize), String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let config = OsString::from(format!("--config={}", file.path().display()));
        let args: Vec<OsString> = args.iter().map(OsString::from).chain([config]).collect();
        let (merged, tables) = with_file(&args).map_err(|err| err.to_string())?;
        let added = merged[args.len()..].iter().map(|arg| arg.to_str().unwrap().to_owned());
        Ok((added.collect(), tables.pools.len()))
    }

    #[test]
    fn the_file_adds_what_the_command_line_does_not_say() {
        let text = "slots = 3\ndetach_max = \"5m\"\n[[pool]]\nname = \"p\"\ncommand = [\"w\"]\n";
        assert_eq!(merged(text, &[]), Ok((vec!["--slots=3".into(), "--detach-max=5m".into()], 1)));
        assert_eq!(merged(text, &["--slots", "9"]), Ok((vec!["--detach-max=5m".into()], 1)));
        assert_eq!(merged(text, &["--detach-max=1s"]), Ok((vec!["--slots=3".into()], 1)));
    }

    #[test]
    fn what_it_cannot_say_is_named_with_the_file() {
        let problem = |text: &str| merged(text, &[]).unwrap_err();
        assert!(problem("slot = 3\n").contains("unknown field `slot`"));
        assert!(problem("slots = \"x\"\n").contains("slots = \"x\""));
        assert!(
            problem("[[pool]]\nname = \"p\"\ncommand = [\"w\"]\nmaximum = 2\n").contains("unknown field `maximum`")
        );
        assert!(problem("[logs]\nspool = 2\n").contains("unknown field `spool`"));
        assert!(problem("[exec]\nnise = 2\n").contains("unknown field `nise`"));
        assert!(problem("[exec.limits]\ncpu = 2\n").contains("unknown field `cpu`"));
        let no_text = with_file(&[OsString::from_vec(b"--config=/no/\xff".to_vec())]);
        assert!(no_text.unwrap_err().to_string().contains("No such file"));
        let none = with_file(&["--config".into(), "/no/such".into()]).unwrap_err().to_string();
        assert_eq!(none, "--config /no/such: No such file or directory (os error 2)");
    }
}
