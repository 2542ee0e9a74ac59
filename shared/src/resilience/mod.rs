//! What to do when something fails, as pure functions of time and randomness.

pub mod delay;
pub mod plan;
#[cfg(feature = "wire")]
pub mod reconnect;
pub mod rules;
