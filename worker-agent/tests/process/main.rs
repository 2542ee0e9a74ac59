//! Real processes under a real warden.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod as_root;
mod bench;
mod cgroups;
mod confinement;
mod death;
mod end;
mod fence;
mod kill;
mod leaks;
mod memory;
mod stages;
mod start;
mod support;
