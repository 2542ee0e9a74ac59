//! Flags → [`pb::JobSpec`]: what to run, one job or one for each item.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::time::Duration;

use bytes::Bytes;
use clap::ValueHint;
use prost::Message;
use windlass_shared::limits::PAYLOAD_BYTES_MAX;
use windlass_shared::pb;

use crate::each;
use crate::failure::Failure;
use crate::humane::{one_line, parse_duration};

/// What a job is called in a message leaves room for the message.
const TITLE_CHARS_MAX: usize = 60;

/// What `submit` and `run` take alike.
#[derive(Debug, clap::Args)]
pub(crate) struct WorkArgs {
    /// Queue to wait in [default: default]
    #[arg(long, value_name = "NAME", help_heading = "Job")]
    queue: Option<String>,
    /// Higher goes first, -100 to 100
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true, help_heading = "Job")]
    priority: i32,
    /// Label to find the job by; repeat for more
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair, help_heading = "Job")]
    label: Vec<(String, String)>,
    /// Environment variable for the job; repeat for more
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair, help_heading = "Job")]
    env: Vec<(String, String)>,
    /// Working directory on the agent's host [default: a scratch directory of the job's own; with --local, yours]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Job")]
    cwd: Option<String>,
    /// File for the job's standard input, `-` for ours; up to 256 KiB [default: /dev/null]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Job")]
    stdin: Option<String>,
    /// Longest time one attempt may run, such as 30s or 1h30m; then its whole process tree is stopped
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Job")]
    timeout: Option<Duration>,
    /// Time between the stop signal and the kill [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Job")]
    grace: Option<Duration>,
    /// Signal that asks the job to stop, by name or number [default: TERM]
    #[arg(long, value_name = "SIGNAL", value_parser = parse_signal, help_heading = "Job")]
    signal: Option<i32>,
    /// When to try again after a failure [default: none]
    #[arg(long, value_name = "PRESET", help_heading = "Job")]
    retry: Option<Retry>,
    /// Attempts in all, the first included [default: the preset's number]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Job")]
    max_attempts: Option<u32>,
    /// Begin the work once at most: where an attempt that began ends badly, or nobody knows how, the job fails and is not
    /// tried again
    #[arg(long, conflicts_with_all = ["retry", "max_attempts"], help_heading = "Promises")]
    at_most_once: bool,
    /// While the agent is out of touch with the coordinator: `continue` runs on, `fence` kills the process tree before
    /// another attempt may begin, so that two never overlap [default: continue]
    #[arg(long, value_name = "WHAT", hide_possible_values = true, help_heading = "Promises")]
    on_disconnect: Option<OnDisconnect>,
    /// Once the agent is silent past its lease: `retry` elsewhere, `fail`, or `wait` until it is back [default: retry]
    #[arg(long, value_name = "WHAT", hide_possible_values = true, help_heading = "Promises")]
    on_agent_lost: Option<OnAgentLost>,
    /// One job for each match of the glob (quote it), or for each line of standard input with `-`: the item takes the
    /// place of every `{}` in the command, or comes last where there is none
    #[arg(long, value_name = "GLOB|-", help_heading = "Many jobs")]
    each: Option<String>,
    /// Program and arguments, run without a shell
    #[arg(last = true, required = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    argv: Vec<String>,
}

/// The presets of the contract's `RetryPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Retry {
    /// One attempt
    None,
    /// 3 attempts, 1 s doubling to 1 min
    Default,
    /// 3 attempts, 10 s doubling to 10 min
    Conservative,
    /// 10 attempts, 100 ms doubling to 10 s
    Aggressive,
}

/// The contract's `OnDisconnect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnDisconnect {
    Continue,
    Fence,
}

/// The contract's `OnAgentLost`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnAgentLost {
    Retry,
    Fail,
    Wait,
}

/// The jobs to submit. Specs are made one at a time, so that a million items do not mean a million environments.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    base: pb::JobSpec,
    exec: pb::Exec,
    items: Option<Vec<String>>,
}

impl Plan {
    /// The plan of these flags; reads what they ask to be read.
    pub(crate) fn new(args: &WorkArgs) -> Result<Self, Failure> {
        if args.each.as_deref() == Some("-") && args.stdin.as_deref() == Some("-") {
            return Err(Failure::usage("--each - and --stdin - cannot both read standard input"));
        }
        let exec = pb::Exec {
            argv: args.argv.clone(),
            env: args.env.iter().cloned().collect(),
            cwd: args.cwd.as_deref().map(absolute).transpose()?.unwrap_or_default(),
            stdin: args.stdin.as_deref().map(read_stdin).transpose()?.unwrap_or_default(),
        };
        let each = |source: &String| each::items(source, BufReader::new(std::io::stdin()));
        let items = args.each.as_ref().map(each).transpose()?;
        Ok(Self { base: base(args), exec, items })
    }

    /// The same, in the caller's directory and with the caller's environment, save what the flags set.
    pub(crate) fn in_callers_place(mut self) -> Result<Self, Failure> {
        if self.exec.cwd.is_empty() {
            self.exec.cwd = absolute(".")?;
        }
        let theirs = std::mem::take(&mut self.exec.env);
        self.exec.env = callers_env(std::env::vars_os());
        self.exec.env.extend(theirs);
        Ok(self)
    }

    /// Number of jobs.
    pub(crate) fn len(&self) -> usize {
        self.items.as_ref().map_or(1, Vec::len)
    }

    /// Whether the jobs are those of `--each`, however many there are.
    pub(crate) fn is_each(&self) -> bool {
        self.items.is_some()
    }

    /// What job number `index` is called in messages: its item, or its program.
    pub(crate) fn title(&self, index: usize) -> String {
        let item = self.items.as_ref().and_then(|items| items.get(index));
        item.or(self.exec.argv.first()).map_or_else(String::new, |title| one_line(title, TITLE_CHARS_MAX))
    }

    /// The encoded `JobSpec` of job number `index`.
    pub(crate) fn spec(&self, index: usize) -> Bytes {
        let mut exec = self.exec.clone();
        if let Some(item) = self.items.as_ref().and_then(|items| items.get(index)) {
            exec.argv = each::expand(&self.exec.argv, item);
        }
        pb::JobSpec { work: Some(pb::job_spec::Work::Exec(exec)), ..self.base.clone() }.encode_to_vec().into()
    }

    /// Time a cancelled job may take to stop before it is killed.
    pub(crate) fn grace(&self) -> Duration {
        let grace = self.base.stop_grace.and_then(|grace| Duration::try_from(grace).ok());
        grace.unwrap_or(Duration::from_secs(5))
    }
}

fn base(args: &WorkArgs) -> pb::JobSpec {
    // A policy only where one was asked for; with a number alone the coordinator takes the preset `default`.
    let asked = args.retry.is_some() || args.max_attempts.is_some();
    let preset = args.retry.map_or(pb::retry_policy::Preset::Unspecified, preset).into();
    pb::JobSpec {
        queue: args.queue.clone().unwrap_or_default(),
        priority: args.priority,
        labels: args.label.iter().cloned().collect(),
        run_timeout: args.timeout.map(span),
        stop_grace: args.grace.map(span),
        stop_signal: args.signal,
        retry: asked.then_some(pb::RetryPolicy { preset, max_attempts: args.max_attempts }),
        execution: if args.at_most_once { pb::job_spec::Execution::AtMostOnce.into() } else { 0 },
        on_disconnect: args.on_disconnect.map_or(0, |what| on_disconnect(what).into()),
        on_agent_lost: args.on_agent_lost.map_or(0, |what| on_agent_lost(what).into()),
        group: String::new(),
        work: None,
    }
}

fn on_disconnect(what: OnDisconnect) -> pb::job_spec::OnDisconnect {
    match what {
        OnDisconnect::Continue => pb::job_spec::OnDisconnect::Continue,
        OnDisconnect::Fence => pb::job_spec::OnDisconnect::Fence,
    }
}

fn on_agent_lost(what: OnAgentLost) -> pb::job_spec::OnAgentLost {
    match what {
        OnAgentLost::Retry => pb::job_spec::OnAgentLost::Retry,
        OnAgentLost::Fail => pb::job_spec::OnAgentLost::Fail,
        OnAgentLost::Wait => pb::job_spec::OnAgentLost::Wait,
    }
}

fn preset(retry: Retry) -> pb::retry_policy::Preset {
    match retry {
        Retry::None => pb::retry_policy::Preset::None,
        Retry::Default => pb::retry_policy::Preset::Default,
        Retry::Conservative => pb::retry_policy::Preset::Conservative,
        Retry::Aggressive => pb::retry_policy::Preset::Aggressive,
    }
}

/// The wire's form of a span; absurdly long ones become the longest, which the coordinator refuses by name.
pub(crate) fn span(time: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(time).unwrap_or(prost_types::Duration { seconds: i64::MAX, nanos: 0 })
}

fn absolute(dir: &str) -> Result<String, Failure> {
    let path = std::env::current_dir().map(|cwd| if dir == "." { cwd } else { cwd.join(dir) });
    let path = path.map_err(|err| Failure::io("find the working directory", &err))?;
    let text = path.into_os_string().into_string();
    text.map_err(|path| Failure::usage(format!("the working directory {} is not valid UTF-8", path.display())))
}

// What is not UTF-8 cannot be told to an agent; WINDLASS_* is ours to set for a job.
fn callers_env(vars: impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)>) -> BTreeMap<String, String> {
    let utf8 = vars.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    utf8.filter(|(name, _)| !name.starts_with("WINDLASS_")).collect()
}

fn read_stdin(source: &str) -> Result<Bytes, Failure> {
    let failed = |err: std::io::Error| Failure::io(format_args!("read {source} for --stdin"), &err);
    let reader: Box<dyn Read> = match source {
        "-" => Box::new(std::io::stdin()),
        path => Box::new(std::fs::File::open(path).map_err(failed)?),
    };
    let mut bytes = Vec::new();
    // One byte more than allowed is enough to know that it is too much.
    reader.take(PAYLOAD_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > PAYLOAD_BYTES_MAX {
        let limit = PAYLOAD_BYTES_MAX >> 10;
        return Err(Failure::usage(format!("--stdin: {source} holds more than {limit} KiB, which is the limit"))
            .remedy("put the file where the job can read it, and name it in the command"));
    }
    Ok(bytes.into())
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("must be NAME=VALUE".into()),
    }
}

/// Signals by number, from 1.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];

fn parse_signal(text: &str) -> Result<i32, String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let by_name = SIGNALS.iter().position(|signal| *signal == name).map(|index| index + 1);
    let number = by_name.or_else(|| name.parse().ok()).filter(|number| (1..=SIGNALS.len()).contains(number));
    let number = number.and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| "must be the name of a signal, such as TERM, or a number from 1 to 31".into())
}

/// The name of a signal, for messages.
pub(crate) fn signal_name(number: i32) -> String {
    let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    let name = index.and_then(|index| SIGNALS.get(index));
    name.map_or_else(|| format!("signal {number}"), |name| format!("SIG{name}"))
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
