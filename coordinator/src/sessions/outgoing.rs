//! What waits to be written to an agent. Whatever is there goes in one message, so that cost per job falls as load rises and
//! nothing ever waits for company.

use std::collections::VecDeque;

use windlass_shared::convert::{self, ReportAck};
use windlass_shared::domain::{AgentAsk, Assignment, Grant, Lease, StopOrder};
use windlass_shared::limits::REPORT_ITEMS_MAX;
use windlass_shared::pb;

use super::ToAgent;

/// Things waiting to be written, before no more are taken from the outbox.
const WAITING_MAX: usize = 4_096;
/// Spec bytes in one assignment message: well below the 4 MiB every message is held to.
const ASSIGN_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Outgoing {
    session: u64,
    welcome: Option<pb::ConnectResponse>,
    heartbeat: Option<u64>,
    assigns: Vec<Assignment>,
    stops: Vec<StopOrder>,
    recalls: Vec<Lease>,
    ack: Option<ReportAck>,
    /// As many as may wait for one agent.
    asks: VecDeque<(u64, AgentAsk)>,
}

impl Outgoing {
    pub(super) fn is_empty(&self) -> bool {
        self.welcome.is_none()
            && self.heartbeat.is_none()
            && self.assigns.is_empty()
            && self.stops.is_empty()
            && self.recalls.is_empty()
            && self.ack.is_none()
            && self.asks.is_empty()
    }

    /// Whether more may be taken in. An agent that does not read fills this, then its outbox, and is let go.
    pub(super) fn has_room(&self) -> bool {
        let stale = self.ack.as_ref().map_or(0, |ack| ack.stale.len());
        self.assigns.len() + self.stops.len() + self.recalls.len() + stale < WAITING_MAX
    }

    /// An acknowledged heartbeat; an older one still waiting is answered by it too.
    pub(super) fn heartbeat(&mut self, sequence: u64) {
        self.heartbeat = Some(sequence);
    }

    pub(super) fn add(&mut self, message: ToAgent) {
        match message {
            ToAgent::Welcome(welcome) => {
                self.session = welcome.session;
                self.welcome = Some(convert::welcome(&welcome));
            }
            ToAgent::Assign(assignment) => self.assigns.push(assignment),
            ToAgent::Stop(order) => self.stops.push(order),
            ToAgent::Recall(leases) => self.recalls.extend(leases),
            ToAgent::Ack(mut ack) => {
                // Cumulative: the newest answers for all before it, but what it calls stale must be told of each.
                if let Some(before) = self.ack.take() {
                    ack.stale.splice(..0, before.stale);
                }
                self.ack = Some(ack);
            }
            ToAgent::Ask(id, ask) => self.asks.push_back((id, ask)),
            ToAgent::Close(_) => {} // the session's own to act on
        }
    }

    /// The next message. Neither a recall nor a stop overtakes the assignment it is about.
    pub(super) fn next(&mut self) -> Option<pb::ConnectResponse> {
        if let Some(welcome) = self.welcome.take() {
            return Some(welcome);
        }
        if let Some(sequence) = self.heartbeat.take() {
            return Some(convert::heartbeat_ack(sequence));
        }
        if let Some(ack) = self.ack.take() {
            return Some(convert::ack(&ack));
        }
        if let Some((id, ask)) = self.asks.pop_front() {
            return Some(convert::ask(id, &ask));
        }
        if !self.assigns.is_empty() {
            return Some(convert::assign(self.session, self.some_assigns()));
        }
        if !self.recalls.is_empty() {
            let some = self.recalls.len().min(REPORT_ITEMS_MAX);
            return Some(convert::recall(&self.recalls.drain(..some).collect::<Vec<_>>()));
        }
        if self.stops.is_empty() {
            return None;
        }
        let some = self.stops.len().min(REPORT_ITEMS_MAX);
        Some(convert::stop(&self.stops.drain(..some).collect::<Vec<_>>()))
    }

    fn some_assigns(&mut self) -> Vec<Assignment> {
        let mut bytes = 0;
        let fits = self.assigns.iter().take(REPORT_ITEMS_MAX).take_while(|one| {
            bytes += one.spec.len() + one.grants.iter().map(grant_bytes).sum::<usize>();
            bytes <= ASSIGN_BYTES_MAX
        });
        let some = fits.count().max(1); // one spec alone always fits a message
        self.assigns.drain(..some).collect()
    }
}

/// What a grant takes in a message, about: thousands of them with hundreds of devices each must not make one too large.
fn grant_bytes(grant: &Grant) -> usize {
    grant.device.len() + grant.ids.iter().map(|id| id.len() + 2).sum::<usize>()
}
