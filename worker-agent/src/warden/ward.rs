//! The warden's loop: three descriptors (agent, keepers' reports, SIGCHLD), one table, no waiting anywhere but in poll.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::errand::Errand;
use super::fence::{Fence, Guard};
use super::keeper::{self, Inherited};
use super::orphans::Orphans;
use super::wire::{self, DATAGRAM_MAX, Report, Request, Ticket};
use super::{KILL_TREE, Limits};
use crate::containment::group::Group;
use crate::process::{Proof, SpawnError, Stage};
use crate::sys;
use crate::sys::fd::Datagram;
use crate::sys::fork::{Forked, SingleThread, fork};
use crate::sys::signal::{SignalFd, send_to_child};
use crate::sys::wait::{Reaped, reap_any};

/// Requests taken before the other descriptors get their turn.
const REQUESTS_A_TURN: usize = 8;
/// Times that a keeper is made to go on after it was stopped, which only its own job does. One that is stopped more often
/// supervises nothing any more: it is killed, its leader dies with it, and the rest of its tree is swept.
const WAKES_MAX: u8 = 100;

/// How far an attempt has come, as far as the agent has been told.
#[derive(Debug)]
struct Attempt {
    ticket: Ticket,
    guard: Guard,
    /// The control group that holds its tree.
    leaf: Option<Group>,
    /// For the agent; opened before the keeper can possibly be reaped, held until it has started its leader.
    pidfd: Option<OwnedFd>,
    started: bool,
    leader_told: bool,
    /// The last word was said.
    over: bool,
    /// How often its keeper was stopped, and made to go on.
    wakes: u8,
}

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
    keepers: HashMap<Pid, Attempt>,
    tickets: HashMap<Ticket, Pid>,
    orphans: Orphans,
    fence: Fence,
    /// What the agent's queue had no room for.
    outbox: VecDeque<(wire::Datagram, Option<OwnedFd>)>,
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
            keepers: HashMap::new(),
            tickets: HashMap::new(),
            orphans: Orphans::default(),
            fence: Fence::new()?,
            outbox: VecDeque::new(),
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
            self.flush();
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
                Ok((ticket, Request::Kill)) => self.kill(ticket),
                // Our own agent cannot have sent it, and there is no ticket to answer on.
                Err(error) => eprintln!("windlass-warden: request ignored: {error}"),
            }
        }
        Ok(())
    }

    /// The agent is gone, or wants us to be: every keeper kills, and the loop ends when all are through.
    fn close(&mut self) -> io::Result<()> {
        self.closing = Some(Instant::now() + self.limits.proof);
        self.keepers.iter().for_each(|(keeper, attempt)| kill_tree(*keeper, attempt));
        self.orphans.begin_sweep();
        Ok(())
    }

    /// Kills what is fenced, if the lease has run out.
    fn strike(&mut self) {
        self.fence.silence();
        if !self.fence.is_past() {
            return;
        }
        for (keeper, attempt) in &mut self.keepers {
            if attempt.guard == Guard::Fenced && !attempt.over {
                attempt.guard = Guard::Struck;
                kill_tree(*keeper, attempt);
            }
        }
    }

    fn kill(&self, ticket: Ticket) {
        let keeper = self.tickets.get(&ticket);
        if let Some((keeper, attempt)) = keeper.and_then(|keeper| self.keepers.get_key_value(keeper)) {
            kill_tree(*keeper, attempt);
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
                let attempt =
                    Attempt { ticket, guard, leaf, pidfd, started: false, leader_told: false, over: false, wakes: 0 };
                self.keepers.insert(keeper, attempt);
                self.tickets.insert(ticket, keeper);
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
        let Some(keeper) = self.tickets.get(&ticket).copied() else {
            return;
        };
        let Some(attempt) = self.keepers.get_mut(&keeper) else {
            return;
        };
        // Before the end that it explains. One that was read before the kill needs no explanation.
        let struck = attempt.guard == Guard::Struck && !attempt.leader_told;
        let mut pidfd = None;
        match report {
            Report::Started { .. } => {
                attempt.started = true;
                pidfd = attempt.pidfd.take();
            }
            Report::Failed(error) => attempt.over = error.proof != Proof::None,
            Report::Ended { tree, .. } => {
                attempt.leader_told = true;
                attempt.over = tree.is_some();
            }
            Report::LeaderLost => attempt.leader_told = true,
            Report::TreeEnded(proof) => attempt.over = *proof != Proof::None,
            // Ours to say, not a keeper's.
            Report::Fenced => {}
        }
        if struck && matches!(report, Report::Ended { .. } | Report::TreeEnded(_)) {
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
        stopped.into_iter().for_each(|pid| self.wake(pid));
        // What a keeper wrote before it died is in the socket by now; only after that can its silence be judged.
        self.read_reports()?;
        for pid in dead {
            let Some(attempt) = self.keepers.remove(&pid) else {
                continue;
            };
            self.tickets.remove(&attempt.ticket);
            if !attempt.over {
                self.on_orphaned(attempt);
            }
        }
        Ok(())
    }

    /// A keeper was stopped: it would neither hear its leader's end nor prove anything.
    fn wake(&mut self, pid: Pid) {
        let Some(attempt) = self.keepers.get_mut(&pid) else { return };
        attempt.wakes = attempt.wakes.saturating_add(1);
        send_to_child(pid, if attempt.wakes > WAKES_MAX { libc::SIGKILL } else { libc::SIGCONT });
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
            self.keepers.keys().for_each(|keeper| send_to_child(*keeper, libc::SIGKILL));
            self.closing = Some(now + self.limits.proof);
        }
        if self.orphans.deadline().is_some_and(|at| at <= now) {
            let keepers = self.keepers.keys().copied().collect();
            for (ticket, report) in self.orphans.turn(now, &keepers) {
                self.tell(ticket, &report, None);
            }
        }
    }

    // ---- to the agent ----

    fn tell(&mut self, ticket: Ticket, report: &Report, pidfd: Option<OwnedFd>) {
        self.outbox.push_back((report.encode(ticket), pidfd));
    }

    /// Sends what the agent's queue takes now; the rest waits for the next turn.
    fn flush(&mut self) {
        while let Some((datagram, pidfd)) = self.outbox.front() {
            let pidfd = pidfd.as_ref().map(AsFd::as_fd);
            match sys::fd::send(self.agent.as_fd(), datagram.as_bytes(), pidfd.as_slice()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Gone: the end of its socket says so too, and then nobody needs this any more.
                _ => self.outbox.pop_front(),
            };
        }
    }
}

fn kill_tree(keeper: Pid, attempt: &Attempt) {
    send_to_child(keeper, KILL_TREE);
    send_to_child(keeper, libc::SIGCONT); // a stopped keeper kills nothing
    // Told first, the keeper knows what its leader died of. And whatever it is at, its tree is dead by this.
    if let Some(leaf) = &attempt.leaf {
        let _ = leaf.kill();
    }
}

#[derive(Debug, Clone, Copy)]
struct Ready {
    child: bool,
    report: bool,
    fence: bool,
    agent: bool,
}
