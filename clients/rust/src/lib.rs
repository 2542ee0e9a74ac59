//! Workers for Windlass: functions that an agent keeps warm in a process, and calls.
//!
//! ```no_run
//! use windlass_worker::{Context, Failure, Worker};
//!
//! fn resize(_: &Context, width: u32) -> Result<String, Failure> {
//!     Ok(format!("{width} pixels"))
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     Worker::new().handler("resize", resize).run()
//! }
//! ```
//! `my-worker --once resize 80` runs one job here and now; in a pool of an agent, the same program serves jobs until it is told
//! to end. What it says and hears is the worker protocol (docs/worker-protocol.md of Windlass), version 1, with every feature of it.
//!
//! ```text
//!  stdin ══► reader (a thread) ── jobs ──► desk ──► the thread of `run`: started, handler, result ──► stdout
//!               └─ recall, cancel, ping, drain, bye: at once, also while a handler runs
//! ```
//! Standard input and output are moved away before anything else happens: what handlers and their children print goes to standard
//! error, which is the job's log, and can never be taken for an answer. Handlers run one at a time; what must be parallel is
//! another worker.

mod context;
mod desk;
mod failure;
mod frame;
mod local;
mod payload;
mod reader;
mod run;
mod serve;
mod voice;
mod worker;

pub use context::{Context, Level};
pub use failure::Failure;
pub use payload::Payload;
pub use worker::Worker;

/// The version of the protocol that is spoken.
const PROTOCOL: u32 = 1;
/// Largest result, as the protocol has it: 256 KiB.
const RESULT_BYTES_MAX: usize = 256 << 10;
