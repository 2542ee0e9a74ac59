//! Datagrams that wait for room in a socket whose queue others fill too: whoever may never wait in sending keeps them here.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::wire::Datagram;
use crate::sys;

/// In the order they were said, each with a descriptor that goes along where there is one.
#[derive(Debug, Default)]
pub(super) struct Outbox(VecDeque<(Datagram, Option<OwnedFd>)>);

impl Outbox {
    pub(super) fn push(&mut self, datagram: Datagram, fd: Option<OwnedFd>) {
        self.0.push_back((datagram, fd));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sends what the queue takes now.
    pub(super) fn flush(&mut self, to: &OwnedFd) {
        while let Some((datagram, fd)) = self.0.front() {
            let fd = fd.as_ref().map(AsFd::as_fd);
            match sys::fd::send(to.as_fd(), datagram.as_bytes(), fd.as_slice()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Gone: the end of its socket says so too, and then nobody needs this any more.
                _ => self.0.pop_front(),
            };
        }
    }

    /// Nobody is left to be told.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
