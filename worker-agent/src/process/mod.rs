//! The agent's hand on processes: an async handle to the [warden](crate::warden), which does all the forking.
//!
//! ```text
//!  executor ── spawn(SpawnSpec) ──► Warden ══ seqpacket ══► warden ── fork ──► keeper ── fork ──► leader
//!     ▲                               │  task: reads reports                     ▲                  │ stdout, stderr
//!     │◄── Process{ events, … } ──────┘                                          │                  │
//!     ├── Control::signal / kill ─────────────── pidfd, past the warden ─────────┘                  │
//!     └◄─ PipeReader ◄──────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! - [`Warden::start`] gives a handle and the task that must run beside it; one pair a process, because the task believes
//!   every child of the process to be the warden's.
//! - [`Events`] tells first how the leader ended, then that its tree is gone, with [`Proof`].
//! - [`Control`] talks to the attempt's keeper by pidfd, so a dead or wedged warden stops no kill.
//! - A dead warden costs the attempts under it ([`LeaderEnd::Lost`], with proof) and nothing else: the task sweeps and starts
//!   another, and spawns wait for it.
//!
//! Not here: what a job is, when it must stop, what its output means.

mod confinement;
mod control;
mod error;
mod handle;
mod link;
mod outcome;
mod pipe;
mod recover;
mod shared;
mod spec;
mod stage;
mod strangers;
mod table;

pub use confinement::{Confinement, Limit, Resource, User};
pub use control::{Control, Events};
pub use error::{SpawnError, Wanted};
pub use handle::{Process, Warden};
pub use outcome::{ExitInfo, ExitKind, LeaderEnd, Proof, TreeEnd};
pub use pipe::{PipeReader, PipeWriter};
pub use shared::WardenOptions;
pub use spec::{SpawnSpec, Stdin};
pub use stage::Stage;
