//! How a call fails, other than by its own input.

use windlass_shared::fault::{Fault, Kind};
use windlass_shared::ids::{AgentId, JobId};

use crate::records::ReadError;

#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("there is no job {0}; it may have been finished longer ago than finished jobs are kept")]
    NoSuchJob(JobId),
    #[error("there is no agent {0}")]
    NoSuchAgent(AgentId),
    #[error("job {0} has no attempt {1}")]
    NoSuchAttempt(JobId, u32),
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    #[error("{0}")]
    Unimplemented(&'static str),
}

impl Fault for ApiError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchJob(_) | Self::NoSuchAgent(_) | Self::NoSuchAttempt(..) => Kind::NotFound,
            Self::Unreadable(why) => why.kind(),
            Self::Unimplemented(_) => Kind::Unimplemented,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NoSuchJob(_) => "JOB_NOT_FOUND",
            Self::NoSuchAgent(_) => "AGENT_NOT_FOUND",
            Self::NoSuchAttempt(..) => "ATTEMPT_NOT_FOUND",
            Self::Unreadable(why) => why.reason(),
            Self::Unimplemented(_) => "UNIMPLEMENTED",
        }
    }
}
