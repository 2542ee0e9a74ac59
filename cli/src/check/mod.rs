//! `worker check`: a scripted agent that holds any worker against the worker protocol, rule by rule.
//!
//! - [`rules`] what is asked of a worker, one function a rule · [`peer`] one life of the worker, and its pipes, spoken to with the very
//!   codec of the agent.
//!
//! Each rule has a worker of its own, so that one that broke a rule is not blamed for the next.

mod peer;
mod rules;

use std::time::Duration;

use serde_json::{Value, json};

use rules::RULES;

/// What to check, and with what.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// The worker's program and arguments.
    pub(crate) argv: Vec<String>,
    /// Handler to call; none: the first that is announced.
    pub(crate) handler: Option<String>,
    /// Its input, a JSON value.
    pub(crate) input: String,
    /// A handler and an input that take at least some seconds, for what needs a job that runs.
    pub(crate) slow: Option<(String, String)>,
    /// Longest time to the hello, and to an answer.
    pub(crate) patience: Duration,
}

/// What became of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Kept,
    /// How it was broken.
    Broken(String),
    /// Why it was not tried.
    NotTried(&'static str),
}

/// A rule, and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) rule: &'static str,
    pub(crate) says: &'static str,
    pub(crate) verdict: Verdict,
}

/// A handler was named that the worker does not have: a mistake of whoever asks, not the worker's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misnamed {
    /// The flag that named it, without its dashes.
    pub(crate) flag: &'static str,
    pub(crate) handler: String,
    /// Those that it has, as it announced them.
    pub(crate) has: Vec<String>,
}

/// Tries rule after rule, and tells each as it is known.
///
/// # Errors
/// Where a handler was named that the worker's hello does not; then nothing is told.
pub(crate) async fn check(subject: &Subject, mut tell: impl FnMut(&Finding)) -> Result<Vec<Finding>, Misnamed> {
    let mut findings: Vec<Finding> = Vec::new();
    for rule in RULES {
        // Without a hello there is nobody to ask anything else.
        let mute = findings.first().is_some_and(|first| matches!(first.verdict, Verdict::Broken(_)));
        let verdict =
            if mute { Verdict::NotTried("there was no good hello") } else { rules::verdict(rule, subject).await? };
        let finding = Finding { rule: rule.name, says: rule.says, verdict };
        tell(&finding);
        findings.push(finding);
    }
    Ok(findings)
}

impl Finding {
    /// For people: one line.
    pub(crate) fn line(&self) -> String {
        match &self.verdict {
            Verdict::Kept => format!("ok     {:<16} {}\n", self.rule, self.says),
            Verdict::Broken(why) => format!("BROKEN {:<16} {}: {why}\n", self.rule, self.says),
            Verdict::NotTried(why) => format!("-      {:<16} not tried: {why}\n", self.rule),
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let (verdict, why) = match &self.verdict {
            Verdict::Kept => ("KEPT", ""),
            Verdict::Broken(why) => ("BROKEN", why.as_str()),
            Verdict::NotTried(why) => ("NOT_TRIED", *why),
        };
        json!({ "rule": self.rule, "verdict": verdict, "why": why })
    }

    /// Whether the worker broke it.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.verdict, Verdict::Broken(_))
    }
}

#[cfg(test)]
mod tests;
