//! What asks a command to end: Ctrl-C, `kill`, a closed terminal.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// The signals that would have ended us. Listening lasts as long as the process.
#[derive(Debug)]
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Interrupts {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|err| Failure::io("listen for signals", &err));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// The number of the next signal.
    pub(crate) async fn next(&mut self) -> i32 {
        tokio::select! {
            Some(()) = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            Some(()) = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
            Some(()) = self.hangup.recv() => SignalKind::hangup().as_raw_value(),
            else => std::future::pending().await, // the driver is gone: so are we
        }
    }
}
