//! What a job asks of the scheduler beyond a slot. Whole numbers throughout: what is compared and added up must be exact.

use std::sync::Arc;
use std::time::Duration;

/// What a job asks beyond a slot. Jobs with equal demands are alike to the scheduler.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Demand {
    /// Where it may run.
    pub placement: Placement,
    /// Whose share of the queue it takes from.
    pub fairness: Option<Fairness>,
    /// Jobs of a queue with the same key go one at a time, in submit order.
    pub ordering_key: Option<Arc<str>>,
    /// At most one unfinished job has the key.
    pub unique: Option<Unique>,
    /// Limits it counts against, beside its queue's, by key.
    pub limits: Vec<LimitUse>,
}

/// Where a job may run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Placement {
    /// What it takes of named resources, in thousandths, by name.
    pub resources: Vec<(Arc<str>, u64)>,
    /// What must hold of an agent's labels, all of it.
    pub constraints: Vec<Constraint>,
    /// What makes an agent the better choice.
    pub affinities: Vec<Affinity>,
    /// How long the agent must be there yet; none: any time.
    pub min_lifetime: Option<Duration>,
}

/// What must hold of one label of an agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Constraint {
    /// Key of the label.
    pub label: Arc<str>,
    /// What must hold of it.
    pub must: Must,
}

/// What must hold of a label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Must {
    /// It is there, and one of these, which are sorted.
    In(Vec<Arc<str>>),
    /// It is not there, or none of these, which are sorted.
    NotIn(Vec<Arc<str>>),
    /// It is there.
    Exist,
    /// It is not there.
    NotExist,
    /// It is a whole number greater than this.
    Exceed(i64),
    /// It is a whole number less than this.
    StayBelow(i64),
}

impl Must {
    /// Whether it holds of a label with this value; none: the agent lacks the label.
    #[must_use]
    pub fn holds(&self, value: Option<&str>) -> bool {
        let is_one_of = |values: &[Arc<str>]| value.is_some_and(|value| values.iter().any(|one| **one == *value));
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::In(values) => is_one_of(values),
            Self::NotIn(values) => !is_one_of(values),
            Self::Exist => value.is_some(),
            Self::NotExist => value.is_none(),
            Self::Exceed(than) => number().is_some_and(|number| number > *than),
            Self::StayBelow(than) => number().is_some_and(|number| number < *than),
        }
    }
}

/// What makes an agent the better or the worse choice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Affinity {
    /// Agents of which this holds.
    pub constraint: Constraint,
    /// -100 to 100, not 0.
    pub weight: i8,
}

/// Whose share of its queue a job takes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fairness {
    /// Such as a tenant's name.
    pub key: Arc<str>,
    /// What it takes of that share, in thousandths, from 1.
    pub cost: u32,
}

/// At most one unfinished job has the key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unique {
    /// The key.
    pub key: Arc<str>,
    /// What becomes of a submit while another has it.
    pub on_conflict: OnConflict,
}

/// What becomes of a submit while another unfinished job has its unique key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum OnConflict {
    /// It is refused.
    #[default]
    Reject,
    /// It answers the other job.
    ReturnExisting,
    /// The other is cancelled where no agent has it; else the submit is refused.
    ReplaceQueued,
    /// The other is cancelled; the new one waits until that is over.
    CancelRunning,
}

/// A use of a limit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitUse {
    /// The limit's key.
    pub key: Arc<str>,
    /// What it takes, while an agent has it, of what may be in use at a time.
    pub units: u32,
    /// What it takes of the rate, in thousandths.
    pub cost: u32,
}
