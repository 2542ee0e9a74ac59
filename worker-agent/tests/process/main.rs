//! Real processes under a real warden.

mod bench;
mod death;
mod end;
mod kill;
mod leaks;
mod start;
mod support;
