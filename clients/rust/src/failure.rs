//! Why a handler did not do what it was asked.

use std::fmt;
use std::time::Duration;

/// What a handler answers where it has no result. Any error becomes one by `?`; it is tried again as the job's retry policy says,
/// unless [`permanent`](Self::permanent).
pub struct Failure {
    pub(crate) message: String,
    pub(crate) code: Option<String>,
    pub(crate) permanent: bool,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) cooldown_key: Option<String>,
    pub(crate) stack: Option<String>,
}

impl Failure {
    /// A failure with this message, for whoever submitted the job.
    pub fn new(message: impl fmt::Display) -> Self {
        let message = message.to_string();
        Self { message, code: None, permanent: false, retry_after: None, cooldown_key: None, stack: None }
    }

    /// Trying again cannot help: the job ends, whatever its retry policy.
    #[must_use]
    pub fn permanent(self) -> Self {
        Self { permanent: true, ..self }
    }

    /// The handler's own name for it, up to 128 bytes, for programs.
    #[must_use]
    pub fn code(self, code: impl Into<String>) -> Self {
        Self { code: Some(code.into()), ..self }
    }

    /// The next attempt waits for this long, in place of the retry policy's delay; more than a day is a day.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// What the wait is for, such as the service that asked for it: 1 to 128 of `[a-zA-Z0-9._-]`.
    #[must_use]
    pub fn cooldown_key(self, key: impl Into<String>) -> Self {
        Self { cooldown_key: Some(key.into()), ..self }
    }

    /// Where it came from, for the job's log.
    #[must_use]
    pub fn stack(self, stack: impl Into<String>) -> Self {
        Self { stack: Some(stack.into()), ..self }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure").field("message", &self.message).field("code", &self.code).finish_non_exhaustive()
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self::new(message)
    }
}
