//! Leaving: in good order, in a hurry, or at once.
//!
//! ```text
//!  word ─► nothing new, unstarted given back ─► running ones finish ─(deadline)─► stopped ─► none runs ─► workers end
//!       ─► reports and logs acknowledged (bounded) ─► goodbye ─► warden stopped
//! ```
//!
//! | word | stop signal goes out | kill |
//! |---|---|---|
//! | graceful | after the drain timeout | after each job's own grace |
//! | urgent | now | after 10 s, or the job's own grace if shorter |
//! | forced | never | now |

use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use windlass_shared::domain::Reason;
use windlass_shared::task::Tasks;

use crate::config::{FLUSH_TIMEOUT, FLUSH_TIMEOUT_FORCED, GOODBYE_TIMEOUT, PROOF_TIMEOUT, URGENT_TIMEOUT};
use crate::executor::{Active, Handle, Input};
use crate::halt::Halt;
use crate::logs::Logs;
use crate::outbox::Outbox;
use crate::process::Warden;
use crate::session::{Plan, Refused};
use crate::worker::Pools;

/// After a kill everything ends within the proof timeout; this much more is for the news to get here.
const KILL_SLACK: Duration = Duration::from_secs(2);
/// Time for workers to end: the 5 s that they have by themselves, and some for their kill.
const DISMISS_TIMEOUT: Duration = Duration::from_secs(7);
/// Time for tasks to end once nothing is left for them to do.
const TASKS_TIMEOUT: Duration = Duration::from_secs(2);

/// How much of a hurry it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Urgency {
    #[default]
    None,
    Graceful,
    Urgent,
    Forced,
}

#[derive(Debug, Clone, Copy)]
struct Word {
    urgency: Urgency,
    reason: Reason,
    /// Signals so far. A drain that the agent began by itself is none.
    signals: u8,
}

/// Tells an agent to leave. Clones are the same hand.
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<Word>);

impl Stopper {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Word { urgency: Urgency::None, reason: Reason::Drain, signals: 0 }))
    }

    /// What each SIGTERM does: the first drains, the second makes it urgent, the third forces it; whatever the agent has begun by
    /// itself.
    pub fn raise(&self) {
        self.0.send_modify(|word| {
            word.signals = word.signals.saturating_add(1);
            let asked = match word.signals {
                1 => Urgency::Graceful,
                2 => Urgency::Urgent,
                _ => Urgency::Forced,
            };
            word.urgency = word.urgency.max(asked);
            tracing::info!(urgency = ?word.urgency, "told to leave");
        });
    }

    /// Begins what the first SIGTERM does, and is none; nothing where it leaves already.
    pub(crate) fn begin(&self) {
        self.0.send_if_modified(|word| {
            let first = word.urgency == Urgency::None;
            if first {
                word.urgency = Urgency::Graceful;
            }
            first
        });
    }

    /// Kills everything and leaves, because whoever started the agent is gone.
    pub fn force(&self) {
        self.0.send_modify(|word| {
            // A drain that has begun keeps its reason: attempts may have been told already.
            if word.urgency == Urgency::None {
                word.reason = Reason::Shutdown;
            }
            word.urgency = Urgency::Forced;
        });
        tracing::info!("told to leave at once");
    }
}

/// Carries out the leaving.
pub(crate) struct Drain {
    pub(crate) stopper: Stopper,
    pub(crate) refused: oneshot::Receiver<Refused>,
    /// Read when the drain begins.
    pub(crate) drain_timeout: watch::Receiver<Duration>,
    pub(crate) executor: Handle,
    pub(crate) active: Active,
    pub(crate) pools: Pools,
    pub(crate) plan: watch::Sender<Plan>,
    pub(crate) outbox: Outbox,
    pub(crate) logs: Logs,
    pub(crate) warden: Warden,
    pub(crate) tasks: Tasks,
    /// Ends when the session does.
    pub(crate) over: oneshot::Receiver<()>,
}

impl Drain {
    /// Waits for the word and carries it out. The error: why the agent left though nobody said so.
    pub(crate) async fn run(mut self) -> Result<(), Refused> {
        let mut words = self.stopper.0.subscribe();
        let refused = tokio::select! {
            _ = words.wait_for(|word| word.urgency > Urgency::None) => None,
            refused = &mut self.refused => Some(refused.unwrap_or_else(|_| Refused::session_gone())),
        };
        if let Some(refused) = &refused {
            tracing::error!(error = %refused, "leaving");
            self.stopper.begin();
        }
        let reason = words.borrow_and_update().reason;
        self.plan.send_replace(Plan::Draining(reason));
        self.executor.send(Input::Drain(reason)).await;
        self.run_down(&mut words).await;
        self.dismiss(&mut words).await;
        self.flush(&mut words).await;
        self.leave(reason).await;
        refused.map_or(Ok(()), Err)
    }

    /// Until nothing runs.
    async fn run_down(&mut self, words: &mut watch::Receiver<Word>) {
        let mut ladder = Ladder::new(Instant::now(), *self.drain_timeout.borrow());
        while *self.active.borrow() > 0 {
            let Word { urgency, reason, .. } = *words.borrow_and_update();
            ladder.hurry(Instant::now(), urgency);
            if let Some(kill) = ladder.due(Instant::now()) {
                tracing::info!(running = *self.active.borrow(), kill, "stopping what still runs");
                self.executor.send(Input::Halt(Halt { reason, kill })).await;
            }
            tokio::select! {
                _ = self.active.changed() => {}
                // Whoever could say another word is gone with the sender that we hold ourselves: never.
                _ = words.changed() => {}
                () = tokio::time::sleep_until(ladder.next()) => {}
            }
            if ladder.is_over(Instant::now()) {
                tracing::error!(running = *self.active.borrow(), "killed, and not proven dead: leaving all the same");
                return;
            }
        }
    }

    /// Until no worker is left, each of which has its time to end by itself.
    async fn dismiss(&self, words: &mut watch::Receiver<Word>) {
        tokio::select! {
            () = self.pools.rested() => {}
            () = tokio::time::sleep(DISMISS_TIMEOUT) => tracing::warn!("workers are left: killed with all the rest"),
            _ = words.wait_for(|word| word.urgency == Urgency::Forced) => {}
        }
    }

    /// Until the coordinator has heard everything, or it has had its time.
    async fn flush(&mut self, words: &mut watch::Receiver<Word>) {
        let everything = async {
            self.outbox.emptied().await;
            self.logs.emptied().await;
        };
        tokio::select! {
            () = everything => return,
            () = tokio::time::sleep(FLUSH_TIMEOUT) => {}
            () = hurried(words) => {}
        }
        let (reports, logs) = (!self.outbox.is_empty(), !self.logs.is_empty());
        if reports || logs {
            tracing::warn!(
                reports,
                logs,
                "leaving before the coordinator has everything: reports are told by the next start"
            );
        }
    }

    async fn leave(self, reason: Reason) {
        self.plan.send_replace(Plan::Leave(reason));
        let _ = tokio::time::timeout(2 * GOODBYE_TIMEOUT, self.over).await;
        self.warden.stop().await;
        if !self.tasks.shut_down(TASKS_TIMEOUT).await {
            tracing::warn!("some tasks did not end in time");
        }
        tracing::info!("gone");
    }
}

/// Until a short while after leaving became forced.
async fn hurried(words: &mut watch::Receiver<Word>) {
    let _ = words.wait_for(|word| word.urgency == Urgency::Forced).await;
    tokio::time::sleep(FLUSH_TIMEOUT_FORCED).await;
}

/// When to stop and when to kill, as the hurry grows.
#[derive(Debug)]
struct Ladder {
    stop_at: Option<Instant>,
    kill_at: Option<Instant>,
    /// When to give up on what was killed.
    over_at: Option<Instant>,
}

impl Ladder {
    fn new(now: Instant, drain_timeout: Duration) -> Self {
        Self { stop_at: Some(now + drain_timeout), kill_at: None, over_at: None }
    }

    fn hurry(&mut self, now: Instant, urgency: Urgency) {
        if self.over_at.is_some() {
            return;
        }
        let kill_by = match urgency {
            Urgency::None | Urgency::Graceful => return,
            Urgency::Urgent => now + URGENT_TIMEOUT,
            Urgency::Forced => now,
        };
        if self.kill_at.is_none_or(|at| at > kill_by) {
            self.kill_at = Some(kill_by);
            self.stop_at = self.stop_at.and(Some(now));
        }
    }

    /// What is due: to kill, or only to stop. Each is due once.
    fn due(&mut self, now: Instant) -> Option<bool> {
        if self.kill_at.is_some_and(|at| at <= now) {
            (self.stop_at, self.kill_at) = (None, None);
            self.over_at = Some(now + PROOF_TIMEOUT + KILL_SLACK);
            return Some(true);
        }
        if self.stop_at.is_some_and(|at| at <= now) {
            self.stop_at = None;
            return Some(false);
        }
        None
    }

    fn next(&self) -> Instant {
        let far = || Instant::now() + Duration::from_secs(3600);
        [self.stop_at, self.kill_at, self.over_at].into_iter().flatten().min().unwrap_or_else(far)
    }

    fn is_over(&self, now: Instant) -> bool {
        self.over_at.is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn the_first_signal_is_graceful_also_where_the_agent_has_begun_to_leave_by_itself() {
        for begun in [false, true] {
            let stopper = Stopper::new();
            if begun {
                stopper.begin();
                assert_eq!(stopper.0.borrow().urgency, Urgency::Graceful);
            }
            for urgency in [Urgency::Graceful, Urgency::Urgent, Urgency::Forced, Urgency::Forced] {
                stopper.raise();
                assert_eq!(stopper.0.borrow().urgency, urgency, "begun by itself: {begun}");
                stopper.begin();
                assert_eq!(stopper.0.borrow().urgency, urgency, "no signal, and no way back");
            }
        }
        let stopper = Stopper::new();
        stopper.force();
        stopper.raise();
        assert_eq!(stopper.0.borrow().urgency, Urgency::Forced, "nor is a signal");
    }

    #[test]
    fn a_graceful_drain_stops_at_its_deadline_and_leaves_the_kill_to_each_job() {
        let start = Instant::now();
        let mut ladder = Ladder::new(start, 30 * S);
        ladder.hurry(start, Urgency::Graceful);
        assert_eq!(ladder.due(start + 29 * S), None);
        assert_eq!(ladder.due(start + 30 * S), Some(false));
        assert_eq!(ladder.due(start + 300 * S), None);
    }

    #[test]
    fn an_urgent_drain_stops_now_and_kills_after_ten_seconds_and_forcing_it_kills_now() {
        let start = Instant::now();
        let mut ladder = Ladder::new(start, 30 * S);
        ladder.hurry(start, Urgency::Urgent);
        assert_eq!(ladder.due(start), Some(false));
        // Looked at again later, the kill has not moved.
        ladder.hurry(start + 9 * S, Urgency::Urgent);
        assert_eq!(ladder.due(start + 9 * S), None);
        ladder.hurry(start + 9 * S, Urgency::Forced);
        assert_eq!(ladder.due(start + 9 * S), Some(true));
        assert_eq!(ladder.due(start + 9 * S), None);
        assert!(!ladder.is_over(start + 9 * S));
        assert!(ladder.is_over(start + 9 * S + PROOF_TIMEOUT + KILL_SLACK));
    }

    #[test]
    fn urgency_after_the_deadline_bounds_a_grace_that_is_too_long() {
        let start = Instant::now();
        let mut ladder = Ladder::new(start, S);
        assert_eq!(ladder.due(start + S), Some(false));
        ladder.hurry(start + 2 * S, Urgency::Urgent);
        assert_eq!(ladder.due(start + 3 * S), None);
        assert_eq!(ladder.due(start + 12 * S), Some(true));
    }
}
