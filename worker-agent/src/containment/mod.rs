//! What holds a process tree, and what it may take.
//!
//! - [`memory`] adds up what a tree has in memory · [`sampler`] does it every half second, for those who set a limit that no
//!   kernel keeps.
//!
//! Not here: what a job is, and what becomes of one that took too much.

mod memory;
mod sampler;

pub use memory::Tree;
pub use sampler::{SAMPLE_EVERY, Sampler, Watched};
