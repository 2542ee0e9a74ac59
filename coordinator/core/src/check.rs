//! What must hold between any two inputs. Tests call it after every step; it is O(live jobs), so production does not.

use std::collections::BTreeMap;

use windlass_shared::domain::{JobState, OnAgentLost};

use crate::Core;
use crate::keys::Slot;
use crate::names::NameId;
use crate::scheduling::Class;

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
            assert_eq!(self.classes.contains(slot, job), job.state == JobState::Queued, "{}: queue", job.id);
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
        assert_eq!(queued, self.classes.ready(), "the queue holds jobs that are not queued");
        self.check_agents(held);
        self.check_classes();
        self.check_queues();
        self.check_names();
    }

    fn check_agents(&self, held: usize) {
        let (mut counted, mut open) = (0, 0);
        for (ix, agent) in self.agents.iter() {
            let lease = |slot: &Slot| self.jobs.get(*slot).held.as_ref();
            let running = agent.held.iter().filter(|slot| lease(slot).is_some_and(|held| held.started_at.is_some()));
            assert_eq!(agent.running as usize, running.count(), "{}: running", agent.name);
            for (id, room) in agent.rooms.iter() {
                let inside = agent.held.iter().filter(|slot| lease(slot).is_some_and(|held| held.room == id));
                assert_eq!(room.held as usize, inside.count(), "{}: held in {id:?}", agent.name);
                for class in agent.rooms.classes(id) {
                    let shown = self.classes.has_room(class, room.load(), ix);
                    assert_eq!(shown, agent.takes(room), "{}: {id:?} for {class:?}", agent.name);
                    assert_eq!(agent.rooms.place(class), id, "{}: {class:?} is in two rooms", agent.name);
                    open += usize::from(shown);
                }
            }
            let waits = |slot: &Slot| {
                let job = self.jobs.get(*slot);
                job.on_agent_lost == OnAgentLost::Wait && !job.cancel_requested
            };
            assert!(agent.is_live() || agent.held.iter().all(waits), "{}: gone, and still holds work", agent.name);
            counted += agent.held.len();
        }
        assert_eq!(held, counted, "leases and agents disagree");
        assert_eq!(open, self.classes.rooms(), "a room is open that no agent has");
    }

    fn check_classes(&self) {
        assert!(self.classes.is_consistent(), "what is open is not what somebody waits in and has room for");
        assert_eq!(self.classes.next(), None, "work waits that somebody has room for");
    }

    fn check_queues(&self) {
        let mut queues: BTreeMap<NameId, (u64, u64)> = BTreeMap::new();
        for (_, job) in self.jobs.iter() {
            let (queued, running) = queues.entry(job.queue).or_default();
            *(if job.held.is_some() { running } else { queued }) += 1;
        }
        for (id, queued, running, paused) in self.queues.counts() {
            let counted = queues.remove(&id).unwrap_or_default();
            assert_eq!((queued, running), counted, "{}: counts", self.jobs.names.get(id));
            assert!(paused || counted != (0, 0), "{}: kept for nothing", self.jobs.names.get(id));
        }
        assert!(queues.is_empty(), "jobs of queues that are not there: {queues:?}");
    }

    /// Every name is kept for as many as use it, and no longer.
    fn check_names(&self) {
        let mut users: BTreeMap<NameId, u32> = BTreeMap::new();
        let queues = self.jobs.iter().map(|(_, job)| job.queue);
        let calls = self.jobs.iter().filter_map(|(_, job)| match job.class {
            Class::Call(handler) => Some(handler),
            Class::Exec => None,
        });
        let programs = self.jobs.iter().filter_map(|(_, job)| job.program);
        let offered = self.agents.iter().flat_map(|(_, agent)| agent.rooms.handlers());
        let paused = self.queues.counts().filter(|(_, _, _, paused)| *paused).map(|(id, ..)| id);
        queues
            .chain(calls)
            .chain(programs)
            .chain(offered)
            .chain(paused)
            .for_each(|name| *users.entry(name).or_default() += 1);
        assert_eq!(self.jobs.names.users().collect::<BTreeMap<_, _>>(), users, "names");
    }
}
