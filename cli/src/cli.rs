//! The command line as a whole: what there is to type, and how each answer reaches the exit code.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::client::DEFAULT_ADDRESS;
use crate::commands::{self, completion, dev, job_cancel, job_list, job_logs, job_wait, job_watch, run, submit};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::humane::parse_duration;
use crate::output::{self, Format};
use crate::refs::RefArgs;

const AFTER_HELP: &str = "\
Examples:
  windlass dev                                               # a coordinator and an agent to try things on
  windlass run -- echo hello                                 # one job, as if it ran here
  windlass run --local 2 --each 'src/*.c' -- gcc -c {}       # many, on a cluster that lasts as long as the command
  windlass submit --retry default -- ./nightly.sh            # leave it to the cluster,
  windlass wait @last && windlass logs @last                 # and come back for it
  windlass job list --state failed -o id | windlass logs -   # what went wrong, everywhere

Exit codes:
  0 ok   1 other   2 wrong usage   3 a job failed   4 a job was cancelled   5 not found   6 not allowed
  7 coordinator out of reach   8 not now (precondition)   124 time ran out   130 Ctrl-C
  `run` of one job passes its own code through: 128+n on signal n, 127 no such program, 126 cannot be started
  `dev` answers 78 where the port or the directory is taken";

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
  windlass submit --each '/data/*.csv' -o id -- ./import {} | windlass wait -
  windlass submit --at-most-once --request-id invoice-4711 -- ./charge 4711    # may be typed again: it is one job

Every submit carries an id of its own, so one whose answer got lost is repeated without making a second job.";

const DEV_HELP: &str = "\
Examples:
  windlass dev                                           # what is submitted is there again at the next start
  windlass dev --data \"$(mktemp -d)\" --listen 127.0.0.1:0

Ctrl-C stops the agent first: running jobs have 5 s to finish, and begin again at the next start if they have not.";

const WATCH_HELP: &str = "\
Examples:
  windlass job watch                                     # everything, until Ctrl-C
  windlass job watch @last                               # until all of them are over
  windlass job watch --after 4711 -o jsonl               # go on where another watch ended";

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
    /// How long to bear with a coordinator that is out of reach; where it is given, also before the first answer
    /// [default: 30s, once connected]
    #[arg(long, global = true, env = "WINDLASS_PATIENCE", hide_env_values = true, value_name = "TIME")]
    #[arg(value_parser = parse_duration, help_heading = "Global")]
    pub(crate) patience: Option<Duration>,
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
    Submit(submit::Args),
    /// Wait until jobs are over; the exit code says how they ended
    Wait(job_wait::Args),
    /// Show what jobs wrote
    Logs(job_logs::Args),
    /// Run a coordinator and an agent here, in the foreground, to try things on
    #[command(after_help = DEV_HELP)]
    Dev(dev::Args),
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
    /// Show every change of jobs as it is recorded
    #[command(after_help = WATCH_HELP)]
    Watch(job_watch::Args),
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
        assert!(parses("windlass --patience 5m submit --request-id a --at-most-once --on-disconnect fence -- true"));
        assert!(parses("windlass job watch") && parses("windlass job watch --after 7 @last -o jsonl"));
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
            "windlass submit --request-id a --each - -- true",
            "windlass submit --at-most-once --retry default -- true",
            "windlass submit --on-agent-lost forget -- true",
            "windlass run --request-id a -- true",
            "windlass dev --slots 0",
            "windlass dev --listen localhost",
        ] {
            assert!(!parses(line), "{line}");
        }
    }
}
