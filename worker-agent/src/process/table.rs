//! The attempts the agent has under a warden, and what each report does to them.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{oneshot, watch};

use super::control::{Control, Events, Keeper, Progress, hold};
use super::{LeaderEnd, Proof, SpawnError, Stage};
use crate::containment::Hold;
use crate::warden::{Report, Ticket};

/// The answer to a spawn.
pub(super) type Reply = oneshot::Sender<Result<Started, SpawnError>>;

/// A leader that runs.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) pid: u32,
    pub(super) control: Control,
    pub(super) events: Events,
}

/// One attempt, as far as the warden has told, and what holds it.
#[derive(Debug)]
pub(super) struct Attempt {
    phase: Phase,
    leaf: Option<Arc<Hold>>,
}

#[derive(Debug)]
enum Phase {
    /// Asked for.
    Starting(Reply),
    /// Started, but its pidfd did not fit into this process: it is being killed, and then is a spawn that failed.
    Doomed(Reply),
    Running(Running),
}

#[derive(Debug)]
struct Running {
    keeper: Arc<Keeper>,
    progress: watch::Sender<Progress>,
    /// When a kill was first noticed here.
    killed: Option<Instant>,
}

/// What the caller of [`Table::on_report`] has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    /// Ask the warden to kill this one: there is no pidfd to do it by.
    Kill(Ticket),
}

#[derive(Debug, Default)]
pub(super) struct Table {
    attempts: Mutex<Attempts>,
}

#[derive(Debug, Default)]
struct Attempts {
    next: Ticket,
    live: HashMap<Ticket, Attempt>,
}

impl Table {
    /// A ticket for a spawn that is about to be sent, and where its answer will come.
    pub(super) fn open(&self, leaf: Option<Arc<Hold>>) -> (Ticket, oneshot::Receiver<Result<Started, SpawnError>>) {
        let (reply, answer) = oneshot::channel();
        let mut attempts = self.lock();
        attempts.next += 1;
        let ticket = attempts.next;
        attempts.live.insert(ticket, Attempt { phase: Phase::Starting(reply), leaf });
        (ticket, answer)
    }

    /// Takes back a ticket that was not sent.
    pub(super) fn cancel(&self, ticket: Ticket) {
        self.lock().live.remove(&ticket);
    }

    /// Everything that is under way, for whoever has to see it off.
    pub(super) fn take_all(&self) -> Vec<Attempt> {
        self.lock().live.drain().map(|(_, attempt)| attempt).collect()
    }

    /// Attempts whose kill was asked for before `since` and that have said nothing: their keeper does not do its work, and
    /// without it the warden will.
    pub(super) fn kill_silent_keepers(&self, now: Instant, since: Instant) {
        for attempt in self.lock().live.values_mut() {
            let Phase::Running(running) = &mut attempt.phase else {
                continue;
            };
            if !running.keeper.kill_asked() || running.progress.borrow().tree.is_some() {
                continue;
            }
            if *running.killed.get_or_insert(now) < since {
                running.keeper.kill_hard();
            }
        }
    }

    pub(super) fn on_report(&self, ticket: Ticket, report: Report, pidfd: Option<OwnedFd>) -> Next {
        let mut attempts = self.lock();
        // A late word on a ticket that has had its last: from a warden since dead, or a Failed said again with proof.
        let Some(attempt) = attempts.live.remove(&ticket) else {
            return Next::Nothing;
        };
        let (attempt, next) = match report {
            Report::Started { leader } => attempt.started(ticket, leader, pidfd),
            Report::Failed(error) => (attempt.failed(error), Next::Nothing),
            Report::Ended { exit, tree } => (attempt.ended(Some(LeaderEnd::Exited(exit)), tree), Next::Nothing),
            Report::Fenced => (attempt.fenced(), Next::Nothing),
            Report::LeaderLost => (attempt.ended(Some(LeaderEnd::Lost), None), Next::Nothing),
            Report::TreeEnded(proof) => (attempt.ended(None, Some(proof)), Next::Nothing),
        };
        if let Some(attempt) = attempt {
            attempts.live.insert(ticket, attempt);
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, Attempts> {
        // Nothing that holds the lock leaves the table half changed.
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    fn started(self, ticket: Ticket, pid: u32, pidfd: Option<OwnedFd>) -> (Option<Self>, Next) {
        let Self { phase, leaf } = self;
        let Phase::Starting(reply) = phase else {
            return (Some(Self { phase, leaf }), Next::Nothing);
        };
        let Some(pidfd) = pidfd else {
            return (Some(Self { phase: Phase::Doomed(reply), leaf }), Next::Kill(ticket));
        };
        let keeper = Arc::new(Keeper::new(pidfd, leaf.clone()));
        let (progress, watcher) = watch::channel(Progress::default());
        let (control, events) = hold(Arc::clone(&keeper), watcher);
        // Nobody waits for it any more: the dropped hold kills it.
        let _ = reply.send(Ok(Started { pid, control, events }));
        (Some(Self { phase: Phase::Running(Running { keeper, progress, killed: None }), leaf }), Next::Nothing)
    }

    fn failed(self, error: SpawnError) -> Option<Self> {
        match self.phase {
            Phase::Starting(reply) | Phase::Doomed(reply) => {
                let _ = reply.send(Err(error)); // nobody waits any more, and nothing runs
                None
            }
            Phase::Running(_) => Some(self),
        }
    }

    fn fenced(self) -> Option<Self> {
        if let Phase::Running(running) = &self.phase {
            running.progress.send_modify(|progress| progress.fenced = true);
        }
        Some(self)
    }

    /// Notes news of the end; None when they are the last.
    fn ended(self, leader: Option<LeaderEnd>, tree: Option<Proof>) -> Option<Self> {
        match &self.phase {
            Phase::Running(running) => running.ended(leader, tree, self.leaf.as_deref()).then_some(self),
            Phase::Doomed(_) if tree.is_some() => self.failed(SpawnError {
                stage: Stage::Warden,
                errno: libc::EMFILE,
                proof: tree.unwrap_or(Proof::None),
            }),
            Phase::Starting(_) | Phase::Doomed(_) => Some(self),
        }
    }

    /// Tells the keeper, if it lives, to kill, and kills what a control group holds; the leader's end will not be known.
    pub(super) fn orphan(&self) {
        if let Phase::Running(running) = &self.phase {
            running.keeper.kill();
            running.ended(Some(LeaderEnd::Lost), None, self.leaf.as_deref());
        }
        self.kill_leaf();
    }

    fn kill_leaf(&self) {
        if let Some(leaf) = &self.leaf {
            leaf.kill();
        }
    }

    /// The last word on an attempt whose warden died; with [`Proof::None`] a word that is to be followed by one more. A spawn
    /// under way fails: it may have run, so asking again is the caller's decision. None of our children, and still in its control
    /// group: then there is no word yet.
    pub(super) fn see_off(self, proof: Proof) -> Option<Self> {
        let proof = match &self.leaf {
            Some(leaf) if proof == Proof::Swept => {
                if leaf.is_populated() {
                    self.kill_leaf();
                    return Some(self);
                }
                Proof::Cgroup
            }
            Some(_) | None => proof,
        };
        match self.phase {
            Phase::Running(_) => self.ended(Some(LeaderEnd::Lost), Some(proof)),
            Phase::Starting(_) | Phase::Doomed(_) => {
                self.failed(SpawnError { stage: Stage::Warden, errno: libc::ECONNRESET, proof })
            }
        }
    }
}

impl Running {
    /// Whether more is to come.
    fn ended(&self, leader: Option<LeaderEnd>, tree: Option<Proof>, leaf: Option<&Hold>) -> bool {
        let is_over = !matches!(tree, None | Some(Proof::None));
        // Asked when all of it has ended, and before the leaf is the next one's.
        let oom_killed = is_over && leaf.is_some_and(Hold::oom_killed);
        if let (true, Some(leaf)) = (is_over, leaf) {
            // An end by its own will, told in one piece: a keeper or a warden that killed says it in two.
            let by_itself = leader.is_some_and(LeaderEnd::is_exit) && !self.progress.borrow().fenced;
            leaf.give_back(by_itself);
        }
        self.progress.send_modify(|progress| {
            progress.leader = progress.leader.or(leader);
            if let Some(proof) = tree {
                // Overdue or empty, waiting for the leader is over: what has not been told by now is not known.
                progress.leader = progress.leader.or(Some(LeaderEnd::Lost));
                progress.tree = Some(proof);
                progress.oom_killed |= oom_killed;
            }
        });
        !is_over
    }
}
