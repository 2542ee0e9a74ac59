//! The agent's one stream to the coordinator, begun anew for as long as the agent lives.
//!
//! ```text
//!  dial ─► inventory ─► hello ─► welcome ─► [ stream: heartbeats, reports up; assignments, orders, acks down ] ─┐
//!   ▲                                                                                                          │
//!   └──────────────────── wait (reconnect pace) ◄── broken, deaf, refused ──────────────────────────────────────┘
//! ```
//! A broken stream changes nothing for what runs: jobs run on, reports gather in the outbox and are said again.
//!
//! Not here: what is done about anything the coordinator says ([`executor`](crate::executor)).

mod horizon;
pub(crate) mod stored;
mod stream;

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use windlass_shared::convert::{self, FromCoordinator};
use windlass_shared::domain::{AgentCounter, AgentHello, Credit, Reason, Seen, Traits, Welcome};
use windlass_shared::fault::Invalid;
use windlass_shared::resilience::reconnect::Reconnect;
use windlass_shared::{pb, status};

use crate::answers::Desk;
use crate::config::WELCOME_TIMEOUT;
use crate::counters::Counters;
use crate::dial::Dialer;
use crate::executor::{Handle, StuckSlots};
use crate::identity::Identity;
use crate::outbox::Outbox;
use crate::sys::boottime::Boottime;
use crate::touch::Touch;
use crate::worker::Pools;
pub(crate) use horizon::Horizon;
use stream::{End, Stream};

/// Messages handed to the transport ahead of it: what waits longer gathers into fewer and larger reports.
const AHEAD: usize = 2;

/// What the session is to do about the agent's future.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Plan {
    /// Serve.
    #[default]
    Stay,
    /// Tell the coordinator that nothing new is taken.
    Draining(Reason),
    /// Say goodbye where everything is acknowledged, and end.
    Leave(Reason),
}

/// Why an agent leaves though nobody told it to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

impl Refused {
    /// The session ended without a reason: a bug.
    pub(crate) fn session_gone() -> Self {
        Self("the session with the coordinator ended by itself".into())
    }
}

/// What the session works with.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) dialer: Dialer,
    pub(crate) identity: Identity,
    /// Commands it can run; none where pools or something unkillable have every slot.
    pub(crate) slots: watch::Receiver<u32>,
    /// What the agent says of itself.
    pub(crate) traits: watch::Receiver<Arc<Traits>>,
    /// How many of them something unkillable has since.
    pub(crate) stuck: StuckSlots,
    /// Slots that something unkillable of a former life has, for this life.
    pub(crate) withheld: u32,
    pub(crate) pools: Pools,
    pub(crate) desk: Desk,
    pub(crate) outbox: Outbox,
    pub(crate) executor: Handle,
    pub(crate) overrun: Arc<Notify>,
    pub(crate) plan: watch::Receiver<Plan>,
    pub(crate) stop: CancellationToken,
    pub(crate) horizon: Horizon,
    pub(crate) touch: Touch,
    pub(crate) reconnects: Reconnects,
}

/// Counts the streams that a coordinator welcomed, from the second on.
#[derive(Debug)]
pub(crate) struct Reconnects {
    counters: Counters,
    /// Whether there was a first.
    again: bool,
}

impl Reconnects {
    pub(crate) fn new(counters: Counters) -> Self {
        Self { counters, again: false }
    }

    fn welcomed(&mut self) {
        let again = std::mem::replace(&mut self.again, true);
        self.counters.add(AgentCounter::Reconnects, u64::from(again));
    }
}

/// Why there is no stream, or none any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("cannot connect: {}", chain(.0))]
    Dial(#[from] tonic::transport::Error),
    /// In answer to the hello.
    #[error("{}: {}", .0.code(), .0.message())]
    Hello(Box<Status>),
    /// Later.
    #[error("{}: {}", .0.code(), .0.message())]
    Status(Box<Status>),
    #[error("no welcome in time")]
    NoWelcome,
    #[error("no heartbeat acknowledged for longer than the lease")]
    Deaf,
    #[error("the coordinator ended the stream")]
    Ended,
    #[error("the coordinator broke the protocol: {0}")]
    Protocol(#[from] Invalid),
    #[error("the coordinator assigned more than fits")]
    Overrun,
}

impl Session {
    /// Runs until the plan is to leave. `refused` learns of a refusal that no retry can mend.
    pub(crate) async fn run(mut self, refused: oneshot::Sender<Refused>) {
        let mut pace = Reconnect::default();
        let mut last = String::new();
        for number in 1.. {
            if matches!(self.plan(), Plan::Leave(_)) {
                return;
            }
            let stop = self.stop.clone();
            let end = tokio::select! {
                end = self.one_stream(number, &mut pace) => end,
                () = stop.cancelled() => return,
            };
            let End::Broken(broken) = end else { return };
            if let Some(why) = hopeless(&broken) {
                let _ = refused.send(why);
                return;
            }
            log(&broken, &mut last);
            self.rest(&mut pace).await;
        }
    }

    /// What it takes from now on.
    fn credit(&self) -> Credit {
        let stuck = *self.stuck.borrow();
        let (mut capacity, mut pools) = (self.slots.borrow().saturating_sub(stuck), self.pools.offers());
        if self.outbox.is_closed() {
            capacity = 0;
            pools.iter_mut().for_each(|pool| pool.capacity = 0);
        }
        Credit { capacity, pools, stuck: self.stuck_in_all(), traits: None, slots: Some(self.said_slots()) }
    }

    /// Slots and workers that cannot be proven free, those that a former life left included.
    fn stuck_in_all(&self) -> u32 {
        self.withheld.saturating_add(*self.stuck.borrow()).saturating_add(self.pools.stuck())
    }

    // A copy: a borrow held on to would block whoever changes the plan.
    fn plan(&self) -> Plan {
        *self.plan.borrow()
    }

    async fn one_stream(&mut self, number: u64, pace: &mut Reconnect) -> End {
        let opening = tokio::time::timeout(WELCOME_TIMEOUT, self.open(number));
        let Opened { said, told, up, down, welcome } = match opening.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(broken)) => return End::Broken(broken),
            Err(_) => return End::Broken(Broken::NoWelcome),
        };
        self.outbox.rewind();
        self.touch.heard(said, welcome.lease_ttl);
        let Welcome { incarnation, epoch, revision, .. } = welcome;
        self.horizon.see(Seen { incarnation, epoch, revision });
        tracing::info!(agent = %self.identity.agent, session = number, "connected");
        self.reconnects.welcomed();
        let welcomed = Instant::now();
        let end = Stream::new(self, up, down, told, &welcome).serve().await;
        // Not by the welcome alone: a coordinator that cannot bear what we say next would be dialled ten times a second.
        if welcomed.elapsed() >= welcome.heartbeat_interval {
            pace.reset();
        }
        end
    }

    async fn open(&mut self, number: u64) -> Result<Opened, Broken> {
        let mut client = self.dialer.dial().await?;
        // After the last word of the old stream: the executor answers in order, so the inventory has everything it said.
        let hello = self.hello(number).await;
        let said = Boottime::now();
        let (up, requests) = mpsc::channel(AHEAD);
        // Before the call, which returns only once the coordinator has answered something.
        let _ = up.try_send(convert::hello(&hello));
        let answer = client.connect(ReceiverStream::new(requests)).await.map_err(refusal)?;
        let mut down = answer.into_inner();
        let first = down.message().await.map_err(refusal)?.ok_or(Broken::Ended)?;
        match convert::from_coordinator(first)? {
            Some(FromCoordinator::Welcome(welcome)) if welcome.session == number => {
                let credit = Credit { slots: Some(hello.slots), ..hello.credit };
                Ok(Opened { said, told: (credit, hello.traits), up, down, welcome })
            }
            _ => Err(Invalid::one("welcome", "must be the first answer, for the session of the hello").into()),
        }
    }

    async fn hello(&mut self, session: u64) -> AgentHello {
        let Identity { agent, name, instance, boot_id, host } = self.identity.clone();
        AgentHello {
            id: agent,
            name,
            instance,
            boot_id,
            session,
            slots: self.said_slots(),
            credit: self.said_credit(),
            inventory: self.executor.inventory().await,
            host,
            version: env!("CARGO_PKG_VERSION").into(),
            seen: self.horizon.get(),
            answers_asks: true,
            traits: self.traits.borrow_and_update().clone(),
        }
    }

    /// Commands it says it runs: an agent without any room says so by its credit, next.
    fn said_slots(&self) -> u32 {
        let slots = *self.slots.borrow();
        if self.pools.is_empty() { slots.max(1) } else { slots }
    }

    /// What the hello says it takes. No command is prefetched: one waits here only while its slot is being cleared.
    fn said_credit(&self) -> Credit {
        let (capacity, stuck) = (self.said_slots(), self.stuck_in_all());
        Credit { capacity, pools: self.pools.offers(), stuck, traits: None, slots: None }
    }

    async fn rest(&mut self, pace: &mut Reconnect) {
        tokio::select! {
            () = tokio::time::sleep(pace.next_wait()) => {}
            () = self.stop.cancelled() => {}
            _ = self.plan.wait_for(|plan| matches!(plan, Plan::Leave(_))) => {}
        }
    }
}

/// A stream after its first words.
struct Opened {
    /// When the hello was said.
    said: Boottime,
    /// What it said that the agent takes, and of the agent itself.
    told: (Credit, Arc<Traits>),
    up: mpsc::Sender<pb::ConnectRequest>,
    down: tonic::Streaming<pb::ConnectResponse>,
    welcome: Welcome,
}

fn refusal(status: Status) -> Broken {
    Broken::Hello(Box::new(status))
}

/// Whether asking again as it is can never help.
fn hopeless(broken: &Broken) -> Option<Refused> {
    match broken {
        Broken::Hello(status) if matches!(status.code(), Code::InvalidArgument | Code::Unimplemented) => {
            let (code, text) = (status.code(), status.message());
            Some(Refused(format!("the coordinator will never take this agent as it is: {code}: {text}")))
        }
        _ => None,
    }
}

/// The same trouble is news once; repeated every few seconds it is noise.
fn log(broken: &Broken, last: &mut String) {
    let text = broken.to_string();
    if text == *last {
        tracing::debug!(reason = text, "no connection with the coordinator");
        return;
    }
    match remedy(broken) {
        Some(remedy) => tracing::warn!(reason = text, remedy, "refused by the coordinator; trying on"),
        None => tracing::warn!(reason = text, "no connection with the coordinator; trying on, jobs run on"),
    }
    *last = text;
}

fn remedy(broken: &Broken) -> Option<&'static str> {
    let (Broken::Hello(refusal) | Broken::Status(refusal)) = broken else { return None };
    Some(match (refusal.code(), status::told(refusal).reason.as_str()) {
        (_, "AGENT_ID_IN_USE") => {
            "another host has this agent's id, as after cloning its disk: remove agent-id from --data there or here"
        }
        (_, "AGENT_TOO_SLOW") => {
            "this agent does not keep up with its stream: its host is overloaded, or its disk hangs"
        }
        (Code::AlreadyExists, _) => "give one of the two agents another --name, or wait until the other is gone",
        (Code::ResourceExhausted, _) => "the coordinator takes no more agents: raise its limit, or stop one",
        (Code::Unauthenticated | Code::PermissionDenied, _) => "give this agent credentials that the coordinator takes",
        (Code::DataLoss, _) => {
            "the coordinator runs on an older copy of its record than this agent has seen: give it the newer one; or, where \
             that is lost for good, restart this agent without the file `seen` in its --data"
        }
        _ => return None,
    })
}

/// An error with its causes: tonic's own text for most of them is "transport error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
