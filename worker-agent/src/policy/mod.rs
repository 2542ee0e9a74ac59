//! What this host accepts, whoever asks: a file that neither the coordinator nor a job can change.
//!
//! ```text
//!  --policy FILE ─► file: whose it is, what it says, by line ─► Policy ─┬─► of the agent's own configuration: does not start, not reloaded
//!                                                                       └─► of an attempt: REJECTED, and a line for the audit
//! ```
//! - [`mod@file`] reads it · [`rules`] what is allowed, and the word that something is not.
//!
//! Not here: how processes are confined ([`confine`](crate::confine)); the policy only says what that may come to.

mod file;
mod place;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock};

use crate::config::{ConfigError, Options};
use crate::confine::Confining;

pub(crate) use file::PolicyError;
pub(crate) use rules::{Policy, Violation};

impl From<PolicyError> for ConfigError {
    fn from(err: PolicyError) -> Self {
        Self::new("policy", err.to_string())
    }
}

impl Policy {
    /// The policy that these options name; one that allows everything where they name none. What they say of the host is within it.
    ///
    /// # Errors
    /// Where it cannot be read or trusted, or does not allow what the options say.
    pub(crate) fn of(options: &Options, confining: &Confining) -> Result<Self, ConfigError> {
        let Some(path) = &options.policy else { return Ok(Self::default()) };
        let policy = Self::read(path)?;
        policy.check_host(options, confining).map_err(|violation| ConfigError::new("policy", violation.to_string()))?;
        Ok(policy)
    }
}

/// The policy as it is now. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policies(Arc<RwLock<Arc<Policy>>>);

impl Policies {
    pub(crate) fn new(policy: Policy) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(policy))))
    }

    pub(crate) fn now(&self) -> Arc<Policy> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts from the next attempt on; what runs was allowed when it began.
    pub(crate) fn replace(&self, policy: Policy) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }
}
