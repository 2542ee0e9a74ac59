//! The command line as a whole, and how each answer reaches the exit code.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::commands::{self, Command, completion};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::help;
use crate::output::{self, Format};

/// Runs jobs on a fleet of hosts, and is never wrong about a running one.
#[derive(Debug, Parser)]
#[command(name = "windlass", version, after_help = help::ALL, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
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
    if let Command::Completion(args) = &cli.command {
        return completion::print(args, &mut Cli::command());
    }
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
        assert!(parses("windlass pool list --agent a") && parses("windlass pool scale p --max 4"));
        assert!(parses(
            "windlass submit --limit a --limit b=2/0.5 --fairness t=2 --unique k --on-conflict cancel-running -- a"
        ));
        assert!(parses("windlass queue set a --weight 2 --max-running 0 --rate 10/s --max-depth 5 --max-bytes 9"));
        assert!(parses("windlass queue set a --aging-step 1m --placement spread --fairness-weight t:1=2"));
        assert!(parses("windlass queue set a --unsatisfiable-after 1m --unset rate --unset max-depth"));
        assert!(parses("windlass limit list") && parses("windlass limit get a tenant:*"));
        assert!(parses("windlass limit set a --max 0 --rate 10/s --burst 1") && parses("windlass limit delete a"));
        assert!(
            parses("windlass limit cooldown a b --for 5m --reason r") && parses("windlass limit cooldown a --clear")
        );
        assert!(parses("windlass pool recycle p --force") && parses("windlass worker logs p-0 --tail 100 --agent a"));
        assert!(parses("windlass job abandon @last --reason r") && parses("windlass agent force-lost a b"));
        assert!(parses("windlass worker kill p-0 --signal KILL --grace 0s"));
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
            "windlass pool get",
            "windlass pool scale p",
            "windlass pool scale p --max 0",
            "windlass submit --limit a=b -- true",
            "windlass submit --on-conflict reject -- true",
            "windlass submit --unique k --each * -- true",
            "windlass queue set a",
            "windlass queue set --weight 1",
            "windlass queue set a --placement anywhere",
            "windlass queue set a --fairness-weight 3",
            "windlass queue set a --burst 3 --weight 1",
            "windlass limit set a",
            "windlass limit set a --burst 1 --max 2",
            "windlass limit set a --rate fast",
            "windlass limit cooldown a",
            "windlass limit cooldown a --for 1s --clear",
            "windlass worker list",
            "windlass worker kill p-0 --signal 99",
            "windlass worker logs p-0 --tail 0",
            "windlass dev --slots 0",
            "windlass dev --listen localhost",
        ] {
            assert!(!parses(line), "{line}");
        }
    }
}
