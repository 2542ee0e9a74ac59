//! What the coordinator, the worker-agent and the CLI agree on.
//!
//! Without the feature `wire` this is pure: ids, domain types, limits, errors and the delay arithmetic, which is all the
//! core may see. With it come the generated contract ([`pb`]), the one module where wire meets domain ([`convert`]), the one
//! where errors meet gRPC ([`status`]), and what every process of ours starts with ([`role`], [`telemetry`]).

pub mod domain;
pub mod fault;
pub mod ids;
pub mod limits;
pub mod resilience;
pub mod time;

#[cfg(feature = "wire")]
pub mod clock;
#[cfg(feature = "wire")]
pub mod convert;
#[cfg(feature = "wire")]
pub mod ipc;
#[cfg(feature = "wire")]
pub mod lifeline;
#[cfg(feature = "wire")]
pub mod pb;
#[cfg(feature = "wire")]
pub mod role;
#[cfg(feature = "wire")]
pub mod status;
#[cfg(feature = "wire")]
pub mod task;
#[cfg(feature = "wire")]
pub mod telemetry;
