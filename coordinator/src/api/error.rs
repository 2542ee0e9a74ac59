//! How a call fails, other than by its own input.

use std::sync::Arc;

use windlass_shared::domain::JobState;
use windlass_shared::fault::{Fault, Kind};
use windlass_shared::ids::{AgentId, JobId};

use crate::records::ReadError;

#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("there is no job {0}; it may have been finished longer ago than finished jobs are kept")]
    NoSuchJob(JobId),
    #[error("there is no agent {0}")]
    NoSuchAgent(AgentId),
    #[error("there is no worker {0:?}: `windlass worker list` shows what there is")]
    NoSuchWorker(Arc<str>),
    #[error("agent {0} answered something else than it was asked")]
    StrangeAnswer(AgentId),
    #[error("job {0} has no attempt {1}")]
    NoSuchAttempt(JobId, u32),
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    #[error("job {0} is a command, which has no result but its exit code and its output")]
    NoResult(JobId),
    #[error("job {0} is {state}; only a job that has SUCCEEDED has a result", state = .1.name())]
    NotSucceeded(JobId, JobState),
    #[error("job {0} is {state}, and nothing about it is unproven", state = .1.name())]
    NotUnproven(JobId, JobState),
    #[error("job {0} is {state}; only a job that waits can be given another priority or queue", state = .1.name())]
    NotWaiting(JobId, JobState),
    #[error("there is no result of job {0} on record")]
    NoSuchResult(JobId),
}

impl Fault for ApiError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchJob(_)
            | Self::NoSuchAgent(_)
            | Self::NoSuchWorker(_)
            | Self::NoSuchAttempt(..)
            | Self::NoSuchResult(_) => Kind::NotFound,
            Self::StrangeAnswer(_) => Kind::Bug,
            Self::NoResult(_) | Self::NotSucceeded(..) | Self::NotUnproven(..) | Self::NotWaiting(..) => Kind::Conflict,
            Self::Unreadable(why) => why.kind(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NoSuchJob(_) => "JOB_NOT_FOUND",
            Self::NoSuchAgent(_) => "AGENT_NOT_FOUND",
            Self::NoSuchWorker(_) => "WORKER_NOT_FOUND",
            Self::StrangeAnswer(_) => "STRANGE_ANSWER",
            Self::NoSuchAttempt(..) => "ATTEMPT_NOT_FOUND",
            Self::Unreadable(why) => why.reason(),
            Self::NotUnproven(..) => "NOTHING_UNPROVEN",
            Self::NotWaiting(..) => "JOB_NOT_WAITING",
            Self::NoResult(_) => "JOB_HAS_NO_RESULT",
            Self::NotSucceeded(..) => "JOB_NOT_SUCCEEDED",
            Self::NoSuchResult(_) => "RESULT_NOT_FOUND",
        }
    }
}
