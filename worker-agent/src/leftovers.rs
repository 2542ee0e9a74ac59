//! What a former life of this agent left running, killed before the coordinator hears of this one.
//!
//! Keepers and warden are gone by then: they hold the lock on the data directory, and this life has it. But kill all three at
//! one moment, agent, warden and keeper, and what a job had put into a session of its own lives on as a child of init. It is
//! known by the cookie that every job carries in its environment, the agent's id. The boot needs no part in it: what is in
//! /proc is of this boot. A job can wash the cookie off itself, but not leave its control group, where it has one.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use windlass_shared::domain::AgentCounter;
use windlass_shared::ids::AgentId;

use crate::config::PROOF_TIMEOUT;
use crate::counters::Counters;
use crate::executor::{AGENT_ID_VARIABLE, ATTEMPT_VARIABLE, JOB_ID_VARIABLE};
use crate::warden::{Seen, Snapshot};

/// A look is not atomic: a process may fork and end while it is taken, its child's number being passed already. It would have
/// to do that twice in a row, at the right moments.
const CLEAN_LOOKS: u32 = 2;
/// Time that the killed get before the next look.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// One process of a former life.
#[derive(Debug)]
struct Leftover {
    seen: Seen,
    /// The job and the attempt, as the environment has them.
    attempt: [String; 2],
}

/// Kills until nothing is left, and counts that; how many attempts have something that does not die, for their slots to be withheld. Blocks.
///
/// # Errors
/// Where /proc cannot be read.
pub(crate) fn sweep(agent: AgentId, counters: &Counters) -> io::Result<u32> {
    let (mut killed, mut clean) = (BTreeSet::new(), 0);
    let until = Instant::now() + PROOF_TIMEOUT;
    while clean < CLEAN_LOOKS {
        let found = look(agent)?;
        if found.is_empty() {
            clean += 1;
            continue;
        }
        if Instant::now() >= until {
            return Ok(give_up(&found));
        }
        clean = 0;
        let new = found.iter().filter(|leftover| killed.insert(leftover.seen.pid.as_raw_pid())).count();
        counters.add(AgentCounter::LeftoversKilled, new as u64);
        // Stopped first, all of them, so that none forks away from under the kill.
        found.iter().for_each(|leftover| leftover.seen.signal(libc::SIGSTOP));
        found.iter().for_each(|leftover| leftover.seen.signal(libc::SIGKILL));
        await_end(found[0].seen.pid);
    }
    if !killed.is_empty() {
        tracing::warn!(killed = killed.len(), "processes of a former life were still running: killed");
    }
    Ok(0)
}

fn give_up(found: &[Leftover]) -> u32 {
    for Leftover { seen, attempt: [job, attempt] } in found {
        let pid = seen.pid.as_raw_pid();
        tracing::error!(pid, job, attempt, "a process of a former life cannot be killed: its slot is withheld");
    }
    let attempts: BTreeSet<_> = found.iter().map(|leftover| &leftover.attempt).collect();
    u32::try_from(attempts.len()).unwrap_or(u32::MAX)
}

fn look(agent: AgentId) -> io::Result<Vec<Leftover>> {
    let cookie = format!("{AGENT_ID_VARIABLE}={agent}");
    // A job may start an agent, even the next life of the one that runs it.
    let me = rustix::process::getpid();
    let snapshot = Snapshot::take()?;
    let others = snapshot.all().iter().filter(|seen| seen.pid != me);
    Ok(others.filter_map(|seen| Leftover::of(*seen, &cookie)).collect())
}

impl Leftover {
    /// None without the cookie, and where the environment is not ours to read: then the process is another user's.
    fn of(seen: Seen, cookie: &str) -> Option<Self> {
        let environ = std::fs::read(format!("/proc/{}/environ", seen.pid.as_raw_pid())).ok()?;
        let variables = || environ.split(|byte| *byte == 0);
        variables().find(|variable| *variable == cookie.as_bytes())?;
        let value = |name: &str| {
            let value = variables().find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
            value.map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
        };
        Some(Self { seen, attempt: [JOB_ID_VARIABLE, ATTEMPT_VARIABLE].map(value) })
    }
}

fn await_end(pid: Pid) {
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let timeout = Timespec::try_from(LOOK_AGAIN).ok();
    // However it ends, the next look tells.
    let _ = rustix::event::poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], timeout.as_ref());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    #[test]
    fn what_carries_the_agents_id_is_killed_and_nothing_else() {
        let (ours, other) = (AgentId::new([3; 16]), AgentId::new([4; 16]));
        let start = |agent: AgentId| {
            Command::new("sleep").arg("1000").env(AGENT_ID_VARIABLE, agent.to_string()).spawn().unwrap()
        };
        let (mut left, mut stranger) = (start(ours), start(other));
        let counters = Counters::default();
        assert_eq!(sweep(ours, &counters).unwrap(), 0);
        assert_eq!(counters.moved(), [(AgentCounter::LeftoversKilled, 1)]);
        assert_eq!(left.wait().unwrap().signal(), Some(9));
        assert_eq!(stranger.try_wait().unwrap(), None);
        assert_eq!(sweep(other, &counters).unwrap(), 0);
        assert_eq!(stranger.wait().unwrap().signal(), Some(9));
    }

    #[test]
    fn what_cannot_be_killed_counts_by_attempt() {
        let snapshot = Snapshot::take().unwrap();
        let left = |job: &str| Leftover { seen: snapshot.all()[0], attempt: [job.into(), "1".into()] };
        assert_eq!(give_up(&[left("a"), left("b"), left("a")]), 2);
    }
}
