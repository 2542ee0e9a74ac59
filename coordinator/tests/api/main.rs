//! The coordinator through its real door: a served port, real clients, and an agent made of nothing but its stream.

mod bad_input;
mod calls;
mod counters;
mod fleet;
mod import;
mod jobs;
mod limits;
mod logs;
mod pools;
mod queues;
mod requeues;
mod rig;
mod sessions;
mod shell;
mod uniques;
mod words;
