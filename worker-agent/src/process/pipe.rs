//! The agent's ends of a process's pipes.

use std::io;
use std::os::fd::OwnedFd;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
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

    /// Appends what is there now to `into`, without waiting; 0 at the end.
    ///
    /// # Errors
    /// What read(2) gives, which is WouldBlock where nothing is there.
    pub fn try_read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        into.reserve(4096);
        self.0.try_read_buf(into)
    }
}

/// Writes what the process reads. Dropped, the process reads the end.
#[derive(Debug)]
pub struct PipeWriter(pipe::Sender);

impl PipeWriter {
    /// Takes the write end of a pipe.
    pub(crate) fn new(end: OwnedFd) -> io::Result<Self> {
        pipe::Sender::from_owned_fd(end).map(Self)
    }

    /// Writes from the front of `from` what fits, waiting for room for the first byte, and takes it off. Cancelling it loses
    /// nothing.
    ///
    /// # Errors
    /// What write(2) gives; BrokenPipe where nobody can read it any more.
    pub async fn write(&mut self, from: &mut BytesMut) -> io::Result<()> {
        self.0.write_buf(from).await.map(drop)
    }
}
