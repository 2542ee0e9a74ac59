//! What every job has, whatever its work is.

use std::time::Duration;

use windlass_shared::limits::TRACESTATE_BYTES_MAX;
use windlass_shared::{convert, pb};

use super::placement::PlacementArgs;
use super::{bounds::BoundArgs, parse_pair, signal::parse_signal, span};
use crate::humane::parse_duration;
use crate::output;

/// The flags for it.
#[derive(Debug, clap::Args)]
pub(crate) struct JobArgs {
    /// Queue to wait in [default: default]
    #[arg(long, value_name = "NAME", help_heading = "Job")]
    queue: Option<String>,
    /// Higher goes first, -100 to 100
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true, help_heading = "Job")]
    priority: i32,
    /// Label to find the job by; repeat for more
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair, help_heading = "Job")]
    label: Vec<(String, String)>,
    /// Group the job belongs to: a name that jobs submitted together share, to find them by
    #[arg(long, value_name = "NAME", help_heading = "Job")]
    group: Option<String>,
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
    /// Keep the job for a person where it fails and is not tried again (`windlass dead`)
    #[arg(long, help_heading = "Job")]
    dead_letter: bool,
    /// Retry policy with delays and rules, as the JSON of the API's RetryPolicy, or @FILE
    #[arg(long, value_name = "JSON", conflicts_with_all = ["retry", "max_attempts", "dead_letter"], value_parser = parse_policy, help_heading = "Job")]
    retry_policy: Option<pb::RetryPolicy>,
    /// Begin the work once at most: where an attempt that began ends badly, or nobody knows how, the job fails and is not
    /// tried again
    #[arg(long, conflicts_with_all = ["retry", "max_attempts", "retry_policy"], help_heading = "Promises")]
    at_most_once: bool,
    /// While the agent is out of touch with the coordinator: `continue` runs on, `fence` kills the process tree before
    /// another attempt may begin, so that two never overlap [default: continue]
    #[arg(long, value_name = "WHAT", hide_possible_values = true, help_heading = "Promises")]
    on_disconnect: Option<OnDisconnect>,
    /// Once the agent is silent past its lease: `retry` elsewhere, `fail`, or `wait` until it is back [default: retry]
    #[arg(long, value_name = "WHAT", hide_possible_values = true, help_heading = "Promises")]
    on_agent_lost: Option<OnAgentLost>,
    #[command(flatten)]
    bounds: BoundArgs,
    #[command(flatten)]
    placement: PlacementArgs,
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

impl JobArgs {
    /// The spec of these flags, without its work.
    pub(super) fn to_spec(&self) -> pb::JobSpec {
        let (traceparent, tracestate) = callers_trace(|name| std::env::var(name).ok());
        let mut spec = pb::JobSpec {
            traceparent,
            tracestate,
            queue: self.queue.clone().unwrap_or_default(),
            priority: self.priority,
            labels: self.label.iter().cloned().collect(),
            run_timeout: self.timeout.map(span),
            stop_grace: self.grace.map(span),
            stop_signal: self.signal,
            retry: self.retry_policy(),
            execution: if self.at_most_once { pb::job_spec::Execution::AtMostOnce.into() } else { 0 },
            on_disconnect: self.on_disconnect.map_or(0, |what| on_disconnect(what).into()),
            on_agent_lost: self.on_agent_lost.map_or(0, |what| on_agent_lost(what).into()),
            group: self.group.clone().unwrap_or_default(),
            ..pb::JobSpec::default()
        };
        self.bounds.add_to(&mut spec);
        self.placement.add_to(&mut spec);
        spec
    }
}

impl JobArgs {
    /// A policy only where one was asked for; with a number alone the coordinator takes the preset `default`.
    fn retry_policy(&self) -> Option<pb::RetryPolicy> {
        if self.retry_policy.is_some() {
            return self.retry_policy.clone();
        }
        // Kept for a person, and no more than that, it is tried as often as without a policy: once.
        let once = self.dead_letter && self.max_attempts.is_none();
        let preset = match self.retry {
            Some(retry) => preset(retry),
            None if once => pb::retry_policy::Preset::None,
            None if self.max_attempts.is_some() => pb::retry_policy::Preset::Unspecified,
            None => return None,
        };
        Some(pb::RetryPolicy {
            preset: preset.into(),
            max_attempts: self.max_attempts,
            dead_letter: self.dead_letter,
            ..pb::RetryPolicy::default()
        })
    }
}

fn parse_policy(text: &str) -> Result<pb::RetryPolicy, String> {
    let text = match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(|err| format!("{path} cannot be read: {err}"))?,
        None => text.to_owned(),
    };
    output::parse_json(&text)
}

/// The trace the command itself runs in, by the variables that tracing tools use; one that is none is left alone, as W3C Trace
/// Context asks.
pub(super) fn callers_trace(var: impl Fn(&str) -> Option<String>) -> (String, String) {
    match var("TRACEPARENT").filter(|parent| convert::is_traceparent(parent)) {
        Some(parent) => (parent, var("TRACESTATE").filter(|state| is_tracestate(state)).unwrap_or_default()),
        None => Default::default(),
    }
}

fn is_tracestate(text: &str) -> bool {
    text.len() <= TRACESTATE_BYTES_MAX && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
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
