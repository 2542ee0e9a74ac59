//! The agent of one host: keeps the stream to the coordinator and runs its jobs under supervision.
//!
//! ```text
//!  coordinator ◄─ Connect ──► session ──► executor ──► process ══► warden ──► keeper ──► job
//!              ◄─ PushLogs ── logs ◄───────── pipes ───────────────────────────────────┘
//!                             outbox ◄── executor
//! ```
//!
//! | what | where |
//! |---|---|
//! | what it can be told, and how that is read | [`config`], [`args`] |
//! | who it is, and what a former life left | [`identity`], [`leftovers`] |
//! | the stream to the coordinator | [`session`], over [`dial`] |
//! | what follows from being out of touch | [`touch`] |
//! | what jobs may do, and what they find around them | [`confine`] |
//! | from an assignment to its outcome | [`executor`] |
//! | pools of workers, and calls | [`worker`] |
//! | reports until they are on record | [`outbox`] |
//! | what jobs write | [`logs`] |
//! | what holds a tree, and how much memory it has | [`containment`] |
//! | processes, seen from the agent; and from the warden | [`process`], [`warden`], over `sys` |
//! | what it counted, for operators | [`counters`] |
//! | what it says of itself | [`traits`] |
//! | leaving, and when it said it would | [`drain`], [`term`] |
//! | all of it put together | [`agent`], and [`entry`] as a program |
//!
//! Not here: logs on disk, TLS.

mod agent;
mod answers;
mod args;
mod clear;
mod config;
mod confine;
pub mod containment;
mod counters;
mod data_dir;
mod dial;
mod drain;
mod entry;
mod executor;
mod halt;
mod identity;
mod leftovers;
mod logs;
mod outbox;
mod policy;
pub mod process;
mod reload;
mod session;
mod sys;
mod term;
mod touch;
mod traits;
pub mod warden;
mod worker;

pub use agent::{Running, StartError, start};
pub use config::{ConfigError, Options};
pub use confine::{ConfineOptions, LimitOptions};
pub use counters::Counters;
pub use data_dir::DataError;
pub use drain::Stopper;
pub use entry::main;
pub use logs::LogOptions;
pub use reload::Reloader;
pub use session::Refused;
pub use traits::TraitOptions;
pub use worker::{Bytes, Mode, PoolOptions};

/// The first argument that makes an executable of ours an agent.
pub const ROLE: &str = "__agent";
