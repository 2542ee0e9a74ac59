//! What jobs write, from the pipe to the coordinator, addressed by offset.
//!
//! ```text
//!  pipe ─► capture ─► hub: a reel an attempt, a tape a stream ─► ship ─► PushLogs, on a connection of its own
//!                       ▲    [ acknowledged │ under way │ waits ]           │
//!                       └────────────── acknowledged offsets ───────────────┘
//! ```
//! The pipe is always read: a job never waits for the coordinator. Of an output that is longer than the spool the first bytes are
//! shipped as they come and the last ones at its end; where a coordinator is away for longer than the spool lasts, the oldest
//! bytes after the head go. Offsets count what is dropped, so that a reader sees the gap and its size. A job that writes nothing never
//! enters the hub. Why so: docs/adr/0016-logs-keep-head-and-tail.md.

mod capture;
mod hub;
mod options;
mod reel;
mod ring;
mod ship;
mod tape;

pub(crate) use capture::{Capture, Offsets};
pub(crate) use hub::Logs;
pub use options::LogOptions;
pub(crate) use ship::Shipper;
