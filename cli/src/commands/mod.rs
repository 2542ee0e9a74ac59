//! What there is to type, and who carries it out: one verb a file, with its flags and what it does.

mod agent_cordon;
mod agent_drain;
mod agent_force_lost;
mod agent_get;
mod agent_list;
mod agent_uncordon;
pub(crate) mod completion;
mod counters;
mod dead;
mod dev;
mod init;
mod job_abandon;
mod job_cancel;
mod job_explain;
mod job_get;
mod job_list;
mod job_logs;
mod job_requeue;
mod job_result;
mod job_update;
mod job_wait;
mod job_watch;
mod limit_cooldown;
mod limit_delete;
mod limit_get;
mod limit_list;
mod limit_set;
mod pool_get;
mod pool_list;
mod pool_recycle;
mod pool_reset;
mod pool_scale;
mod queue_get;
mod queue_list;
mod queue_pause;
mod queue_purge;
mod queue_resume;
mod queue_set;
mod run;
mod submit;
mod worker_check;
mod worker_dev;
mod worker_get;
mod worker_kill;
mod worker_list;
mod worker_logs;

use clap::Subcommand;

use crate::agents::{AgentArgs, ReasonedArgs};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::help;
use crate::pools::{OnArgs, PoolArgs, WorkerArgs};
use crate::refs::RefArgs;
use limit_get::LimitArgs;
use queue_get::QueueArgs;

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
    /// Look after dead letters: jobs that failed and are kept for a person
    #[command(subcommand)]
    Dead(DeadVerb),
    /// Look after queues
    #[command(subcommand)]
    Queue(QueueVerb),
    /// Look after limits: what may be in use at a time, and begin over time
    #[command(subcommand)]
    Limit(LimitVerb),
    /// Look after agents
    #[command(subcommand)]
    Agent(AgentVerb),
    /// Look after pools of workers
    #[command(subcommand)]
    Pool(PoolVerb),
    /// Look after workers, one process each
    #[command(subcommand)]
    Worker(WorkerVerb),
    /// Write a worker to begin with, its SDK beside it
    #[command(after_help = help::INIT)]
    Init(init::Args),
    /// Show what happened since the coordinator started, or an agent did, as numbers
    Counters(OnArgs),
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
    /// Give jobs that wait another priority or queue
    Update(job_update::Args),
    /// Say why jobs wait: what takes agents out of the choice, and how many jobs go first
    Explain(RefArgs),
    /// Give jobs up whose agents are out of touch: FAILED, and nothing follows
    #[command(after_help = help::WORD)]
    Abandon(job_abandon::Args),
    /// Take finished jobs in again: another generation of the same id, with its counters at nothing
    Requeue(RefArgs),
}

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadVerb {
    /// List them, newest first
    List(dead::Which),
    /// Take them in again; prints the ids
    #[command(after_help = help::DEAD)]
    Requeue(dead::Change),
    /// Forget them, with their attempts and answers
    #[command(after_help = help::DEAD)]
    Purge(dead::Change),
}

/// What can be done with agents.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentVerb {
    /// List agents, with what they run and what their pools take
    List(agent_list::Args),
    /// Show agents in full, with their pools
    Get(AgentArgs),
    /// Give agents nothing new; what runs there goes on
    Cordon(ReasonedArgs),
    /// Give agents work again; also ends a drain
    Uncordon(AgentArgs),
    /// Give agents nothing new, take back what has not started, and at the deadline stop the rest
    #[command(after_help = help::DRAIN)]
    Drain(agent_drain::Args),
    /// Take agents out of touch for lost at once: what they ran goes on elsewhere
    #[command(after_help = help::WORD)]
    ForceLost(ReasonedArgs),
}

/// What can be done with pools.
#[derive(Debug, Subcommand)]
pub(crate) enum PoolVerb {
    /// List the pools of all agents, or of one, as they answer now
    #[command(after_help = help::POOL)]
    List(OnArgs),
    /// Show a pool in full: its size, its breaker, how its workers ended
    Get(PoolArgs),
    /// Give a pool other bounds on its workers, until its configuration is read again
    Scale(pool_scale::Args),
    /// Replace every worker of a pool by a new one
    Recycle(pool_recycle::Args),
    /// Close a pool's breaker and start workers again now
    Reset(PoolArgs),
}

/// What can be done with workers.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkerVerb {
    /// List the workers of a pool
    List(PoolArgs),
    /// Show a worker
    Get(WorkerArgs),
    /// End a worker with the call it runs; another takes its place
    Kill(worker_kill::Args),
    /// Show the end of what a worker wrote outside of calls
    Logs(worker_logs::Args),
    /// Hold a program against the worker protocol, rule by rule; needs no cluster
    #[command(after_help = help::WORKER_CHECK, override_usage = "windlass worker check [OPTIONS] -- <COMMAND>...")]
    Check(worker_check::Args),
    /// Run a cluster here with one worker of yours, started anew when a file changes
    #[command(after_help = help::WORKER_DEV, override_usage = "windlass worker dev [OPTIONS] -- <COMMAND>...")]
    Dev(worker_dev::Args),
}

/// What can be done with queues.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueVerb {
    /// List queues, with what waits and what runs
    List,
    /// Show some queues
    Get(QueueArgs),
    /// Set how a queue is served, and how much it takes
    #[command(after_help = help::QUEUE)]
    Set(Box<queue_set::Args>),
    /// Hand out nothing more from queues; what runs goes on
    Pause(queue_pause::Args),
    /// Hand out the jobs of queues again
    Resume(QueueArgs),
    /// Cancel what waits in queues; what runs goes on
    Purge(queue_purge::Args),
}

/// What can be done with limits.
#[derive(Debug, Subcommand)]
pub(crate) enum LimitVerb {
    /// List limits that are set, that unfinished jobs name, or that cool down
    List,
    /// Show what holds for some keys, and what is in use of them
    Get(LimitArgs),
    /// Set what holds for a key, or for each key that begins so
    #[command(after_help = help::LIMIT)]
    Set(limit_set::Args),
    /// Take limits back
    Delete(LimitArgs),
    /// Hand out nothing that names a key, for a while
    Cooldown(limit_cooldown::Args),
}

/// Carries the command out.
pub(crate) async fn carry_out(global: &Global, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => run::run(global, args).await,
        Command::Dev(args) => dev::dev(args).await,
        Command::Init(args) => init::init(&args),
        Command::Worker(WorkerVerb::Check(args)) => worker_check::check(global, args).await,
        Command::Worker(WorkerVerb::Dev(args)) => worker_dev::dev(args).await,
        other => with_client(&Client::connect(&global.address, global.patience).await?, global, other).await,
    }
}

async fn with_client(client: &Client, global: &Global, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Submit(args) => submit::submit(client, global, &args).await,
        Command::Wait(args) => job_wait::wait(client, global, &args).await,
        Command::Logs(args) => job_logs::logs(client, global, &args).await,
        Command::Job(verb) => job(client, global, verb).await,
        Command::Dead(verb) => dead(client, global, verb).await,
        Command::Queue(verb) => queue(client, global, verb).await,
        Command::Limit(verb) => limit(client, global, verb).await,
        Command::Agent(verb) => agent(client, global, verb).await,
        Command::Pool(verb) => pool(client, global, verb).await,
        Command::Worker(verb) => worker(client, global, verb).await,
        Command::Counters(args) => counters::counters(client, global, &args).await,
        Command::Run(_) | Command::Dev(_) | Command::Init(_) | Command::Completion(_) => {
            unreachable!("they make their own way")
        }
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
        JobVerb::Update(args) => job_update::update(client, global, &args).await,
        JobVerb::Explain(args) => job_explain::explain(client, global, &args).await,
        JobVerb::Abandon(args) => job_abandon::abandon(client, global, &args).await,
        JobVerb::Requeue(args) => job_requeue::requeue(client, global, &args).await,
    }
}

async fn dead(client: &Client, global: &Global, verb: DeadVerb) -> Result<Exit, Failure> {
    match verb {
        DeadVerb::List(which) => dead::list(client, global, &which).await,
        DeadVerb::Requeue(args) => dead::requeue(client, &args).await,
        DeadVerb::Purge(args) => dead::purge(client, &args).await,
    }
}

async fn queue(client: &Client, global: &Global, verb: QueueVerb) -> Result<Exit, Failure> {
    match verb {
        QueueVerb::List => queue_list::list(client, global).await,
        QueueVerb::Get(args) => queue_get::get(client, global, &args).await,
        QueueVerb::Set(args) => queue_set::set(client, global, &args).await,
        QueueVerb::Pause(args) => queue_pause::pause(client, global, &args).await,
        QueueVerb::Resume(args) => queue_resume::resume(client, global, &args).await,
        QueueVerb::Purge(args) => queue_purge::purge(client, global, &args).await,
    }
}

async fn limit(client: &Client, global: &Global, verb: LimitVerb) -> Result<Exit, Failure> {
    match verb {
        LimitVerb::List => limit_list::list(client, global).await,
        LimitVerb::Get(args) => limit_get::get(client, global, &args).await,
        LimitVerb::Set(args) => limit_set::set(client, global, &args).await,
        LimitVerb::Delete(args) => limit_delete::delete(client, global, &args).await,
        LimitVerb::Cooldown(args) => limit_cooldown::cooldown(client, global, &args).await,
    }
}

async fn agent(client: &Client, global: &Global, verb: AgentVerb) -> Result<Exit, Failure> {
    match verb {
        AgentVerb::List(args) => agent_list::list(client, global, &args).await,
        AgentVerb::Get(args) => agent_get::get(client, global, &args).await,
        AgentVerb::Cordon(args) => agent_cordon::cordon(client, global, &args).await,
        AgentVerb::Uncordon(args) => agent_uncordon::uncordon(client, global, &args).await,
        AgentVerb::Drain(args) => agent_drain::drain(client, global, &args).await,
        AgentVerb::ForceLost(args) => agent_force_lost::force_lost(client, global, &args).await,
    }
}

async fn pool(client: &Client, global: &Global, verb: PoolVerb) -> Result<Exit, Failure> {
    match verb {
        PoolVerb::List(args) => pool_list::list(client, global, &args).await,
        PoolVerb::Get(args) => pool_get::get(client, global, &args).await,
        PoolVerb::Scale(args) => pool_scale::scale(client, global, &args).await,
        PoolVerb::Recycle(args) => pool_recycle::recycle(client, global, &args).await,
        PoolVerb::Reset(args) => pool_reset::reset(client, global, &args).await,
    }
}

async fn worker(client: &Client, global: &Global, verb: WorkerVerb) -> Result<Exit, Failure> {
    match verb {
        WorkerVerb::List(args) => worker_list::list(client, global, &args).await,
        WorkerVerb::Get(args) => worker_get::get(client, global, &args).await,
        WorkerVerb::Kill(args) => worker_kill::kill(client, global, &args).await,
        WorkerVerb::Logs(args) => worker_logs::logs(client, global, &args).await,
        WorkerVerb::Check(_) | WorkerVerb::Dev(_) => unreachable!("they make their own way"),
    }
}
