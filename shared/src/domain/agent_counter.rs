//! What an agent counts of itself, and what each number is called. Those of its pools, by reason, are in
//! [`PoolState`](super::PoolState).

/// A number that only grows while its agent lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AgentCounter {
    /// `windlass_agent_kill_escalations_total{step="cancel"}`: calls that their worker was asked to stop, by the worker protocol.
    KillsByCancel,
    /// `windlass_agent_kill_escalations_total{step="term"}`: stop signals to the tree of a command or a worker, whichever signal
    /// that is.
    KillsByTerm,
    /// `windlass_agent_kill_escalations_total{step="kill"}`: trees that the agent had killed. Not those that a keeper or the warden
    /// kills by itself: survivors of a leader that ended, and what is fenced.
    KillsByKill,
    /// `windlass_agent_kill_escalations_total{step="stuck"}`: trees that were killed and could not be proven gone in time, though
    /// they may have been later.
    KillsStuck,
    /// `windlass_agent_orphans_reaped_total`: processes reaped that the agent did not start: what it inherits as PID 1, and what a
    /// dead warden leaves to it.
    OrphansReaped,
    /// `windlass_agent_leftovers_killed_total`: processes of a former life that were still running at the start.
    LeftoversKilled,
    /// `windlass_agent_ipc_frames_total{direction="in"}`: frames of workers that were understood.
    FramesIn,
    /// `windlass_agent_ipc_frames_total{direction="out"}`: frames for workers.
    FramesOut,
    /// `windlass_agent_ipc_protocol_errors_total`: workers that broke the protocol, once each, whatever else they say after it.
    ProtocolErrors,
    /// `windlass_agent_stray_output_bytes_total`: bytes that workers wrote while they had no call.
    StrayOutputBytes,
    /// `windlass_agent_log_bytes_total`: bytes that commands and calls wrote, those dropped since included.
    LogBytes,
    /// `windlass_agent_log_dropped_bytes_total`: bytes of them that were let go before they were handed to the coordinator.
    LogDroppedBytes,
    /// `windlass_agent_spawns_total`: processes started, of commands and of workers.
    Spawns,
    /// `windlass_agent_spawn_failures_total`: processes that could not be. What may not begin while out of touch counts nowhere.
    SpawnFailures,
    /// `windlass_agent_warden_restarts_total`: wardens started after the first.
    WardenRestarts,
    /// `windlass_agent_reconnects_total`: streams that a coordinator welcomed after the first.
    Reconnects,
}

impl AgentCounter {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 16] = [
        Self::KillsByCancel,
        Self::KillsByTerm,
        Self::KillsByKill,
        Self::KillsStuck,
        Self::OrphansReaped,
        Self::LeftoversKilled,
        Self::FramesIn,
        Self::FramesOut,
        Self::ProtocolErrors,
        Self::StrayOutputBytes,
        Self::LogBytes,
        Self::LogDroppedBytes,
        Self::Spawns,
        Self::SpawnFailures,
        Self::WardenRestarts,
        Self::Reconnects,
    ];

    /// Its name, and the label that tells it from others of that name.
    #[must_use]
    pub const fn metric(self) -> (&'static str, Option<(&'static str, &'static str)>) {
        const KILLS: &str = "windlass_agent_kill_escalations_total";
        const FRAMES: &str = "windlass_agent_ipc_frames_total";
        match self {
            Self::KillsByCancel => (KILLS, Some(("step", "cancel"))),
            Self::KillsByTerm => (KILLS, Some(("step", "term"))),
            Self::KillsByKill => (KILLS, Some(("step", "kill"))),
            Self::KillsStuck => (KILLS, Some(("step", "stuck"))),
            Self::OrphansReaped => ("windlass_agent_orphans_reaped_total", None),
            Self::LeftoversKilled => ("windlass_agent_leftovers_killed_total", None),
            Self::FramesIn => (FRAMES, Some(("direction", "in"))),
            Self::FramesOut => (FRAMES, Some(("direction", "out"))),
            Self::ProtocolErrors => ("windlass_agent_ipc_protocol_errors_total", None),
            Self::StrayOutputBytes => ("windlass_agent_stray_output_bytes_total", None),
            Self::LogBytes => ("windlass_agent_log_bytes_total", None),
            Self::LogDroppedBytes => ("windlass_agent_log_dropped_bytes_total", None),
            Self::Spawns => ("windlass_agent_spawns_total", None),
            Self::SpawnFailures => ("windlass_agent_spawn_failures_total", None),
            Self::WardenRestarts => ("windlass_agent_warden_restarts_total", None),
            Self::Reconnects => ("windlass_agent_reconnects_total", None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_counter_is_listed_at_its_own_place_and_no_two_are_shown_as_one() {
        for (at, counter) in AgentCounter::ALL.into_iter().enumerate() {
            assert_eq!(counter as usize, at);
        }
        let shown: BTreeSet<_> = AgentCounter::ALL.into_iter().map(AgentCounter::metric).collect();
        assert_eq!(shown.len(), AgentCounter::ALL.len());
    }
}
