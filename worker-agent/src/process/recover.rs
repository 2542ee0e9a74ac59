//! The task beside the handle: passes reports on, and when the warden dies, sees its attempts off and starts another.
//!
//! ```text
//!            warden gone               nothing left, or overdue           backoff over
//!  Serving ──────────────► Sweeping ─────────────────────────► Waiting ────────────────► Serving
//!     │ stop: hang up                     │ stopping
//!     └──► until the warden is gone ──────┴──► Over
//! ```

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use super::Proof;
use super::link::Link;
use super::shared::{Life, Shared};
use super::strangers::Strangers;
use super::table::{Attempt, Next};
use crate::sys::boottime::Boottime;
use crate::warden::{Request, Swept, sweep};

/// What keepers get to kill their own trees before we do it for them, and kill them too: 20 looks, 5 ms apart.
const KEEPERS_LOOKS: usize = 20;
const KEEPERS_PAUSE: Duration = Duration::from_millis(5);

/// Pause between two rounds of a sweep.
const SWEEP_AGAIN: Duration = Duration::from_millis(10);

/// How often silent keepers and leftovers are looked after; both are rare, and neither is urgent.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// A warden that lived this long died of something else than starting: no pause before the next.
const HEALTHY: Duration = Duration::from_secs(10);

/// Looks in a row that found the warden stopped before it is killed: whoever stops it again and again is one of its own jobs,
/// which ends with it, and until then no job on this host can begin or end.
const STOPPED_LOOKS_MAX: u32 = 10;

/// Pauses between starts of wardens that die at once: 0.1 s, doubled up to 5 s.
const RESTART_FIRST: Duration = Duration::from_millis(100);
const RESTART_MAX: Duration = Duration::from_secs(5);

/// The task's hold on what it shares: dropping it, however the task ends, is the end for everybody.
pub(super) struct Watch {
    shared: Arc<Shared>,
    /// Attempts of a dead warden that are not proven gone.
    leftovers: Vec<Attempt>,
    strangers: Strangers,
    /// The last field, so that whoever waits for the end finds nothing held by us, the agent's lock included.
    _over: Over,
}

/// Says that it is over when it is dropped.
struct Over(watch::Sender<Life>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.send_replace(Life::Over);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(link) = self.shared.link.send_replace(None) {
            link.hang_up();
        }
        // Without their senders, waiters learn that nothing more will come.
        self.shared.table.take_all().into_iter().for_each(drop);
    }
}

/// Runs until stopped.
pub(super) async fn run(mut watch: Watch, first: Arc<Link>) {
    let mut link = first;
    let mut quick_deaths = 0;
    loop {
        let since = Instant::now();
        let served = watch.serve(&link).await;
        watch.shared.link.send_replace(None);
        if served == Served::WardenStays {
            return warn!(warden = link.pid().as_raw_pid(), "something does not die: the warden stays behind with it");
        }
        let orphans = watch.shared.table.take_all();
        if !watch.stopping() {
            warn!(warden = link.pid().as_raw_pid(), attempts = orphans.len(), "warden died");
        }
        watch.see_off(orphans, link.pid()).await;
        if watch.stopping() {
            return;
        }
        quick_deaths = if since.elapsed() < HEALTHY { quick_deaths + 1 } else { 0 };
        let Some(next) = watch.start_another(quick_deaths).await else {
            return;
        };
        info!(warden = next.pid().as_raw_pid(), "warden started");
        link = next;
    }
}

impl Watch {
    pub(super) fn new(shared: Arc<Shared>, strangers: Strangers) -> Self {
        let over = Over(shared.stage.clone());
        Self { shared, leftovers: Vec::new(), strangers, _over: over }
    }

    fn stopping(&self) -> bool {
        *self.shared.stage.borrow() != Life::Running
    }

    /// Passes reports on until the warden is gone, or has not gone in time when it was told to.
    async fn serve(&mut self, link: &Arc<Link>) -> Served {
        let mut life = self.shared.stage.subscribe();
        let mut look_after = interval(LOOK_AFTER);
        look_after.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reports = Vec::new();
        let (mut give_up, mut stopped_looks) = (None, 0);
        loop {
            let event = tokio::select! {
                open = link.receive(&mut reports) => Event::Reports { open },
                _ = life.wait_for(|life| *life != Life::Running), if give_up.is_none() => Event::Stop,
                () = self.strangers.end() => Event::ChildEnded,
                _ = look_after.tick() => Event::Tick,
            };
            match event {
                Event::Reports { open: false } => return Served::WardenGone,
                Event::Reports { open: true } => self.pass_on(link, &mut reports),
                Event::Stop => {
                    link.hang_up();
                    give_up = Some(Instant::now() + self.shared.options.proof_timeout * 2);
                }
                Event::Tick if give_up.is_some_and(|at| at < Instant::now()) => return Served::WardenStays,
                Event::Tick => {
                    stopped_looks = if link.wake() { stopped_looks + 1 } else { 0 };
                    if stopped_looks >= STOPPED_LOOKS_MAX {
                        link.kill();
                    }
                    self.look_after(link.pid());
                }
                Event::ChildEnded => self.strangers.reap(link.pid()),
            }
        }
    }

    fn pass_on(&self, link: &Link, reports: &mut Vec<super::link::Received>) {
        for (ticket, report, pidfd) in reports.drain(..) {
            match self.shared.table.on_report(ticket, report, pidfd) {
                Next::Nothing => {}
                // No room for it means a warden with hundreds of requests unread; the silence then ends the spawn.
                Next::Kill(ticket) => drop(link.try_send(Request::Kill, ticket, &[])),
            }
        }
    }

    fn look_after(&mut self, warden: Pid) {
        let now = Instant::now();
        let patience = self.shared.options.proof_timeout + LOOK_AFTER;
        if let Some(since) = now.checked_sub(patience) {
            self.shared.table.kill_silent_keepers(now, since);
        }
        self.shared.options.containment.tend();
        self.strangers.reap(warden);
        if !self.leftovers.is_empty() && is_clean(&self.strangers.spared(Some(warden))) {
            self.give_last_word(Proof::Swept);
        }
    }

    /// Kills and reaps all the dead warden left, and tells its attempts.
    async fn see_off(&mut self, orphans: Vec<Attempt>, warden: Pid) {
        orphans.iter().for_each(Attempt::orphan);
        self.leftovers.extend(orphans);
        if self.keepers_finish(warden).await && self.give_last_word(Proof::Swept) {
            return;
        }
        let until = Instant::now() + self.shared.options.proof_timeout;
        while Instant::now() < until {
            let clean = self.strangers.no_child_is_left(warden) || is_clean(&self.strangers.spared(None));
            if clean && self.give_last_word(Proof::Swept) {
                return;
            }
            sleep(SWEEP_AGAIN).await;
        }
        self.give_last_word(Proof::None);
    }

    /// The keepers have become our children and are killing: whether they are through with it in the short time they get.
    async fn keepers_finish(&mut self, warden: Pid) -> bool {
        for _ in 0..KEEPERS_LOOKS {
            if self.strangers.no_child_is_left(warden) {
                return true;
            }
            sleep(KEEPERS_PAUSE).await;
        }
        false
    }

    /// Says the last word, or with [`Proof::None`] the one before it, to all that wait for one; whether none waits any more.
    fn give_last_word(&mut self, proof: Proof) -> bool {
        let told = std::mem::take(&mut self.leftovers).into_iter();
        self.leftovers = told.filter_map(|attempt| attempt.see_off(proof)).collect();
        self.leftovers.is_empty()
    }

    /// None when stopped meanwhile.
    async fn start_another(&self, quick_deaths: u32) -> Option<Arc<Link>> {
        let mut life = self.shared.stage.subscribe();
        let mut failures = quick_deaths;
        loop {
            tokio::select! {
                () = sleep(pause(failures)) => {}
                _ = life.wait_for(|life| *life != Life::Running) => return None,
            }
            match Link::start(&self.shared.options) {
                Ok(link) => {
                    self.shared.options.counters.warden_restarted();
                    let link = Arc::new(link);
                    link.refresh(Boottime(self.shared.lease.load(Ordering::Relaxed)));
                    self.shared.link.send_replace(Some(Arc::clone(&link)));
                    return Some(link);
                }
                Err(error) => warn!(%error, failures, "warden not started"),
            }
            failures += 1;
        }
    }
}

/// What [`Watch::serve`] woke for.
enum Event {
    Reports { open: bool },
    Stop,
    Tick,
    ChildEnded,
}

/// How serving a warden ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    WardenGone,
    /// Told to leave, and stays for something that does not die.
    WardenStays,
}

fn pause(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => RESTART_MAX.min(RESTART_FIRST * 2u32.pow(doublings.min(10))),
    }
}

/// One round of a sweep. It blocks for the few milliseconds a look through /proc takes, on an occasion that is rare.
fn is_clean(spared: &HashSet<Pid>) -> bool {
    match sweep(spared) {
        Ok(swept) => swept == Swept::Clean,
        Err(error) => {
            warn!(%error, "processes cannot be listed");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_before_a_restart_doubles_from_nothing_to_its_cap() {
        let pauses = [0, 1, 2, 3, 7, 1000].map(|failures| pause(failures).as_millis());
        assert_eq!(pauses, [0, 100, 200, 400, 5000, 5000]);
    }
}
