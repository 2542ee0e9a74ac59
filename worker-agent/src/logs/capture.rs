//! From the pipes of one attempt into the hub.

use bytes::BytesMut;
use windlass_shared::domain::{Lease, LogStream};

use super::Logs;
use crate::process::PipeReader;

/// What a flood is read by: a pipe holds this much, so a larger buffer would never fill.
const READ_BYTES: usize = 64 << 10;

/// Reads both pipes of one attempt to their ends.
#[derive(Debug)]
pub(crate) struct Capture {
    logs: Logs,
    lease: Lease,
}

/// Bytes that an attempt wrote in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    /// To standard output.
    pub(crate) stdout: u64,
    /// To standard error.
    pub(crate) stderr: u64,
}

impl Offsets {
    /// Beyond every end.
    pub(crate) const ALL: Self = Self { stdout: u64::MAX, stderr: u64::MAX };
}

impl Capture {
    /// Reads for the attempt of `lease`.
    pub(crate) fn new(logs: Logs, lease: Lease) -> Self {
        Self { logs, lease }
    }

    /// Reads both to their ends. Cut short, `offsets` has what was read.
    pub(crate) async fn read(&self, mut stdout: PipeReader, mut stderr: PipeReader, offsets: &mut Offsets) {
        tokio::join!(
            self.read_one(LogStream::Stdout, &mut stdout, &mut offsets.stdout),
            self.read_one(LogStream::Stderr, &mut stderr, &mut offsets.stderr),
        );
    }

    async fn read_one(&self, stream: LogStream, pipe: &mut PipeReader, offset: &mut u64) {
        let mut read = BytesMut::new();
        loop {
            match pipe.read(&mut read).await {
                Ok(0) => return,
                Ok(bytes) => {
                    *offset += bytes as u64;
                    let flood = read.len() == read.capacity();
                    self.logs.append(self.lease, stream, &mut read);
                    if flood {
                        read.reserve(READ_BYTES);
                    }
                }
                Err(error) => {
                    tracing::warn!(job = %self.lease.job, ?stream, %error, "output cannot be read further");
                    return;
                }
            }
        }
    }
}

impl Drop for Capture {
    // However the attempt ends, its reel must not wait for more.
    fn drop(&mut self) {
        self.logs.close(&self.lease);
    }
}
