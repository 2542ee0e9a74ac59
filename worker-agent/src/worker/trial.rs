//! What a pool goes back to where its new configuration does not run.

use super::options::PoolOptions;
use super::sizing::Policy;
use crate::confine::Confined;

/// What a pool was, while nobody knows whether what it is to be can run.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) options: PoolOptions,
    pub(super) confined: Confined,
    pub(super) policy: Policy,
    /// Boots of what it is to be that failed.
    pub(super) failures: u8,
}
