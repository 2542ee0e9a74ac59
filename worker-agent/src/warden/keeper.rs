//! A keeper: parent of one attempt's leader, heir of its orphans, and the one that proves the tree empty.
//!
//! How far it is: [`phase`](super::phase). ECHILD in any of them: last report, exit.
//!
//! It is told by signals (SIGTERM: kill; SIGRTMIN with a number: signal the tree), because those reach it by pidfd whoever
//! else is dead. It tells by datagrams, and never waits in sending one.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal};

use super::cage::Cage;
use super::errand::Errand;
use super::outbox::Outbox;
use super::phase::Phase;
use super::wire::{Report, Ticket};
use super::{KILL_TREE, Limits, signal_tree, tree};
use crate::process::{ExitInfo, ExitKind, Proof, SpawnError, Stage};
use crate::sys::child;
use crate::sys::fork::{Child, SingleThread};
use crate::sys::signal::{self, SignalFd};
use crate::sys::trail::Trail;
use crate::sys::wait::{Ended, Reaped, reap_any};

/// What a keeper shares with the warden it was forked from.
pub(super) struct Inherited<'a> {
    pub(super) thread: &'a SingleThread,
    pub(super) warden: Pid,
    pub(super) reports: &'a OwnedFd,
    pub(super) lock: Option<&'a OwnedFd>,
    pub(super) limits: Limits,
}

/// Runs in the forked child until the attempt's tree is gone.
pub(super) fn run(child: &Child, inherited: &Inherited<'_>, errand: Errand) -> ! {
    close_others(child, inherited, &errand);
    let keeper = Keeper::start(inherited, &errand);
    // And with it our copies of the job's pipes: from now on only its tree holds them.
    drop(errand);
    match keeper {
        Ok(mut keeper) => keeper.keep(),
        // Nothing was forked, and the warden, which reaps this process without having heard of it, reports for it.
        Err(error) => eprintln!("windlass-keeper: {error}"),
    }
    child.exit(0)
}

/// A keeper that held another's pipe would keep it from ever ending; one that held the agent's socket, the warden alive.
fn close_others(child: &Child, inherited: &Inherited<'_>, errand: &Errand) {
    let mut keep = vec![inherited.reports.as_raw_fd()];
    keep.extend(errand.raw_fds());
    keep.extend(inherited.lock.map(AsRawFd::as_raw_fd));
    child.close_all_but(&mut keep);
}

struct Keeper<'a> {
    inherited: &'a Inherited<'a>,
    ticket: Ticket,
    signals: SignalFd,
    phase: Phase,
    /// The report pipe, until it has told whether exec succeeded, and how far it has come until then.
    starting: Option<(OwnedFd, Trail)>,
    /// The leader, while it is not reaped and its number therefore its own.
    leader: Option<Pid>,
    forked: Instant,
    /// The control group that holds the tree, where there is one.
    cage: Option<Cage>,
    /// Why there is no program: reported when the half-started child is gone.
    failure: Option<(Stage, i32)>,
    /// Reports the warden's queue had no room for: it is shared by all keepers, and hundreds may end at once.
    outbox: Outbox,
    /// The warden is gone, so nobody listens.
    orphaned: bool,
}

impl<'a> Keeper<'a> {
    fn start(inherited: &'a Inherited<'a>, errand: &Errand) -> io::Result<Self> {
        rustix::thread::set_name(c"windlass-keeper")?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        // The socket tells of the warden's end. What it takes is that we run: a job may have stopped us.
        rustix::process::set_parent_process_death_signal(Some(Signal::CONT))?;
        // Died before the line above: no signal will come.
        if rustix::process::getppid() != Some(inherited.warden) {
            return Err(io::Error::from_raw_os_error(libc::EOWNERDEAD));
        }
        let now = Instant::now();
        let mut keeper = Self {
            inherited,
            ticket: errand.ticket,
            signals: SignalFd::new(&[libc::SIGCHLD, KILL_TREE, signal_tree()])?,
            phase: Phase::Starting { until: now + inherited.limits.start },
            starting: None,
            leader: None,
            forked: now,
            cage: errand.leaf.clone().map(Cage::new),
            failure: None,
            outbox: Outbox::default(),
            orphaned: false,
        };
        match errand.fork_leader(inherited.thread) {
            Ok(forked) => (keeper.leader, keeper.starting) = (Some(forked.leader), Some((forked.report, forked.trail))),
            Err(failure) => keeper.failure = Some(failure),
        }
        Ok(keeper)
    }

    /// Until ECHILD, and an empty control group where there is one. Without a leader the first look comes before the first wait, for there is nothing to wait for.
    fn keep(&mut self) {
        let mut child_ended = self.leader.is_none();
        while !(child_ended && self.reap()) {
            self.wait();
            self.learn_start();
            child_ended = self.obey() || self.strangers();
            self.meet_deadlines(Instant::now());
        }
        self.send_rest();
    }

    /// Waits for a signal, the report pipe, room for a report, the warden's end or the next deadline.
    fn wait(&mut self) {
        let timeout = self.phase.deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        // Without events, only the other end's closing shows.
        let room = if self.outbox.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        let mut fds = Vec::with_capacity(4);
        fds.push(PollFd::new(&self.signals, PollFlags::IN));
        if !self.orphaned {
            fds.push(PollFd::new(self.inherited.reports, room));
        }
        if let Some((pipe, _)) = &self.starting {
            fds.push(PollFd::new(pipe, PollFlags::IN));
        }
        if let Some(events) = self.cage.as_ref().and_then(Cage::events) {
            fds.push(PollFd::new(events, PollFlags::PRI));
        }
        // An error (EINTR cannot come, all signals being blocked) only makes this round early.
        let _ = rustix::event::poll(&mut fds, timeout.as_ref());
        let reports = if self.orphaned { PollFlags::empty() } else { fds[1].revents() };
        if reports.contains(PollFlags::HUP) {
            self.orphaned = true;
            self.kill(Instant::now());
        }
        if !reports.is_empty() {
            self.flush();
        }
    }

    fn learn_start(&mut self) {
        let Some((pipe, _)) = &self.starting else { return };
        match child::read_report(pipe) {
            child::Report::Pending => return,
            child::Report::Started => {
                let leader = self.leader.map_or(0, |leader| leader.as_raw_pid().cast_unsigned());
                self.tell(&Report::Started { leader });
                self.phase.started();
            }
            child::Report::Failed(stage, errno) => self.failure = Some((stage, errno)),
        }
        self.starting = None;
    }

    /// Does what the signals say; whether one of them was a child's end.
    fn obey(&mut self) -> bool {
        let mut child_ended = false;
        while let Some(received) = self.signals.read() {
            match received.signo {
                libc::SIGCHLD => child_ended = true,
                KILL_TREE => self.kill(Instant::now()),
                _ => self.signal_tree(received.value),
            }
        }
        child_ended
    }

    fn meet_deadlines(&mut self, now: Instant) {
        match self.phase {
            Phase::Starting { until } if until <= now => {
                let reached = self.starting.take().map_or(Stage::Exec, |(_, trail)| trail.reached());
                self.failure.get_or_insert((reached, libc::ETIME));
                self.kill(now);
            }
            Phase::Grace { until } if until <= now => self.kill(now),
            Phase::Killing { overdue, again, .. } => {
                if again <= now {
                    self.kill_round();
                    self.phase.pause(Instant::now());
                }
                if overdue.is_some_and(|overdue| overdue <= now) {
                    self.tell_overdue();
                }
            }
            _ => {}
        }
    }

    fn kill(&mut self, now: Instant) {
        self.phase.kill(now, now + self.inherited.limits.proof);
    }

    fn kill_round(&mut self) {
        // One write, and nothing in it can fork away or block it. A tree that root's hand led out of it is for the next round.
        if let Some(cage) = &mut self.cage
            && cage.kill()
        {
            return;
        }
        let me = rustix::process::getpid();
        if tree::kill_below(me, &HashSet::new()).is_err() {
            // No /proc to look in: the group at least, and what outlives it becomes our child or stays unproven.
            if let Some(leader) = self.leader {
                signal::send_to_child(leader, libc::SIGKILL);
                signal::send_to_group(leader, libc::SIGKILL);
            }
        }
    }

    /// The leader's group first, in one call; then whatever left the group.
    fn signal_tree(&self, signo: i32) {
        let group = self.leader.map_or(0, Pid::as_raw_pid);
        if let Some(leader) = self.leader {
            signal::send_to_group(leader, signo);
        }
        let Ok(snapshot) = tree::Snapshot::take() else {
            return;
        };
        let below = snapshot.below(rustix::process::getpid(), &HashSet::new());
        below.iter().filter(|seen| seen.group != group).for_each(|seen| seen.signal(signo));
    }

    /// Says once that the kill has not worked in time; the killing goes on.
    fn tell_overdue(&mut self) {
        match self.failure {
            Some((stage, errno)) => self.tell(&Report::Failed(SpawnError { stage, errno, proof: Proof::None })),
            None => self.tell(&Report::TreeEnded(Proof::None)),
        }
        self.phase.told_overdue();
    }

    /// Takes every child that ended; whether none is left, in which case the last word has been said.
    fn reap(&mut self) -> bool {
        let mut exit = None;
        loop {
            match reap_any() {
                Ok(Reaped::Child(pid, ended)) if Some(pid) == self.leader => {
                    // exec or exit closed the report pipe before the kernel let this exit be seen.
                    self.learn_start();
                    self.leader = None;
                    exit = Some(exit_info(&ended, self.forked.elapsed()));
                }
                Ok(Reaped::Child(..)) => self.phase.hurry(Instant::now()),
                // A job may stand still as it likes.
                Ok(Reaped::Stopped(_)) => {}
                Ok(Reaped::Empty) if self.is_uncaged() => {
                    self.tell_empty(exit);
                    return true;
                }
                Ok(Reaped::Empty | Reaped::Busy) | Err(_) => break,
            }
        }
        if let (Some(exit), None) = (exit, self.failure) {
            self.tell(&Report::Ended { exit, tree: None });
            self.phase.leader_ended(Instant::now() + self.inherited.limits.grace);
        }
        false
    }

    /// Whether nothing is in the control group, or there is none. What is in it though we have no child was put there from outside;
    /// it is none of the tree's, and still keeps the group from the next.
    fn is_uncaged(&mut self) -> bool {
        let Some(cage) = &mut self.cage else { return true };
        cage.is_empty().unwrap_or_else(|| {
            // Having no child is proof enough, and said to be that one.
            self.cage = None;
            true
        })
    }

    /// Whether only the control group keeps us: then any event may have been its last.
    fn strangers(&self) -> bool {
        self.leader.is_none() && self.cage.as_ref().and_then(Cage::events).is_some()
    }

    /// The last word. The common end, leader gone and nothing else there, is this one datagram.
    fn tell_empty(&mut self, exit: Option<ExitInfo>) {
        let proof = if self.cage.is_some() { Proof::Cgroup } else { Proof::Keeper };
        let report = match (self.failure, exit) {
            (Some((stage, errno)), _) => Report::Failed(SpawnError { stage, errno, proof }),
            // In two pieces, so that the agent knows: a group that was killed must not be used again.
            (None, Some(exit)) if self.cage.as_ref().is_some_and(Cage::was_killed) => {
                self.tell(&Report::Ended { exit, tree: None });
                Report::TreeEnded(proof)
            }
            (None, Some(exit)) => Report::Ended { exit, tree: Some(proof) },
            (None, None) => Report::TreeEnded(proof),
        };
        self.tell(&report);
    }

    fn tell(&mut self, report: &Report) {
        self.outbox.push(report.encode(self.ticket), None);
        self.flush();
    }

    /// Nothing else is left to do: waits for room as long as it takes, or for the end of the warden.
    fn send_rest(&mut self) {
        while !self.outbox.is_empty() {
            let _ = rustix::event::poll(&mut [PollFd::new(self.inherited.reports, PollFlags::OUT)], None);
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.orphaned {
            self.outbox.clear();
        }
        self.outbox.flush(self.inherited.reports);
    }
}

fn exit_info(ended: &Ended, wall_time: Duration) -> ExitInfo {
    let status = match ended.kind() {
        Ok(code) => ExitKind::Code(code),
        Err((signo, core_dumped)) => ExitKind::Signal { signo, core_dumped },
    };
    ExitInfo {
        status,
        user_time: ended.user_time,
        system_time: ended.system_time,
        max_rss_bytes: ended.max_rss_bytes,
        wall_time,
    }
}
