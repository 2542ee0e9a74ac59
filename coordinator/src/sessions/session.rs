//! One agent's stream, from hello to its end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use windlass_shared::convert::{self, FromAgent};
use windlass_shared::fault::{Fault, Kind};
use windlass_shared::ids::SessionId;
use windlass_shared::pb::{ConnectRequest, ConnectResponse};
use windlass_shared::status::to_status;

use super::outgoing::Outgoing;
use super::{LetGo, Opened, Registry, Stamp, ToAgent};
use crate::driver::{Control, DriverHandle};

/// Messages read from the agent and not yet taken by the driver. Agents have at most 8 reports unacknowledged; past this the
/// session stops reading, and the agent feels it.
const INBOUND_MAX: usize = 64;
/// Messages from the driver taken at a time.
const OUTBOX_BATCH: usize = 1_024;
/// Time an agent has to say hello: a connection that says nothing costs a slot of `connections_max`.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// Time an agent has to make room for why it is let go: one that reads again by then learns it, and a task is all it costs.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// Where a session's messages go out to.
pub(crate) type Wire = mpsc::Sender<Result<ConnectResponse, Status>>;

/// The stream broke the protocol.
#[derive(Debug, thiserror::Error)]
enum Breach {
    #[error("a stream must begin with a hello, within 5 s")]
    NoHello,
    #[error("a stream has one hello, and it comes first")]
    SecondHello,
    #[error("the coordinator is stopping")]
    Stopping,
}

impl Fault for Breach {
    fn kind(&self) -> Kind {
        match self {
            Self::NoHello | Self::SecondHello => Kind::Conflict,
            Self::Stopping => Kind::Unavailable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NoHello => "HELLO_REQUIRED",
            Self::SecondHello => "HELLO_REPEATED",
            Self::Stopping => "STOPPING",
        }
    }
}

/// Why a session ended.
enum End {
    /// The agent is gone or said goodbye.
    Left,
    /// We end it, and say why.
    Told(Status),
}

impl<F: Fault> From<F> for End {
    fn from(fault: F) -> Self {
        Self::Told(to_status(&fault))
    }
}

/// One agent's stream.
pub(crate) struct Session {
    id: SessionId,
    driver: DriverHandle,
    registry: Arc<Registry>,
    stamp: Arc<Stamp>,
    too_slow: CancellationToken,
    /// A heartbeat is acknowledged only while the driver has ticked this recently.
    progress_max: Duration,
    inbound: VecDeque<Control>,
    outgoing: Outgoing,
}

impl Session {
    pub(crate) fn new(
        driver: DriverHandle,
        registry: Arc<Registry>,
        lease_ttl: Duration,
    ) -> (Self, mpsc::Receiver<ToAgent>) {
        let Opened { session: id, inbox, heard: stamp, too_slow } = registry.open();
        let (inbound, outgoing) = (VecDeque::new(), Outgoing::default());
        (Self { id, driver, registry, stamp, too_slow, progress_max: lease_ttl, inbound, outgoing }, inbox)
    }

    /// Serves the stream to its end.
    pub(crate) async fn run(
        mut self,
        mut stream: Streaming<ConnectRequest>,
        inbox: mpsc::Receiver<ToAgent>,
        wire: Wire,
        stop: CancellationToken,
    ) {
        let mut known = false;
        let end = match self.greet(&mut stream, &stop).await {
            Ok(()) => {
                known = true;
                self.serve(stream, inbox, &wire, &stop).await
            }
            Err(end) => end,
        };
        self.registry.forget(self.id);
        if known {
            // Whatever was read still counts: it was said before the stream ended.
            for message in self.inbound.drain(..) {
                self.driver.tell(message).await;
            }
            let heard = self.stamp.get();
            self.driver.tell(Control::Closed { session: self.id, heard }).await;
        }
        if let End::Told(status) = end {
            tell(&wire, status, &stop).await;
        }
    }

    async fn greet(&mut self, stream: &mut Streaming<ConnectRequest>, stop: &CancellationToken) -> Result<(), End> {
        let first = tokio::select! {
            () = stop.cancelled() => return Err(Breach::Stopping.into()),
            first = tokio::time::timeout(HELLO_WITHIN, stream.message()) => first,
        };
        let message = match first {
            Ok(Ok(Some(message))) => convert::from_agent(message)?,
            Ok(Ok(None)) | Err(_) => return Err(Breach::NoHello.into()),
            Ok(Err(_)) => return Err(End::Left),
        };
        let FromAgent::Hello(hello) = message else { return Err(Breach::NoHello.into()) };
        tracing::info!(session = self.id.0, agent = %hello.id, name = %hello.name, "agent says hello");
        self.stamp.mark();
        if hello.answers_asks {
            self.registry.answers(self.id);
        }
        self.inbound.push_back(Control::Hello { session: self.id, hello });
        Ok(())
    }

    /// Only receiving and reserving sit in the `select!`; what follows is synchronous, so nothing is cut in half. Nothing here
    /// waits for the driver while the stream has something to say.
    async fn serve(
        &mut self,
        mut stream: Streaming<ConnectRequest>,
        mut inbox: mpsc::Receiver<ToAgent>,
        wire: &Wire,
        stop: &CancellationToken,
    ) -> End {
        let (driver, too_slow) = (self.driver.clone(), self.too_slow.clone());
        let mut batch = Vec::new();
        loop {
            let step = tokio::select! {
                () = stop.cancelled() => return Breach::Stopping.into(),
                () = too_slow.cancelled() => return LetGo::TooSlow.into(),
                () = wire.closed() => return End::Left,
                message = stream.message(), if self.inbound.len() < INBOUND_MAX => self.on_message(message),
                permit = driver.reserve(), if !self.inbound.is_empty() => match (permit, self.inbound.pop_front()) {
                    (Ok(permit), Some(message)) => {
                        permit.send(message);
                        Ok(())
                    }
                    (Err(stopping), _) => Err(stopping.into()),
                    (Ok(_), None) => Ok(()),
                },
                n = inbox.recv_many(&mut batch, OUTBOX_BATCH), if self.outgoing.has_room() => self.on_outbox(n, &mut batch),
                permit = wire.reserve(), if !self.outgoing.is_empty() => match (permit, self.outgoing.next()) {
                    (Ok(permit), Some(message)) => {
                        permit.send(Ok(message));
                        Ok(())
                    }
                    (Err(_), _) => Err(End::Left),
                    (Ok(_), None) => Ok(()),
                },
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    fn on_message(&mut self, message: Result<Option<ConnectRequest>, Status>) -> Result<(), End> {
        // The end of an agent's stream is never its word that all is done: that is what goodbye is for.
        let Ok(Some(message)) = message else { return Err(End::Left) };
        self.stamp.mark();
        let session = self.id;
        match convert::from_agent(message)? {
            FromAgent::Hello(_) => return Err(Breach::SecondHello.into()),
            FromAgent::Heartbeat(sequence) => {
                if self.driver.progress_age() <= self.progress_max {
                    self.outgoing.heartbeat(sequence);
                }
            }
            FromAgent::Report(sequence, items) => {
                self.inbound.push_back(Control::Report { session, sequence, items });
            }
            FromAgent::Credit(credit) => self.inbound.push_back(Control::Credit { session, credit }),
            FromAgent::Draining(reason) => {
                tracing::info!(session = session.0, reason = reason.name(), "agent drains");
                self.inbound.push_back(Control::Draining { session });
            }
            FromAgent::Answer(id, answer) => self.registry.on_answer(session, id, answer),
            FromAgent::Goodbye => {
                tracing::info!(session = session.0, "agent says goodbye");
                self.inbound.push_back(Control::Goodbye { session });
                // Our end of the stream ends too: that is how the agent knows that it was heard.
                return Err(End::Left);
            }
        }
        Ok(())
    }

    fn on_outbox(&mut self, n: usize, batch: &mut Vec<ToAgent>) -> Result<(), End> {
        if n == 0 {
            // The registry let go of us, and whoever closes says why: it found no room to.
            return Err(LetGo::TooSlow.into());
        }
        for message in batch.drain(..) {
            if let ToAgent::Close(why) = message {
                tracing::info!(session = self.id.0, reason = why.reason(), "closing an agent's stream");
                return Err(why.into());
            }
            self.outgoing.add(message);
        }
        Ok(())
    }
}

/// Says why a stream ends. What is full is waited for: an agent that was slow reads on, and must not guess.
async fn tell(wire: &Wire, status: Status, stop: &CancellationToken) {
    let room = tokio::select! {
        biased;
        room = wire.reserve() => room.ok(),
        () = stop.cancelled() => None,
        () = tokio::time::sleep(TOLD_WITHIN) => None,
    };
    if let Some(room) = room {
        room.send(Err(status));
    }
}
