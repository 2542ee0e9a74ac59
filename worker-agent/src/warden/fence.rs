//! The fence around attempts that must not outlive their agent's lease. It stands in the warden, because an agent that is
//! wedged, stopped or swapped out cannot fence: the agent only moves the deadline, by what the coordinator acknowledged.
//!
//! A missing word is the safe side: no deadline, or one that passed, and nothing fenced starts or runs.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::sys::boottime::{Alarm, Boottime};

/// See the module.
#[derive(Debug)]
pub(super) struct Fence {
    alarm: Alarm,
    deadline: Option<Boottime>,
}

/// How an attempt stands to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// Not fenced.
    Free,
    Fenced,
    /// Killed, because the deadline passed.
    Struck,
}

impl Fence {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { alarm: Alarm::new()?, deadline: None })
    }

    /// Moves the deadline. The last word counts, also where it comes nearer: a coordinator may return with shorter leases, and
    /// gives the work away by those.
    pub(super) fn refresh(&mut self, deadline: Boottime) -> io::Result<()> {
        self.deadline = Some(deadline);
        self.alarm.set(deadline)
    }

    /// Whether what is fenced may neither start nor run.
    pub(super) fn is_past(&self) -> bool {
        self.deadline.is_none_or(|deadline| deadline <= Boottime::now())
    }

    /// The alarm was heard.
    pub(super) fn silence(&self) {
        self.alarm.silence();
    }
}

impl AsFd for Fence {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.alarm.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::time::Duration;

    fn rings(fence: &Fence, within: Duration) -> bool {
        let timeout = Timespec::try_from(within).unwrap();
        poll(&mut [PollFd::new(fence, PollFlags::IN)], Some(&timeout)).unwrap() == 1
    }

    #[test]
    fn without_a_word_it_is_past_and_the_last_word_counts_also_where_it_shortens() {
        let mut fence = Fence::new().unwrap();
        assert!(fence.is_past() && !rings(&fence, Duration::ZERO));
        let now = Boottime::now();
        fence.refresh(now.after(Duration::from_secs(3600))).unwrap();
        assert!(!fence.is_past() && !rings(&fence, Duration::ZERO));
        fence.refresh(now).unwrap();
        assert!(fence.is_past() && rings(&fence, Duration::from_secs(10)));
    }

    #[test]
    fn it_rings_at_the_deadline_also_one_that_has_passed_until_it_is_moved() {
        let mut fence = Fence::new().unwrap();
        fence.refresh(Boottime(0)).unwrap();
        assert!(fence.is_past() && rings(&fence, Duration::from_secs(10)));
        fence.silence();
        assert!(!rings(&fence, Duration::ZERO));
        fence.refresh(Boottime::now().after(Duration::from_millis(20))).unwrap();
        assert!(!fence.is_past() && rings(&fence, Duration::from_secs(10)) && fence.is_past());
    }
}
