//! Step tests of the core: these inputs, exactly these effects and no other.

mod agents;
mod cancel;
mod health;
mod limited;
mod limits;
mod model;
mod moves;
mod order;
mod orders;
mod outcomes;
mod placement;
mod pools;
mod quarantine;
mod queues;
mod random;
mod replay;
mod requeues;
mod restarts;
mod retries;
mod rig;
mod shares;
mod uniques;
mod words;
