//! `windlass worker check`: holds a worker against the worker protocol.

use std::time::Duration;

use clap::ValueHint;
use serde_json::json;

use crate::check::{self, Finding, Misnamed, Subject};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::humane::{count, parse_duration};
use crate::output::{Format, print};

/// What to check.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Handler to call [default: the first that the worker announces]
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    /// Its input, a JSON value
    #[arg(long, value_name = "JSON", default_value = "null", allow_hyphen_values = true)]
    input: String,
    /// Handler whose job takes some seconds, to see a job recalled and cancelled while another runs
    #[arg(long, value_name = "NAME", requires = "slow_input")]
    slow_handler: Option<String>,
    /// Its input, a JSON value
    #[arg(long, value_name = "JSON", requires = "slow_handler", allow_hyphen_values = true)]
    slow_input: Option<String>,
    /// Longest time to the hello, and to the answer of a job
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
    /// The worker's program and arguments, run without a shell
    #[arg(last = true, required = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    argv: Vec<String>,
}

/// Tries every rule, each on a worker of its own; the exit code says whether all were kept.
pub(crate) async fn check(global: &Global, args: Args) -> Result<Exit, Failure> {
    for (flag, input) in [("--input", Some(&args.input)), ("--slow-input", args.slow_input.as_ref())] {
        if input.is_some_and(|input| serde_json::from_str::<serde_json::Value>(input).is_err()) {
            return Err(Failure::usage(format!("{flag} must be one JSON value")));
        }
    }
    let subject = Subject {
        argv: args.argv,
        handler: args.handler,
        input: args.input,
        slow: args.slow_handler.zip(args.slow_input),
        patience: args.timeout,
    };
    let table = global.output == Format::Table;
    let mut told = Ok(());
    let findings = check::check(&subject, |finding| {
        if table && told.is_ok() {
            told = print(&finding.line());
        }
    })
    .await
    .map_err(|wrong| misnamed(&wrong))?;
    told?;
    let broken = findings.iter().filter(|finding| finding.is_broken()).count();
    print(&match global.output {
        Format::Table if broken == 0 => "the worker keeps to the protocol\n".to_owned(),
        Format::Table => format!("the worker breaks {}\n", count(broken, "rule")),
        Format::Json => format!("{}\n", json!({ "rules": findings.iter().map(Finding::json).collect::<Vec<_>>() })),
        Format::Jsonl => findings.iter().map(|finding| format!("{}\n", finding.json())).collect(),
        Format::Id => {
            findings.iter().filter(|finding| finding.is_broken()).map(|one| format!("{}\n", one.rule)).collect()
        }
    })?;
    Ok(if broken == 0 { Exit::OK } else { Exit::OTHER })
}

fn misnamed(Misnamed { flag, handler, has }: &Misnamed) -> Failure {
    Failure::usage(format!("the worker has no handler {handler:?}")).remedy(format!("--{flag} {}", has.join("|")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_handler_is_wrong_usage_and_the_right_ones_are_named() {
        let has = vec!["resize".into(), "sleep".into()];
        let failure = misnamed(&Misnamed { flag: "slow-handler", handler: "slep".into(), has });
        assert_eq!((failure.exit, &*failure.what), (Exit::USAGE, "the worker has no handler \"slep\""));
        assert_eq!(failure.remedy.as_deref(), Some("--slow-handler resize|sleep"));
    }
}
