//! All of it put together: the one place that knows every part.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;
use windlass_shared::task::Tasks;

use crate::config::{ConfigError, Options, PROOF_TIMEOUT, START_TIMEOUT, SURVIVORS_GRACE};
use crate::dial::Dialer;
use crate::drain::{Drain, Stopper};
use crate::executor::{self, Orchestrator, Parts, Surroundings};
use crate::identity::{DataDir, DataError, Identity};
use crate::logs::{Logs, Shipper};
use crate::process::{Warden, WardenOptions};
use crate::session::{Horizon, Plan, Refused, Session};

/// An agent at work.
pub struct Running {
    /// Tells it to leave.
    pub stop: Stopper,
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
    /// It cannot start its warden.
    #[error("cannot start the warden: {0}")]
    Warden(#[from] std::io::Error),
}

/// Starts an agent, inside a tokio runtime; at most one a process. Its executable must play the role `__warden`.
///
/// # Errors
/// Where an option is wrong or the host refuses something.
pub fn start(options: &Options) -> Result<Running, StartError> {
    options.check()?;
    options.check_descriptors(rustix::process::getrlimit(rustix::process::Resource::Nofile).current)?;
    let dialer = Dialer::new(&options.coordinator)?;
    let data = DataDir::open(&options.data)?;
    let identity = Identity::of(&data, options.name.as_deref())?;
    let tasks = Tasks::new(CancellationToken::new());
    let warden = start_warden(&data, &tasks)?;
    tracing::info!(agent = %identity.agent, name = %identity.name, coordinator = options.coordinator, "agent starts");

    let (outbox, logs) = (data.outbox()?, Logs::new(options.log_buffer_bytes));
    tasks.spawn("outbox", outbox.clone().tend(tasks.stop_token().clone()));
    let (executor, inbox) = executor::channel();
    let overrun = Arc::new(Notify::new());
    let (orchestrator, active) = Orchestrator::new(Parts {
        slots: options.slots(),
        surroundings: Arc::new(Surroundings::new(identity.agent, data.scratch())),
        warden: warden.clone(),
        outbox: outbox.clone(),
        logs: logs.clone(),
        tasks: tasks.clone(),
        overrun: Arc::clone(&overrun),
        handle: executor.clone(),
    });
    tasks.spawn("executor", orchestrator.run(inbox));
    let shipper = Shipper::new(dialer.clone(), logs.clone(), outbox.clone());
    tasks.spawn("logs", shipper.run(tasks.stop_token().clone()));

    let (horizon, recorder) = Horizon::open(data.seen());
    tasks.spawn("seen", recorder.run(tasks.stop_token().clone()));
    let (plan, planned) = watch::channel(Plan::default());
    let session = Session {
        dialer,
        identity,
        slots: options.slots(),
        outbox: outbox.clone(),
        executor: executor.clone(),
        overrun,
        plan: planned,
        stop: tasks.stop_token().clone(),
        horizon,
    };
    let (refuse, refused) = oneshot::channel();
    let (session_ends, session_over) = oneshot::channel();
    tasks.spawn("session", async {
        session.run(refuse).await;
        drop(session_ends);
    });

    let stop = Stopper::new();
    let drain_timeout = options.drain_timeout;
    let (stopper, ephemeral) = (stop.clone(), options.ephemeral);
    let drain =
        Drain { stopper, refused, drain_timeout, executor, active, plan, outbox, logs, warden, tasks, session_over };
    let done = async move {
        let result = drain.run().await;
        if ephemeral {
            data.remove();
        }
        result
    };
    Ok(Running { stop, done: Box::pin(done) })
}

fn start_warden(data: &DataDir, tasks: &Tasks) -> Result<Warden, StartError> {
    let (warden, task) = Warden::start(WardenOptions {
        start_timeout: START_TIMEOUT,
        survivors_grace: SURVIVORS_GRACE,
        proof_timeout: PROOF_TIMEOUT,
        lock: Some(data.lock()),
        ..WardenOptions::default()
    })?;
    tasks.spawn("warden", task);
    Ok(warden)
}
