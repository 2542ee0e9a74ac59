//! All of it put together: the one place that knows every part.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;
use windlass_shared::domain::AgentCounter;
use windlass_shared::task::Tasks;

use crate::answers::{self, Desk};
use crate::config::{ConfigError, Options, PROOF_TIMEOUT, SURVIVORS_GRACE};
use crate::confine::Confining;
use crate::containment::{Containment, ContainmentError, Sampler, Setting};
use crate::counters::Counters;
use crate::data_dir::{Claim, DataDir, DataError};
use crate::dial::Dialer;
use crate::drain::{Drain, Stopper};
use crate::executor::{self, Orchestrator, Parts, Surroundings};
use crate::identity::Identity;
use crate::leftovers;
use crate::logs::{Logs, Shipper};
use crate::policy::{Policies, Policy};
use crate::process::{Warden, WardenOptions};
use crate::reload::Reloader;
use crate::session::{Horizon, Plan, Reconnects, Refused, Session};
use crate::term;
use crate::touch::Touch;
use crate::traits::Speaker;
use crate::worker::{self, Pools, Slots};

/// An agent at work.
pub struct Running {
    /// Tells it to leave.
    pub stop: Stopper,
    /// Takes another configuration.
    pub reload: Reloader,
    /// Ends when it has left. It does the leaving itself, so it must be awaited for `stop` to have an effect.
    pub done: Pin<Box<dyn Future<Output = Result<(), Refused>> + Send>>,
}

/// Why an agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An option cannot be right.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It cannot have its data directory.
    #[error(transparent)]
    Data(#[from] DataError),
    /// It cannot contain what it runs as it is told to.
    #[error(transparent)]
    Containment(#[from] ContainmentError),
    /// It cannot see what a former life left running.
    #[error("cannot look for processes of a former life: {0}")]
    Leftovers(std::io::Error),
    /// It cannot start its warden.
    #[error("cannot start the warden: {0}")]
    Warden(#[from] std::io::Error),
}

/// Starts an agent, inside a tokio runtime; at most one a process. Its executable must play the role `__warden`. It first
/// waits until a former agent is gone, and then kills what that left. Cancelled while it waits, it has done nothing.
///
/// # Errors
/// Where an option is wrong or the host refuses something.
pub async fn start(options: &Options) -> Result<Running, StartError> {
    let (dialer, confining, policies) = check(options)?;
    let (data, identity, claim) = succeed(options).await?;
    // From here on without a pause: whoever cancels a start must not find it half done.
    let (counters, overrun) = (Counters::default(), Arc::new(Notify::new()));
    let (containment, withheld) = clear(options, &data, &identity, &confining, &counters)?;
    let (slots, speaker) = (Slots::new(options.slots(), withheld), Speaker::new(&options.traits)?);
    let (outbox, logs) = (data.outbox()?, Logs::new(&options.logs, counters.clone()));
    let tasks = Tasks::new(CancellationToken::new());
    let warden = start_warden(options, &data, containment.clone(), &counters, &tasks)?;
    tracing::info!(agent = %identity.agent, name = %identity.name, coordinator = options.coordinator, "agent starts");

    tasks.spawn("outbox", outbox.clone().tend(tasks.stop_token().clone()));
    let ((executor, inbox), sampler) = (executor::channel(), start_sampler(&tasks));
    let (commands, scratch) = (confining.commands, data.scratch());
    let surroundings = Arc::new(Surroundings::new(identity.agent, scratch, commands, policies.clone()));
    let parts =
        worker::Parts::new(&warden, &logs, &tasks, &sampler, &counters, surroundings.worker_env(), data.pools());
    let workers = options.pools.iter().cloned().zip(confining.workers).collect();
    let (pools, called) = Pools::start(workers, &slots, parts);
    let (orchestrator, active, stuck) = Orchestrator::new(Parts {
        slots: slots.commands(),
        pools: pools.clone(),
        surroundings,
        warden: warden.clone(),
        sampler,
        outbox: outbox.clone(),
        logs: logs.clone(),
        counters: counters.clone(),
        tasks: tasks.clone(),
        overrun: Arc::clone(&overrun),
        handle: executor.clone(),
    });
    tasks.spawn("executor", orchestrator.run(inbox, called));
    start_shipper(Shipper::new(dialer.clone(), logs.clone(), outbox.clone()), &tasks);

    let (horizon, touch) = (start_horizon(&data, &tasks), start_touch(&warden, &executor, options, &tasks));
    let ((plan, planned), desk) = (watch::channel(Plan::default()), start_desk(&pools, &counters, &tasks));
    let session = Session {
        dialer,
        identity,
        slots: slots.commands(),
        traits: speaker.listen(),
        stuck,
        withheld,
        pools: pools.clone(),
        desk,
        outbox: outbox.clone(),
        executor: executor.clone(),
        overrun,
        plan: planned,
        stop: tasks.stop_token().clone(),
        horizon,
        touch,
        reconnects: Reconnects::new(counters),
    };
    let (refused, over) = start_session(session, &tasks);

    let (reload, drain_timeout, stop) = start_reload(options, &pools, (policies, speaker), &tasks);
    let stopper = stop.clone();
    let drain =
        Drain { stopper, refused, drain_timeout, executor, active, pools, plan, outbox, logs, warden, tasks, over };
    Ok(Running { stop, reload, done: Box::pin(leave(drain, claim, containment, data, options.ephemeral)) })
}

/// Waits for the word to leave, and leaves.
async fn leave(
    drain: Drain,
    claim: Claim,
    containment: Containment,
    data: DataDir,
    ephemeral: bool,
) -> Result<(), Refused> {
    let result = drain.run().await;
    containment.leave();
    drop(claim);
    if ephemeral {
        data.remove();
    }
    result
}

fn check(options: &Options) -> Result<(Dialer, Confining, Policies), ConfigError> {
    options.check()?;
    options.check_descriptors(rustix::process::getrlimit(rustix::process::Resource::Nofile).current)?;
    let (dialer, confining) = (Dialer::new(&options.coordinator)?, Confining::new(options)?);
    let policies = Policies::new(Policy::of(options, &confining)?);
    Ok((dialer, confining, policies))
}

/// Becomes this agent, once the one before is gone.
async fn succeed(options: &Options) -> Result<(DataDir, Identity, Claim), DataError> {
    let data = DataDir::wait_for(&options.data, options.lock_timeout).await?;
    let identity = Identity::of(&data, options.name.as_deref())?;
    let claim = data.claim(identity.agent).await?;
    Ok((data, identity, claim))
}

/// Clears what the one before left, processes first; what is to hold the next ones, and how many slots something unkillable has.
fn clear(
    options: &Options,
    data: &DataDir,
    identity: &Identity,
    confining: &Confining,
    counters: &Counters,
) -> Result<(Containment, u32), StartError> {
    let setting = Setting { choice: options.containment, root: options.cgroup_root.clone() };
    let (containment, swept) = Containment::start(&setting, &identity.agent.to_string(), PROOF_TIMEOUT)?;
    // The same processes may be counted in both, once by their group and once by their cookie.
    let withheld = leftovers::sweep(identity.agent, counters).map_err(StartError::Leftovers)?.max(swept.stuck);
    counters.add(AgentCounter::LeftoversKilled, swept.killed);
    data.clear_scratch()?;
    data.admit_others(confining.admits_others())?;
    confining.warn(&data.scratch());
    Ok((containment, withheld))
}

fn start_warden(
    options: &Options,
    data: &DataDir,
    containment: Containment,
    counters: &Counters,
    tasks: &Tasks,
) -> Result<Warden, StartError> {
    let (warden, task) = Warden::start(WardenOptions {
        start_timeout: options.start_timeout,
        survivors_grace: SURVIVORS_GRACE,
        proof_timeout: PROOF_TIMEOUT,
        lock: Some(data.lock()),
        // The agent starts nothing but its warden.
        adopts: true,
        containment,
        counters: counters.clone(),
        ..WardenOptions::default()
    })?;
    tasks.spawn("warden", task);
    Ok(warden)
}

fn start_sampler(tasks: &Tasks) -> Sampler {
    let (sampler, looks) = Sampler::start();
    let stop = tasks.stop_token().clone();
    tasks.spawn("sampler", async move { stop.run_until_cancelled(looks).await.unwrap_or_default() });
    sampler
}

fn start_horizon(data: &DataDir, tasks: &Tasks) -> Horizon {
    let (horizon, recorder) = Horizon::open(data.seen());
    tasks.spawn("seen", recorder.run(tasks.stop_token().clone()));
    horizon
}

fn start_touch(warden: &Warden, executor: &executor::Handle, options: &Options, tasks: &Tasks) -> Touch {
    let (touch, leash) = Touch::new(warden.clone(), executor.clone(), options.detach_max);
    tasks.spawn("leash", leash.run(tasks.stop_token().clone()));
    touch
}

fn start_desk(pools: &Pools, counters: &Counters, tasks: &Tasks) -> Desk {
    let (desk, answerer) = answers::desk(pools.clone(), counters.clone());
    tasks.spawn("answers", answerer.run(tasks.stop_token().clone()));
    desk
}

/// What takes another configuration, the drain timeout by it, and who leaves when it says.
fn start_reload(
    options: &Options,
    pools: &Pools,
    (policies, speaker): (Policies, Speaker),
    tasks: &Tasks,
) -> (Reloader, watch::Receiver<Duration>, Stopper) {
    let (stopper, traits) = (Stopper::new(), speaker.listen());
    let (reloader, drain_timeout) = Reloader::new(options, pools.clone(), policies, speaker);
    let (stop, term) = (tasks.stop_token().clone(), term::keep(traits, drain_timeout.clone(), stopper.clone()));
    tasks.spawn("term", async move { stop.run_until_cancelled(term).await.unwrap_or_default() });
    (reloader, drain_timeout, stopper)
}

fn start_shipper(shipper: Shipper, tasks: &Tasks) {
    tasks.spawn("logs", shipper.run(tasks.stop_token().clone()));
}

/// What tells of a refusal that no retry can mend, and what ends when the session does.
fn start_session(session: Session, tasks: &Tasks) -> (oneshot::Receiver<Refused>, oneshot::Receiver<()>) {
    let (refuse, refused) = oneshot::channel();
    let (session_ends, session_over) = oneshot::channel();
    tasks.spawn("session", async {
        session.run(refuse).await;
        drop(session_ends);
    });
    (refused, session_over)
}
