//! The agent's end of a job's stdout or stderr.

use std::io;
use std::os::fd::OwnedFd;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// Reads what the job writes. It ends when the last process that holds the other end is gone or has closed it.
#[derive(Debug)]
pub struct PipeReader(pipe::Receiver);

impl PipeReader {
    /// Takes the read end of a pipe.
    pub(crate) fn new(end: OwnedFd) -> io::Result<Self> {
        pipe::Receiver::from_owned_fd(end).map(Self)
    }

    /// Appends what is there to `into`, waiting for the first byte; 0 at the end. Cancelling it loses nothing.
    ///
    /// # Errors
    /// What read(2) gives.
    pub async fn read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        // One page of room at least, so that a small remainder of the buffer does not turn a flood into tiny reads.
        into.reserve(4096);
        self.0.read_buf(into).await
    }
}
