//! Which job goes next, and where to.

mod balancer;
mod bits;
mod class;
mod dispatch;
mod lanes;
mod limited;
mod parking;
mod place;
mod scheduler;
mod shapes;
mod shares;
mod waiting;

pub use balancer::Policy;
pub(crate) use bits::Bits;
pub(crate) use class::Class;
pub(crate) use lanes::{Blocks, Lane, LaneId, Profile};
pub(crate) use place::Place;
pub(crate) use scheduler::Scheduler;
pub(crate) use shapes::{Shape, ShapeId, ShapeKey};
