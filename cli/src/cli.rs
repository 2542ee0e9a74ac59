//! The command line as a whole: what there is to type, and how each answer reaches the exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::client::DEFAULT_ADDRESS;
use crate::commands::{self, completion, job_cancel, job_list, job_logs, job_wait, run};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::refs::RefArgs;
use crate::spec::WorkArgs;

const AFTER_HELP: &str = "\
Examples:
  windlass run -- echo hello                                 # one job, as if it ran here
  windlass run --local 2 --each 'src/*.c' -- gcc -c {}       # many, on a cluster that lasts as long as the command
  windlass submit --retry default -- ./nightly.sh            # leave it to the cluster,
  windlass wait @last && windlass logs @last                 # and come back for it
  windlass job list --state failed -o id | windlass logs -   # what went wrong, everywhere

Exit codes:
  0 ok   1 other   2 wrong usage   3 a job failed   4 a job was cancelled   5 not found   6 not allowed
  7 coordinator out of reach   8 not now (precondition)   124 time ran out   130 Ctrl-C
  `run` of one job passes its own code through: 128+n on signal n, 127 no such program, 126 cannot be started";

const RUN_HELP: &str = "\
Examples:
  windlass run -- make -j4
  windlass run --timeout 10m --retry default -- ./flaky-test.sh
  windlass run --local 2 --each 'proto/**/*.proto' -- sha256sum {}
  seq 1 200 | windlass run --local 2 --each - -- sh -c 'echo \"$1\"' sh {}

Ctrl-C cancels the jobs and waits for their end; a second one leaves at once.
One job answers with its own exit code; jobs of --each with 0, 3 (one failed) or 4 (one was cancelled).";

const SUBMIT_HELP: &str = "\
Examples:
  windlass submit --queue nightly --label team=ml -- python3 train.py
  id=$(windlass submit -o id -- ./build.sh) && windlass wait $id
  windlass submit --each '/data/*.csv' -o id -- ./import {} | windlass wait -";

/// Runs jobs on a fleet of hosts, and is never wrong about a running one.
#[derive(Debug, Parser)]
#[command(name = "windlass", version, after_help = AFTER_HELP, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// Where the coordinator is
    #[arg(short, long, global = true, env = "WINDLASS_ADDRESS", hide_env_values = true, default_value = DEFAULT_ADDRESS, value_name = "URL")]
    #[arg(help_heading = "Global")]
    pub(crate) address: String,
    /// How results are written: table for people, json (one document) or jsonl (one object a line) by the protobuf mapping,
    /// or id alone
    #[arg(short, long, global = true, value_enum, default_value_t, hide_possible_values = true, value_name = "FORMAT")]
    #[arg(help_heading = "Global")]
    pub(crate) output: Format,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run jobs here and now: their output is your output, their exit code yours
    #[command(after_help = RUN_HELP)]
    Run(run::Args),
    /// Put jobs on record and leave them to the cluster; prints their ids
    #[command(after_help = SUBMIT_HELP)]
    Submit(WorkArgs),
    /// Wait until jobs are over; the exit code says how they ended
    Wait(job_wait::Args),
    /// Show what jobs wrote
    Logs(job_logs::Args),
    /// Look after jobs
    #[command(subcommand)]
    Job(JobVerb),
    /// Look after agents
    #[command(subcommand)]
    Agent(AgentVerb),
    /// Print the completion script for a shell
    #[command(
        after_help = "Example:\n  windlass completion bash > ~/.local/share/bash-completion/completions/windlass"
    )]
    Completion(completion::Args),
}

/// What can be done with jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum JobVerb {
    /// Show jobs in full, with their attempts
    Get(RefArgs),
    /// List jobs, newest first
    List(job_list::Args),
    /// Wait until jobs are over; the exit code says how they ended
    Wait(job_wait::Args),
    /// Show what jobs wrote
    Logs(job_logs::Args),
    /// Stop jobs: signal, grace, kill, to their whole process trees
    Cancel(job_cancel::Args),
}

/// What can be done with agents.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentVerb {
    /// List agents, with what they run
    List,
}

/// Reads the command line, carries it out and reports.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(asked) => {
            let _ = asked.print();
            return Exit::of_clap(asked.exit_code()).into();
        }
    };
    windlass_shared::telemetry::start("error");
    let output = cli.global.output;
    carry_out(cli).unwrap_or_else(|failure| report(&failure, output)).into()
}

fn carry_out(cli: Cli) -> Result<Exit, Failure> {
    // Two threads: one shows, one fetches.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|err| Failure::io("start", &err))?;
    let result = runtime.block_on(commands::carry_out(&cli.global, cli.command));
    // Not waited for: a thread may be stuck writing to a reader that does not read.
    runtime.shutdown_background();
    result
}

fn report(failure: &Failure, output: Format) -> Exit {
    if failure.what.is_empty() {
        return failure.exit;
    }
    match output {
        Format::Json | Format::Jsonl => {
            let _ = output::print(&output::failure(failure));
        }
        Format::Table | Format::Id => output::interject(&failure.to_string()),
    }
    failure.exit
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parses(line: &str) -> bool {
        Cli::try_parse_from(line.split(' ')).is_ok()
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_anywhere_before_the_command() {
        assert!(parses("windlass -o json job list"));
        assert!(parses("windlass job list -o json --state failed --state RUNNING"));
        assert!(parses("windlass run --local 2 -a h:1 -- echo -o json"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_starts() {
        for line in [
            "windlass run",
            "windlass run echo",
            "windlass run --local 0 -- true",
            "windlass run --slots 2 -- true",
            "windlass run --timeout soon -- true",
            "windlass submit --max-attempts 0 -- true",
            "windlass job get",
            "windlass job list --state lost",
            "windlass logs -f --attempt 2 @last",
        ] {
            assert!(!parses(line), "{line}");
        }
    }
}
