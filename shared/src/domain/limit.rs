//! What a limit allows, and how one is shown.

use std::sync::Arc;
use std::time::Duration;

use crate::time::Timestamp;

/// What a limit allows of all that names its key together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitSettings {
    /// Units in use at a time; 0: nothing goes; none: any number.
    pub units_max: Option<u32>,
    /// How much may begin over time; none: any amount.
    pub rate: Option<Rate>,
}

/// How much may begin over time: `cost` in each `period`, and `burst` at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In thousandths, from 1.
    pub cost: u64,
    /// From a second.
    pub period: Duration,
    /// In thousandths. A job that costs more by itself goes after a rest too, and is paid for before anything follows.
    pub burst: u64,
}

/// Nothing that names a key is handed out before a certain time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cooldown {
    /// When it ends.
    pub until: Timestamp,
    /// The words of whoever asked for it, or the job whose answer did.
    pub reason: Option<Arc<str>>,
}

/// A limit as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRecord {
    /// A key; or a beginning of keys and `*`.
    pub key: Arc<str>,
    /// What holds.
    pub settings: LimitSettings,
    /// Where that was set: at the key itself, or at a beginning of it and `*`; none: nothing was.
    pub set_at: Option<Arc<str>>,
    /// Units in use; none: it is a beginning of keys.
    pub units_in_use: Option<u64>,
    /// That it cools down.
    pub cooldown: Option<Cooldown>,
}
