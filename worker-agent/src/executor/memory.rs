//! What an attempt takes of memory, and who ends it for that: the kernel where its control group limits it, else we.
//!
//! ```text
//!  limit, no kernel to keep it ─► looks every half second ─► above ─► SIGTERM ─► next look ─► kill      MEMORY_LIMIT
//!  limit, kept by the kernel ───► its group counts the kills ─► leader ended by SIGKILL, one more ─► OOM_KILLED
//!  SIGKILL by a stranger ───────► the host counts its kills ──► one more since the start ─► a hint, and no more than that
//! ```

use std::fmt;

use crate::containment::{Limits, Sampler, Watched};
use crate::process::{Control, Events, ExitInfo, ExitKind, LeaderEnd};

/// Whoever watches one attempt's memory.
#[derive(Debug)]
pub(super) struct Scale {
    limit: Option<u64>,
    /// Where nobody else keeps the limit.
    watched: Option<Watched>,
    /// What the tree had when it was above its limit.
    above: Option<u64>,
}

/// How short of memory the host was when an attempt had begun.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Host {
    kills: Option<u64>,
}

/// What memory had to do with an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// Nothing that is known.
    Fine,
    /// It was above its limit, and was stopped for that.
    Above { bytes: u64, limit: u64 },
    /// The kernel ended it at its limit, by the word of its control group.
    OomKilled { limit: Option<u64> },
    /// It was killed by somebody, and the host's kernel killed somebody for want of memory meanwhile.
    HostShort,
}

impl Scale {
    pub(super) fn new(sampler: &Sampler, control: &Control, limits: &Limits) -> Self {
        let limit = limits.memory_bytes;
        let watched = (limit.is_some() && !control.limits_memory()).then(|| sampler.watch(control.tree()));
        Self { limit, watched, above: None }
    }

    /// Waits until it is above its limit, and notes by how much; for ever, where it stays below or the kernel keeps the limit.
    pub(super) async fn above(&mut self) -> u64 {
        let (Some(watched), Some(limit)) = (&mut self.watched, self.limit) else { return std::future::pending().await };
        let bytes = watched.above(limit).await;
        self.above = Some(bytes);
        bytes
    }

    /// What memory had to do with this end.
    pub(super) fn weigh(&self, leader: LeaderEnd, events: &Events, host: Host) -> Weight {
        if let (Some(bytes), Some(limit)) = (self.above, self.limit) {
            return Weight::Above { bytes, limit };
        }
        let LeaderEnd::Exited(ExitInfo { status: ExitKind::Signal { signo: libc::SIGKILL, .. }, .. }) = leader else {
            return Weight::Fine;
        };
        if events.is_oom_killed() {
            return Weight::OomKilled { limit: self.limit };
        }
        if host.killed() { Weight::HostShort } else { Weight::Fine }
    }
}

impl Host {
    /// Notes it. Not at the very start: most attempts are over before the host can run short, and reading it costs as much as
    /// the rest of a start.
    pub(super) fn look(&mut self) {
        self.kills = host_kills();
    }

    /// Whether the kernel has killed since then; false where nobody looked.
    fn killed(self) -> bool {
        matches!((self.kills, host_kills()), (Some(before), Some(now)) if now > before)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Fine => Ok(()),
            Self::Above { bytes, limit } => {
                write!(f, "it had {} in memory, above its limit of {}", Mebibytes(bytes), Mebibytes(limit))
            }
            Self::OomKilled { limit: Some(limit) } => {
                write!(f, "the kernel killed it at its memory limit of {}", Mebibytes(limit))
            }
            Self::OomKilled { limit: None } => f.write_str("the kernel killed it at a memory limit above its own"),
            Self::HostShort => f.write_str(
                "somebody else sent SIGKILL; this host's kernel killed for want of memory while it ran, so probably that",
            ),
        }
    }
}

struct Mebibytes(u64);

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // Rounded up: what is above a limit is not to look as if it were at it.
            bytes if bytes >= 1 << 20 => write!(f, "{} MiB", bytes.div_ceil(1 << 20)),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}

/// Kills for want of memory since the host's boot; None on kernels before 4.13.
fn host_kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_memory_had_to_do_with_an_end_is_said_in_words() {
        let said = |weight: Weight| weight.to_string();
        let above = Weight::Above { bytes: (512 << 20) + 1, limit: 512 << 20 };
        assert_eq!(said(above), "it had 513 MiB in memory, above its limit of 512 MiB");
        let killed = Weight::OomKilled { limit: Some(4096) };
        assert_eq!(said(killed), "the kernel killed it at its memory limit of 4096 bytes");
        assert_eq!(said(Weight::Fine), "");
        assert!(said(Weight::HostShort).ends_with("so probably that"));
    }
}
