//! Which job goes next, and where to.

mod balancer;
mod classes;
mod queue;

pub(crate) use classes::{Class, Classes};
