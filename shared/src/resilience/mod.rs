//! What to do when something fails, as pure functions of time and randomness.

pub mod delay;
#[cfg(feature = "wire")]
pub mod reconnect;
