//! The warden's loop: three descriptors (agent, keepers' reports, SIGCHLD), one table, no waiting anywhere but in poll.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::Limits;
use super::errand::Errand;
use super::fence::{Fence, Guard};
use super::keeper::{self, Inherited};
use super::keepers::{Attempt, Keepers};
use super::orphans::Orphans;
use super::outbox::Outbox;
use super::wire::{DATAGRAM_MAX, Report, Request, Ticket};
use crate::process::{SpawnError, Stage};
use crate::sys;
use crate::sys::fd::Datagram;
use crate::sys::fork::{Forked, SingleThread, fork};
use crate::sys::signal::{SignalFd, send_to_child};
use crate::sys::wait::{Reaped, reap_any};

/// Requests taken before the other descriptors get their turn.
const REQUESTS_A_TURN: usize = 8;

/// See the module.
pub(super) struct Ward {
    thread: SingleThread,
    me: Pid,
    agent: OwnedFd,
    lock: Option<OwnedFd>,
    limits: Limits,
    signals: SignalFd,
    /// Keepers write, the warden reads. One for all: a keeper costs the warden no descriptor, and what a dead one wrote is
    /// still there to be read. A keeper sees the warden's end as hang-up of its own.
    reports: OwnedFd,
    reports_end: OwnedFd,
    keepers: Keepers,
    orphans: Orphans,
    fence: Fence,
    /// What the agent's queue had no room for.
    outbox: Outbox,
    /// Set when the agent is gone: when to stop trusting the keepers.
    closing: Option<Instant>,
}

impl Ward {
    pub(super) fn new(thread: SingleThread, agent: OwnedFd, lock: Option<OwnedFd>, limits: Limits) -> io::Result<Self> {
        let me = rustix::process::getpid();
        rustix::process::set_child_subreaper(Some(me))?;
        let (reports, reports_end) = sys::fd::seqpacket_pair()?;
        Ok(Self {
            thread,
            me,
            agent,
            lock,
            limits,
            signals: SignalFd::new(&[libc::SIGCHLD])?,
            reports,
            reports_end,
            keepers: Keepers::default(),
            orphans: Orphans::default(),
            fence: Fence::new()?,
            outbox: Outbox::default(),
            closing: None,
        })
    }

    /// Until the agent is gone and nothing is left of what it started.
    pub(super) fn run(mut self) -> io::Result<()> {
        while !self.is_done() {
            let ready = self.wait()?;
            if ready.child {
                self.reap()?;
            }
            if ready.report {
                self.read_reports()?;
            }
            if ready.agent && self.closing.is_none() {
                self.read_requests()?;
            }
            // After the requests: one of them may have moved it.
            if ready.fence {
                self.strike();
            }
            self.meet_deadlines(Instant::now());
            self.outbox.flush(&self.agent);
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        let nothing_left = self.keepers.is_empty() && self.orphans.is_idle();
        self.closing.is_some() && nothing_left && self.outbox.is_empty()
    }

    fn wait(&self) -> io::Result<Ready> {
        let timeout = self.deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut agent = PollFlags::empty();
        agent.set(PollFlags::IN, self.closing.is_none());
        agent.set(PollFlags::OUT, !self.outbox.is_empty());
        let fds = &mut [
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::new(&self.reports, PollFlags::IN),
            PollFd::new(&self.fence, PollFlags::IN),
            PollFd::new(&self.agent, agent),
        ];
        // A closed agent is ready for ever: once that is known, it is polled only while there is something to send.
        let polled = if agent.is_empty() { 3 } else { 4 };
        rustix::event::poll(&mut fds[..polled], timeout.as_ref())?;
        let [child, report, fence, agent] =
            fds.each_ref().map(|fd| !fd.revents().difference(PollFlags::OUT).is_empty());
        Ok(Ready { child, report, fence, agent })
    }

    fn deadline(&self) -> Option<Instant> {
        let closing = self.closing.filter(|_| !self.keepers.is_empty());
        self.orphans.deadline().into_iter().chain(closing).min()
    }

    // ---- from the agent ----

    fn read_requests(&mut self) -> io::Result<()> {
        let mut buffer = [0; DATAGRAM_MAX];
        // Not until there is none: a flood of spawns must not keep news of the running from the agent.
        for _ in 0..REQUESTS_A_TURN {
            let datagram = match sys::fd::receive(self.agent.as_fd(), &mut buffer) {
                Ok(datagram) => datagram,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => {
                    return self.close();
                }
                Err(error) => return Err(error),
            };
            if datagram.len == 0 {
                return self.close();
            }
            match Request::decode(&buffer[..datagram.len]) {
                Ok((ticket, Request::Spawn { fenced, contained })) => {
                    self.spawn(ticket, fenced, contained, datagram);
                }
                Ok((_, Request::Refresh { deadline })) => self.fence.refresh(deadline)?,
                Ok((ticket, Request::Kill)) => self.keepers.kill(ticket),
                // Our own agent cannot have sent it, and there is no ticket to answer on.
                Err(error) => eprintln!("windlass-warden: request ignored: {error}"),
            }
        }
        Ok(())
    }

    /// The agent is gone, or wants us to be: every keeper kills, and the loop ends when all are through.
    fn close(&mut self) -> io::Result<()> {
        self.closing = Some(Instant::now() + self.limits.proof);
        self.keepers.kill_all();
        self.orphans.begin_sweep();
        Ok(())
    }

    /// Kills what is fenced, if the lease has run out.
    fn strike(&mut self) {
        self.fence.silence();
        if self.fence.is_past() {
            self.keepers.strike();
        }
    }

    fn spawn(&mut self, ticket: Ticket, fenced: bool, contained: bool, Datagram { fds, fds_lost, .. }: Datagram) {
        // Judged here, by whoever forks: the agent may have slept since it asked.
        if fenced && self.fence.is_past() {
            return self.fail(ticket, Stage::Fence, libc::ETIME);
        }
        let errand = match Errand::new(ticket, fds, contained) {
            Some(errand) if !fds_lost => errand,
            _ if fds_lost => return self.fail(ticket, Stage::Warden, libc::EMFILE),
            _ => return self.fail(ticket, Stage::Warden, libc::EBADMSG),
        };
        let leaf = errand.leaf.clone();
        match fork(&self.thread) {
            Ok(Forked::Child(child)) => {
                let inherited = Inherited {
                    thread: &self.thread,
                    warden: self.me,
                    reports: &self.reports_end,
                    lock: self.lock.as_ref(),
                    limits: self.limits,
                };
                keeper::run(&child, &inherited, errand)
            }
            Ok(Forked::Parent(keeper)) => {
                let pidfd = pidfd_open(keeper, PidfdFlags::empty()).ok();
                if pidfd.is_none() {
                    // An attempt the agent could not kill must not run.
                    send_to_child(keeper, libc::SIGKILL);
                }
                let guard = if fenced { Guard::Fenced } else { Guard::Free };
                self.keepers.insert(keeper, Attempt::new(ticket, guard, leaf, pidfd));
            }
            Err(error) => self.fail(ticket, Stage::Fork, error.raw_os_error().unwrap_or(libc::EAGAIN)),
        }
    }

    fn fail(&mut self, ticket: Ticket, stage: Stage, errno: i32) {
        self.tell(ticket, &Report::Failed(SpawnError::early(stage, errno)), None);
    }

    // ---- from the keepers ----

    fn read_reports(&mut self) -> io::Result<()> {
        let mut buffer = [0; DATAGRAM_MAX];
        loop {
            let len = match sys::fd::receive(self.reports.as_fd(), &mut buffer) {
                Ok(datagram) => datagram.len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            match Report::decode(&buffer[..len]) {
                Ok((ticket, report)) => self.on_report(ticket, &report),
                Err(error) => eprintln!("windlass-warden: report ignored: {error}"),
            }
        }
    }

    /// Passes a report on and remembers what the agent has been told by it.
    fn on_report(&mut self, ticket: Ticket, report: &Report) {
        let Some(attempt) = self.keepers.find(ticket) else { return };
        // Before the end that it explains. One that was read before the kill needs no explanation.
        let explains = attempt.guard == Guard::Struck && !attempt.leader_told;
        let pidfd = attempt.note(report);
        if explains && matches!(report, Report::Ended { .. } | Report::TreeEnded(_)) {
            self.tell(ticket, &Report::Fenced, None);
        }
        self.tell(ticket, report, pidfd);
    }

    // ---- deaths ----

    fn reap(&mut self) -> io::Result<()> {
        while self.signals.read().is_some() {}
        let (mut dead, mut stopped) = (Vec::new(), Vec::new());
        loop {
            match reap_any()? {
                Reaped::Child(pid, _) => dead.push(pid),
                Reaped::Stopped(pid) => stopped.push(pid),
                Reaped::Busy | Reaped::Empty => break,
            }
        }
        // After the loop: one that is stopped again at once must not keep us in it.
        stopped.into_iter().for_each(|pid| self.keepers.wake(pid));
        // What a keeper wrote before it died is in the socket by now; only after that can its silence be judged.
        self.read_reports()?;
        for pid in dead {
            if let Some(attempt) = self.keepers.remove(pid).filter(|attempt| !attempt.is_over()) {
                self.on_orphaned(attempt);
            }
        }
        Ok(())
    }

    /// A keeper died before its last word. Its leader dies by PDEATHSIG and the rest of the tree is our child now.
    fn on_orphaned(&mut self, mut attempt: Attempt) {
        if attempt.started && !attempt.leader_told {
            attempt.leader_told = true;
            if attempt.guard == Guard::Struck {
                self.tell(attempt.ticket, &Report::Fenced, None);
            }
            self.tell(attempt.ticket, &Report::LeaderLost, None);
        }
        self.orphans.add(attempt.ticket, attempt.started, attempt.leaf, Instant::now() + self.limits.proof);
    }

    fn meet_deadlines(&mut self, now: Instant) {
        if self.closing.is_some_and(|until| until <= now) {
            // Stopped, or stuck beside a tree that does not die: as its heirs we do what we can.
            self.keepers.pids().for_each(|keeper| send_to_child(keeper, libc::SIGKILL));
            self.closing = Some(now + self.limits.proof);
        }
        if self.orphans.deadline().is_some_and(|at| at <= now) {
            let keepers = self.keepers.pids().collect();
            for (ticket, report) in self.orphans.turn(now, &keepers) {
                self.tell(ticket, &report, None);
            }
        }
    }

    // ---- to the agent ----

    fn tell(&mut self, ticket: Ticket, report: &Report, pidfd: Option<OwnedFd>) {
        self.outbox.push(report.encode(ticket), pidfd);
    }
}

#[derive(Debug, Clone, Copy)]
struct Ready {
    child: bool,
    report: bool,
    fence: bool,
    agent: bool,
}
