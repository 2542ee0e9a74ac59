//! Following jobs: what each writes ([`tail`]), one after the other in the order they were asked for ([`lineup`]), what
//! changes, as it is recorded ([`changes`]), and how all of them stand ([`board`]).

mod board;
mod changes;
mod lineup;
mod tail;

use bytes::Bytes;
use windlass_shared::pb;

use crate::failure::Failure;

pub(crate) use board::Board;
pub(crate) use changes::{Changes, From, News};
pub(crate) use lineup::Lineup;

/// Jobs followed at a time: the one being shown, and the next ones, so that their output is there when their turn comes.
pub(crate) const WINDOW: usize = 16;

/// Which of a job's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// The next thing to show of a job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    /// It wrote this.
    Output(Stream, Bytes),
    /// It wrote this many bytes that nobody kept.
    Dropped(Stream, u64),
    /// What follows is written by another attempt.
    Attempt(u32),
    /// It is over. Always the last.
    End(Box<Result<pb::Job, Failure>>),
}
