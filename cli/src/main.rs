//! `windlass`: the operator's hand. Runs, submits, watches and looks after jobs and agents.
//!
//! One verb a file in `commands/`; `run` is a [`session`] over the jobs that [`follow`] reads, and with `--local` brings a
//! [`local`] cluster; that and `dev` start [`member`]s, processes of this very executable. Not here: scheduling, supervision, and anything a client of the
//! API could not do.

mod agents;
mod calls;
mod check;
mod cli;
mod client;
mod commands;
mod demo;
mod each;
mod echo;
mod exit;
mod explain;
mod failure;
mod fanout;
mod follow;
mod global;
mod help;
mod humane;
mod interrupts;
mod last;
mod local;
mod member;
mod output;
mod patience;
mod pools;
mod rates;
mod refs;
mod roles;
mod session;
mod skeleton;
mod spec;
mod state;
mod submit;
mod summary;
mod watched;

use std::process::ExitCode;

fn main() -> ExitCode {
    match windlass_shared::role::dispatch(roles::ROLES) {
        Some(code) => code,
        None => cli::main(),
    }
}
