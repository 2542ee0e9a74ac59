//! The contract as generated from `proto/`. `JobSpec` fields are `bytes` here (docs/adr/0003-opaque-job-spec.md).
#![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic, clippy::unwrap_used)] // generated

tonic::include_proto!("windlass.v1");

/// The contract as written, for reflection and for JSON.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/windlass.bin"));
