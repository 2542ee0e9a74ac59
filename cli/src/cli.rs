//! The command line as a whole: what there is to type, and how each answer reaches the exit code.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::agents::AgentArgs;
use crate::client::DEFAULT_ADDRESS;
use crate::commands::{self, agent_cordon, agent_drain, completion, dev, job_cancel, job_list, job_logs};
use crate::commands::{job_result, job_wait, job_watch, queue_get::QueueArgs, queue_pause, run, submit};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::help;
use crate::humane::parse_duration;
use crate::output::{self, Format};
use crate::refs::RefArgs;

/// Runs jobs on a fleet of hosts, and is never wrong about a running one.
#[derive(Debug, Parser)]
#[command(name = "windlass", version, after_help = help::ALL, disable_help_subcommand = true)]
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
    #[command(after_help = help::RUN, override_usage = "windlass run [OPTIONS] -- <COMMAND>...")]
    Run(run::Args),
    /// Put jobs on record and leave them to the cluster; prints their ids
    #[command(after_help = help::SUBMIT, override_usage = help::SUBMIT_USAGE)]
    Submit(submit::Args),
    /// Wait until jobs are over; the exit code says how they ended
    Wait(job_wait::Args),
    /// Show what jobs wrote
    Logs(job_logs::Args),
    /// Run a coordinator and an agent here, in the foreground, to try things on
    #[command(after_help = help::DEV)]
    Dev(dev::Args),
    /// Look after jobs
    #[command(subcommand)]
    Job(JobVerb),
    /// Look after queues
    #[command(subcommand)]
    Queue(QueueVerb),
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
    #[command(after_help = help::LIST)]
    List(job_list::Args),
    /// Wait until jobs are over; the exit code says how they ended
    Wait(job_wait::Args),
    /// Print what a called handler answered, byte for byte
    #[command(after_help = help::RESULT)]
    Result(job_result::Args),
    /// Show what jobs wrote
    Logs(job_logs::Args),
    /// Show every change of jobs as it is recorded
    #[command(after_help = help::WATCH)]
    Watch(job_watch::Args),
    /// Stop jobs: signal, grace, kill, to their whole process trees
    Cancel(job_cancel::Args),
}

/// What can be done with agents.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentVerb {
    /// List agents, with what they run and what their pools take
    List,
    /// Show agents in full, with their pools
    Get(AgentArgs),
    /// Give agents nothing new; what runs there goes on
    Cordon(agent_cordon::Args),
    /// Give agents work again; also ends a drain
    Uncordon(AgentArgs),
    /// Give agents nothing new, take back what has not started, and at the deadline stop the rest
    #[command(after_help = help::DRAIN)]
    Drain(agent_drain::Args),
}

/// What can be done with queues.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueVerb {
    /// List queues, with what waits and what runs
    List,
    /// Show some queues
    Get(QueueArgs),
    /// Hand out nothing more from queues; what runs goes on
    Pause(queue_pause::Args),
    /// Hand out the jobs of queues again
    Resume(QueueArgs),
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
        assert!(parses("windlass submit --group g --handler h --input - --wait --wait-timeout 1s --retry default"));
        assert!(parses("windlass run --group g -- true") && parses("windlass submit --handler h --input -1"));
        assert!(parses("windlass agent drain a b --deadline 10m --reason r --wait -o id"));
        assert!(parses("windlass queue pause a --reason r") && parses("windlass job list --since 1h --label a"));
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
            "windlass submit",
            "windlass submit --handler h -- true",
            "windlass submit --input 1 -- true",
            "windlass submit --input 1",
            "windlass submit --handler h --content-type text/plain",
            "windlass submit --handler h --env A=b",
            "windlass submit --handler h --each *",
            "windlass submit --wait -- true",
            "windlass submit --handler h --wait-timeout 1s",
            "windlass run --handler h",
            "windlass job result",
            "windlass job list --since yesterday",
            "windlass job list --label =a",
            "windlass queue pause",
            "windlass agent drain",
            "windlass agent drain a --deadline soon",
            "windlass dev --slots 0",
            "windlass dev --listen localhost",
        ] {
            assert!(!parses(line), "{line}");
        }
    }
}
