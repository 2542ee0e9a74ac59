//! What a limit allows.

use std::time::Duration;

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
