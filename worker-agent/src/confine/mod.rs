//! What jobs and workers may do on this host, and what they find in their environment: the operator's word, made ready for a spawn.
//!
//! ```text
//! [exec] ───┐                 account: who run_as is
//!           ├──► Confining ──────┴──► Confined: Confinement, environment, directories of their own
//! [[pool]] ─┘        └ host: what the agent itself has
//! ```
//! - [`options`] what can be said, and its bounds · [`limits`] of it, the resource limits.
//! - [`account`] the user that jobs become · [`host`] what the agent has and could pass on · [`mod@env`] what it does pass on.
//! - [`confined`] what processes of one kind get · [`confining`] that for all kinds of an agent · [`dirs`] directories that the user must get through.
//!
//! Not here: how it is applied ([`process`](crate::process)), which jobs there are.

mod account;
mod confined;
mod confining;
mod dirs;
mod env;
mod host;
mod limits;
mod options;

pub(crate) use confined::Confined;
pub(crate) use confining::Confining;
pub(crate) use env::merged;
pub use limits::LimitOptions;
pub use options::ConfineOptions;
