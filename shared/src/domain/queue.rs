//! A queue as it is shown, and what operators set of one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{LimitSettings, PlacementPolicy};

/// The queue of jobs that name none.
pub const DEFAULT_QUEUE: &str = "default";

/// A queue as it is shown. It is there while jobs of it are not final, or while something is decided of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRecord {
    /// Its name.
    pub name: Arc<str>,
    /// That it hands out nothing, and why.
    pub pause: Option<Pause>,
    /// Jobs that wait in it, delayed ones included.
    pub queued: u64,
    /// Bytes of their specs.
    pub queued_bytes: u64,
    /// Jobs of it that an agent has.
    pub running: u64,
    /// What operators set; none: nothing.
    pub settings: Option<Arc<QueueSettings>>,
}

/// A queue hands out nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pause {
    /// Why, in the operator's words.
    pub reason: Option<Arc<str>>,
}

/// What operators set of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSettings {
    /// Its share of what there is, beside other queues'; from 1.
    pub weight: u32,
    /// Jobs of it that agents have at a time, and that begin over time; each is one unit and costs 1.
    pub limit: LimitSettings,
    /// Jobs that may wait in it; none: any number.
    pub depth_max: Option<u32>,
    /// Bytes of the specs of jobs that wait in it; none: any number.
    pub bytes_max: Option<u64>,
    /// Waiting time that counts as much as one step of priority; more than zero.
    pub aging_step: Duration,
    /// Which of the agents that have room gets a job.
    pub placement: PlacementPolicy,
    /// Shares of fairness keys, beside each other's; those that are not named have 1.
    pub fairness_weights: BTreeMap<Arc<str>, u32>,
    /// Time after which a job fails that no known agent could ever run; none: it waits for one that can.
    pub unsatisfiable_after: Option<Duration>,
}

/// What holds where nothing was set.
impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            weight: 1,
            limit: LimitSettings::default(),
            depth_max: None,
            bytes_max: None,
            aging_step: Self::AGING_STEP,
            placement: PlacementPolicy::default(),
            fairness_weights: BTreeMap::new(),
            unsatisfiable_after: None,
        }
    }
}

/// One of the things that are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QueueField {
    /// [`QueueSettings::weight`].
    Weight,
    /// Units of [`QueueSettings::limit`].
    RunningMax,
    /// The rate of [`QueueSettings::limit`].
    Rate,
    /// [`QueueSettings::depth_max`].
    DepthMax,
    /// [`QueueSettings::bytes_max`].
    BytesMax,
    /// [`QueueSettings::aging_step`].
    AgingStep,
    /// [`QueueSettings::placement`].
    Placement,
    /// [`QueueSettings::fairness_weights`].
    FairnessWeights,
    /// [`QueueSettings::unsatisfiable_after`].
    UnsatisfiableAfter,
}

impl QueueField {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Weight,
        Self::RunningMax,
        Self::Rate,
        Self::DepthMax,
        Self::BytesMax,
        Self::AgingStep,
        Self::Placement,
        Self::FairnessWeights,
        Self::UnsatisfiableAfter,
    ];
}

impl QueueSettings {
    /// A minute a step: a job of the default priority is passed by those of the greatest for 100 minutes at most.
    pub const AGING_STEP: Duration = Duration::from_secs(60);

    /// Takes these from others, and leaves the rest.
    pub fn take(&mut self, fields: &[QueueField], from: &Self) {
        for field in fields {
            match field {
                QueueField::Weight => self.weight = from.weight,
                QueueField::RunningMax => self.limit.units_max = from.limit.units_max,
                QueueField::Rate => self.limit.rate = from.limit.rate,
                QueueField::DepthMax => self.depth_max = from.depth_max,
                QueueField::BytesMax => self.bytes_max = from.bytes_max,
                QueueField::AgingStep => self.aging_step = from.aging_step,
                QueueField::Placement => self.placement = from.placement,
                QueueField::FairnessWeights => self.fairness_weights.clone_from(&from.fairness_weights),
                QueueField::UnsatisfiableAfter => self.unsatisfiable_after = from.unsatisfiable_after,
            }
        }
    }
}
