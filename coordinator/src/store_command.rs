//! `windlass-coordinator store …`: looking after a record on disk.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::args::StoreCommand;
use crate::logs::Logs;
use crate::store::tools::{self, Imported, ToolError};

/// What sysexits calls `EX_DATAERR`: the record holds something it should not.
const EXIT_DAMAGED: u8 = 65;

pub(crate) fn run(command: &StoreCommand) -> ExitCode {
    match carry_out(command) {
        Ok(damaged) if damaged.is_empty() => ExitCode::SUCCESS,
        Ok(damaged) => {
            say(&damaged.join("\n"));
            ExitCode::from(EXIT_DAMAGED)
        }
        Err(err) => {
            say(&err.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Does what was asked for; what was found damaged, a line each.
fn carry_out(command: &StoreCommand) -> Result<Vec<String>, ToolError> {
    match command {
        StoreCommand::Verify { data } => {
            let report = tools::verify(data)?;
            let (jobs, events, damaged) = (report.jobs, report.events, report.problems.len());
            let _ = writeln!(io::stdout(), "{jobs} jobs, {events} changes, {damaged} damaged");
            Ok(report.problems)
        }
        StoreCommand::Backup { data, to } => tools::backup(data, to).map(|()| Vec::new()),
        StoreCommand::Export { data } => {
            let done = tools::export(data, &mut io::stdout().lock())?;
            let _ = writeln!(io::stderr(), "{} jobs written, {} left out", done.jobs, done.skipped.len());
            Ok(done.skipped)
        }
        // The flag is required: there is no command without it.
        StoreCommand::Import { data, accept_rollback: _ } => {
            let done = tools::import(data, crate::random(), |before| Logs::set_aside(data, before))?;
            let _ = writeln!(io::stdout(), "{}", imported(&done));
            Ok(Vec::new())
        }
    }
}

fn imported(done: &Imported) -> String {
    let Imported { incarnation, epoch, revision, live } = done;
    format!(
        "record {} is record {} now, with {live} jobs that are not finished\n\
         starts go on after {}, which was {}; changes after {}, which was {}, and those before are not shown any more\n\
         what happened since the copy was made is forgotten; what agents still run of it is killed when they say hello\n\
         logs that were there are in logs.{} now: attempts that are made anew have the numbers of former ones",
        incarnation.0, incarnation.1, epoch.1, epoch.0, revision.1, revision.0, incarnation.0
    )
}

fn say(text: &str) {
    // Nobody is left to tell where this fails.
    let _ = writeln!(io::stderr(), "{text}");
}
