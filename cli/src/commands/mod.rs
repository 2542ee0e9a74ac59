//! One verb a file: its flags, and what it does.

pub(crate) mod agent_cordon;
pub(crate) mod agent_drain;
mod agent_get;
mod agent_list;
mod agent_uncordon;
pub(crate) mod completion;
pub(crate) mod dev;
pub(crate) mod job_cancel;
mod job_get;
pub(crate) mod job_list;
pub(crate) mod job_logs;
pub(crate) mod job_result;
pub(crate) mod job_wait;
pub(crate) mod job_watch;
pub(crate) mod queue_get;
mod queue_list;
pub(crate) mod queue_pause;
mod queue_resume;
pub(crate) mod run;
pub(crate) mod submit;

use crate::cli::{AgentVerb, Command, Global, JobVerb, QueueVerb};
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
        Command::Wait(args) => job_wait::wait(client, global, &args).await,
        Command::Logs(args) => job_logs::logs(client, global, &args).await,
        Command::Job(verb) => job(client, global, verb).await,
        Command::Queue(verb) => queue(client, global, verb).await,
        Command::Agent(verb) => agent(client, global, verb).await,
        Command::Run(_) | Command::Dev(_) | Command::Completion(_) => unreachable!("they make their own way"),
    }
}

async fn job(client: &Client, global: &Global, verb: JobVerb) -> Result<Exit, Failure> {
    match verb {
        JobVerb::Get(args) => job_get::get(client, global, &args).await,
        JobVerb::List(args) => job_list::list(client, global, &args).await,
        JobVerb::Wait(args) => job_wait::wait(client, global, &args).await,
        JobVerb::Result(args) => job_result::result(client, global, &args).await,
        JobVerb::Logs(args) => job_logs::logs(client, global, &args).await,
        JobVerb::Watch(args) => job_watch::watch(client, global, &args).await,
        JobVerb::Cancel(args) => job_cancel::cancel(client, global, &args).await,
    }
}

async fn queue(client: &Client, global: &Global, verb: QueueVerb) -> Result<Exit, Failure> {
    match verb {
        QueueVerb::List => queue_list::list(client, global).await,
        QueueVerb::Get(args) => queue_get::get(client, global, &args).await,
        QueueVerb::Pause(args) => queue_pause::pause(client, global, &args).await,
        QueueVerb::Resume(args) => queue_resume::resume(client, global, &args).await,
    }
}

async fn agent(client: &Client, global: &Global, verb: AgentVerb) -> Result<Exit, Failure> {
    match verb {
        AgentVerb::List => agent_list::list(client, global).await,
        AgentVerb::Get(args) => agent_get::get(client, global, &args).await,
        AgentVerb::Cordon(args) => agent_cordon::cordon(client, global, &args).await,
        AgentVerb::Uncordon(args) => agent_uncordon::uncordon(client, global, &args).await,
        AgentVerb::Drain(args) => agent_drain::drain(client, global, &args).await,
    }
}
