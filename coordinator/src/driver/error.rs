//! Why the driver does not do what it was asked.

use std::time::Duration;

use windlass_core::Refusal;
use windlass_shared::fault::{Fault, Kind};
use windlass_shared::ids::JobId;

use crate::store::{NoRoom, ReadError};

/// A job was not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error("the coordinator has more submits waiting than it can record; wait and submit again")]
    Overloaded,
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("request_id {id:?} made job {job} of another spec; use a new id for a new job")]
    RequestIdTaken { id: Box<str>, job: JobId },
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    #[error(transparent)]
    Stopping(#[from] Stopping),
}

impl Fault for SubmitError {
    fn kind(&self) -> Kind {
        match self {
            Self::Overloaded => Kind::Busy,
            Self::NoRoom(why) => why.kind(),
            Self::Refused(why) => why.kind(),
            Self::RequestIdTaken { .. } => Kind::Exists,
            Self::Unreadable(why) => why.kind(),
            Self::Stopping(why) => why.kind(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Overloaded => "SUBMITS_OVERLOADED",
            Self::NoRoom(why) => why.reason(),
            Self::Refused(why) => why.reason(),
            Self::RequestIdTaken { .. } => "REQUEST_ID_TAKEN",
            Self::Unreadable(why) => why.reason(),
            Self::Stopping(why) => why.reason(),
        }
    }

    fn quota(&self) -> Option<String> {
        match self {
            Self::Refused(why) => why.quota(),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded => Some(Duration::from_millis(100)),
            Self::NoRoom(why) => why.retry_after(),
            Self::Refused(why) => why.retry_after(),
            Self::RequestIdTaken { .. } => None,
            Self::Unreadable(why) => why.retry_after(),
            Self::Stopping(why) => why.retry_after(),
        }
    }
}

/// An operator's word changes nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WordError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("request_id {id:?} was used for something else; use a new id")]
    RequestIdTaken { id: Box<str> },
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    #[error(transparent)]
    Stopping(#[from] Stopping),
}

impl WordError {
    /// Whose fault it is; none: this word's own.
    fn passed_on(&self) -> Option<&dyn Fault> {
        match self {
            Self::Refused(why) => Some(why),
            Self::Unreadable(why) => Some(why),
            Self::Stopping(why) => Some(why),
            Self::RequestIdTaken { .. } => None,
        }
    }
}

impl Fault for WordError {
    fn kind(&self) -> Kind {
        self.passed_on().map_or(Kind::Exists, Fault::kind)
    }

    fn reason(&self) -> &'static str {
        self.passed_on().map_or("REQUEST_ID_TAKEN", Fault::reason)
    }

    fn retry_after(&self) -> Option<Duration> {
        self.passed_on().and_then(Fault::retry_after)
    }
}

/// The driver is gone: the process is stopping.
#[derive(Debug, thiserror::Error)]
#[error("the coordinator is stopping")]
pub(crate) struct Stopping;

impl Fault for Stopping {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }

    fn reason(&self) -> &'static str {
        "STOPPING"
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }
}
