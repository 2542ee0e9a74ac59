//! What jobs write, from the pipe to the coordinator, addressed by offset.
//!
//! ```text
//!  pipe ─► capture ─► hub: a reel an attempt, a tape a stream ─► ship ─► PushLogs, on a connection of its own
//!                       ▲    [ acknowledged │ under way │ waits ]           │
//!                       └────────────── acknowledged offsets ───────────────┘
//! ```
//! The pipe is always read: a job never waits for the coordinator. What does not fit the buffer is dropped from its old end,
//! and the offsets show the gap. A job that writes nothing never enters the hub.

mod capture;
mod hub;
mod reel;
mod ship;
mod tape;

pub(crate) use capture::{Capture, Offsets};
pub(crate) use hub::Logs;
pub(crate) use ship::Shipper;
