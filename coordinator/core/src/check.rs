//! What must hold between any two inputs. Tests call it after every step; it is O(live jobs), so production does not.

use windlass_shared::domain::{JobState, OnAgentLost};

use crate::Core;
use crate::keys::Slot;

impl Core {
    /// Looks at the whole state.
    ///
    /// # Panics
    /// Where it contradicts itself, naming the job or the agent.
    pub fn check(&self) {
        let (mut queued, mut held) = (0, 0);
        for (slot, job) in self.jobs.iter() {
            assert!(!job.state.is_final(), "{}: a final job is still held in memory", job.id);
            assert_eq!(self.jobs.find(job.id), Some(slot), "{}: the index names another slot", job.id);
            assert_eq!(self.ready.contains(slot, job), job.state == JobState::Queued, "{}: queue", job.id);
            assert_eq!(job.ready.is_some(), job.state == JobState::Delayed, "{}: delay", job.id);
            let leased = matches!(job.state, JobState::Leased | JobState::Running | JobState::Cancelling);
            assert_eq!(job.held.is_some(), leased, "{}: lease", job.id);
            assert!(job.lost.is_none() || job.held.is_none(), "{}: lost and held", job.id);
            assert!(!job.cancel_requested || job.state == JobState::Cancelling, "{}: cancelled and waiting", job.id);
            queued += usize::from(job.state == JobState::Queued);
            held += usize::from(leased);
            if let Some(lease) = &job.held {
                assert!(self.agents.get(lease.agent).held.contains(&slot), "{}: its agent does not know it", job.id);
            }
        }
        assert_eq!(queued, self.ready.len(), "the queue holds jobs that are not queued");
        let mut counted = 0;
        for (ix, agent) in self.agents.iter() {
            let started = |slot| self.jobs.get(slot).held.as_ref().is_some_and(|held| held.started_at.is_some());
            let running = agent.held.iter().filter(|slot| started(**slot)).count();
            assert_eq!(agent.running as usize, running, "{}: running", agent.name);
            assert_eq!(self.balancer.contains(ix, agent), agent.has_room(), "{}: balancer", agent.name);
            let waits = |slot: &Slot| {
                let job = self.jobs.get(*slot);
                job.on_agent_lost == OnAgentLost::Wait && !job.cancel_requested
            };
            assert!(agent.is_live() || agent.held.iter().all(waits), "{}: gone, and still holds work", agent.name);
            counted += agent.held.len();
        }
        assert_eq!(held, counted, "leases and agents disagree");
    }
}
