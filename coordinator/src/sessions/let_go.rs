//! Why we end an agent's stream.

use windlass_core::Refusal;
use windlass_shared::fault::{Fault, Kind};
use windlass_shared::ids::JobId;

/// What the agent is told at the end of its stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LetGo {
    /// The core will not have it, or not any more.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It does not read, and we do not buffer for it.
    #[error("this agent does not read its stream, and more waits for it than is kept; say hello again to get it")]
    TooSlow,
    /// What it was to run cannot be read now. Its next hello shows that this never arrived, so the job is queued again.
    #[error("what job {0} is to run cannot be read from the record now; say hello again")]
    Unreadable(JobId),
}

impl Fault for LetGo {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused(why) => why.kind(),
            Self::TooSlow | Self::Unreadable(_) => Kind::Unavailable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Refused(why) => why.reason(),
            Self::TooSlow => "AGENT_TOO_SLOW",
            Self::Unreadable(_) => "STORE_UNREADABLE",
        }
    }

    fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            Self::Refused(why) => why.retry_after(),
            Self::TooSlow | Self::Unreadable(_) => None,
        }
    }
}
