//! What to do when something fails, as pure functions of time and randomness.

pub mod circuit_breaker;
pub mod delay;
#[cfg(test)]
mod dice;
pub mod plan;
#[cfg(feature = "wire")]
pub mod reconnect;
pub mod retry_budget;
pub mod rules;
mod window;
