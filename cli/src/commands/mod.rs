//! One verb a file: its flags, and what it does.

mod agent_list;
pub(crate) mod completion;
pub(crate) mod dev;
pub(crate) mod job_cancel;
mod job_get;
pub(crate) mod job_list;
pub(crate) mod job_logs;
pub(crate) mod job_wait;
pub(crate) mod job_watch;
pub(crate) mod run;
pub(crate) mod submit;

use crate::cli::{AgentVerb, Command, Global, JobVerb};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;

/// Carries the command out.
pub(crate) async fn carry_out(global: &Global, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => run::run(global, args).await,
        Command::Completion(args) => completion::print(&args),
        Command::Dev(args) => dev::dev(args).await,
        other => with_client(&Client::connect(&global.address, global.patience).await?, global, other).await,
    }
}

async fn with_client(client: &Client, global: &Global, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Submit(args) => submit::submit(client, global, &args).await,
        Command::Wait(args) | Command::Job(JobVerb::Wait(args)) => job_wait::wait(client, global, &args).await,
        Command::Logs(args) | Command::Job(JobVerb::Logs(args)) => job_logs::logs(client, global, &args).await,
        Command::Job(JobVerb::Get(args)) => job_get::get(client, global, &args).await,
        Command::Job(JobVerb::List(args)) => job_list::list(client, global, &args).await,
        Command::Job(JobVerb::Watch(args)) => job_watch::watch(client, global, &args).await,
        Command::Job(JobVerb::Cancel(args)) => job_cancel::cancel(client, global, &args).await,
        Command::Agent(AgentVerb::List) => agent_list::list(client, global).await,
        Command::Run(_) | Command::Dev(_) | Command::Completion(_) => unreachable!("they make their own way"),
    }
}
