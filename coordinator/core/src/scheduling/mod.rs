//! Which job goes next, and where to.

mod balancer;
mod queue;

pub(crate) use balancer::Balancer;
pub(crate) use queue::Ready;
