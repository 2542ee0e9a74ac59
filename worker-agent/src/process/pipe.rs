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

    /// Appends what is there now to `into`, a page at most, without waiting; 0 at the end.
    ///
    /// The kernel is asked, not the runtime: that knows of what was written only once it has polled again, and then "nothing is there"
    /// would be a word on the past.
    ///
    /// # Errors
    /// What read(2) gives, which is WouldBlock where nothing is there.
    pub fn try_read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        let mut page = [0; 4096];
        let read = rustix::io::retry_on_intr(|| rustix::io::read(&self.0, &mut page))?;
        into.extend_from_slice(&page[..read]);
        Ok(read)
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

#[cfg(test)]
mod tests {
    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    #[tokio::test]
    async fn what_was_written_a_moment_ago_is_there_whatever_the_runtime_knows_of_it() {
        let (ours, theirs) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap();
        let (mut reader, mut read) = (PipeReader::new(ours).unwrap(), BytesMut::new());
        let none = reader.try_read(&mut read).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
        // One thread, and it does not yield: the runtime cannot have polled in between.
        rustix::io::write(&theirs, b"late").unwrap();
        assert_eq!((reader.try_read(&mut read).unwrap(), &read[..]), (4, &b"late"[..]));
        drop(theirs);
        assert_eq!(reader.try_read(&mut read).unwrap(), 0);
    }
}
