//! From an assignment to its outcome.
//!
//! ```text
//!  session ─ Assign Stop Recall Stale ─┐                        ┌─► attempt (a task each): spawn, deadline, cancel ladder
//!  drain ─── Drain Halt ───────────────┼─► inbox ─► Orchestrator┤        │
//!  attempts ─ Started Ended Freed ─────┘                        └─► outbox: Started, Ended, Returned
//! ```
//! - [`orchestrator`] who holds what and who may run: plain synchronous functions over one owner's state; [`calls`] what goes to
//!   pools, [`stopping`] what is not to run, or not any longer.
//! - [`attempt`] the life of one process tree; the one serial point between its end and an order to stop it.
//! - A call goes to a [pool](crate::worker), which tells how it came further.
//! - [`context`] from a spec to what is spawned · [`verdict`] from an end to an outcome, and [`memory`] what
//!   memory had to do with it · [`seen`] what came before.
//!
//! Not here: sockets, wire types, pipes' contents.

mod attempt;
mod calls;
mod context;
mod devices;
mod given;
mod memory;
mod orchestrator;
mod seen;
mod stopping;
mod verdict;

use tokio::sync::{mpsc, oneshot, watch};
use windlass_shared::domain::{Assignment, Lease, Outcome, Reason, StopOrder};
use windlass_shared::time::Timestamp;

use crate::config::EXECUTOR_INBOX;
use crate::halt::Halt;

pub(crate) use context::{AGENT_ID_VARIABLE, ATTEMPT_VARIABLE, JOB_ID_VARIABLE, Surroundings};
pub(crate) use devices::in_capitals;
pub(crate) use orchestrator::{Orchestrator, Parts};

/// Everything that can happen to the executor.
#[derive(Debug)]
pub(crate) enum Input {
    /// The coordinator gave attempts to run.
    Assign(Vec<Assignment>),
    /// The coordinator wants attempts stopped.
    Stop(Vec<StopOrder>),
    /// The coordinator wants attempts back that have not started.
    Recall(Vec<Lease>),
    /// Attempts whose leases are not the ones on record.
    Stale(Vec<Lease>),
    /// Whoever says hello asks what is held. Everything that came before is in the answer.
    Inventory(oneshot::Sender<Vec<Lease>>),
    /// The agent will leave: nothing new, and what has not started is given back.
    Drain(Reason),
    /// Everything that runs is to be stopped now.
    Halt(Halt),
    /// The coordinator has not heard us for so long that nothing may run any more.
    Detached,
    /// An attempt came further.
    Attempt(Lease, Event),
}

/// How an attempt came further, by its own task.
#[derive(Debug)]
pub(crate) enum Event {
    /// Its process runs.
    Started(Timestamp),
    /// It is over.
    Ended(Box<Outcome>),
    /// It was not begun after all.
    Returned(Reason),
    /// Something of it cannot be killed: its slot is nobody's.
    Stuck,
    /// It is gone after all.
    Unstuck,
    /// Its slot is free.
    Freed,
}

/// A hand on the executor. Sending waits for a moment at most: the executor waits for nobody.
#[derive(Debug, Clone)]
pub(crate) struct Handle(mpsc::Sender<Input>);

/// The other end of [`Handle`].
pub(crate) type Inbox = mpsc::Receiver<Input>;

/// A hand and the inbox it fills.
pub(crate) fn channel() -> (Handle, Inbox) {
    let (sender, inbox) = mpsc::channel(EXECUTOR_INBOX);
    (Handle(sender), inbox)
}

impl Handle {
    /// Tells the executor. Once it is gone, so is everything it could have done.
    pub(crate) async fn send(&self, input: Input) {
        let _ = self.0.send(input).await;
    }

    /// Every attempt that is waiting, running, or over with that not on record.
    pub(crate) async fn inventory(&self) -> Vec<Lease> {
        let (answer, inventory) = oneshot::channel();
        self.send(Input::Inventory(answer)).await;
        inventory.await.unwrap_or_default()
    }
}

/// How many attempts are running, for whoever waits until none is: only that is told.
pub(crate) type Active = watch::Receiver<usize>;

/// How many slots something unkillable has, for whoever says what this agent takes.
pub(crate) type StuckSlots = watch::Receiver<u32>;
