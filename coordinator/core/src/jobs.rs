//! The live jobs: a slab, so that a job is 4 bytes wherever else it is named, and an index from its id.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use windlass_shared::domain::{
    Demand, Execution, JobHeader, JobRecord, JobState, Lease, OnAgentLost, Reason, RetryPolicy, Tried,
};
use windlass_shared::ids::JobId;
use windlass_shared::resilience::plan::RetryPlan;
use windlass_shared::time::{Moment, Timestamp};

use crate::keys::Slot;
use crate::lease::{Held, epoch_of};
use crate::names::{NameId, Names};
use crate::scheduling::{Class, Lane, LaneId};

/// A live job, as small as it can be: millions of them wait.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) revision: u64,
    /// Revision of its submit: its place among jobs of its priority, kept over retries.
    pub(crate) order: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// When a DELAYED job becomes ready, on both clocks.
    pub(crate) ready: Option<Box<(Moment, Timestamp)>>,
    pub(crate) held: Option<Box<Held>>,
    /// The lease its newest attempt was LOST under, until another is cut: it may come back.
    pub(crate) lost: Option<Box<Held>>,
    pub(crate) detail: Option<Arc<str>>,
    /// What few jobs have.
    pub(crate) extra: Option<Box<Extra>>,
    /// Its queue, its work, and what it asks for.
    pub(crate) lane: LaneId,
    /// Bytes of its spec.
    pub(crate) spec_bytes: u32,
    pub(crate) generation: u32,
    pub(crate) attempts: u32,
    pub(crate) retry: RetryPolicy,
    pub(crate) failures: u16,
    /// At most 5.
    pub(crate) infra_losses: u8,
    /// Stays at its greatest: nothing is decided by it.
    pub(crate) interruptions: u16,
    pub(crate) priority: i8,
    pub(crate) execution: Execution,
    pub(crate) on_agent_lost: OnAgentLost,
    pub(crate) state: JobState,
    pub(crate) reason: Option<Reason>,
    pub(crate) cancel_requested: bool,
    pub(crate) worker_deaths: u8,
}

// With its place in a lane, in the slab and in the index this keeps a waiting job below 200 bytes.
const _: () = assert!(size_of::<Job>() <= 128);

/// What few jobs have.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// All that it asks for, where some of that is its own and not its lane's: an ordering key, a unique key.
    pub(crate) demand: Option<Arc<Demand>>,
    /// Its ordering key, while it is in the chain of that.
    pub(crate) ordering: Option<NameId>,
    /// What it says of its retries beyond a preset and a number.
    pub(crate) plan: Option<Arc<RetryPlan>>,
    /// What it remembers of attempts that failed.
    pub(crate) tried: Option<Arc<Tried>>,
}

impl Job {
    /// What it asks for, where some of that is its own.
    pub(crate) fn demand(&self) -> Option<&Arc<Demand>> {
        self.extra.as_ref()?.demand.as_ref()
    }

    pub(crate) fn plan(&self) -> Option<&Arc<RetryPlan>> {
        self.extra.as_ref()?.plan.as_ref()
    }

    pub(crate) fn tried(&self) -> Option<&Arc<Tried>> {
        self.extra.as_ref()?.tried.as_ref()
    }

    pub(crate) fn tried_mut(&mut self) -> &mut Option<Arc<Tried>> {
        &mut self.extra.get_or_insert_default().tried
    }

    /// The lease its attempt is held under.
    pub(crate) fn lease(&self, incarnation: u64) -> Option<Lease> {
        Some(self.lease_under(self.held.as_ref()?, incarnation))
    }

    /// The lease of its newest attempt, held or lost.
    pub(crate) fn lease_under(&self, held: &Held, incarnation: u64) -> Lease {
        let fencing_token = held.fencing_token;
        Lease {
            job: self.id,
            generation: self.generation,
            attempt: self.attempts,
            incarnation,
            epoch: epoch_of(fencing_token),
            fencing_token,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Jobs {
    slab: Vec<Option<Job>>,
    free: Vec<u32>,
    by_id: HashMap<JobId, Slot, BuildHasherDefault<IdHasher>>,
    pub(crate) names: Names,
}

impl Jobs {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn find(&self, id: JobId) -> Option<Slot> {
        self.by_id.get(&id).copied()
    }

    pub(crate) fn insert(&mut self, job: Job) -> Slot {
        let id = job.id;
        let slot = if let Some(at) = self.free.pop() {
            self.slab[at as usize] = Some(job);
            Slot(at)
        } else {
            self.slab.push(Some(job));
            Slot(u32::try_from(self.slab.len() - 1).expect("jobs_live_max is far below 2^32"))
        };
        self.by_id.insert(id, slot);
        slot
    }

    pub(crate) fn get(&self, slot: Slot) -> &Job {
        self.slab[slot.0 as usize].as_ref().expect("a slot names a live job until it is removed everywhere")
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> &mut Job {
        self.slab[slot.0 as usize].as_mut().expect("a slot names a live job until it is removed everywhere")
    }

    pub(crate) fn remove(&mut self, slot: Slot) {
        let Some(job) = self.slab[slot.0 as usize].take() else { return };
        self.by_id.remove(&job.id);
        self.free.push(slot.0);
    }

    /// Every live job, by slot. O(live jobs): for checks only.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &Job)> {
        self.slab.iter().zip(0u32..).filter_map(|(job, at)| Some((Slot(at), job.as_ref()?)))
    }

    /// The job as it is on record from now on.
    pub(crate) fn record(&self, slot: Slot, lane: &Lane) -> JobRecord {
        let (job, profile) = (self.get(slot), &lane.profile);
        let name = |id: NameId| self.names.get(id).clone();
        JobRecord {
            id: job.id,
            state: job.state,
            generation: job.generation,
            revision: job.revision,
            header: JobHeader {
                queue: name(profile.queue),
                priority: job.priority,
                retry: job.retry,
                retry_plan: job.plan().cloned(),
                execution: job.execution,
                on_agent_lost: job.on_agent_lost,
                handler: match profile.class {
                    Class::Exec => None,
                    Class::Call(handler) => Some(name(handler)),
                },
                program: profile.program.map(name),
                demand: job.demand().or(profile.demand.as_ref()).cloned(),
            },
            order: job.order,
            created_at: job.created_at,
            updated_at: job.updated_at,
            ended_at: job.state.is_final().then_some(job.updated_at),
            ready_at: job.ready.as_ref().map(|ready| ready.1),
            reason: job.reason,
            detail: job.detail.clone(),
            cancel_requested: job.cancel_requested,
            failures: job.failures.into(),
            infra_losses: job.infra_losses.into(),
            interruptions: job.interruptions.into(),
            worker_deaths: job.worker_deaths.into(),
            attempts: job.attempts,
            tried: job.tried().cloned(),
            dead_lettered: false, // only of one that is over, which says so itself
            spec_bytes: job.spec_bytes,
        }
    }
}

/// Spreads the last 8 bytes of an id, which hold 61 random bits and a counter, all drawn by the coordinator: nobody can aim for
/// collisions, so one multiplication (Knuth, TAOCP 6.4, by the golden ratio) is enough.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk::<8>() {
            self.0 = u64::from_be_bytes(*last).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
    }
}
