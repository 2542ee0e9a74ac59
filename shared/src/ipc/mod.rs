//! What an agent and a worker say to each other: version 1 of the worker protocol (docs/worker-protocol.md).
//!
//! ```text
//!  agent ── {"type":"job","id":17,…} LF ──────────────► worker's stdin
//!        ◄─ RS {"type":"result","id":17,…} LF ───────── worker's stdout; everything else on it is a log line
//! ```
//! JSON text sequences (RFC 7464) towards the agent, because a worker prints: a stray line costs nothing, and cannot pass for an
//! answer. Towards the worker, JSON a line: every language reads lines.
//!
//! - [`split`] frames and log bytes out of what was read · [`answer`] a frame, read · [`order`] what is written.
//!
//! Absent here: pipes, processes, time.

mod answer;
mod order;
mod split;

pub use answer::{Answer, BadAnswer, Features, read};
pub use order::{JobOrder, bye, cancel, drain, job, ping, recall, welcome};
pub use split::{Piece, Splitter, TooLong};

/// The version of the protocol, as hello and welcome name it.
pub const PROTOCOL: u32 = 1;
/// Longest frame either way, its end included: an input or a result of 256 KiB in base64, three times over.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// A worker that exits with this is not started again before the configuration changes: EX_CONFIG of sysexits.h.
pub const EXIT_CONFIG: i32 = 78;
