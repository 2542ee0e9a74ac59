//! The real programs from outside: real processes, real signals, real leftovers.

mod by_hand;
mod calls;
mod cuts;
mod disk;
mod follows;
mod kills;
mod leftovers;
mod limits;
mod local;
mod policy;
mod pools;
mod proxy;
mod restarts;
mod rig;
mod witness;
mod words;
