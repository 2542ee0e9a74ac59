//! What work asks of a room.

use crate::names::NameId;

/// What work asks of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// A slot for a command.
    Exec,
    /// A worker that announced this handler.
    Call(NameId),
}
