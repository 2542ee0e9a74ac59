//! What attempts write.

use bytes::Bytes;

use super::Lease;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// Which of the two.
    pub stream: LogStream,
    /// Bytes of this stream before this chunk, dropped ones included.
    pub offset: u64,
    /// The bytes as they were written.
    pub data: Bytes,
}

impl LogChunk {
    /// Offset of the first byte after it.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.data.len() as u64
    }
}

/// What one message brings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushedLogs {
    /// To be kept, and acknowledged.
    pub kept: Vec<PushedLog>,
    /// What is newest of outputs that are longer than is kept of them: for those who follow.
    pub newest: Vec<PushedLog>,
}

/// A piece of what one attempt wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedLog {
    /// The attempt.
    pub lease: Lease,
    /// The piece.
    pub chunk: LogChunk,
}
