//! A command as a job: what runs, where, and with what.

use std::collections::BTreeMap;

use clap::ValueHint;
use windlass_shared::pb;

use super::{parse_pair, payload};
use crate::failure::Failure;

/// The flags for it, and the command itself. Who flattens them requires the command or something in its place.
#[derive(Debug, clap::Args)]
pub(crate) struct ExecArgs {
    /// Environment variable for the job; repeat for more
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair, help_heading = "Job")]
    pub(super) env: Vec<(String, String)>,
    /// Working directory on the agent's host [default: a scratch directory of the job's own; with --local, yours]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Job")]
    pub(super) cwd: Option<String>,
    /// File for the job's standard input, `-` for ours; up to 256 KiB [default: /dev/null]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Job")]
    pub(super) stdin: Option<String>,
    /// One job for each match of the glob (quote it), or for each line of standard input with `-`: the item takes the
    /// place of every `{}` in the command, or comes last where there is none
    #[arg(long, value_name = "GLOB|-", help_heading = "Many jobs")]
    pub(super) each: Option<String>,
    /// Program and arguments, run without a shell
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub(super) argv: Vec<String>,
}

impl ExecArgs {
    /// The command, of which `--each` makes many.
    pub(super) fn to_wire(&self) -> Result<pb::Exec, Failure> {
        Ok(pb::Exec {
            argv: self.argv.clone(),
            env: self.env.iter().cloned().collect(),
            cwd: self.cwd.as_deref().map(absolute).transpose()?.unwrap_or_default(),
            stdin: self
                .stdin
                .as_deref()
                .map(|source| payload::read("--stdin", source))
                .transpose()?
                .unwrap_or_default(),
        })
    }
}

/// Puts the command in the caller's directory and environment, save what the flags set.
pub(super) fn in_callers_place(exec: &mut pb::Exec) -> Result<(), Failure> {
    if exec.cwd.is_empty() {
        exec.cwd = absolute(".")?;
    }
    let theirs = std::mem::take(&mut exec.env);
    exec.env = callers_env(std::env::vars_os());
    exec.env.extend(theirs);
    Ok(())
}

fn absolute(dir: &str) -> Result<String, Failure> {
    let path = std::env::current_dir().map(|cwd| if dir == "." { cwd } else { cwd.join(dir) });
    let path = path.map_err(|err| Failure::io("find the working directory", &err))?;
    let text = path.into_os_string().into_string();
    text.map_err(|path| Failure::usage(format!("the working directory {} is not valid UTF-8", path.display())))
}

// What is not UTF-8 cannot be told to an agent; WINDLASS_* is ours to set for a job.
pub(super) fn callers_env(
    vars: impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
) -> BTreeMap<String, String> {
    let utf8 = vars.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    utf8.filter(|(name, _)| !name.starts_with("WINDLASS_")).collect()
}
