//! What is not to run, or not any longer: stopped, given back, or killed in silence where its lease is stale.

use tokio::sync::watch;
use windlass_shared::domain::{Lease, News, Reason, StopOrder};

use super::orchestrator::{Held, Orchestrator};
use super::verdict;
use crate::halt::Halt;
use crate::worker::Order;

impl Orchestrator {
    pub(super) fn on_stop(&mut self, order: StopOrder) {
        let StopOrder { lease, reason } = order;
        tracing::debug!(job = %lease.job, attempt = lease.attempt, reason = reason.name(), "told to stop an attempt");
        if reason == Reason::AgentLost {
            self.on_stale(&lease);
            return;
        }
        match self.held.get(&lease) {
            Some(Held::Running { halt, .. }) => order_halt(halt, Halt { reason, kill: false }),
            Some(Held::Called { pool, .. }) => {
                pool.order(Order::Halt(lease, Halt { reason, kill: false }));
            }
            Some(Held::Waiting(_)) => {
                self.held.remove(&lease);
                match reason {
                    Reason::Drain | Reason::Shutdown => self.report(lease, News::Returned(reason)),
                    _ => self.end(lease, verdict::stopped_unstarted(reason)),
                }
            }
            // Its end crossed with the order, and is the news already.
            None => {}
        }
    }

    pub(super) fn on_recall(&mut self, lease: &Lease) {
        match self.held.get(lease) {
            Some(Held::Waiting(_)) => {
                self.held.remove(lease);
                self.report(*lease, News::Returned(Reason::Returned));
            }
            Some(Held::Called { pool, .. }) => pool.order(Order::Recall(*lease)),
            Some(Held::Running { .. }) | None => {}
        }
    }

    pub(super) fn on_stale(&mut self, lease: &Lease) {
        match self.held.get_mut(lease) {
            Some(Held::Running { halt, silent }) => {
                tracing::info!(job = %lease.job, attempt = lease.attempt, "lease is stale: killed");
                *silent = true;
                order_halt(halt, Halt { reason: Reason::AgentLost, kill: true });
                self.parts.logs.discard(lease);
            }
            Some(Held::Called { pool, silent }) => {
                tracing::info!(job = %lease.job, attempt = lease.attempt, "lease is stale: killed");
                *silent = true;
                let halt = Halt { reason: Reason::AgentLost, kill: true };
                pool.order(Order::Halt(*lease, halt));
                self.parts.logs.discard(lease);
            }
            Some(Held::Waiting(_)) => {
                self.held.remove(lease);
            }
            // Over: what it wrote is shipped still, for its end may be on record and only the word of that was lost.
            None => {}
        }
        self.parts.outbox.forget(lease);
    }

    pub(super) fn on_drain(&mut self, reason: Reason) {
        self.draining = Some(reason);
        self.give_back(reason, true);
    }

    pub(super) fn on_detached(&mut self) {
        tracing::warn!(held = self.held.len(), "out of touch with the coordinator for too long: stopping what runs");
        self.give_back(Reason::Returned, false);
        self.on_halt(Halt { reason: Reason::OutOfTouch, kill: false });
    }

    /// Everything that has not started; nothing more is taken where the agent leaves.
    fn give_back(&mut self, reason: Reason, leaving: bool) {
        self.parts.pools.order_all(|| Order::GiveBack(reason, leaving));
        self.return_waiting(reason);
    }

    /// Every command without a slot.
    pub(super) fn return_waiting(&mut self, reason: Reason) {
        for lease in std::mem::take(&mut self.waiting) {
            if let Some(Held::Waiting(_)) = self.held.get(&lease) {
                self.held.remove(&lease);
                self.report(lease, News::Returned(reason));
            }
        }
    }

    pub(super) fn on_halt(&mut self, order: Halt) {
        self.parts.pools.order_all(|| Order::HaltAll(order));
        for held in self.held.values() {
            if let Held::Running { halt, .. } = held {
                order_halt(halt, order);
            }
        }
    }
}

fn order_halt(halt: &watch::Sender<Option<Halt>>, order: Halt) {
    halt.send_modify(|present| *present = Some(order.after(*present)));
}
